"""The figures of the summary as tables: knowledge, calls, documents modes, change, time."""

from collections.abc import Mapping, Sequence
from typing import Any

from tinr.evaluation.metrics import UNPRINTED, Rate
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
    "seen": ("Seen tools", "new queries of tools whose queries were trained on"),
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
    "call_em": "exact calls",
    "call_em_strict": "exact calls, strict",
    "call_em_lenient": "exact calls, lenient",
    "tool_acc": "tools found",
    "param_acc": "right arguments",
    "answer_acc": "right answer",
    "format_ok": "well formed",
    "abstain_acc": "makes no call",
    "auroc": "AUROC, × 100",
    "false_call_no_tool": "false calls: no tool fits",
    "false_call_missing_tool": "false calls: the tool is missing",
    "false_call_missing_value": "false calls: a value is missing",
    "documents_found": "its documents were in the prompt",
}
PROBES = {
    "document_to_token": "document to token",
    "token_to_document": "token to document",
    "token_to_schema": "token to schema",
    "document_to_token_among": "document to token, only tools allowed",
    "name_explicit": "named at an explicit request",
    "name_explicit_among": "named at an explicit request, only tools allowed",
    "name_usual": "named at a usual request",
    "name_usual_among": "named at a usual request, only tools allowed",
    "name_vague": "named at a vague request",
    "name_vague_among": "named at a vague request, only tools allowed",
}


def split_title(split: str) -> str:
    """A split's name in words; one we do not know as it is spelled."""
    return SPLITS.get(split, (split, ""))[0]


def mode_title(mode: str) -> str:
    """A documents mode in words."""
    return MODES.get(mode, ("", mode))[1]


def mode_word(mode: str) -> str:
    """The same under a head that says `documents`."""
    return MODES.get(mode, (mode, ""))[0]


def knowledge_tables(summary: Mapping[str, Any]) -> list[Table]:
    """What the gates recalled; every probe with its interval and chance; the ability tax."""
    knowledge, tax = at(summary, "knowledge") or {}, at(summary, "tax") or {}
    tables = (
        _phase_table(
            summary,
            "recall",
            "What it recalls of the whole catalogue",
            "Percent of the catalogue's tools, compared exactly.",
            MEASURES[:RECALLS],
        ),
        _by_phase(
            "knowledge",
            "Probes of knowledge",
            "Percent; chance is what guessing reaches, blind what this model reached without being "
            "told which tool it was about: no more than that shows nothing of the tool.",
            knowledge,
            PROBES,
        ),
        _by_phase(
            "tax",
            "What it cost other abilities",
            "Shares in percent; perplexity, and what has a unit, as it is.",
            tax,
            {},
        ),
    )
    return [table for table in map(filled, tables) if table]


