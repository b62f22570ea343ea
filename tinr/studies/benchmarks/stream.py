"""A stream of updates: batches of added, removed and changed tools, without retraining.

Newcomers are real BFCL tools with queries of their own. Each batch is followed by measurements of
the checkpoint: recall of the present tools, calls of the first tools, how often added tools are
named for their users' queries, and whether removed tools are still produced.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from scipy.stats import t as student

from phases import update
from tinr.catalogue.load import Catalogue, load_catalogue, write_jsonl
from tinr.catalogue.render import describe
from tinr.checkpoints.card import Card
from tinr.checkpoints.open import open_checkpoint
from tinr.checkpoints.registry import Registry
from tinr.config_files import load_config
from tinr.evaluation.evaluate import evaluate
from tinr.evaluation.metrics import rate
from tinr.evaluation.recall import probe
from tinr.evaluation.suites import read_suite
from tinr.files import make_folder, write_text
from tinr.records import BadInput, Query, ToolDoc
from tinr.rollout.tools.executor import corpus_executor
from tool_corpora.suites import test_suite

RETRAINED = "retrained"  # in place of a batch number
LONGEST = 500  # characters of a newcomer's document
Row = dict[str, Any]


@dataclass(frozen=True)
class StreamConfig:
    """Events of each kind per batch, and the queries asked after it."""

    batches: int = 10
    adds: int = 6
    removals: int = 2
    renames: int = 1
    changes: int = 1
    queries: int = 50  # about the first tools, per split, after each batch
    compared: int = 250  # the same, at the start and at the end
    seed: int = 0
    retrained: str = ""  # a checkpoint trained on the last catalogue from the start


def run_stream(
    registry: Registry, ref: str, out: Path, data: Path, config: StreamConfig
) -> list[Row]:
    """Update `ref` batch after batch; returns a row for the start and for each batch.

    If a checkpoint trained on the last catalogue is given, it has the last row. Rows are written to
    OUT/stream.jsonl. Rerunning the command resumes: it reuses published updates and cached rows.
    BadInput if there are too few newcomers.
    """
    card, folder = registry.open(ref)
    first = load_catalogue(folder)
    newcomers, asked = _newcomers(data, first, config)
    make_folder(out)
    catalogues = [first, *_catalogues(first, newcomers, config)]
    retrained = _retrained(registry, config.retrained, catalogues[-1])
    path, rows = out / "stream.jsonl", _rows(out, config)
    few, many = (
        [q for q in test_suite("in_domain", count, first.by_name) if q.calls]
        for count in (config.queries, config.compared)
    )
    for number, catalogue in enumerate(catalogues):
        if number:
            batch = out / f"catalogue-{number:02}"
            make_folder(batch)
            write_jsonl(batch / "tools.jsonl", map(asdict, catalogue.tools))
            card = _updated(registry, card, batch, out, config)
        if number < len(rows):
            continue
        firsts = many if number in (0, config.batches) else few
        row = {"batch": number, "checkpoint": card.id, "tools": len(catalogue.tools)}
        rows.append(row | _measured(registry, card, catalogue, firsts, asked))
        write_text(path, (json.dumps(line) + "\n" for line in rows))
    done = [row["checkpoint"] for row in rows[len(catalogues) :]]
    if retrained is not None and done != [retrained.id]:
        rows = rows[: len(catalogues)]
        row = {"batch": RETRAINED, "checkpoint": retrained.id, "tools": len(catalogues[-1].tools)}
        rows.append(row | _measured(registry, retrained, catalogues[-1], many, asked))
        write_text(path, (json.dumps(line) + "\n" for line in rows))
    return rows


def _retrained(registry: Registry, ref: str, catalogue: Catalogue) -> Card | None:
    """Return the checkpoint to compare with; BadInput unless it knows the last catalogue."""
    if not ref:
        return None
    card, folder = registry.open(ref)
    if load_catalogue(folder).hash != catalogue.hash:
        raise BadInput(
            f"--retrained {ref}: its catalogue is not that of the last batch; train it on the "
            "last catalogue-NN in --out"
        )
    return card


def verdict(rows: Sequence[Row], margin: float = 0.02) -> dict[str, Any]:
    """Summarise a stream from its rows.

    recall: the lowest recall of document -> token, and of token -> schema, after any batch. calls:
    the mean change of the first tools' calls from start to end, by query, with its one-sided 95 %
    bound; not worse if the bound is at least -margin. added: how much less often added tools are
    named at the end than by the retrained checkpoint; None without one. removed: the largest
    probability of a removed token.
    """
    batches = [row for row in rows if row["batch"] != RETRAINED]
    first, last = (row.get("first_ids", {}) for row in (batches[0], batches[-1]))
    others = [row for row in rows if row["batch"] == RETRAINED]
    added = [row["added_name_em"]["value"] for row in (*others, batches[-1])
             if row.get("added_name_em")]  # fmt: skip
    return {
        "recall": {
            name: min(row[name]["value"] for row in batches if row.get(name))
            for name in ("document_to_token", "token_to_schema")
            if any(row.get(name) for row in batches)
        },
        "calls": _compared([float(last[i]) - float(first[i]) for i in first if i in last], margin),
        "added": added[0] - added[1] if len(added) == 2 else None,
        "removed": max((row["removed"]["after"] for row in batches if row["removed"]), default=0.0),
    }  # fmt: skip


def _compared(changes: Sequence[float], margin: float) -> dict[str, Any]:
    """Return the mean change per query, its one-sided 95 % bound, and whether it is not worse.

    The bound is by Student's t, or the loss that this many cases without one exclude, if wider.
    """
    count = len(changes)
    if count < 2:
        return {"difference": None, "low": None, "n": count, "not_worse": False}
    mean, error = float(np.mean(changes)), float(np.std(changes, ddof=1)) / count**0.5
    half = max(float(student.ppf(0.95, count - 1)) * error, 1 - 0.05 ** (1 / count))
    return {"difference": mean, "low": mean - half, "n": count, "not_worse": mean - half >= -margin}


def _updated(registry: Registry, card: Card, batch: Path, out: Path, config: StreamConfig) -> Card:
    settings = [
        f"parent={card.id}", f"catalogue=[{json.dumps(str(batch))}]",
        f"registry={json.dumps(str(registry.root))}", f"run={json.dumps(str(out / 'log'))}",
        f"seed={config.seed}",
        # failed gates do not stop the stream: it measures what they test
        "accept=[document_to_token,token_to_schema]", "max_forgotten=1",
    ]  # fmt: skip
    return update.run(load_config(update.UpdateConfig, None, settings))


def _measured(
    registry: Registry,
    card: Card,
    catalogue: Catalogue,
    firsts: Sequence[Query],
    asked: Mapping[str, Sequence[Query]],
) -> Row:
    _, model, codec, _ = open_checkpoint(registry, card.id)
    recall = probe(model, codec, catalogue)
    executor = corpus_executor(catalogue)
    here = {doc.name: doc for doc in catalogue.tools}
    of_firsts = [q for q in firsts if all(call.name in here for call in q.calls)]
    of_added = [query for name in here for query in asked.get(name, ())]
    row: Row = {name: asdict(value) for name, value in recall.items()}
    for label, queries in (("first", of_firsts), ("added", of_added)):
        if not queries:
            continue
        result = evaluate(model, codec, queries, catalogue, executor, "none", title=label)
        outcomes = [verdict for _, verdict in result.scored()]
        for metric in ("name_em", "call_em"):
            row[f"{label}_{metric}"] = asdict(rate([getattr(o, metric) for o in outcomes]))
        row[f"{label}_ids"] = {
            conversation.query.id: bool(verdict.call_em)
            for conversation, verdict in result.scored()
        }
    row["seconds"], row["tokens"] = card.seconds, card.tokens
    row["forgotten"] = card.metrics.get("forgotten")
    row["removed"] = card.metrics.get("removed_probability")
    row["recited"] = card.metrics.get("removed_recited")
    return row


def _newcomers(
    data: Path, first: Catalogue, config: StreamConfig
) -> tuple[list[ToolDoc], dict[str, list[Query]]]:
    """Return BFCL tools that some query calls alone, in seeded order, and these queries."""
    suite = read_suite("bfcl", data)
    queries: dict[str, list[Query]] = {}
    for query in suite.queries:
        names = {call.name for call in query.calls}
        if len(names) == 1 and len(query.calls) == 1 and query.teachable:
            queries.setdefault(names.pop(), []).append(query)
    docs = [
        doc
        for doc in suite.catalogue.tools
        if doc.name in queries and doc.name not in first.by_name
        and len(describe(doc)) <= LONGEST
    ]  # fmt: skip
    needed = config.batches * config.adds
    if len(docs) < needed:
        raise BadInput(f"stream: {len(docs)} newcomers, but {needed} are needed; ask for fewer")
    chosen = Random(f"{config.seed}/stream").sample(docs, needed)
    return chosen, {doc.name: queries[doc.name] for doc in chosen}


def _catalogues(
    first: Catalogue, newcomers: Sequence[ToolDoc], config: StreamConfig
) -> list[Catalogue]:
    """Return the catalogue after each batch of events."""
    rng, tools = Random(f"{config.seed}/events"), list(first.tools)
    catalogues: list[Catalogue] = []
    for number in range(config.batches):
        rng.shuffle(tools)
        gone, rest = tools[: config.removals], tools[config.removals :]
        renamed = [replace(doc, name=f"{doc.name}_v{number + 2}") for doc in rest[: config.renames]]
        rest = rest[config.renames :]
        changed = [_changed(doc, number) for doc in rest[: config.changes]]
        added = newcomers[number * config.adds : (number + 1) * config.adds]
        tools = [*renamed, *changed, *rest[config.changes :], *added]
        assert gone or not config.removals
        catalogues.append(Catalogue(tuple(tools)))
    return catalogues


def _changed(doc: ToolDoc, number: int) -> ToolDoc:
    """Give a tool one more optional parameter, as new versions do."""
    properties = {
        **doc.parameters.get("properties", {}),
        f"precision_{number}": {"type": "integer", "description": "Digits of the result."},
    }
    return replace(doc, parameters={**doc.parameters, "properties": properties})


def _rows(out: Path, config: StreamConfig) -> list[Row]:
    """Return the cached rows; BadInput if they were measured with other settings."""
    settings = {key: value for key, value in asdict(config).items() if key != "retrained"}
    text, path = json.dumps(settings), out / "settings.json"
    if path.is_file() and path.read_text("utf-8") != text:
        raise BadInput(f"--out {out}: contains a stream with other settings; give another folder")
    write_text(path, text)
    lines = out / "stream.jsonl"
    if not lines.is_file():
        return []
    return [json.loads(line) for line in lines.read_text("utf-8").splitlines()]


def draw(rows: Sequence[Row]) -> str:
    """The rates by batch as SVG."""
    from tinr.studies.plots import as_svg

    lines = {
        "document_to_token": "recall: document to token",
        "token_to_schema": "recall: token to schema",
        "first_call_em": "calls of the first tools",
        "added_name_em": "added tools named",
    }

    def paint(axes: Sequence[Any]) -> None:
        batches = [row for row in rows if row["batch"] != RETRAINED]
        for name, label in lines.items():
            points = [(row["batch"], row[name]["value"]) for row in batches if row.get(name)]
            axes[0].plot(*zip(*points, strict=True), "o-", label=label, markersize=3)
        axes[0].set(xlabel="batches of events", ylabel="rate", ylim=(-0.03, 1.03))
        axes[0].legend(fontsize=8)

    return as_svg(paint)
