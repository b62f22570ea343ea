"""How time grows: with tools, with the model and with the group, as exponents of power laws.

tools    seconds of an epoch of alignment: more documents, and a vocabulary with a row for each
model    seconds of a million useful tokens of supervised training, by the model's parameters
group    seconds of a step of GRPO, rollouts and update, by the conversations of a prompt

Models have random weights, so every conversation runs to its limit; speeds are those of the
phases' own trainers. A law is fitted by least squares of logarithms; what does not follow one
shows in the exponent's interval and in the plot.
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
PROMPTS = 4  # of a step of GRPO
WRITTEN = 64  # tokens of each conversation
STEPS = 4  # of GRPO, after one that is not counted
LEAST = 3  # points of a law


@dataclass(frozen=True)
class Law:
    """seconds = factor * size ** exponent, with the exponent's 95 % interval."""

    what: str
    of: str  # what is counted in sizes
    sizes: tuple[int, ...]
    seconds: tuple[float, ...]
    exponent: float
    low: float
    high: float
    factor: float


def fit_law(what: str, of: str, sizes: Sequence[int], seconds: Sequence[float]) -> Law:
    """The power law through at least three points; BadInput for fewer."""
    if len(set(sizes)) < LEAST:
        raise BadInput(f"{what}: {len(set(sizes))} sizes; a law needs {LEAST} or more")
    line: Any = linregress([math.log(x) for x in sizes], [math.log(y) for y in seconds])
    reach = float(t.ppf(0.975, len(sizes) - 2)) * line.stderr
    return Law(
        what, of, tuple(sizes), tuple(round(y, 4) for y in seconds), round(line.slope, 3),
        round(line.slope - reach, 3), round(line.slope + reach, 3), math.exp(line.intercept),
    )  # fmt: skip


def measure_scaling(catalogue: Catalogue, steps: int = 10, repeats: int = 3) -> list[Law]:
    """The three laws; numbers of tools above the catalogue's are left out. BadInput where too few
    are left. steps: of supervised training at each size, the median of `repeats` runs."""
    counts = [n for n in TOOLS if n <= len(catalogue.tools)]
    if len(counts) < LEAST:
        raise BadInput(
            f"--tools: {len(catalogue.tools)} tools; {TOOLS[LEAST - 1]:,} are needed, give more"
        )
    mixed = Random(0).sample(list(catalogue.tools), len(catalogue.tools))
    few = Catalogue(tuple(mixed[: TOOLS[0]]))

    def usual(runs: Callable[[], float]) -> float:
        return median(runs() for _ in range(repeats))

    return [
        _by_tools([Catalogue(tuple(mixed[:n])) for n in counts], steps, usual),
        _by_model(few, steps, usual),
        _by_group(few, usual),
    ]


def _by_tools(some: Sequence[Catalogue], steps: int, usual: Callable[..., float]) -> Law:
    """An epoch of each catalogue's pairs, at the speed of some steps on them."""
    taken = []
    for catalogue in some:
        given = make_set(catalogue, steps)
        epoch = tokens_in(aligned_examples(given.codec, catalogue, PairMix(), Random(0)))
        speed = usual(lambda g=given: our_speed(g, steps, "muon").tokens_a_second)
        taken.append(epoch / speed)
    return fit_law("an epoch of alignment", "tools", [len(c.tools) for c in some], taken)


def _by_model(catalogue: Catalogue, steps: int, usual: Callable[..., float]) -> Law:
    given = [make_set(catalogue, steps, hidden) for hidden in HIDDEN]
    return fit_law(
        "a million tokens of training",
        "parameters",
        [one.model.num_parameters() for one in given],
        [usual(lambda o=one: 1e6 / our_speed(o, steps, "muon").tokens_a_second) for one in given],
    )


def _by_group(catalogue: Catalogue, usual: Callable[..., float]) -> Law:
    given = make_set(catalogue, 0)
    taken = [usual(lambda g=group: group_seconds(given, catalogue, g)) for group in GROUPS]
    return fit_law("a step of GRPO", "conversations of a prompt", GROUPS, taken)


def group_seconds(given: Set, catalogue: Catalogue, group: int) -> float:
    """Seconds of one step of GRPO with so many conversations of each prompt, none cut short, and
    nothing replayed."""
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
            given.codec, Library(catalogue, DocumentsConfig()), Executor(catalogue, {}), queries,
            config, RewardWeights(), 0, log,
        )  # fmt: skip
        train_policy(copy.deepcopy(given.model), source, iter(()), title=f"groups of {group}")
        at = step_ends(log)
    return (at[max(at)] - at[1]) / (max(at) - 1)


def plot_laws(laws: Sequence[Law], path: Path) -> None:
    """The points and their laws, all axes logarithmic, as SVG."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    def paint(axes: Sequence[Any]) -> None:
        for axis, law in zip(axes, laws, strict=True):
            axis.plot(law.sizes, law.seconds, "o")
            fitted = [law.factor * size**law.exponent for size in law.sizes]
            axis.plot(law.sizes, fitted, "-", label=f"exponent {law.exponent:.2f}")
            axis.set(xscale="log", yscale="log", xlabel=law.of, title=f"{law.what}, s")
            axis.set_xticks(law.sizes, [_short(size) for size in law.sizes])
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.xaxis.set_minor_locator(NullLocator())
            axis.yaxis.set_minor_locator(NullLocator())
            axis.legend(frameon=False)

    write_text(path, as_svg(paint, panels=len(laws), size=(10, 3.2)))


def _short(size: int) -> str:
    return f"{size / 1e6:.1f}M" if size >= 100_000 else f"{size:,}"
