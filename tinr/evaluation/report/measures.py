"""The results of each phase in the summary: the printed table, and the result in words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table as PrintedTable
from rich.text import Text

from tinr.evaluation.metrics import Rate
from tinr.evaluation.report.summary import CHAIN, at, phases_of
from tinr.evaluation.report.tables import as_text

CALLS = ("call_em", "call_em_strict")  # the first of these that was measured is used


@dataclass(frozen=True)
class Measure:
    """One column of the phase table. No split: a gate's recall over the whole catalogue."""

    group: str
    label: str
    title: str
    metrics: tuple[str, ...]
    split: str | None = None


NAMED, CALLED, SILENT = "Names exactly the right tools", "Calls exactly right", "Makes no call"
MEASURES = (
    Measure("", "document to token", "doc -> token", ("document_to_token",)),
    Measure("", "token to document", "token -> doc", ("token_to_document",)),
    Measure("", "token to schema", "token -> schema", ("token_to_schema",)),
    Measure(NAMED, "seen tools", "name seen", ("name_em",), "seen"),
    Measure(NAMED, "unseen tools", "name unseen", ("name_em",), "unseen"),
    Measure(NAMED, "out of domain", "name ood", ("name_em",), "ood"),
    Measure(CALLED, "seen tools", "call seen", CALLS, "seen"),
    Measure(CALLED, "unseen tools", "call unseen", CALLS, "unseen"),
    Measure(CALLED, "out of domain", "call ood", CALLS, "ood"),
    Measure(SILENT, "no tool needed", "no-tool abstention", ("abstain_acc",), "no_tool"),
)
RECALLS = 3  # the first 3 of MEASURES are recall


def call_measures(summary: Mapping[str, Any]) -> list[Measure]:
    """Measures of names, calls and abstention on every split of the summary, known splits first."""
    known_splits = {measure.split for measure in MEASURES}
    evaluations = [at(summary, "eval"), *(at(summary, "history") or {}).values()]
    splits_of_summary = dict.fromkeys(split for splits in evaluations for split in splits or {})
    new_splits = [split for split in splits_of_summary if split not in known_splits]
    new_measures = [
        *(Measure(NAMED, split, split, ("name_em",), split) for split in new_splits),
        *(Measure(CALLED, split, split, CALLS, split) for split in new_splits),
        *(Measure(SILENT, split, split, ("abstain_acc",), split) for split in new_splits),
    ]
    groups = (NAMED, CALLED, SILENT)
    return sorted(
        [*MEASURES[RECALLS:], *new_measures], key=lambda measure: groups.index(measure.group)
    )


def rate_of(summary: Mapping[str, Any], phase: str, measure: Measure) -> Rate | None:
    """The rate of a phase without documents, or a gate's recall; None: not measured.

    For the last phase, `eval` supplies the rates that `history` lacks.
    """
    if measure.split is None:
        value = at(summary, "phases", phase, "gate", measure.metrics[0])
        return as_rate({"value": value})
    is_last_phase = [phase] == [p for p in phases_of(summary) if p in CHAIN][-1:]
    for metric in measure.metrics:
        path = (measure.split, "none", metric)
        value_rate = as_rate(at(summary, "history", phase, *path))
        if value_rate is None and is_last_phase:
            value_rate = as_rate(at(summary, "eval", *path))
        if value_rate is not None:
            return value_rate
    return None


def as_rate(entry: Mapping[str, Any] | None) -> Rate | None:
    """A rate of the summary; n = 0 if the size is not given. None if there is no value."""
    value, low, high, n = (at(entry, key) for key in ("value", "low", "high", "n"))
    if value is None:
        return None
    bounds = (None, None) if low is None or high is None else (low, high)
    return Rate(value, 0 if n is None else round(n), *bounds)


def phase_table(summary: Mapping[str, Any]) -> list[list[str]]:
    """Head and one row per phase: recall, then calls without documents; percent, "-" is missing.

    A cell reads "93.2 (90.1-95.4, n=300)": value, 95 % interval, size of the sample.
    """
    rows = [["phase", *(measure.title for measure in MEASURES)]]
    for phase in phases_of(summary):
        rates = (rate_of(summary, phase, measure) for measure in MEASURES)
        rows.append([phase, *("-" if rate is None else as_text(rate) for rate in rates)])
    return rows


def print_table(summary: Mapping[str, Any], console: Console) -> None:
    """Print the phase table transposed, in two parts that fit 100 columns."""
    head, *rows = phase_table(summary)
    for title, start, stop in (
        ("Recall, % of the catalogue", 1, 1 + RECALLS),
        ("Without documents, % of queries (95 % interval)", 1 + RECALLS, len(head)),
    ):
        shown_rows = [row for row in rows if set(row[start:stop]) != {"-"}]
        if not shown_rows:
            continue
        table = PrintedTable(title=title, title_justify="left", box=None, pad_edge=False)
        table.add_column("")
        for row in shown_rows:
            table.add_column(Text(row[0]), justify="right")
        for index in range(start, stop):
            table.add_row(head[index], *(Text(row[index]) for row in shown_rows))
        console.print(table)


def headline(summary: Mapping[str, Any]) -> str:
    """One or two sentences with the model's results without documents."""

    def share(split: str, metrics: Iterable[str], words: str) -> str:
        values = (at(summary, "eval", split, "none", metric, "value") for metric in metrics)
        value = next((value for value in values if value is not None), None)
        return "" if value is None else words.format(f"{100 * value:.0f} %")

    practised_shares = (
        share(
            "seen",
            ["name_em"],
            "names exactly the right tools for {} of new queries for tools with training queries",
        ),
        share("seen", CALLS, "gets every call right for {}"),
    )
    unpractised_shares = (
        share("unseen", CALLS, "{} with tools it knows only from their documents"),
        share("ood", CALLS, "{} with tools of another domain"),
    )
    abstention = share(
        "no_tool", ["abstain_acc"], "it makes no call for {} of queries that need none"
    )
    calls = (
        f"its calls are right for {_join(unpractised_shares)}" if any(unpractised_shares) else ""
    )
    first_clause = (
        _join(practised_shares)
        and f"without any documentation in the prompt the model {_join(practised_shares)}"
    )
    second_clause = "; ".join(text for text in (calls, abstention) if text)
    sentences = [f"{text[0].upper()}{text[1:]}." for text in (first_clause, second_clause) if text]
    return " ".join(sentences) or "Nothing was evaluated without documents in this run."


def _join(parts: Iterable[str]) -> str:
    return " and ".join(text for text in parts if text)
