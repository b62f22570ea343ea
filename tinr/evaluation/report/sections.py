"""A run's folder in, the sections of its report out: the order and the words between tables."""

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

FOLDED = ("gradient", "rate", "tokens")  # charts shown when asked for


@dataclass(frozen=True)
class Chart:
    """A plot with its words: the series in the order of their colours, each with its last value."""

    title: str
    note: str
    key: tuple[tuple[str, str], ...]
    svg: str
    table: Table | None = None
    wide: bool = False


@dataclass(frozen=True)
class Section:
    """One part of the report; `said` is a result in words, `note` how to read it."""

    key: str
    title: str
    note: str = ""
    said: str = ""
    charts: tuple[Chart, ...] = ()
    more: tuple[Chart, ...] = ()  # shown when asked for
    tables: tuple[Table, ...] = ()
    cases: tuple[Kind, ...] = ()
    moments: tuple[Moment, ...] = ()
    change: Mapping[str, Any] | None = None

    @property
    def filled(self) -> bool:
        """Whether there is anything in it."""
        return bool(self.said or self.charts or self.tables or self.cases or self.moments)


@dataclass(frozen=True)
class Report:
    """All of it: what the three files show."""

    name: str
    headline: str
    facts: Mapping[str, Any]
    sections: tuple[Section, ...]
    missing: tuple[str, ...]  # titles of sections for which the run holds nothing


def read_report(run: Path, defaults: Mapping[str, Mapping[str, Any]]) -> Report:
    """The report of a run's folder; BadInput where a file of it is broken.

    defaults: phase -> its configuration with nothing set, to mark what differs.
    """
    summary = read_summary(run / "summary.json")
    cards = read_cards(run / "registry", summary)
    others = of_other_runs(run / "logs", cards)
    logs = {phase: log for phase, log in read_logs(run / "logs").items() if phase not in others}
    names = {at(summary, "phases", phase, "checkpoint"): phase for phase in phases_of(summary)}
    evaluations = read_evaluations(run / "eval", {k: v for k, v in names.items() if k})
    sections = (
        _calls(summary),
        _change(summary),
        Section(
            "knowledge",
            "Knowledge by phase",
            "What phase 1 put into the weights, measured again at the end of every phase.",
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
            "What the policy wrote while it was trained, and what it earned, drawn at random.",
            moments=tuple(m for m in read_conversations(run / "logs") if m.phase not in others),
        ),
        _cost(summary, logs, cards, evaluations),
        Section(
            "lineage",
            "Lineage",
            "From the base to the last checkpoint, as the registry's cards have it.",
            tables=(*gate_tables(cards), *lineage_tables(cards)),
        ),
        Section(
            "configuration",
            "Configuration",
            "Every value that each phase ran with.",
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
            *(f"the log of {phase}, which is of another run" for phase in in_order(others)),
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
            last = tuple((name, as_text(row[-1]).split()[0]) for name, row in rates.items())
            svg = phase_plot(f"calls-{number}", group, table.columns, rates)
            charts.append(Chart(group, "percent, 95 % intervals", last, svg))
    return Section(
        "calls",
        "Calls by phase",
        "No document is ever shown: names and arguments come from the weights. "
        "A band is the 95 % interval, the mark in it the measured value.",
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
    """What goes wrong, the tools confused, and the worst cases, of the last checkpoint."""
    last = [one for one in evaluations if one.phase == evaluations[-1].phase]
    tables = [*(kind_table(one, one is not last[0]) for one in last), problem_table(evaluations)]
    first = f"{last[0].phase}, {mode_title(last[0].mode)}" if last else ""
    yield Section(
        "errors",
        "What goes wrong",
        "Every reply of the last checkpoint counts once, under the first kind that fits.",
        tables=tuple(table for table in tables if table),
    )
    table = confusion_table(last[0]) if last else None
    yield Section(
        "confusion",
        "Confusion between tools",
        f"Which tool is called where another is expected ({first}).",
        charts=_heat(last[0]) if last else (),
        tables=(table,) if table else (),
    )
    yield Section(
        "cases",
        "Worst cases",
        f"Of every kind of error those that met least of the reference ({first}).",
        cases=tuple(worst_cases(last[0])) if last else (),
    )


def _calibration(registry: Path) -> Iterable[Section]:
    """Nothing where no checkpoint was calibrated: it is an optional phase."""
    cards = read_calibrated(registry)
    if cards:
        yield Section(
            "deficiencies",
            "Deficiencies before and after calibration",
            "What is wrong with replies, by rule, before and after each calibration from this "
            "run's checkpoints. Every change is tested, paired by query.",
            said=changes_in_words(cards),
            tables=tuple(deficiency_tables(cards)),
        )


def _heat(evaluated: Replies) -> tuple[Chart, ...]:
    tools, counts = heat(evaluated)
    if not counts:
        return ()
    svg = heat_plot("confusion", tools, counts)
    note = "expected downwards, called across, the diagonal empty; queries of all splits"
    return (Chart("The most confused tools", note, (), svg, wide=True),)


def _training(logs: Mapping[str, Sequence[Any]]) -> Section:
    drawn = curves(logs)
    return Section(
        "training",
        "Training",
        "By step; a moving mean over the faint measured line, with its last value beside the "
        "title. A group is flat when all its tries earn the same, and then teaches nothing.",
        charts=tuple(_curve(curve) for curve in drawn if curve.drawn.key not in FOLDED),
        more=tuple(_curve(curve) for curve in drawn if curve.drawn.key in FOLDED),
    )


def _curve(curve: Curve) -> Chart:
    ends = {name: smoothed(points)[-1][1] for name, points in curve.series.items()}
    return Chart(
        f"{curve.phase}, {curve.drawn.title}",
        curve.drawn.unit + (", log scale" if curve.log else ""),
        tuple((name, f"{value:.3g}") for name, value in ends.items()),
        curve_plot(curve),
        curve_table(curve),
    )


def _cost(
    summary: Mapping[str, Any],
    logs: Mapping[str, Sequence[Any]],
    cards: Sequence[Card],
    evaluations: Sequence[Replies],
) -> Section:
    # a log that counted nothing says 0 in every row: that is missing, not 0
    tokens: dict[str, float | None] = {
        phase: max((y for _, y in series_of(rows, "train/tokens")), default=0) or None
        for phase, rows in logs.items()
    }
    tokens |= {card.phase: card.tokens or None for card in cards}
    tables = (time_table(summary, tokens), cost_table(evaluations), prompt_table(summary))
    return Section("cost", "What it cost", tables=tuple(table for table in tables if table))
