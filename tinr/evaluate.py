"""A checkpoint and a suite in, rates with intervals out; every denominator is the full set."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast, get_args

from transformers import PreTrainedModel

from tinr.catalogue import Catalogue, query_line, read_queries, write_jsonl
from tinr.executor import Executor
from tinr.files import write_text
from tinr.metrics import Outcome, Rate, as_one, outcome, paired_p, summarise
from tinr.records import BadInput, DocumentsMode, Query
from tinr.rollout import Conversation, converse
from tinr.tokens import Codec
from tinr.transcript import as_text
from tool_corpora.suites import SUITES, test_suite

LONGEST: dict[str, int] = {"none": 320, "on_select": 640}  # shown documents count


def load_suite(suite: str, size: int, catalogue: Catalogue) -> list[Query]:
    """The queries of a shipped suite (`size` per split) or of a suite folder.

    Raises BadInput where the suite names a tool that the checkpoint was never aligned with.
    """
    if suite in SUITES:
        queries = test_suite(suite, size)
        missing = {c.name for q in queries for c in q.calls} - set(catalogue.by_name)
        if missing:
            raise BadInput(
                f"suite {suite}: the checkpoint's catalogue lacks {min(missing)!r} and "
                f"{len(missing) - 1} more of its tools; align with the shipped corpora, "
                "or give a suite folder"
            )
        return queries
    folder = Path(suite)
    if not (folder / "queries.jsonl").is_file():
        raise BadInput(
            f"{suite}: no suite; give {' or '.join(SUITES)}, or a folder with queries.jsonl"
        )
    queries = read_queries(folder / "queries.jsonl", catalogue)
    if not queries:
        raise BadInput(f"{folder / 'queries.jsonl'}: no queries; give at least one")
    return queries


def check_splits(queries: Sequence[Query], queried_tools: set[str]) -> None:
    """Raise BadInput for an unseen or ood query whose tool had queries in training."""
    for query in queries:
        if query.split in ("unseen", "ood"):
            for call in query.calls:
                if call.name in queried_tools:
                    raise BadInput(
                        f"query {query.id!r} is marked {query.split}, but queries of "
                        f"{call.name!r} were trained on in this checkpoint's lineage; "
                        "correct the split or the training data"
                    )


def evaluate(
    model: PreTrainedModel,
    codec: Codec,
    queries: Sequence[Query],
    catalogue: Catalogue,
    executor: Executor,
    documents: str,
    longest: int | None = None,
    title: str = "",
) -> list[Conversation]:
    """Greedy conversations over the queries, in their order; the model is left in eval mode.

    longest: tokens after the prompt, those of the environment included (None: LONGEST).
    """
    mode = documents_mode(documents)
    model.eval()
    return converse(
        model,
        codec,
        queries,
        catalogue,
        executor,
        mode,
        longest=longest or LONGEST[mode],
        title=title,
    )


def documents_mode(name: str) -> DocumentsMode:
    """A documents mode by its name; BadInput for one that is unknown or not built yet."""
    if name not in get_args(DocumentsMode):
        raise BadInput(f"--documents {name}: unknown; one of {', '.join(get_args(DocumentsMode))}")
    if name not in ("none", "on_select"):
        raise BadInput(f"--documents {name}: not built yet; use none or on_select")
    return cast(DocumentsMode, name)


def read_equivalent(path: Path, catalogue: Catalogue) -> dict[str, str]:
    """Groups of tools that count as one (a JSON list of lists): name -> its group's first name."""
    try:
        groups = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: no JSON ({error}); give a list of lists of names") from error
    if not isinstance(groups, list) or not all(isinstance(group, list) for group in groups):
        raise BadInput(f"{path}: not a list of lists of tool names; correct it")
    unknown = [name for group in groups for name in group if name not in catalogue.by_name]
    if unknown:
        raise BadInput(f"{path}: {unknown[0]!r} is not in the checkpoint's catalogue; correct it")
    return {name: group[0] for group in groups for name in group}


def by_split(
    done: Sequence[Conversation], same: Mapping[str, str] | None = None
) -> dict[str, dict[str, Rate]]:
    """Split -> metric -> rate over all its conversations; metrics that never apply are left out.

    same: tools that count as one (`read_equivalent`).
    """
    groups: dict[str, list[Outcome]] = {}
    for conversation in done:
        split = conversation.query.split or ("no_tool" if not conversation.query.calls else "all")
        reply, query = as_one(conversation.reply, conversation.query, same or {})
        groups.setdefault(split, []).append(outcome(reply, query))
    return {
        split: {name: rate for name, rate in summarise(outcomes).items() if rate.n}
        for split, outcomes in groups.items()
    }


def plain(rates: Mapping[str, Mapping[str, Rate]]) -> dict[str, dict[str, dict[str, Any]]]:
    """The same as plain data for JSON."""
    return {
        split: {name: asdict(rate) for name, rate in metrics.items()}
        for split, metrics in rates.items()
    }


def compare_calls(before: Sequence[Conversation], after: Sequence[Conversation]) -> dict[str, Any]:
    """Paired comparison of call_em on the queries that expect calls (McNemar's exact test)."""
    was = [o for c in before if (o := outcome(c.reply, c.query).call_em) is not None]
    now = [o for c in after if (o := outcome(c.reply, c.query).call_em) is not None]
    return {
        "metric": "call_em",
        "n": len(now),
        "gained": sum(not w and n for w, n in zip(was, now, strict=True)),
        "lost": sum(w and not n for w, n in zip(was, now, strict=True)),
        "p": paired_p(was, now),
    }


def write_replies(folder: Path, done: Sequence[Conversation], documents: str) -> None:
    """Every query with what the model wrote and how it was judged, one line each."""
    rows = [
        query_line(c.query)
        | {
            "reply": as_text(c.pieces),
            "outcome": asdict(outcome(c.reply, c.query)),
            "problems": list(c.reply.problems),
            "tokens": sum(c.row.mask),
        }
        for c in done
    ]
    write_jsonl(folder / f"replies.{documents}.jsonl", rows)


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """A summary as JSON, whole or not at all."""
    write_text(path, json.dumps(summary, indent=2) + "\n")
