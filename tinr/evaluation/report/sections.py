"""Read a run's folder and build the sections of its report: their order and text."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinr.checkpoints.card import Card
from tinr.evaluation.report.cases import Kind, worst_cases
from tinr.evaluation.report.conversations import Moment, read_conversations
from tinr.evaluation.report.curves import Curve, curve_table, curves, read_logs, series_of, smoothed
from tinr.evaluation.report.deficiencies import changes_in_words, deficiency_tables, read_calibrated
from tinr.evaluation.report.errors import (
    confusion_table,
    cost_table,
    heat,
    kind_table,
    problem_table,
)
from tinr.evaluation.report.lineage import (
    config_tables,
    gate_tables,
    lineage_tables,
    of_other_runs,
    read_cards,
    read_configs,
)
from tinr.evaluation.report.measures import CALLED, NAMED, SILENT, headline
from tinr.evaluation.report.plots import SERIES, curve_plot, heat_plot, phase_plot
from tinr.evaluation.report.rates import (
    call_table,
    comparison,
    comparison_table,
    knowledge_tables,
    mode_title,
    prompt_table,
    split_tables,
    time_table,
)
from tinr.evaluation.report.replies import Replies, read_evaluations
from tinr.evaluation.report.summary import at, in_order, phases_of, read_summary
from tinr.evaluation.report.tables import Rate, Table, as_text

FOLDED = ("gradient", "rate", "tokens")  # charts that are collapsed at first


@dataclass(frozen=True)
class Chart:
    """A plot with its text; `key` has each series with its last value, in the order of colours."""

    title: str
    note: str
    key: tuple[tuple[str, str], ...]
    svg: str
    table: Table | None = None
    wide: bool = False


@dataclass(frozen=True)
class Section:
    """One part of the report; `said` is the result in words, `note` says how to read it."""

    key: str
    title: str
    note: str = ""
    said: str = ""
    charts: tuple[Chart, ...] = ()
    more: tuple[Chart, ...] = ()  # collapsed at first
    tables: tuple[Table, ...] = ()
    cases: tuple[Kind, ...] = ()
    moments: tuple[Moment, ...] = ()
    change: Mapping[str, Any] | None = None

    @property
    def filled(self) -> bool:
        """Whether the section has content."""
        return bool(self.said or self.charts or self.tables or self.cases or self.moments)


@dataclass(frozen=True)
class Report:
    """The whole report: the content of the three files."""

    name: str
    headline: str
    facts: Mapping[str, Any]
    sections: tuple[Section, ...]
    missing: tuple[str, ...]  # titles of sections without data in this run


def read_report(run: Path, defaults: Mapping[str, Mapping[str, Any]]) -> Report:
    """Build the report of a run's folder; raise BadInput if a file is broken.

    defaults: phase -> its default configuration, to mark differences.
    """
    summary = read_summary(run / "summary.json")
    cards = read_cards(run / "registry", summary)
    other_phases = of_other_runs(run / "logs", cards)
    logs = {
        phase: log for phase, log in read_logs(run / "logs").items() if phase not in other_phases
    }
    names = {at(summary, "phases", phase, "checkpoint"): phase for phase in phases_of(summary)}
    evaluations = read_evaluations(run / "eval", {k: v for k, v in names.items() if k})
    sections = (
        _calls(summary),
        _change(summary),
        Section(
            "knowledge",
            "Knowledge by phase",
            "What phase 1 taught, measured again at the end of every phase.",
            tables=tuple(knowledge_tables(summary)),
        ),
        Section(
            "documents",
            "With and without documents",
            "The last checkpoint. On selection, the environment shows the documents of the tools "
            "that the model has just named.",
            tables=tuple(split_tables(summary)),
        ),
        *_errors(evaluations),
        *_calibration(run / "registry"),
        _training(logs),
        Section(
            "conversations",
            "Sampled conversations",
            "A random sample of what the policy wrote during training, with its rewards.",
            moments=tuple(
                m for m in read_conversations(run / "logs") if m.phase not in other_phases
            ),
        ),
        _cost(summary, logs, cards, evaluations),
        Section(
            "lineage",
            "Lineage",
            "From the base to the last checkpoint, from the registry's cards.",
            tables=(*gate_tables(cards), *lineage_tables(cards)),
        ),
        Section(
            "configuration",
            "Configuration",
            "All settings of each phase.",
            tables=tuple(config_tables(read_configs(run / "logs", cards), defaults)),
        ),
    )
    return Report(
        name=run.resolve().name,
        headline=headline(summary),
        facts={key: at(summary, key) for key in ("seconds", "peak_rss_gib", "seed", "versions")},
        sections=tuple(section for section in sections if section.filled),
        missing=(
            *(section.title for section in sections if not section.filled),
            *(
                f"the log of {phase}, which belongs to another run"
                for phase in in_order(other_phases)
            ),
        ),
    )


def _calls(summary: Mapping[str, Any]) -> Section:
    table = call_table(summary)
    charts = []
    for number, group in enumerate((NAMED, CALLED, SILENT)):
        rows = [row for row in table.rows if row.group == group] if table else []
        rates = {
            row.label: [cell if isinstance(cell, Rate) else None for cell in row.cells]
            for row in rows[:SERIES]
        }
        if table and len(table.columns) > 1 and rates:
            last_values = tuple((name, as_text(row[-1]).split()[0]) for name, row in rates.items())
            svg = phase_plot(f"calls-{number}", group, table.columns, rates)
            charts.append(Chart(group, "percent, 95 % intervals", last_values, svg))
    return Section(
        "calls",
        "Calls by phase",
        "No document is shown: names and arguments come from the weights. The band is the 95 % "
        "interval, the mark in it the measured value.",
        charts=tuple(charts),
        tables=(table,) if table else (),
    )


def _change(summary: Mapping[str, Any]) -> Section:
    change = comparison(summary)
    if change is None:
        return Section("change", "Paired comparison")
    after, before = change["after"] or "the later phase", change["before"] or "the earlier phase"
    return Section(
        "change",
        f"Did {after} help after {before}?",
        said=change["said"],
        tables=(comparison_table(change),),
        change=change,
    )


def _errors(evaluations: Sequence[Replies]) -> Iterable[Section]:
    """Kinds of error, confused tools and worst cases of the last checkpoint."""
    evaluations_shown = [e for e in evaluations if e.phase == evaluations[-1].phase]
    tables = [
        *(kind_table(e, e is not evaluations_shown[0]) for e in evaluations_shown),
        problem_table(evaluations),
    ]
    first_title = (
        f"{evaluations_shown[0].phase}, {mode_title(evaluations_shown[0].mode)}"
        if evaluations_shown
        else ""
    )
    yield Section(
        "errors",
        "What goes wrong",
        "Every reply of the last checkpoint counts once, as the first kind that fits.",
        tables=tuple(table for table in tables if table),
    )
    table = confusion_table(evaluations_shown[0]) if evaluations_shown else None
    yield Section(
        "confusion",
        "Confusion between tools",
        f"Which tool is called when another is expected ({first_title}).",
        charts=_heat(evaluations_shown[0]) if evaluations_shown else (),
        tables=(table,) if table else (),
    )
    yield Section(
        "cases",
        "Worst cases",
        f"For every kind of error, the replies that match least of the reference ({first_title}).",
        cases=tuple(worst_cases(evaluations_shown[0])) if evaluations_shown else (),
    )


def _calibration(registry: Path) -> Iterable[Section]:
    """Yield the section of calibration, an optional phase; nothing if no checkpoint has it."""
    cards = read_calibrated(registry)
    if cards:
        yield Section(
            "deficiencies",
            "Deficiencies before and after calibration",
            "What is wrong with replies according to rules, before and after each calibration of "
            "this run's checkpoints. Every change is tested, paired by query.",
            said=changes_in_words(cards),
            tables=tuple(deficiency_tables(cards)),
        )


def _heat(evaluated: Replies) -> tuple[Chart, ...]:
    tools, counts = heat(evaluated)
    if not counts:
        return ()
    svg = heat_plot("confusion", tools, counts)
    note = "rows: expected; columns: called; empty diagonal; queries of all splits"
    return (Chart("The most confused tools", note, (), svg, wide=True),)


def _training(logs: Mapping[str, Sequence[Any]]) -> Section:
    charts = curves(logs)
    return Section(
        "training",
        "Training",
        "By step: measured values faint, their moving mean strong, its last value beside the "
        "title. A group is flat if all its rollouts have the same reward; it then teaches nothing.",
        charts=tuple(_curve(curve) for curve in charts if curve.drawn.key not in FOLDED),
        more=tuple(_curve(curve) for curve in charts if curve.drawn.key in FOLDED),
    )


def _curve(curve: Curve) -> Chart:
    last_values = {name: smoothed(points)[-1][1] for name, points in curve.series.items()}
    return Chart(
        f"{curve.phase}, {curve.drawn.title}",
        curve.drawn.unit + (", log scale" if curve.log else ""),
        tuple((name, f"{value:.3g}") for name, value in last_values.items()),
        curve_plot(curve),
        curve_table(curve),
    )


def _cost(
    summary: Mapping[str, Any],
    logs: Mapping[str, Sequence[Any]],
    cards: Sequence[Card],
    evaluations: Sequence[Replies],
) -> Section:
    # a log without counts has 0 in every row: the value is missing, not 0
    tokens: dict[str, float | None] = {
        phase: max((y for _, y in series_of(rows, "train/tokens")), default=0) or None
        for phase, rows in logs.items()
    }
    tokens |= {card.phase: card.tokens or None for card in cards}
    tables = (time_table(summary, tokens), cost_table(evaluations), prompt_table(summary))
    return Section("cost", "What it cost", tables=tuple(table for table in tables if table))
