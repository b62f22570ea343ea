"""The self-test before every evaluation: references must win, empty replies must not.

A query that its own reference does not win is unscorable: it is left out of the rates,
reported apart with the reason, and never counts as right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tinr.chat.codec import Piece
from tinr.chat.parse import parse
from tinr.chat.render import render_calls, render_observations, render_response, render_thought
from tinr.data.traces import NO_TOOL, plan, spoken_answer
from tinr.evaluation.metrics import Outcome, outcome
from tinr.records import Call, GateFailed, Query, Reply, ToolDoc

RIGHT = ("name_em", "call_em", "call_em_strict", "call_em_lenient", "answer_acc", "abstain_acc")


def self_test(queries: Sequence[Query], documents: Mapping[str, ToolDoc]) -> dict[str, str]:
    """Id -> why a query cannot be scored; GateFailed where an empty reply counts as right."""
    unscorable: dict[str, str] = {}
    for query in queries:
        unknown = [call.name for call in query.calls if call.name not in documents]
        if unknown:
            unscorable[query.id] = f"the reference calls {unknown[0]!r}, which has no document"
            continue
        won = outcome(reference_reply(query, documents), query, documents)
        missed = [name for name in RIGHT if getattr(won, name) is False]
        if missed or not won.format_ok:
            unscorable[query.id] = f"its own reference misses {(missed or ['format_ok'])[0]}"
        _check_empty(outcome(Reply(), query, documents), query)
    return unscorable


def reference_reply(query: Query, documents: Mapping[str, ToolDoc]) -> Reply:
    """The reference as a model would write it, read back as any reply is."""
    if query.any_call:
        any_tool = next((n for n in (*query.tools, *documents) if n in documents), None)
        turns = ((Call(any_tool, {}),),) if any_tool else ()
        query = replace(query, turns=turns)
    pieces: list[Piece] = plan([documents[call.name] for call in query.calls])
    if not query.calls:
        said = query.reply or query.answer or "Nothing to call."
        return parse([*render_thought([NO_TOOL["chat"]]), *render_response(said)])
    left = list(query.observations)
    known = len(left) == len(query.calls)
    # tools that never answered end a conversation at the first calls: all must stand there
    for turn in query.turns if known else [query.calls]:
        pieces += render_calls(turn)
        seen, left = left[: len(turn)], left[len(turn) :]
        pieces += render_observations(seen)
    if known or query.answer is not None:
        pieces += render_response(spoken_answer(query))
    return parse(pieces)


def _check_empty(empty: Outcome, query: Query) -> None:
    won = [name for name in RIGHT if getattr(empty, name)]
    if won or empty.format_ok:
        raise GateFailed(
            f"self-test: an empty reply to query {query.id!r} counts as right in "
            f"{(won or ['format_ok'])[0]}; no figure of this evaluation can be trusted"
        )
