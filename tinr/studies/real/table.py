"""The table and the plot of the study on real tools, from the verdict files of its cells."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from tinr.evaluation.comparison import ComparisonCell, Contenders, Phrasings, cells
from tinr.evaluation.contenders import CALLS, values_from
from tinr.evaluation.verdicts import Verdicts
from tinr.records import BadInput
from tinr.studies.plots import as_svg

COLUMNS = (
    "tools", "arm", "seeds", "seen: named / called", "unseen: named / called",
    "all: called (95 %)", "BFCL's rules", "prompt tokens", "written", "s per query",
    "training tokens", "training s",
)  # fmt: skip
COSTS = ("prompt_tokens", "generated_tokens", "seconds")  # per query


@dataclass(frozen=True)
class ArmResult:
    """An arm over N tools: its rates over the questions that all arms share, and its mean costs."""

    tools: int
    arm: str
    seeds: int
    rates: Mapping[tuple[str, str], ComparisonCell]  # (split, metric)
    costs: Mapping[str, float]  # COSTS, `tokens` and `training_seconds`


def arm_results(files: Sequence[Verdicts]) -> list[ArmResult]:
    """Pool the cells' files by tools and arm.

    BadInput for a file of another command, and for two files of one cell.
    """
    by_cell: dict[tuple[int, str, int | None], Verdicts] = {}
    by_tools: dict[int, dict[str, list[Verdicts]]] = defaultdict(lambda: defaultdict(list))
    for file in files:
        if not {"tools", "cost", "training", "settings"} <= file.facts.keys():
            raise BadInput(f"{file.path}: no cell of `tinr study real`; leave it out")
        first = by_cell.setdefault((file.facts["tools"], file.arm, file.seed), file)
        if first is not file:
            raise BadInput(f"{file.path}: the same cell as {first.path}; leave one out")
        by_tools[file.facts["tools"]][file.arm].append(file)
    return [
        result for tools, by_arm in sorted(by_tools.items()) for result in _results(tools, by_arm)
    ]


def _results(tools: int, by_arm: Mapping[str, Sequence[Verdicts]]) -> list[ArmResult]:
    contenders: Contenders = {
        arm: [values_from(list(file.rows)) for file in files] for arm, files in by_arm.items()
    }
    phrasings: Phrasings = {
        row["id"]: row["phrasings"] for files in by_arm.values() for f in files for row in f.rows
    }
    splits = ("seen", "unseen", CALLS)
    metrics = ("name_em", "call_em", "call_em_lenient")
    tables = {
        (split, metric): cells(contenders, split, metric, phrasings)
        for split in splits
        for metric in metrics
    }
    return [
        ArmResult(
            tools,
            arm,
            len(files),
            {key: table[arm] for key, table in tables.items() if arm in table},
            _costs(files),
        )
        for arm, files in by_arm.items()
    ]


def _costs(files: Sequence[Verdicts]) -> dict[str, float]:
    """Mean costs over the seeds; training without the base's."""
    costs = {name: fmean(f.facts["cost"][name] for f in files) for name in COSTS}
    phases = [[p for name, p in f.facts["training"].items() if name != "base"] for f in files]
    costs["tokens"] = fmean(sum(p["tokens"] for p in own) for own in phases)
    costs["training_seconds"] = fmean(sum(p["seconds"] for p in own) for own in phases)
    return costs


def markdown(results: Sequence[ArmResult]) -> str:
    """Render the table; rates in percent."""
    lines = [_line(COLUMNS), _line(["---"] * len(COLUMNS)), *(_line(_row(r)) for r in results)]
    return "\n".join(lines) + "\n"


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _row(result: ArmResult) -> list[str]:
    costs, total = result.costs, result.rates.get((CALLS, "call_em"))
    return [
        str(result.tools),
        result.arm,
        str(result.seeds),
        *(
            f"{_percent(result, split, 'name_em')} / {_percent(result, split, 'call_em')}"
            for split in ("seen", "unseen")
        ),
        _percent(result, CALLS, "call_em")
        + (f" ({100 * total.low:.0f} to {100 * total.high:.0f})" if total else ""),
        _percent(result, CALLS, "call_em_lenient"),
        f"{costs['prompt_tokens']:.0f}",
        f"{costs['generated_tokens']:.0f}",
        f"{costs['seconds']:.2f}",
        f"{costs['tokens']:,.0f}",
        f"{costs['training_seconds']:,.0f}",
    ]


def _percent(result: ArmResult, split: str, metric: str) -> str:
    cell = result.rates.get((split, metric))
    return "-" if cell is None else f"{100 * cell.value:.1f}"


def plot(results: Sequence[ArmResult]) -> str:
    """Plot right calls against the number of tools as SVG, a line per arm, with intervals."""

    def paint(axes: Sequence[Any]) -> None:
        for arm in dict.fromkeys(result.arm for result in results):
            own = [(r.tools, r.rates[CALLS, "call_em"]) for r in results
                   if r.arm == arm and (CALLS, "call_em") in r.rates]  # fmt: skip
            heights = [100 * cell.value for _, cell in own]
            errors = [
                [100 * (cell.value - cell.low) for _, cell in own],
                [100 * (cell.high - cell.value) for _, cell in own],
            ]
            axes[0].errorbar(
                [tools for tools, _ in own], heights, yerr=errors, marker="o", capsize=3, label=arm
            )
        axes[0].set(xlabel="tools", ylabel="right calls, %", xscale="log", ylim=(0, 100))
        ticks = sorted({result.tools for result in results})
        axes[0].set_xticks(ticks, [str(tick) for tick in ticks], minor=False)
        axes[0].set_xticks([], minor=True)
        axes[0].legend(loc="lower left")

    return as_svg(paint, size=(7, 4))
