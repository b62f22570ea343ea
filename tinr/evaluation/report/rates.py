"""The figures of the summary as tables: knowledge, calls, documents modes, change, time."""

from collections.abc import Mapping, Sequence
from typing import Any

from tinr.evaluation.metrics import Rate
from tinr.evaluation.report.measures import (
    MEASURES,
    RECALLS,
    Measure,
    as_rate,
    call_measures,
    rate_of,
)
from tinr.evaluation.report.summary import COMPARISON, at, phases_of
from tinr.evaluation.report.tables import Cell, Code, Figure, Row, Seconds, Table, filled

SPLITS = {
    "seen": ("Seen tools", "new queries for tools with training queries"),
    "unseen": ("Unseen tools", "known from their documents alone"),
    "ood": ("Out of domain", "tools of another corpus, known from their documents alone"),
    "no_tool": ("No tool needed", "queries that need no call, or lack a value for one"),
}
MODES = {
    "none": ("none", "no documents"),
    "on_select": ("on selection", "documents on selection"),
    "in_prompt": ("all in the prompt", "all documents in the prompt"),
    "retrieved": ("retrieved", "retrieved documents"),
}
METRICS = {
    "name_em": "exact names",
    "family_em": "exact families",
    "name_in_family": "exact names within the right families",
    "call_em": "exact calls",
    "call_em_strict": "exact calls, strict",
    "call_em_lenient": "exact calls, lenient",
    "tool_acc": "tools found",
    "param_acc": "right arguments",
    "answer_acc": "right answer",
    "format_ok": "well formed",
    "abstain_acc": "makes no call",
    "mended": "mended after a failed call",
    "auroc": "AUROC, × 100",
    "false_call_no_tool": "false calls: no tool fits",
    "false_call_missing_tool": "false calls: the tool is missing",
    "false_call_missing_value": "false calls: a value is missing",
    "documents_found": "needed documents in the prompt",
}
PROBES = {
    "document_to_token": "document to token",
    "token_to_document": "token to document",
    "token_to_schema": "token to schema",
    "document_to_token_among": "document to token, only tools allowed",
    "name_explicit": "named on an explicit request",
    "name_explicit_among": "named on an explicit request, only tools allowed",
    "name_usual": "named on a usual request",
    "name_usual_among": "named on a usual request, only tools allowed",
    "name_vague": "named on a vague request",
    "name_vague_among": "named on a vague request, only tools allowed",
}


def split_title(split: str) -> str:
    """A split's name in words; an unknown split keeps its name."""
    return SPLITS.get(split, (split, ""))[0]


def mode_title(mode: str) -> str:
    """A documents mode in words."""
    return MODES.get(mode, ("", mode))[1]


def mode_word(mode: str) -> str:
    """A documents mode in words, under a column head `documents`."""
    return MODES.get(mode, (mode, ""))[0]


def knowledge_tables(summary: Mapping[str, Any]) -> list[Table]:
    """Tables of recall at the gates, of all probes with interval and chance, and of the tax."""
    knowledge, tax = at(summary, "knowledge") or {}, at(summary, "tax") or {}
    tables = (
        _phase_table(
            summary,
            "recall",
            "Recall of the whole catalogue",
            "Percent of the catalogue's tools, compared exactly.",
            MEASURES[:RECALLS],
        ),
        _by_phase(
            "knowledge",
            "Knowledge probes",
            "Percent. chance: the score of guessing. blind: the score of this model if it is not "
            "told which tool is meant; a value no higher than that shows no knowledge of the tool.",
            knowledge,
            PROBES,
        ),
        _by_phase(
            "tax",
            "Tax on other abilities",
            "Shares in percent; perplexity and values with a unit are unscaled.",
            tax,
            {},
        ),
    )
    return [table for table in map(filled, tables) if table]


def call_table(summary: Mapping[str, Any]) -> Table | None:
    """Names, calls and abstention without documents, one column per phase."""
    return filled(
        _phase_table(
            summary,
            "calls",
            "Names, calls and abstention without documents",
            "Percent of queries.",
            call_measures(summary),
        )
    )


def _phase_table(
    summary: Mapping[str, Any], key: str, title: str, note: str, measures: Sequence[Measure]
) -> Table:
    phases = tuple(phases_of(summary))
    rows = (
        Row(m.label, tuple(rate_of(summary, phase, m) for phase in phases), m.group)
        for m in measures
    )
    return Table(key, title, phases, tuple(rows), "measure", note)


def _by_phase(
    key: str, title: str, note: str, by_phase: Mapping[str, Any], words: Mapping[str, str]
) -> Table:
    """One row per probe, one column per phase, then chance and the blind result."""
    phases = phases_of({"phases": by_phase})
    names = dict.fromkeys(name for phase in phases for name in by_phase[phase] or {})
    rows = []
    for name in names:
        values = [at(by_phase, phase, name) for phase in phases]
        references = (_reference(values, "chance"), _reference(values, "blind"))
        rows.append(Row(_probe_word(name, words), (*_value_cells(values), *references)))
    return Table(key, title, (*phases, "chance", "blind"), tuple(rows), "probe", note)


def _probe_word(name: str, words: Mapping[str, str]) -> str:
    """`name_usual/unseen` as "named on a usual request: unseen tools"."""
    probe, _, split = name.partition("/")
    if split not in SPLITS:
        return words.get(name, name.replace("_", " "))
    return f"{words.get(probe, probe.replace('_', ' '))}: {split_title(split).lower()}"


