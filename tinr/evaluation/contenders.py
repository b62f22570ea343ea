"""Checkpoints evaluated side by side, with what was measured before kept in a folder."""

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

ALL = ""  # no split's name: under it stand the faults of all queries together
JUDGED = 4  # one more whenever replies are judged otherwise: what was kept before is not used
CALLS = "calls"  # under it all queries that expect calls, where they are of several splits


@dataclass(frozen=True)
class Contender:
    """A registry reference and the documents mode it answers in; None: the one it learned."""

    ref: str
    documents: DocumentsMode | None = None

    @property
    def name(self) -> str:
        """How tables call it."""
        return f"{self.ref}={self.documents}" if self.documents else self.ref


def read_contender(text: str) -> Contender:
    """`REF` or `REF=MODE`."""
    ref, _, mode = text.partition("=")
    if not ref:
        raise BadInput(f"{text!r}: no checkpoint; write REF or REF=MODE")
    return Contender(ref, documents_mode(mode) if mode else None)


def trained_mode(card: Card) -> DocumentsMode:
    """The documents mode that most of a checkpoint's last training was in."""
    shares = _mode_shares(card)
    return max(shares, key=lambda mode: shares[mode]) if shares else "none"


def _mode_shares(card: Card) -> dict[DocumentsMode, float]:
    """Documents mode -> weight in a checkpoint's last training; {}: it had no conversations."""
    policy, shares = card.config.get("policy") or {}, card.config.get("documents") or {}
    return dict.fromkeys(policy.get("documents") or (), 1.0) or dict(shares)


def untrained(card: Card, documents: str) -> str:
    """What to know of a figure in a documents mode that a checkpoint never had; empty: it had."""
    modes = [mode for mode, share in _mode_shares(card).items() if share]
    if not modes or documents in modes:
        return ""
    return (
        f"note: {card.id} was trained with documents {', '.join(modes)}, never {documents}: what "
        "follows says nothing of a model that was (tinr study arms trains one)"
    )


def trained_prompt(card: Card) -> DocumentsConfig:
    """Which documents a checkpoint's prompts carried in its training."""
    return build(DocumentsConfig, card.config.get("prompt") or {}, f"the card of {card.id}")


def trained_tools(registry: Registry, card: Card) -> set[str]:
    """The tools that had queries anywhere in a checkpoint's lineage, as the cards say."""
    lineage = registry.lineage(card.id)
    return {t for one in lineage for t in one.data_position.get("queried_tools", ())}


def values_of(
    registry: Registry,
    contender: Contender,
    suites: Sequence[str],
    size: int | None,
    kept: Path | None,
    several: bool = False,
    data: Path = DATA,
) -> Values:
    """Split -> metric -> query -> value of one run, from `kept` where it was measured before.

    several: of the queries that expect two or more calls alone. Raises BadInput where the
    checkpoint lacks a suite's tools, or was trained on its queries.
    """
    card, folder, catalogue = open_catalogue(registry, contender.ref)
    mode, prompt = contender.documents or trained_mode(card), trained_prompt(card)
    loaded = [load_suite(suite, size, catalogue, data) for suite in suites]
    queries = [query for suite in loaded for query in suite.queries]
    twice = next((one for one, times in Counter(q.id for q in queries).items() if times > 1), None)
    if twice is not None:
        raise BadInput(f"{', '.join(suites)}: query id {twice!r} stands in two of them; rename one")
    same = {name: group for suite in loaded for name, group in same_names(suite).items()}
    check_splits(queries, trained_tools(registry, card))
    path = kept and kept / f"{card.id}-{mode}-{_mark(queries, prompt, catalogue, same)}.jsonl"
    rows = list(_kept(path)) if path is not None else []
    if sorted(row["id"] for row in rows) != sorted(query.id for query in queries):
        model, codec = open_model(folder)
        with corpus_executor(catalogue) as executor:
            done = evaluate(
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
            for c, o in zip(done.done, done.outcomes, strict=True)
        ]
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_jsonl(path, rows)
    wanted = {query.id for query in queries if not several or len(query.calls) > 1}
    if not wanted:
        raise BadInput(f"{', '.join(suites)}: no query expects several calls; leave the option out")
    return _values([row for row in rows if row["id"] in wanted])


def _kept(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of an earlier time; what is none of them is left out, so that all are made anew."""
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
    """What determines an evaluation of one checkpoint, in short."""
    lines = [query_line(query) for query in queries]
    text = json.dumps(
        [tinr.__version__, JUDGED, lines, asdict(prompt), catalogue.hash, same], sort_keys=True
    )
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _values(rows: Sequence[dict[str, Any]]) -> Values:
    """By split, and under CALLS all queries that expect calls; faults under ALL."""
    values: dict[str, dict[str, dict[str, float]]] = {}
    calling = {row["split"] for row in rows if row.get("abstain_acc") is None}
    for row in rows:
        together = [CALLS] if len(calling) > 1 and row.get("abstain_acc") is None else []
        for metric in METRICS:
            if row.get(metric) is None:
                continue
            for split in (row["split"], *together):
                of_split = values.setdefault(split, {})
                of_split.setdefault(metric, {})[row["id"]] = float(row[metric])
    values[ALL] = fault_values({row["id"]: row["faults"] for row in rows if row["faults"]})
    return values
