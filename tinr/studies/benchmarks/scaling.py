"""How time grows with tools, model size and group size: exponents of power laws.

tools    seconds of an epoch of alignment: more documents, and a vocabulary with a row for each
model    seconds of a million useful tokens of supervised training, by the model's parameters
group    seconds of a step of GRPO, rollouts and update, by the conversations per prompt

Models have random weights, so every conversation runs to its limit; speeds are those of the
phases' own trainers. A law is fitted by least squares of logarithms; deviations from it show in
the exponent's interval and in the plot.
"""

import copy
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from scipy.stats import linregress, t

from tinr.catalogue.load import Catalogue
from tinr.catalogue.retrieval import DocumentsConfig, Library
from tinr.data.alignment_examples import PairMix
from tinr.data.replay import aligned_examples, tokens_in
from tinr.files import write_text
from tinr.records import BadInput, Query
from tinr.rollout.scoring.rewards import RewardWeights
from tinr.rollout.tools.executor import Executor
from tinr.run_log import RunLog
from tinr.studies.benchmarks.training import Set, make_set, our_speed, step_ends
from tinr.studies.plots import as_svg
from tinr.training.grpo import train_policy
from tinr.training.grpo_config import PolicyConfig
from tinr.training.grpo_rollout import RolloutSource

TOOLS = (100, 300, 1_000, 3_000)
HIDDEN = (64, 128, 192, 256, 384)
GROUPS = (2, 4, 8, 16, 32)
PROMPTS = 4  # per step of GRPO
WRITTEN = 64  # tokens per conversation
STEPS = 4  # of GRPO, after one warm-up step
LEAST = 3  # minimum number of points of a law


@dataclass(frozen=True)
class Law:
    """seconds = factor * size ** exponent, with the exponent's 95 % interval."""

    what: str
    of: str  # unit of the sizes
    sizes: tuple[int, ...]
    seconds: tuple[float, ...]
    exponent: float
    low: float
    high: float
    factor: float


def fit_law(what: str, of: str, sizes: Sequence[int], seconds: Sequence[float]) -> Law:
    """Fit a power law to at least three sizes; BadInput for fewer."""
    if len(set(sizes)) < LEAST:
        raise BadInput(f"{what}: {len(set(sizes))} sizes; a law needs {LEAST} or more")
    line: Any = linregress([math.log(x) for x in sizes], [math.log(y) for y in seconds])
    half_width = float(t.ppf(0.975, len(sizes) - 2)) * line.stderr
    return Law(
        what, of, tuple(sizes), tuple(round(y, 4) for y in seconds), round(line.slope, 3),
        round(line.slope - half_width, 3), round(line.slope + half_width, 3),
        math.exp(line.intercept),
    )  # fmt: skip


def measure_scaling(catalogue: Catalogue, steps: int = 10, repeats: int = 3) -> list[Law]:
    """Measure the three laws; each point is the median of `repeats` runs.

    steps: of supervised training at each size. Leaves out numbers of tools above the catalogue's;
    BadInput if too few remain.
    """
    counts = [n for n in TOOLS if n <= len(catalogue.tools)]
    if len(counts) < LEAST:
        raise BadInput(
            f"--tools: {len(catalogue.tools)} tools, but {TOOLS[LEAST - 1]:,} are needed; give more"
        )
    tools = Random(0).sample(list(catalogue.tools), len(catalogue.tools))
    small_catalogue = Catalogue(tuple(tools[: TOOLS[0]]))

    def median_of(measure: Callable[[], float]) -> float:
        return median(measure() for _ in range(repeats))

    return [
        _by_tools([Catalogue(tuple(tools[:n])) for n in counts], steps, median_of),
        _by_model(small_catalogue, steps, median_of),
        _by_group(small_catalogue, median_of),
    ]


def _by_tools(catalogues: Sequence[Catalogue], steps: int, median_of: Callable[..., float]) -> Law:
    """Seconds of an epoch of each catalogue's pairs, from the speed of `steps` steps."""
    seconds = []
    for catalogue in catalogues:
        training_set = make_set(catalogue, steps)
        epoch = tokens_in(aligned_examples(training_set.codec, catalogue, PairMix(), Random(0)))
        speed = median_of(lambda g=training_set: our_speed(g, steps, "muon").tokens_a_second)
        seconds.append(epoch / speed)
    return fit_law("an epoch of alignment", "tools", [len(c.tools) for c in catalogues], seconds)


def _by_model(catalogue: Catalogue, steps: int, median_of: Callable[..., float]) -> Law:
    training_sets = [make_set(catalogue, steps, hidden) for hidden in HIDDEN]
    return fit_law(
        "a million tokens of training",
        "parameters",
        [training_set.model.num_parameters() for training_set in training_sets],
        [
            median_of(lambda o=training_set: 1e6 / our_speed(o, steps, "muon").tokens_a_second)
            for training_set in training_sets
        ],
    )


def _by_group(catalogue: Catalogue, median_of: Callable[..., float]) -> Law:
    training_set = make_set(catalogue, 0)
    seconds = [
        median_of(lambda g=group: group_seconds(training_set, catalogue, g)) for group in GROUPS
    ]
    return fit_law("a step of GRPO", "conversations per prompt", GROUPS, seconds)


def group_seconds(training_set: Set, catalogue: Catalogue, group: int) -> float:
    """Seconds of one step of GRPO with `group` conversations per prompt.

    No conversation ends before its limit, and nothing is replayed.
    """
    config = PolicyConfig(
        steps=STEPS + 1, prompts=PROMPTS, group=group, oversample=1.0, max_tokens=WRITTEN,
        replay_weight=0.0, checkpoint_steps=0,
    )  # fmt: skip
    queries = [
        Query(f"q{n}", " ".join(doc.description.split()[:8]))
        for n, doc in enumerate(catalogue.tools)
    ]
    with tempfile.TemporaryDirectory() as folder, RunLog(Path(folder), "grpo", {}) as log:
        source = RolloutSource(
            training_set.codec, Library(catalogue, DocumentsConfig()), Executor(catalogue, {}),
            queries, config, RewardWeights(), 0, log,
        )  # fmt: skip
        train_policy(
            copy.deepcopy(training_set.model), source, iter(()), title=f"groups of {group}"
        )
        end_seconds = step_ends(log)
    return (end_seconds[max(end_seconds)] - end_seconds[1]) / (max(end_seconds) - 1)


def plot_laws(laws: Sequence[Law], path: Path) -> None:
    """Write the points and their laws as SVG, all axes logarithmic."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    def paint(axes: Sequence[Any]) -> None:
        for axis, law in zip(axes, laws, strict=True):
            axis.plot(law.sizes, law.seconds, "o")
            fitted_seconds = [law.factor * size**law.exponent for size in law.sizes]
            axis.plot(law.sizes, fitted_seconds, "-", label=f"exponent {law.exponent:.2f}")
            axis.set(xscale="log", yscale="log", xlabel=law.of, title=f"{law.what}, s")
            axis.set_xticks(law.sizes, [_short_number(size) for size in law.sizes])
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.xaxis.set_minor_locator(NullLocator())
            axis.yaxis.set_minor_locator(NullLocator())
            axis.legend(frameon=False)

    write_text(path, as_svg(paint, panels=len(laws), size=(10, 3.2)))


def _short_number(size: int) -> str:
    return f"{size / 1e6:.1f}M" if size >= 100_000 else f"{size:,}"
