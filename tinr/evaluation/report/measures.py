"""What the summary says of each phase: the printed table, and the result in words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table as PrintedTable
from rich.text import Text

from tinr.evaluation.metrics import Rate
from tinr.evaluation.report.summary import CHAIN, at, phases_of
from tinr.evaluation.report.tables import as_text

CALLS = ("call_em", "call_em_strict")  # the first that was measured


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
RECALLS = 3  # the first of them


def call_measures(summary: Mapping[str, Any]) -> list[Measure]:
    """Names, calls and abstention on every split of the summary, the known splits first."""
    known = {measure.split for measure in MEASURES}
    evaluations = [at(summary, "eval"), *(at(summary, "history") or {}).values()]
    others = dict.fromkeys(split for splits in evaluations for split in splits or {})
    more = [split for split in others if split not in known]
    found = [
        *(Measure(NAMED, split, split, ("name_em",), split) for split in more),
        *(Measure(CALLED, split, split, CALLS, split) for split in more),
        *(Measure(SILENT, split, split, ("abstain_acc",), split) for split in more),
    ]
    groups = (NAMED, CALLED, SILENT)
    return sorted([*MEASURES[RECALLS:], *found], key=lambda measure: groups.index(measure.group))


def rate_of(summary: Mapping[str, Any], phase: str, measure: Measure) -> Rate | None:
    """What a phase reached without documents; a gate's recall; None: not measured.

    The last phase takes what `eval` holds where `history` lacks it.
    """
    if measure.split is None:
        value = at(summary, "phases", phase, "gate", measure.metrics[0])
        return as_rate({"value": value})
    last = [phase] == [p for p in phases_of(summary) if p in CHAIN][-1:]
    for metric in measure.metrics:
        place = (measure.split, "none", metric)
        found = as_rate(at(summary, "history", phase, *place))
        if found is None and last:
            found = as_rate(at(summary, "eval", *place))
        if found is not None:
            return found
    return None


def as_rate(found: Mapping[str, Any] | None) -> Rate | None:
    """A rate of the summary; n 0 stands for a size that is not given. None where unscored."""
    value, low, high, n = (at(found, key) for key in ("value", "low", "high", "n"))
    if value is None:
        return None
    bounds = (None, None) if low is None or high is None else (low, high)
    return Rate(value, 0 if n is None else round(n), *bounds)


def phase_table(summary: Mapping[str, Any]) -> list[list[str]]:
    """Head and one row a phase: recall, then calls without documents; percent, "-" is missing.

    A cell reads "93.2 (90.1-95.4, n=300)": value, 95 % interval, size of the sample.
    """
    rows = [["phase", *(measure.title for measure in MEASURES)]]
    for phase in phases_of(summary):
        rates = (rate_of(summary, phase, measure) for measure in MEASURES)
        rows.append([phase, *("-" if rate is None else as_text(rate) for rate in rates)])
    return rows


def print_table(summary: Mapping[str, Any], console: Console) -> None:
    """The phase table turned, a phase a column, in two parts that fit 100 columns."""
    head, *rows = phase_table(summary)
    for title, start, stop in (
        ("Recall, % of the catalogue", 1, 1 + RECALLS),
        ("Without documents, % of queries (95 % interval)", 1 + RECALLS, len(head)),
    ):
        shown = [row for row in rows if set(row[start:stop]) != {"-"}]
        if not shown:
            continue
        table = PrintedTable(title=title, title_justify="left", box=None, pad_edge=False)
        table.add_column("")
        for row in shown:
            table.add_column(Text(row[0]), justify="right")
        for index in range(start, stop):
            table.add_row(head[index], *(Text(row[index]) for row in shown))
        console.print(table)


def headline(summary: Mapping[str, Any]) -> str:
    """One or two sentences: what the model now knows without documents, with the figures."""

    def share(split: str, metrics: Iterable[str], words: str) -> str:
        values = (at(summary, "eval", split, "none", metric, "value") for metric in metrics)
        value = next((value for value in values if value is not None), None)
        return "" if value is None else words.format(f"{100 * value:.0f} %")

    known = (
        share(
            "seen",
            ["name_em"],
            "names exactly the right tools for {} of new queries for tools it has practised",
        ),
        share("seen", CALLS, "gets every call right for {}"),
    )
    beyond = (
        share("unseen", CALLS, "{} with tools it knows only from their documents"),
        share("ood", CALLS, "{} with tools of another domain"),
    )
    silent = share("no_tool", ["abstain_acc"], "it makes no call for {} of queries that need none")
    calls = f"its calls are right for {_join(beyond)}" if any(beyond) else ""
    first = _join(known) and f"without any documentation in the prompt the model {_join(known)}"
    second = "; ".join(part for part in (calls, silent) if part)
    sentences = [f"{part[0].upper()}{part[1:]}." for part in (first, second) if part]
    return " ".join(sentences) or "Nothing was evaluated without documents in this run."


def _join(parts: Iterable[str]) -> str:
    return " and ".join(part for part in parts if part)
