"""Evaluate a checkpoint on a suite: rates with intervals; every denominator is the full set."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast, get_args

from transformers import PreTrainedModel

from tinr.catalogue.load import Catalogue, query_line, read_queries, write_jsonl
from tinr.catalogue.retrieval import DocumentsConfig, Library, all_shown
from tinr.chat.codec import Codec
from tinr.chat.render import as_text
from tinr.evaluation.abstention import auroc, call_evidence, false_calls
from tinr.evaluation.comparison import differences
from tinr.evaluation.metrics import Outcome, Rate, families_of, outcome, rate, summarise
from tinr.evaluation.self_test import self_test
from tinr.evaluation.suites import NAMES, Suite, read_suite, sample
from tinr.files import write_text
from tinr.records import BadInput, DocumentsMode, Query, Reply, ToolDoc
from tinr.rollout.conversation import Conversation, converse, make_prompts, reachable, too_long
from tinr.rollout.generate import Row
from tinr.rollout.grammar import Grammars
from tinr.rollout.scoring.rewards import without_written_defaults
from tinr.rollout.tools.executor import Executor
from tool_corpora.suites import SHIPPED, test_suite

DATA = Path("../shared/data")  # default folder of the named real query sets
SIZE = 300  # default number of queries per split of a shipped suite
# Tokens of a reply; documents shown on selection are included.
REPLY_TOKENS: dict[str, int] = {"none": 320, "on_select": 640, "in_prompt": 320, "retrieved": 320}


def load_suite(
    which: str, size: int | None, known: Catalogue, data: Path = DATA, given: bool = False
) -> Suite:
    """Load a shipped suite, a named set of real queries below `data`, or a folder.

    size: queries per split, always the same ones; None: SIZE of a shipped suite, all of any other.
    known: the checkpoint's catalogue; queries use its names. given: keep the suite's own documents,
    for the prompt, so that queries may need tools that the model has never seen. Raise BadInput if
    there is no such suite, or the checkpoint lacks its tools.
    """
    if which in SHIPPED:
        try:
            queries = test_suite(which, size or SIZE, known.by_name)
        except ValueError as error:
            raise BadInput(
                f"suite {which}: too few queries of the checkpoint's tools: {error}; ask for "
                "fewer, align with the shipped corpora, or give a suite folder"
            ) from error
        return Suite(which, known, tuple(queries), (), {})
    folder = Path(which)
    if which in NAMES or folder.is_file() or (folder / "tools.jsonl").exists():
        return read_suite(which, data, size, None if given else known)
    if not (folder / "queries.jsonl").is_file():
        raise BadInput(
            f"{which}: no such suite; give {', '.join((*SHIPPED, *NAMES))}, or a folder with "
            "queries.jsonl"
        )
    queries = read_queries(folder / "queries.jsonl", known)
    return Suite(folder.name, known, tuple(sample(queries, size)), (), {})


def check_splits(queries: Sequence[Query], queried_tools: set[str]) -> None:
    """Raise BadInput for an unseen or ood query whose tool had queries in training."""
    for query in queries:
        if query.split in ("unseen", "ood"):
            for call in query.calls:
                if call.name in queried_tools:
                    raise BadInput(
                        f"query {query.id!r} is marked {query.split}, but this checkpoint's "
                        f"lineage was trained on queries of {call.name!r}; "
                        "correct the split or the training data"
                    )


@dataclass(frozen=True)
class SuiteResult:
    """The result of a suite for one checkpoint and documents mode, in the order of its queries.

    A query whose prompt does not fit the model's context counts as an empty reply.
    """

    documents: DocumentsMode
    done: Sequence[Conversation]
    outcomes: Sequence[Outcome | None]  # None: the query cannot be scored
    evidence: Sequence[float | None]  # of calling, see `abstention.call_evidence`; None: not asked
    unscorable: Mapping[str, str]  # id -> why
    unasked: Mapping[str, str]  # id -> why its prompt does not fit
    found: Sequence[bool | None]  # whether the prompt had all documents that the query needs

    def scored(self) -> Iterator[tuple[Conversation, Outcome]]:
        """The conversations that can be scored, each with its outcome."""
        for conversation, verdict in zip(self.done, self.outcomes, strict=True):
            if verdict is not None:
                yield conversation, verdict


def evaluate(
    model: PreTrainedModel,
    codec: Codec,
    queries: Sequence[Query],
    catalogue: Catalogue,
    executor: Executor,
    documents: str,
    *,
    prompt: DocumentsConfig | None = None,
    same: Mapping[str, str] | None = None,
    max_tokens: int | None = None,
    title: str = "",
    constrained: bool = False,
    offered: Mapping[str, Sequence[str]] | None = None,
) -> SuiteResult:
    """Run and score a greedy conversation for every query; the model stays in eval mode.

    The self-test runs first: RunFailed if it fails, BadInput if no query can be scored or no
    prompt fits. max_tokens: tokens after the prompt, including those of the environment (None:
    REPLY_TOKENS). same: tools that count as one. constrained: inside the tags, decode only tools,
    and calls that fit their documents. offered: query id -> the only tools that may be decoded;
    implies constrained. A non-empty title shows a progress bar.
    """
    mode = documents_mode(documents)
    queries = [reachable(query, executor) for query in queries]
    unscorable = self_test(queries, catalogue.by_name)
    if len(unscorable) == len(queries):
        example = next(iter(unscorable.items()), None)
        raise BadInput(
            f"no query can be scored{f': {example[0]!r}: {example[1]}' if example else ''}"
        )
    max_tokens = max_tokens or REPLY_TOKENS[mode]
    documents_shown = Library(catalogue, prompt or DocumentsConfig()).shown(queries, mode)
    prompts = make_prompts(codec, queries, documents_shown)
    overlong = too_long(model, prompts, max_tokens)
    if len(overlong) == len(queries):
        raise BadInput(f"no prompt fits: query {queries[0].id!r}: {overlong[0]}")
    fitting_numbers = [number for number in range(len(queries)) if number not in overlong]
    model.eval()
    conversations = converse(
        model,
        codec,
        [queries[number] for number in fitting_numbers],
        catalogue,
        executor,
        mode,
        max_tokens=max_tokens,
        title=title,
        prompts=[prompts[number] for number in fitting_numbers],
        grammars=Grammars(codec, catalogue) if constrained or offered else None,
        offered=[(offered or {}).get(queries[number].id, ()) for number in fitting_numbers],
    )
    by_number = dict(zip(fitting_numbers, conversations, strict=True))
    odds = call_evidence(model, codec, conversations, title and f"{title}: evidence of calling")
    evidence = dict(zip(fitting_numbers, odds, strict=True))
    numbers = range(len(queries))
    all_conversations = [
        by_number.get(n) or _empty_conversation(queries[n], prompts[n]) for n in numbers
    ]
    families = families_of(catalogue.tools)
    outcomes = [
        None
        if c.query.id in unscorable
        else outcome(c.reply, c.query, catalogue.by_name, same, families)
        for c in all_conversations
    ]
    return SuiteResult(
        mode,
        all_conversations,
        outcomes,
        [evidence.get(number) for number in numbers],
        unscorable,
        {queries[number].id: reason for number, reason in overlong.items()},
        all_shown(documents_shown, queries),
    )


def _empty_conversation(query: Query, prompt: Sequence[int]) -> Conversation:
    """The conversation of a query whose prompt does not fit: an empty reply, which is wrong."""
    return Conversation(query, prompt, Row(), Reply(), ())


def documents_mode(name: str) -> DocumentsMode:
    """A documents mode by its name; BadInput if it is unknown."""
    if name not in get_args(DocumentsMode):
        raise BadInput(f"--documents {name}: unknown; one of {', '.join(get_args(DocumentsMode))}")
    return cast(DocumentsMode, name)


def read_equivalent(path: Path, catalogue: Catalogue) -> dict[str, str]:
    """Read groups of equivalent tools (a JSON list of lists): name -> its group's first name."""
    try:
        groups = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: invalid JSON ({error}); give a list of lists of names") from error
    if not isinstance(groups, list) or not all(isinstance(group, list) for group in groups):
        raise BadInput(f"{path}: not a list of lists of tool names; correct it")
    names = [name for group in groups for name in group]
    if not all(isinstance(name, str) for name in names):
        raise BadInput(f"{path}: not a list of lists of tool names; correct it")
    repeated_name = next((name for name, times in Counter(names).items() if times > 1), None)
    if repeated_name is not None:
        raise BadInput(
            f"{path}: {repeated_name!r} is in two groups, or twice in one; merge or correct them"
        )
    unknown_names = [name for name in names if name not in catalogue.by_name]
    if unknown_names:
        raise BadInput(
            f"{path}: {unknown_names[0]!r} is not in the checkpoint's catalogue; correct it"
        )
    return {name: group[0] for group in groups for name in group}