def call_table(summary: Mapping[str, Any]) -> Table | None:
    """Names, calls and abstention without documents, a phase a column."""
    return filled(
        _phase_table(
            summary,
            "calls",
            "What it does with no documents in the prompt",
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
    """A probe a row, a phase a column, and last what chance and a blind model reach."""
    phases = phases_of({"phases": by_phase})
    names = dict.fromkeys(name for phase in phases for name in by_phase[phase] or {})
    rows = []
    for name in names:
        found = [at(by_phase, phase, name) for phase in phases]
        beside = (_beside(found, "chance"), _beside(found, "blind"))
        rows.append(Row(_probe_word(name, words), (*_measured(found), *beside)))
    return Table(key, title, (*phases, "chance", "blind"), tuple(rows), "probe", note)


def _probe_word(name: str, words: Mapping[str, str]) -> str:
    """`name_usual/unseen` as "named at a usual request: unseen tools"."""
    probe, _, split = name.partition("/")
    if split not in SPLITS:
        return words.get(name, name.replace("_", " "))
    return f"{words.get(probe, probe.replace('_', ' '))}: {split_title(split).lower()}"


def _beside(found: Sequence[Mapping[str, Any] | None], key: str) -> Rate | None:
    """What is compared with, of the last phase that has it."""
    given = [value for one in found if (value := at(one, key)) is not None]
    return Rate(given[-1], 0, None, None) if given else None


def _measured(found: Sequence[Mapping[str, Any] | None]) -> list[Cell]:
    """A row's cells: rates, or plain figures where a unit is given or one is no share."""
    numbers = [at(one, key) for one in found for key in ("value", "low", "high")]
    shares = all(0 <= number <= 1 for number in numbers if number is not None)
    if shares and not any(at(one, "unit") for one in found):
        return [as_rate(one) for one in found]
    return [
        Figure(
            one["value"], one.get("low"), one.get("high"), round(one.get("n") or 0),
            one.get("unit") or "",
        )
        if one and one.get("value") is not None
        else None
        for one in found
    ]  # fmt: skip


def split_tables(summary: Mapping[str, Any]) -> list[Table]:
    """For each split of the last checkpoint its metrics as rows, a documents mode a column."""
    tables = []
    for split, by_mode in (at(summary, "eval") or {}).items():
        modes = {mode: rates for mode, rates in (by_mode or {}).items() if rates}
        names: dict[str, None] = dict.fromkeys(name for rates in modes.values() for name in rates)
        found = [name for name in names if name not in UNPRINTED]
        rows = (
            Row(METRICS.get(name, name), tuple(as_rate(at(r, name)) for r in modes.values()))
            for name in sorted(found, key=lambda name: (*METRICS, name).index(name))
        )
        title, note = SPLITS.get(split, (split, ""))
        columns = tuple(map(mode_word, modes))
        tables.append(
            filled(Table(f"split-{split}", title, columns, tuple(rows), "documents", note))
        )
    return [table for table in tables if table]


def comparison(summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """The paired comparison with its change in points; None where its counts are missing."""
    given = {key: at(summary, "comparison", key) for key in COMPARISON}
    if not given["n"] or given["gained"] is None or given["lost"] is None:
        return None
    points = 100 * (given["gained"] - given["lost"]) / given["n"]
    return given | {"points": points, "said": _change_in_words(given, points)}


def _change_in_words(given: Mapping[str, Any], points: float) -> str:
    metric = METRICS.get(given["metric"], given["metric"]) or "success"
    said = (
        f"On the same {given['n']:,.0f} queries, {given['gained']:,.0f} came right that had been "
        f"wrong, and {given['lost']:,.0f} went wrong that had been right ({metric}): "
        f"{points:+.1f} points. "
    ).replace("-", "−")
    p = given["p"]
    if p is None:
        return said + "The difference was not tested."
    value = "p < 0.0001" if p < 0.0001 else f"p = {p:.3g}"
    if p < 0.05:
        return (
            said + f"The difference is distinguishable from chance ({value}, exact McNemar test)."
        )
    return said + (
        "The difference is not distinguishable from chance, so neither can be called better "
        f"({value}, exact McNemar test)."
    )


def comparison_table(change: Mapping[str, Any]) -> Table:
    """The paired comparison as one row."""
    before, after = change["before"] or "before", change["after"] or "after"
    label = METRICS.get(change["metric"]) or change["metric"] or "success"
    cells = (round(change["n"]), round(change["gained"]), round(change["lost"]),
             f"{change['points']:+.1f}".replace("-", "−"),
             None if change["p"] is None else f"{change['p']:.3g}")  # fmt: skip
    columns = ("queries", "gained", "lost", "points", "p")
    title = f"{after} against {before}, query by query"
    return Table("comparison", title, columns, (Row(label, cells),), "metric", folded=True)


def time_table(summary: Mapping[str, Any], tokens: Mapping[str, float | None]) -> Table | None:
    """Part of the run -> checkpoint, tokens trained on, time, share of the time.

    Empty text stands where a fact does not apply, None where it is missing.
    """
    seconds = {p: at(summary, "phases", p, "seconds") for p in phases_of(summary)}
    spent = sum(value or 0 for value in seconds.values())
    total = max(at(summary, "seconds") or 0, spent)
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
    if total > spent:
        rest = ("", "", Seconds(total - spent), Rate((total - spent) / total, 0, None, None))
        rows.append(Row("rest: corpora, gates, evaluation", rest))
    if total:
        rows.append(Row("all", ("", "", Seconds(total), Rate(1.0, 0, None, None))))
    columns = ("checkpoint", "tokens trained on", "time", "% of the time")
    return filled(Table("time", "Time and checkpoints", columns, tuple(rows), "part"))


def prompt_table(summary: Mapping[str, Any]) -> Table | None:
    """Tokens of a prompt by documents mode, and how many times as long as without documents."""
    prompts = {
        mode: tokens
        for mode, tokens in (at(summary, "cost", "prompt_tokens") or {}).items()
        if tokens is not None
    }
    none = prompts.get("none")
    rows = (
        Row(mode_word(mode), (float(tokens), tokens / none if none else None))
        for mode, tokens in prompts.items()
    )
    columns = ("tokens a query", "times as long")
    return filled(Table("prompt", "Length of the prompt", columns, tuple(rows), "documents"))
