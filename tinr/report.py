"""A finished run in, its tables and one self-contained page out.

The page is `report.html` beside `summary.json`: no script, no address outside itself, and
every text from the run's files escaped. What was not measured shows as missing, never as 0.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tinr.files import write_text
from tinr.records import BadInput
from tinr.runlog import read_log

PHASES = ("base", "align", "sft", "grpo")


@dataclass(frozen=True)
class Measure:
    """One column of the phase table. No split: a gate's recall over the whole catalogue."""

    group: str
    label: str
    title: str
    metric: str
    split: str | None = None


MEASURES = (
    Measure("", "document to token", "doc -> token", "document_to_token"),
    Measure("", "token to document", "token -> doc", "token_to_document"),
    Measure("", "token to schema", "token -> schema", "token_to_schema"),
    Measure("Names exactly the right tools", "seen", "name seen", "name_em", "seen"),
    Measure("Names exactly the right tools", "unseen", "name unseen", "name_em", "unseen"),
    Measure("Names exactly the right tools", "out of domain", "name ood", "name_em", "ood"),
    Measure("Calls exactly right", "seen", "call seen", "call_em", "seen"),
    Measure("Calls exactly right", "unseen", "call unseen", "call_em", "unseen"),
    Measure("Calls exactly right", "out of domain", "call ood", "call_em", "ood"),
    Measure("Makes no call", "no tool needed", "no-tool abstention", "abstain_acc", "no_tool"),
)

RECALLS = 3  # the first of them
KINDS = {  # what a value of the summary must be, and the test for it
    "text": lambda v: isinstance(v, str),
    "a whole number": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "a finite number from 0 up": lambda v: _is_finite(v) and v >= 0,
    "an object": lambda v: isinstance(v, Mapping),
    "a share in [0, 1]": lambda v: _is_finite(v) and 0 <= v <= 1,
}
TEXT, WHOLE, AMOUNT, _, SHARE = KINDS
EVALUATION = {"*": {"*": {"*": {"value": SHARE, "n": AMOUNT, "low": SHARE, "high": SHARE}}}}
COMPARISON = dict.fromkeys(("metric", "before", "after"), TEXT)
COMPARISON |= dict.fromkeys(("n", "gained", "lost"), AMOUNT) | {"p": SHARE}
SHAPE = {
    "phases": {"*": {"checkpoint": TEXT, "seconds": AMOUNT, "gate": {"*": SHARE}}},
    "eval": EVALUATION,
    "history": {"*": EVALUATION},
    "comparison": COMPARISON,
    "seconds": AMOUNT,
    "peak_rss_gib": AMOUNT,
    "seed": WHOLE,
    "versions": {"*": TEXT},
    "cost": {"prompt_tokens": {"*": AMOUNT}},
}


def read_summary(path: Path) -> dict[str, Any]:
    """The summary of a run; any part may be absent, none may be wrong, else BadInput."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(
            f"{path}: cannot read it ({error.strerror}); give the folder of a finished quickstart"
        ) from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: no valid JSON ({error}); run the quickstart again") from error
    _check(data, SHAPE, path, "")
    return data


def _check(value: Any, shape: Any, path: Path, pointer: str) -> None:
    """Raise BadInput at the first place where `value` is not of `shape`; null is missing."""
    kind = shape if isinstance(shape, str) else "an object"
    if not KINDS[kind](value):
        place = (pointer or "/").encode("unicode_escape").decode()
        raise BadInput(f"{path}: {place} is {repr(value)[:60]}, not {kind}; correct it there")
    if isinstance(shape, Mapping):
        for key in (key for key in value if value[key] is not None):
            if inner := shape.get(key, shape.get("*")):
                _check(value[key], inner, path, f"{pointer}/{key}")


def _is_finite(value: Any) -> bool:
    """A number one can draw: no truth value, nan, infinity or 400-digit integer."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


def phase_table(summary: Mapping[str, Any]) -> list[list[str]]:
    """Head and one row a phase: recall, then calls without documents; percent, "-" is missing.

    A cell reads "93.2 (90.1-95.4, n=300)": value, 95 % interval, size of the sample.
    """
    rows = [["phase", *(measure.title for measure in MEASURES)]]
    for phase in _phases(summary):
        cells = [_cell_text(_rate(summary, phase, measure)) for measure in MEASURES]
        rows.append([phase, *cells])
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
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        table.add_column("")
        for row in shown:
            table.add_column(Text(row[0]), justify="right")
        for index in range(start, stop):
            table.add_row(head[index], *(Text(row[index]) for row in shown))
        console.print(table)