def by_split(evaluated: SuiteResult) -> dict[str, dict[str, Rate]]:
    """Split -> metric -> rate over all its conversations; metrics that never apply are left out.

    The split no_tool (or abstention, if the suite has splits of its own) also has the false calls
    by kind and the area under the ROC curve of the evidence of calling. Both leave out queries
    whose prompt does not fit: an empty reply to them is no abstention.
    """
    groups: dict[str, list[tuple[Outcome, Collection[str]]]] = {}
    for conversation, verdict in evaluated.scored():
        query = conversation.query
        groups.setdefault(split_of(query), []).append((verdict, query.phrasings))
    rates = {
        split: summarise([verdict for verdict, _ in pairs], [clusters for _, clusters in pairs])
        for split, pairs in groups.items()
    }
    if evaluated.documents in ("in_prompt", "retrieved"):
        for split in rates:
            pairs = _document_hits(evaluated, split)
            rates[split]["documents_found"] = rate(
                [hit for hit, _ in pairs], [clusters for _, clusters in pairs]
            )
    conversations = [conversation for conversation, _ in evaluated.scored()]
    if not all(conversation.query.expects_call for conversation in conversations):
        abstention_rates = rates.setdefault("no_tool" if "no_tool" in rates else "abstention", {})
        pairs = [
            (conversation.query.expects_call, evidence)
            for conversation, evidence in zip(evaluated.done, evaluated.evidence, strict=True)
            if evidence is not None and conversation.query.id not in evaluated.unscorable
        ]
        abstention_rates["auroc"] = auroc([e for e, _ in pairs], [v for _, v in pairs])
        abstention_rates |= false_calls(
            [
                conversation
                for conversation in conversations
                if conversation.query.id not in evaluated.unasked
            ]
        )
    return {
        split: {name: rate for name, rate in split_rates.items() if rate.n}
        for split, split_rates in rates.items()
    }


