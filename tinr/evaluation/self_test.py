"""The self-test before every evaluation: references must count as right, empty replies must not.

A query whose own reference counts as wrong is unscorable: it is left out of the rates, reported
separately with the reason, and never counts as right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tinr.chat.codec import Piece
from tinr.chat.parse import parse
from tinr.chat.render import render_calls, render_observations, render_response, render_thought
from tinr.data.traces import NO_TOOL, render_plan, spoken_answer
from tinr.evaluation.metrics import Outcome, outcome
from tinr.records import Call, Query, Reply, RunFailed, ToolDoc

RIGHT = ("name_em", "call_em", "call_em_strict", "call_em_lenient", "answer_acc", "abstain_acc")


def self_test(queries: Sequence[Query], documents: Mapping[str, ToolDoc]) -> dict[str, str]:
    """Id -> why a query cannot be scored; RunFailed if an empty reply counts as right."""
    unscorable: dict[str, str] = {}
    for query in queries:
        unknown_tools = [call.name for call in query.calls if call.name not in documents]
        if unknown_tools:
            unscorable[query.id] = (
                f"the reference calls {unknown_tools[0]!r}, which has no document"
            )
            continue
        verdict = outcome(reference_reply(query, documents), query, documents)
        missed_metrics = [name for name in RIGHT if getattr(verdict, name) is False]
        if missed_metrics or not verdict.format_ok:
            unscorable[query.id] = f"its own reference fails {(missed_metrics or ['format_ok'])[0]}"
        _check_empty(outcome(Reply(), query, documents), query)
    return unscorable


def reference_reply(query: Query, documents: Mapping[str, ToolDoc]) -> Reply:
    """The reference as a model would write it, parsed like any reply."""
    if query.any_call:
        any_tool = next((n for n in (*query.tools, *documents) if n in documents), None)
        turns = ((Call(any_tool, {}),),) if any_tool else ()
        query = replace(query, turns=turns)
    pieces: list[Piece] = render_plan([documents[call.name] for call in query.calls])
    if not query.calls:
        answer_text = query.reply or query.answer or "Nothing to call."
        return parse([*render_thought([NO_TOOL["chat"]]), *render_response(answer_text)])
    observations = list(query.observations)
    has_all_results = len(observations) == len(query.calls)
    # without results a conversation ends at its first calls, so all calls are in one turn
    for turn in query.turns if has_all_results else [query.calls]:
        pieces += render_calls(turn)
        turn_results, observations = observations[: len(turn)], observations[len(turn) :]
        pieces += render_observations(turn_results)
    if has_all_results or query.answer is not None:
        pieces += render_response(spoken_answer(query))
    return parse(pieces)


def _check_empty(verdict: Outcome, query: Query) -> None:
    won_metrics = [name for name in RIGHT if getattr(verdict, name)]
    if won_metrics or verdict.format_ok:
        raise RunFailed(
            f"self-test: an empty reply to query {query.id!r} counts as right in "
            f"{(won_metrics or ['format_ok'])[0]}; no figure of this evaluation can be trusted"
        )
