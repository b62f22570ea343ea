"""Evaluate checkpoints side by side; a folder caches earlier results."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tinr
from tinr.catalogue.load import Catalogue, query_line, read_jsonl, write_jsonl
from tinr.catalogue.retrieval import DocumentsConfig
from tinr.checkpoints.card import Card
from tinr.checkpoints.open import open_catalogue, open_model
from tinr.checkpoints.registry import Registry
from tinr.config_files import build
from tinr.evaluation.comparison import Values
from tinr.evaluation.errors.faults import fault_values, faults_of
from tinr.evaluation.evaluate import (
    DATA,
    check_splits,
    documents_mode,
    evaluate,
    load_suite,
    split_of,
)
from tinr.evaluation.metrics import METRICS
from tinr.evaluation.suites import same_names
from tinr.records import BadInput, DocumentsMode, Query
from tinr.rollout.tools.executor import corpus_executor

ALL = ""  # not a split: key for the faults of all queries
SCORING_VERSION = 6  # version of the scoring rules; a new one invalidates cached rows
CALLS = "calls"  # key for all queries that expect calls, if they are in several splits


@dataclass(frozen=True)
class Contender:
    """A registry reference and a documents mode; None: the mode it was trained in."""

    ref: str
    documents: DocumentsMode | None = None

    @property
    def name(self) -> str:
        """Its name in tables."""
        return f"{self.ref}={self.documents}" if self.documents else self.ref


def read_contender(text: str) -> Contender:
    """`REF` or `REF=MODE`."""
    ref, _, mode = text.partition("=")
    if not ref:
        raise BadInput(f"{text!r}: no checkpoint; write REF or REF=MODE")
    return Contender(ref, documents_mode(mode) if mode else None)


def trained_mode(card: Card) -> DocumentsMode:
    """The documents mode with the largest weight in a checkpoint's last training."""
    shares = _mode_shares(card)
    return max(shares, key=lambda mode: shares[mode]) if shares else "none"


def _mode_shares(card: Card) -> dict[DocumentsMode, float]:
    """Documents mode -> weight in a checkpoint's last training; {} if it had no conversations."""
    policy, shares = card.config.get("policy") or {}, card.config.get("documents") or {}
    return dict.fromkeys(policy.get("documents") or (), 1.0) or dict(shares)


def untrained(card: Card, documents: str) -> str:
    """A note if a checkpoint was trained in other documents modes only; otherwise empty."""
    modes = [mode for mode, share in _mode_shares(card).items() if share]
    if not modes or documents in modes:
        return ""
    return (
        f"note: {card.id} was trained with documents {', '.join(modes)}, never {documents}: these "
        "results do not apply to a model that was (tinr study arms trains one)"
    )


def trained_prompt(card: Card) -> DocumentsConfig:
    """The configuration of documents in a checkpoint's training prompts."""
    return build(DocumentsConfig, card.config.get("prompt") or {}, f"the card of {card.id}")


def trained_tools(registry: Registry, card: Card) -> set[str]:
    """The tools with training queries anywhere in a checkpoint's lineage, from the cards."""
    lineage = registry.lineage(card.id)
    return {t for ancestor in lineage for t in ancestor.data_position.get("queried_tools", ())}


def values_of(
    registry: Registry,
    contender: Contender,
    suites: Sequence[str],
    size: int | None,
    cache: Path | None,
    several: bool = False,
    data: Path = DATA,
) -> Values:
    """Split -> metric -> query -> value of one run; cached if it was evaluated before.

    cache: folder with the rows of earlier runs; None: no cache. several: only queries that expect
    two or more calls. Raise BadInput if the checkpoint lacks tools of a suite, or its lineage was
    trained on queries of an unseen or ood tool.
    """
    card, folder, catalogue = open_catalogue(registry, contender.ref)
    mode, prompt = contender.documents or trained_mode(card), trained_prompt(card)
    loaded_suites = [load_suite(suite, size, catalogue, data) for suite in suites]
    queries = [query for suite in loaded_suites for query in suite.queries]
    repeated_id = next(
        (query_id for query_id, times in Counter(q.id for q in queries).items() if times > 1), None
    )
    if repeated_id is not None:
        raise BadInput(
            f"{', '.join(suites)}: query id {repeated_id!r} occurs more than once; rename one"
        )
    same = {name: group for suite in loaded_suites for name, group in same_names(suite).items()}
    check_splits(queries, trained_tools(registry, card))
    path = cache and cache / f"{card.id}-{mode}-{_mark(queries, prompt, catalogue, same)}.jsonl"
    rows = list(_kept(path)) if path is not None else []
    if sorted(row["id"] for row in rows) != sorted(query.id for query in queries):
        model, codec = open_model(folder)
        with corpus_executor(catalogue) as executor:
            result = evaluate(
                model,
                codec,
                queries,
                catalogue,
                executor,
                mode,
                prompt=prompt,
                same=same,
                title=contender.name,
            )
        rows = [
            {
                "id": c.query.id,
                "split": split_of(c.query),
                **(asdict(o) if o else {}),
                "faults": faults_of(c.reply, c.query, catalogue) if o else None,
            }
            for c, o in zip(result.done, result.outcomes, strict=True)
        ]
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_jsonl(path, rows)
    query_ids = {query.id for query in queries if not several or len(query.calls) > 1}
    if not query_ids:
        raise BadInput(f"{', '.join(suites)}: no query expects several calls; omit the option")
    return values_from([row for row in rows if row["id"] in query_ids])


def phrasings_of(
    registry: Registry, ref: str, suites: Sequence[str], size: int | None, data: Path = DATA
) -> dict[str, tuple[str, ...]]:
    """Query id -> the templates it was made from; queries without a template are left out.

    ref: a checkpoint; the suites are loaded for its catalogue.
    """
    _, _, catalogue = open_catalogue(registry, ref)
    return {
        query.id: query.phrasings
        for suite in suites
        for query in load_suite(suite, size, catalogue, data).queries
        if query.phrasings
    }


def _kept(path: Path) -> Iterator[dict[str, Any]]:
    """The cached rows. Invalid ones are dropped, so `values_of` evaluates again."""
    try:
        for _, row in read_jsonl(path) if path.is_file() else ():
            if isinstance(row.get("id"), str) and isinstance(row.get("split"), str):
                yield row
    except BadInput:
        return


def _mark(
    queries: Sequence[Query],
    prompt: DocumentsConfig,
    catalogue: Catalogue,
    same: Mapping[str, str],
) -> str:
    """A short hash of everything that determines the evaluation of a checkpoint."""
    lines = [query_line(query) for query in queries]
    text = json.dumps(
        [tinr.__version__, SCORING_VERSION, lines, asdict(prompt), catalogue.hash, same],
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def values_from(rows: Sequence[Mapping[str, Any]]) -> Values:
    """Values by split, with all queries that expect calls under CALLS and faults under ALL.

    rows: per query its id, split, metric values and, optionally, faults.
    """
    values: dict[str, dict[str, dict[str, float]]] = {}
    call_splits = {row["split"] for row in rows if row.get("abstain_acc") is None}
    for row in rows:
        shared_splits = [CALLS] if len(call_splits) > 1 and row.get("abstain_acc") is None else []
        for metric in METRICS:
            if row.get(metric) is None:
                continue
            for split in (row["split"], *shared_splits):
                of_split = values.setdefault(split, {})
                of_split.setdefault(metric, {})[row["id"]] = float(row[metric])
    faults = {row["id"]: row["faults"] for row in rows if row.get("faults")}
    if faults:
        values[ALL] = fault_values(faults)
    return values
