"""Read the logs of a run as series by step, and group them into charts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinr.evaluation.report.summary import in_order, is_finite
from tinr.evaluation.report.tables import Row, Table
from tinr.records import REWARDS, BadInput
from tinr.run_log import read_log

Points = Sequence[tuple[float, float]]  # (step, value), sorted by step
LOG_SPAN = 20  # a positive series with a larger ratio of max to min has a log axis
TABLE_ROWS = 12


@dataclass(frozen=True)
class Drawn:
    """The content of one chart: label -> name in the log, and the unit."""

    key: str
    title: str
    unit: str
    names: Mapping[str, str]
    share: bool = False  # the axis goes from 0 to 1


DRAWN = (
    Drawn("loss", "loss", "nats per token", {"loss": "train/loss"}),
    Drawn("bucket", "curriculum bucket", "0 is the easiest", {"bucket": "train/bucket"}),
    Drawn(
        "difficulty",
        "difficulty of the queries",
        "mean of the bucket",
        {"difficulty": "train/difficulty"},
        share=True,
    ),
    Drawn("margin", "margin of chosen sides", "nats per token", {"margin": "preference/margin"}),
    Drawn(
        "preferred",
        "chosen side more likely",
        "share of pairs",
        {"preferred": "preference/accuracy"},
        share=True,
    ),
    Drawn(
        "rewards",
        "rewards",
        "mean of the step's conversations",
        {part: f"reward/{part}" for part in REWARDS},
        share=True,
    ),
    Drawn(
        "groups",
        "groups and endings",
        "share",
        {
            "flat groups": "rollout/flat_groups",
            "finished": "rollout/finished",
            "stuck": "rollout/stuck",
        },
        share=True,
    ),
    Drawn("length", "length of a completion", "tokens", {"length": "rollout/length"}),
    Drawn("entropy", "entropy of the policy", "nats per token", {"entropy": "rollout/entropy"}),
    Drawn("kl", "KL of the policy to its parent", "nats per token", {"KL": "rollout/kl"}),
    Drawn("faults", "tool calls that exceeded a limit", "so far", {"calls": "rollout/tool_faults"}),
    Drawn("gradient", "gradient norm", "before clipping", {"norm": "train/grad_norm"}),
    Drawn("rate", "learning rate", "of the first parameter group", {"rate": "train/learning_rate"}),
    Drawn("tokens", "tokens trained on", "so far", {"tokens": "train/tokens"}),
)


@dataclass(frozen=True)
class Curve:
    """One chart: a phase, its definition, and its series with their points."""

    phase: str
    drawn: Drawn
    series: Mapping[str, Points]

    @property
    def log(self) -> bool:
        """Whether all values are positive and span more than a factor of LOG_SPAN."""
        values = [y for points in self.series.values() for _, y in points]
        return not self.drawn.share and min(values) > 0 and max(values) / min(values) > LOG_SPAN

    @property
    def key(self) -> str:
        """The id of the chart in the page."""
        return f"{self.phase}-{self.drawn.key}"

    @property
    def said(self) -> str:
        """Describe every series in words: its first and last value."""
        phrases = (
            f"{name} from {ys[0][1]:.3g} at step {ys[0][0]:,.0f} to {ys[-1][1]:.3g} at step "
            f"{ys[-1][0]:,.0f}, smoothed"
            for name, points in self.series.items()
            if (ys := smoothed(points))
        )
        return "; ".join(phrases) + "."


def read_logs(folder: Path) -> dict[str, list[Any]]:
    """Phase -> rows of its log, in the order of the phases."""
    logs = {}
    paths = sorted(folder.glob("*.jsonl"))
    # `grpo.conversations.jsonl` is not a log: see tinr.evaluation.report.conversations
    for phase in in_order(path.stem for path in paths if "." not in path.stem):
        path = folder / f"{phase}.jsonl"
        try:
            logs[phase] = read_log(path)
        except (OSError, ValueError, RecursionError) as error:
            raise BadInput(f"{path}: unreadable log ({error}); repair or move it") from error
    return logs


def curves(logs: Mapping[str, Sequence[Any]]) -> list[Curve]:
    """The charts of every phase; a chart without points is left out."""
    charts = []
    for phase, rows in logs.items():
        for chart in DRAWN:
            series = {word: binned(series_of(rows, name)) for word, name in chart.names.items()}
            series = {word: points for word, points in series.items() if points}
            if series:
                charts.append(Curve(phase, chart, series))
    return charts


def series_of(rows: Sequence[Any], name: str) -> Points:
    """(step, value), sorted by step, of every row that has both as finite numbers."""
    return sorted(
        (float(row["step"]), float(row[name]))
        for row in rows
        if isinstance(row, Mapping) and is_finite(row.get("step")) and is_finite(row.get(name))
    )


def smoothed(points: Points) -> Points:
    """Moving mean over a twentieth of the points on either side, truncated at the ends."""
    half = len(points) // 20
    means = []
    for i, (x, _) in enumerate(points):
        window = [y for _, y in points[max(0, i - half) : i + half + 1]]
        means.append((x, sum(window) / len(window)))
    return means


def binned(points: Points, most: int = 300) -> Points:
    """Average points into at most `most` bins: the last step and the mean value of each."""
    size = -(-len(points) // most)
    bins = [points[i : i + size] for i in range(0, len(points), size or 1)]
    return [(rows[-1][0], sum(y for _, y in rows) / len(rows)) for rows in bins]


def curve_table(curve: Curve) -> Table:
    """The values of a curve as a table of at most TABLE_ROWS means, by step."""
    by_step: dict[float, dict[str, float]] = {}
    for name, points in curve.series.items():
        for step, value in binned(points, TABLE_ROWS):
            by_step.setdefault(step, {})[name] = value
    largest = {name: max(abs(y) for _, y in points) for name, points in curve.series.items()}
    rows = tuple(
        Row(
            f"{step:,.0f}",
            tuple(_value_text(values.get(name), largest[name]) for name in curve.series),
        )
        for step, values in sorted(by_step.items())
    )
    title = f"{curve.phase}: {curve.drawn.title}"
    note = f"{curve.drawn.unit}; each row is the mean of the steps up to it."
    return Table(f"curve-{curve.key}", title, tuple(curve.series), rows, "up to step", note, True)


def _value_text(value: float | None, largest: float) -> str | None:
    """Format a value so that the largest of its column has about four digits."""
    decimals = sum(largest < limit for limit in (1, 10, 100, 1000))
    return None if value is None else f"{value:,.{decimals}f}"