def write_report(run: Path) -> Path:
    """Write `run/report.html`, whole or not at all, and return its path; BadInput if it can't."""
    run = Path(run)
    summary = read_summary(run / "summary.json")
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    logs = _read_logs(run / "logs")
    html = environment.get_template("report.html.j2").render(_page(run, summary, logs))
    path = run / "report.html"
    try:
        write_text(path, html.encode("utf-8", "replace").decode("utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: cannot write it ({error.strerror}); make room for it") from error
    return path


def _page(run: Path, summary: Mapping[str, Any], logs: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows; the words for splits, modes and metrics are the template's."""
    seconds = {p: _at(summary, "phases", p, "seconds") or 0 for p in _phases(summary)}
    tokens = {p: max((y for _, y in _series(logs[p], "train/tokens")), default=None) for p in logs}
    total = max(_at(summary, "seconds") or 0, sum(seconds.values()))
    return {
        "name": run.resolve().name,
        "headline": headline(summary),
        "recall": _grid(summary, MEASURES[:RECALLS]),
        "calls": _grid(summary, MEASURES[RECALLS:]),
        "splits": _splits(_at(summary, "eval") or {}),
        "comparison": _comparison(summary),
        "charts": charts(logs),
        "phases": [
            {
                "name": phase,
                "checkpoint": _at(summary, "phases", phase, "checkpoint"),
                "seconds": seconds[phase],
                "tokens": tokens.get(phase),
            }
            for phase in _phases(summary)
        ],
        "total": total,
        "rest": total - sum(seconds.values()),
        "peak": _at(summary, "peak_rss_gib"),
        "prompt": _at(summary, "cost", "prompt_tokens") or {},
        "seed": _at(summary, "seed"),
        "versions": _at(summary, "versions") or {},
    }


def headline(summary: Mapping[str, Any]) -> str:
    """One or two sentences: what the model now knows without documents, with the figures."""

    def share(split: str, metric: str, words: str) -> str:
        value = _at(summary, "eval", split, "none", metric, "value")
        return "" if value is None else words.format(f"{100 * value:.0f} %")

    known = (
        share("seen", "name_em", "names exactly the right tools for {} of new queries"),
        share("seen", "call_em", "gets every call right for {}"),
    )
    beyond = (
        share("unseen", "call_em", "{} with tools it knows only from their documents"),
        share("ood", "call_em", "{} with tools of another domain"),
    )
    silent = share("no_tool", "abstain_acc", "it makes no call for {} of queries that need none")
    calls = f"its calls are right for {_join(beyond)}" if any(beyond) else ""
    first = _join(known) and f"without any documentation in the prompt the model {_join(known)}"
    second = "; ".join(part for part in (calls, silent) if part)
    sentences = [f"{part[0].upper()}{part[1:]}." for part in (first, second) if part]
    return " ".join(sentences) or "Nothing was evaluated without documents in this run."


def _join(parts: Iterable[str]) -> str:
    return " and ".join(part for part in parts if part)


def _grid(summary: Mapping[str, Any], measures: Sequence[Measure]) -> dict[str, Any]:
    """Rows of cells, a phase a column; a phase or measure without any figure is left out."""
    phases = [p for p in _phases(summary) if any(_cell(_rate(summary, p, m)) for m in measures)]
    rows = []
    for measure in measures:
        cells = [_cell(_rate(summary, phase, measure)) for phase in phases]
        if any(cells):
            rows.append({"group": measure.group, "label": measure.label, "cells": cells})
    return {"columns": phases, "rows": rows}


def _splits(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """For each split the metrics as rows of cells, a documents mode a column."""
    tables = {}
    for split, by_mode in evaluation.items():
        modes = {mode: rates for mode, rates in (by_mode or {}).items() if rates}
        rows = []
        for name in dict.fromkeys(name for rates in modes.values() for name in rates):
            cells = [_cell(_at(rates, name)) for rates in modes.values()]
            if any(cells):
                rows.append({"label": name, "cells": cells})
        if rows:
            tables[split] = {"columns": list(modes), "rows": rows}
    return tables


def _comparison(summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """The paired comparison with its change in points; None where its counts are missing."""
    given = {key: _at(summary, "comparison", key) for key in COMPARISON}
    if not given["n"] or given["gained"] is None or given["lost"] is None:
        return None
    return given | {"points": 100 * (given["gained"] - given["lost"]) / given["n"]}


def _phases(summary: Mapping[str, Any]) -> list[str]:
    """The phases of the run in their order, unknown ones last."""
    return _in_order([*(_at(summary, "phases") or {}), *(_at(summary, "history") or {})])


def _in_order(names: Iterable[str]) -> list[str]:
    given = dict.fromkeys(names)
    return [p for p in PHASES if p in given] + [p for p in given if p not in PHASES]


def _rate(summary: Mapping[str, Any], phase: str, measure: Measure) -> Mapping[str, Any] | None:
    if measure.split is None:
        return {"value": _at(summary, "phases", phase, "gate", measure.metric)}
    place = (measure.split, "none", measure.metric)
    found = _at(summary, "history", phase, *place)
    if found is None and [phase] == [p for p in _phases(summary) if p in PHASES][-1:]:
        found = _at(summary, "eval", *place)
    return found


def _at(data: Any, *keys: str) -> Any:
    """The value below a chain of keys, None where a link of it is missing."""
    for key in keys:
        if not isinstance(data, Mapping):
            return None
        data = data.get(key)
    return data


def _cell(rate: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A rate in percent: value, low, high (None: no interval) and n; None where unscored."""
    value, low, high, n = (_at(rate, key) for key in ("value", "low", "high", "n"))
    interval = {"low": None, "high": None}
    if low is not None and high is not None:
        interval = {"low": 100 * low, "high": 100 * high}
    size = None if n is None else round(n)
    return None if value is None else {"value": 100 * value, **interval, "n": size}


def _cell_text(rate: Mapping[str, Any] | None) -> str:
    if (cell := _cell(rate)) is None:
        return "-"
    beside = [] if cell["low"] is None else [f"{cell['low']:.1f}-{cell['high']:.1f}"]
    beside += [] if cell["n"] is None else [f"n={cell['n']}"]
    return f"{cell['value']:.1f}" + (f" ({', '.join(beside)})" if beside else "")


def _read_logs(folder: Path) -> dict[str, list[Any]]:
    """Phase -> rows of its log, in the order of the phases."""
    logs = {}
    for phase in _in_order(path.stem for path in sorted(folder.glob("*.jsonl"))):
        path = folder / f"{phase}.jsonl"
        try:
            logs[phase] = read_log(path)
        except (OSError, ValueError, RecursionError) as error:
            raise BadInput(f"{path}: unreadable log ({error}); mend or move it") from error
    return logs


LEFT, RIGHT, TOP, BOTTOM = 40, 332, 10, 168  # a chart's field in its 340 x 190 pixels
Points = Sequence[tuple[float, float]]


def charts(logs: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """A loss curve for every phase; the rewards and the flat groups where they were logged."""
    drawn = []
    for phase, rows in logs.items():
        parts = ("total", "format", "tool", "answer")
        rewards = {part: _series(rows, f"reward/{part}") for part in parts}
        flat = {"flat": _series(rows, "rollout/flat_groups")}
        drawn += [
            _chart(phase, "loss", {"loss": _series(rows, "train/loss")}),
            _chart(phase, "rewards", rewards, share=True),
            _chart(phase, "flat groups", flat, share=True),
        ]
    return [chart for chart in drawn if chart]


def _chart(phase: str, kind: str, series: Mapping[str, Points], share: bool = False) -> Any:
    """Ticks, and a line's raw path, smooth path and dots, in pixels; None without points."""
    series = {name: binned(points) for name, points in series.items() if points}
    if not series:
        return None
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points] + [0.0, 1.0] * share
    first, last, low, high = min(xs), max(max(xs), min(xs) + 1), min(ys), max(ys)
    log = not share and low > 0 and high / low > 20  # a loss that falls by orders of magnitude
    low, high = (low, high) if log else (min(0.0, low), high if high > low else low + 1)
    scale = math.log if log else float

    def place(x: float, y: float) -> tuple[float, float]:
        up = (scale(y) - scale(low)) / (scale(high) - scale(low))
        across = (x - first) / (last - first)
        return round(LEFT + across * (RIGHT - LEFT), 1), round(BOTTOM - up * (BOTTOM - TOP), 1)

    def path(points: Points) -> str:
        return "M" + "L".join(f"{x} {y}" for x, y in (place(*point) for point in points))

    lines = []
    for name, points in series.items():
        smooth = smoothed(points)
        few = [*smooth[:: -(-len(smooth) // 24)], smooth[-1]]
        dots = [{"at": place(x, y), "step": x, "value": y} for x, y in few]
        lines.append({"name": name, "raw": path(points), "smooth": path(smooth), "dots": dots})
    return {
        "phase": phase,
        "kind": kind,
        "log": log,
        "lines": lines,
        "x_ticks": [(place(x, high)[0], f"{x:,.0f}") for x in ticks(first, last) if x % 1 == 0],
        "y_ticks": [(place(first, y)[1], f"{y:.4g}") for y in ticks(low, high, log)],
    }


def ticks(low: float, high: float, log: bool = False) -> list[float]:
    """Round numbers in [low, high]: 1, 2 or 5 times a power of ten apart, or 1, 10, 100."""
    if log:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        return [t for t in (10.0**power for power in powers) if low <= t <= high]
    unit = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = unit * next(m for m in (1, 2, 5, 10) if (high - low) / (unit * m) <= 5)
    return [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def smoothed(points: Points) -> Points:
    """Moving mean over a twentieth of the points to either side, as far as they reach."""
    half = len(points) // 20
    means = []
    for i, (x, _) in enumerate(points):
        window = [y for _, y in points[max(0, i - half) : i + half + 1]]
        means.append((x, sum(window) / len(window)))
    return means


def binned(points: Points, most: int = 500) -> Points:
    """At most `most` points: the last step and the mean value of so many rows each."""
    size = -(-len(points) // most)
    bins = [points[i : i + size] for i in range(0, len(points), size)]
    return [(rows[-1][0], sum(y for _, y in rows) / len(rows)) for rows in bins]


def _series(rows: Sequence[Any], name: str) -> Points:
    """(step, value) by step, of every row that has both as finite numbers."""
    return sorted(
        (float(row["step"]), float(row[name]))
        for row in rows
        if isinstance(row, Mapping) and _is_finite(row.get("step")) and _is_finite(row.get(name))
    )