def _reference(values: Sequence[Mapping[str, Any] | None], key: str) -> Rate | None:
    """The reference value `key` (chance or blind) of the last phase that has it."""
    numbers = [value for value_of_phase in values if (value := at(value_of_phase, key)) is not None]
    return Rate(numbers[-1], 0, None, None) if numbers else None


def _value_cells(values: Sequence[Mapping[str, Any] | None]) -> list[Cell]:
    """A row's cells: rates, or plain figures if a unit is given or a value is not in [0, 1]."""
    numbers = [at(value, key) for value in values for key in ("value", "low", "high")]
    are_shares = all(0 <= number <= 1 for number in numbers if number is not None)
    if are_shares and not any(at(value, "unit") for value in values):
        return [as_rate(value) for value in values]
    return [
        Figure(
            value["value"], value.get("low"), value.get("high"), round(value.get("n") or 0),
            value.get("unit") or "",
        )
        if value and value.get("value") is not None
        else None
        for value in values
    ]  # fmt: skip


def split_tables(summary: Mapping[str, Any]) -> list[Table]:
    """A table per split of the last checkpoint: a row per metric, a column per documents mode."""
    tables = []
    for split, by_mode in (at(summary, "eval") or {}).items():
        modes = {mode: rates for mode, rates in (by_mode or {}).items() if rates}
        names: dict[str, None] = dict.fromkeys(name for rates in modes.values() for name in rates)
        rows = (
            Row(METRICS.get(name, name), tuple(as_rate(at(r, name)) for r in modes.values()))
            for name in sorted(names, key=lambda name: (*METRICS, name).index(name))
        )
        title, note = SPLITS.get(split, (split, ""))
        columns = tuple(map(mode_word, modes))
        tables.append(
            filled(Table(f"split-{split}", title, columns, tuple(rows), "documents", note))
        )
    return [table for table in tables if table]


def comparison(summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """The paired comparison with its change in points; None if counts are missing."""
    counts = {key: at(summary, "comparison", key) for key in COMPARISON}
    if not counts["n"] or counts["gained"] is None or counts["lost"] is None:
        return None
    points = 100 * (counts["gained"] - counts["lost"]) / counts["n"]
    return counts | {"points": points, "said": _change_in_words(counts, points)}


def _change_in_words(counts: Mapping[str, Any], points: float) -> str:
    metric = METRICS.get(counts["metric"], counts["metric"]) or "success"
    sentence = (
        f"On the same {counts['n']:,.0f} queries, {counts['gained']:,.0f} changed from wrong to "
        f"right and {counts['lost']:,.0f} from right to wrong ({metric}): "
        f"{points:+.1f} points. "
    ).replace("-", "−")
    p = counts["p"]
    if p is None:
        return sentence + "The difference was not tested."
    value = "p < 0.0001" if p < 0.0001 else f"p = {p:.3g}"
    if p < 0.05:
        return (
            sentence
            + f"The difference is distinguishable from chance ({value}, exact McNemar test)."
        )
    return sentence + (
        "The difference is not distinguishable from chance, so neither can be called better "
        f"({value}, exact McNemar test)."
    )


def comparison_table(change: Mapping[str, Any]) -> Table:
    """The paired comparison as one row."""
    before_name, after_name = change["before"] or "before", change["after"] or "after"
    label = METRICS.get(change["metric"]) or change["metric"] or "success"
    cells = (round(change["n"]), round(change["gained"]), round(change["lost"]),
             f"{change['points']:+.1f}".replace("-", "−"),
             None if change["p"] is None else f"{change['p']:.3g}")  # fmt: skip
    columns = ("queries", "gained", "lost", "points", "p")
    title = f"{after_name} against {before_name}, query by query"
    return Table("comparison", title, columns, (Row(label, cells),), "metric", folded=True)


def time_table(summary: Mapping[str, Any], tokens: Mapping[str, float | None]) -> Table | None:
    """A row per part of the run: checkpoint, tokens trained on, time, share of the time.

    Empty text: the fact does not apply; None: it is missing.
    """
    seconds = {p: at(summary, "phases", p, "seconds") for p in phases_of(summary)}
    phase_seconds = sum(value or 0 for value in seconds.values())
    total = max(at(summary, "seconds") or 0, phase_seconds)
    rows = []
    for phase, value in seconds.items():
        name, count = at(summary, "phases", phase, "checkpoint"), tokens.get(phase)
        cells = (
            Code(name) if name else None,
            None if count is None else round(count),
            Seconds(value) if value else None,
            Rate(value / total, 0, None, None) if value else None,
        )
        rows.append(Row(phase, cells))
    if total > phase_seconds:
        rest_cells = (
            "",
            "",
            Seconds(total - phase_seconds),
            Rate((total - phase_seconds) / total, 0, None, None),
        )
        rows.append(Row("rest: corpora, gates, evaluation", rest_cells))
    if total:
        rows.append(Row("all", ("", "", Seconds(total), Rate(1.0, 0, None, None))))
    columns = ("checkpoint", "tokens trained on", "time", "% of the time")
    return filled(Table("time", "Time and checkpoints", columns, tuple(rows), "part"))


def prompt_table(summary: Mapping[str, Any]) -> Table | None:
    """Tokens of a prompt by documents mode, and the ratio to a prompt without documents."""
    prompts = {
        mode: tokens
        for mode, tokens in (at(summary, "cost", "prompt_tokens") or {}).items()
        if tokens is not None
    }
    none_tokens = prompts.get("none")
    rows = (
        Row(mode_word(mode), (float(tokens), tokens / none_tokens if none_tokens else None))
        for mode, tokens in prompts.items()
    )
    columns = ("tokens per query", "ratio to none")
    return filled(Table("prompt", "Prompt length", columns, tuple(rows), "documents"))