def _document_hits(evaluated: SuiteResult, split: str) -> list[tuple[bool, Collection[str]]]:
    return [
        (hit, conversation.query.phrasings)
        for conversation, hit in zip(evaluated.done, evaluated.found, strict=True)
        if hit is not None
        and split_of(conversation.query) == split
        and conversation.query.id not in evaluated.unscorable
    ]


def split_of(query: Query) -> str:
    """The table group of a query."""
    return query.group or query.split or ("all" if query.expects_call else "no_tool")


def costs(evaluated: SuiteResult) -> dict[str, float]:
    """Mean prompt tokens, generated tokens and seconds (share of the batch's time) per query.

    Prompt tokens include documents shown on selection. Prompts that do not fit count only in the
    mean of prompt tokens.
    """
    conversations = [
        conversation
        for conversation in evaluated.done
        if conversation.query.id not in evaluated.unasked
    ]
    prompts = sum(len(conversation.prompt) + conversation.shown for conversation in evaluated.done)
    return {
        "prompt_tokens": round(prompts / len(evaluated.done), 1),
        "generated_tokens": round(
            sum(sum(c.row.mask) for c in conversations) / len(conversations), 1
        ),
        "seconds": round(sum(c.seconds for c in conversations) / len(conversations), 4),
    }


def plain(rates: Mapping[str, Mapping[str, Rate]]) -> dict[str, dict[str, dict[str, Any]]]:
    """The rates as plain data for JSON."""
    return {
        split: {name: asdict(rate) for name, rate in metrics.items()}
        for split, metrics in rates.items()
    }


def compare_calls(before: SuiteResult, after: SuiteResult) -> dict[str, Any]:
    """Paired comparison of call_em on the queries that expect calls, see `comparison`."""
    before_values, after_values = (
        {c.query.id: float(o.call_em) for c, o in suite.scored() if o.call_em is not None}
        for suite in (before, after)
    )
    changes = [
        after_values[query] - value
        for query, value in before_values.items()
        if query in after_values
    ]
    phrasings = {c.query.id: c.query.phrasings for c in after.done}
    runs = {
        name: [{"calls": {"call_em": values}}]
        for name, values in (("before", before_values), ("after", after_values))
    }
    found = differences(runs, ["call_em"], phrasings)
    return {
        "metric": "call_em",
        "n": len(changes),
        "gained": sum(change > 0 for change in changes),
        "lost": sum(change < 0 for change in changes),
        "p": found[0].p if found else 1.0,
    }


def write_replies(
    folder: Path, evaluated: SuiteResult, documents: Mapping[str, ToolDoc] | None = None
) -> None:
    """Write a line per query: what the model wrote, how it was scored and what it cost.

    documents: name -> document. If a default was written out, the line then also has the calls of
    both sides as they were compared (`without_written_defaults`).
    """
    rows = [
        query_line(c.query)
        | {
            "reply": as_text(c.pieces),
            "outcome": verdict and asdict(verdict),
            "unscorable": evaluated.unscorable.get(c.query.id),
            "unasked": evaluated.unasked.get(c.query.id),
            "called": [asdict(call) for call in c.reply.calls],
            **_in_short(c, documents),
            "problems": list(c.reply.problems),
            "evidence": None if evidence is None else round(evidence, 4),
            "prompt_tokens": len(c.prompt) + c.shown,
            "tokens": sum(c.row.mask),
            "seconds": round(c.seconds, 4),
        }
        for c, verdict, evidence in zip(
            evaluated.done, evaluated.outcomes, evaluated.evidence, strict=True
        )
    ]
    write_jsonl(folder / f"replies.{evaluated.documents}.jsonl", rows)


def _in_short(
    conversation: Conversation, documents: Mapping[str, ToolDoc] | None
) -> dict[str, Any]:
    reply, query = without_written_defaults(conversation.reply, conversation.query, documents)
    if (reply.calls, query.calls) == (conversation.reply.calls, conversation.query.calls):
        return {}
    sides = {"calls": query.calls, "called": reply.calls}
    return {"in_short": {side: [asdict(call) for call in calls] for side, calls in sides.items()}}


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write a summary as JSON, atomically."""
    write_text(path, json.dumps(summary, indent=2) + "\n")
