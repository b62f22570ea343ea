"""The arms of the comparison: the same base and data, with different settings.

Each arm is the quickstart's chain with a few settings changed. Sources: `in_prompt` and
`retrieved` are the baselines of TInR-U (arXiv 2604.10788); `names` and `one_direction` are its
ablations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from tinr.chain.quickstart import Paths, known_preset, train_chain
from tinr.checkpoints.registry import Registry
from tinr.records import BadInput, DocumentsMode

ONE_WAY = "{memorise: %d, recall: 0, schema: 0, pseudo: 0, naming: 0, blind: 0, lacking: 0}"
TRAINED = ("align", "sft", "grpo")
NO_PAIRS = f"mix={ONE_WAY % 0}"


@dataclass(frozen=True)
class Arm:
    """One way to give a model its tools.

    changes: phase -> overrides of the preset; a phase without an entry is not run.
    """

    about: str
    documents: DocumentsMode = "none"
    changes: Mapping[str, Sequence[str]] = field(default_factory=lambda: dict.fromkeys(TRAINED, ()))


def _prompted(mode: DocumentsMode, *prompt: str) -> dict[str, tuple[str, ...]]:
    """Skip alignment and its replay; put documents in every prompt, pseudo-queries included."""
    return {
        "sft": (
            "catalogue=[toolbox,fieldkit]", f"documents={{{mode}: 1}}", *prompt,
            "replay_pairs=0", "unqueried=0", "pseudo=10", NO_PAIRS,
        ),
        "grpo": (f"policy.documents=[{mode}]", *prompt, "unqueried=0", NO_PAIRS),
    }  # fmt: skip


ARMS: Mapping[str, Arm] = {
    "internalized": Arm("tool tokens, aligned in both directions; no document in the prompt"),
    "retrieved": Arm(
        "names; the three documents that BM25 ranks first in the prompt; no alignment",
        "retrieved",
        _prompted("retrieved", "prompt.top_k=3"),
    ),
    "in_prompt": Arm(
        "names; three candidate documents in the prompt, always including the right ones",
        "in_prompt",
        _prompted("in_prompt", "prompt.candidates=3"),
    ),
    "names": Arm(
        "as internalized, but with names instead of tokens",
        changes={"align": ("tools_as=names", "min_recall={}"), "sft": (), "grpo": ()},
    ),
    "one_direction": Arm(
        "as internalized, but only document -> token is taught (memorisation)",
        changes={
            "align": (f"mix={ONE_WAY % 16}", "min_recall={}"),
            "sft": (f"mix={ONE_WAY % 10}", "unqueried=0"),
            "grpo": (f"mix={ONE_WAY % 10}", "unqueried=0"),
        },
    ),
}


def run_arms(
    names: Sequence[str],
    preset: str,
    seed: int,
    out: Path,
    base: str = "",
    changes: Sequence[str] = (),
) -> dict[str, str]:
    """Train the missing arms in one registry; returns arm -> id of its last checkpoint.

    Each is tagged `arm-NAME`. base: as in `train_chain`. changes: `PHASE.KEY=VALUE`, for every arm
    that has this phase and does not override the key itself. BadInput for an unknown arm, preset
    or phase.
    """
    unknown_names = [name for name in names if name not in ARMS]
    if unknown_names:
        raise BadInput(f"no arm {unknown_names[0]!r}; the arms are {', '.join(ARMS)}")
    known_preset(preset)
    chains = {name: overrides(ARMS[name], changes) for name in names or ARMS}
    console = Console(stderr=True)  # stdout is for the result
    registry = Registry(Paths(out).registry)
    checkpoints: dict[str, str] = {}
    for name, chain in chains.items():
        console.rule(f"{name}: {ARMS[name].about}", align="left")
        paths = _ArmPaths(out, name)
        cards = train_chain(preset, seed, paths, console, chain, base)
        checkpoints[name] = list(cards.values())[-1].id
        registry.tag(f"arm-{name}", checkpoints[name])
    return checkpoints


def overrides(arm: Arm, changes: Sequence[str] = ()) -> dict[str, tuple[str, ...]]:
    """Return phase -> overrides of the preset: `changes` first, then the arm's own.

    A change is ignored if the arm does not have its phase. BadInput for a phase that no arm has.
    """
    shared_settings: dict[str, list[str]] = {phase: [] for phase in TRAINED}
    for change in changes:
        phase, _, setting = change.partition(".")
        if phase not in TRAINED or "=" not in setting:
            raise BadInput(
                f"--change {change}: write PHASE.KEY=VALUE with a phase of {', '.join(TRAINED)}"
            )
        shared_settings[phase].append(setting)
    return {
        phase: (*shared_settings[phase], *own_settings)
        for phase, own_settings in arm.changes.items()
    }


@dataclass(frozen=True)
class _ArmPaths(Paths):
    """One registry for all arms; each arm has its own logs."""

    arm: str

    @property
    def logs(self) -> Path:
        return self.out / "logs" / self.arm
