"""The arms of the comparison: one base, one set of data, and what differs, stated.

Each arm is the quickstart's chain with a few settings changed. Sources: documents in the
prompt and a retriever are the usual way (the baselines of TInR-U, arXiv 2604.10788);
names for tokens and one direction are its ablations.
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
    """How tools are known; `changes`: phase -> overrides of the preset, phases left out are not
    run."""

    about: str
    documents: DocumentsMode = "none"
    changes: Mapping[str, Sequence[str]] = field(default_factory=lambda: dict.fromkeys(TRAINED, ()))


def _prompted(mode: DocumentsMode, *prompt: str) -> dict[str, tuple[str, ...]]:
    """No alignment, nothing replayed from it; documents in every prompt, pseudo-queries too."""
    return {
        "sft": (
            "catalogue=[toolbox,fieldkit]", f"documents={{{mode}: 1}}", *prompt,
            "replay_pairs=0", "unqueried=0", "pseudo=10", NO_PAIRS,
        ),
        "grpo": (f"policy.documents=[{mode}]", *prompt, "unqueried=0", NO_PAIRS),
    }  # fmt: skip


ARMS: Mapping[str, Arm] = {
    "internalized": Arm("tool tokens, aligned both ways; no document in the prompt"),
    "retrieved": Arm(
        "names; the three documents that BM25 finds in the prompt; no alignment",
        "retrieved",
        _prompted("retrieved", "prompt.top_k=3"),
    ),
    "in_prompt": Arm(
        "names; three candidate documents in the prompt, the right ones always among them",
        "in_prompt",
        _prompted("in_prompt", "prompt.candidates=3"),
    ),
    "names": Arm(
        "as internalized, tools written out instead of tokens",
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
    """Train the arms in one registry, or what is left of it; arm -> id of its last checkpoint.

    Each is tagged `arm-NAME`. base: as in `train_chain`. changes: `PHASE.KEY=VALUE`, for every arm
    that has this phase and does not itself say otherwise. BadInput for an unknown arm, preset or
    phase.
    """
    unknown = [name for name in names if name not in ARMS]
    if unknown:
        raise BadInput(f"no arm {unknown[0]!r}; the arms are {', '.join(ARMS)}")
    known_preset(preset)
    chains = {name: overrides(ARMS[name], changes) for name in names or ARMS}
    console = Console(stderr=True)  # what was made is the result
    registry = Registry(Paths(out).registry)
    done: dict[str, str] = {}
    for name, chain in chains.items():
        console.rule(f"{name}: {ARMS[name].about}", align="left")
        paths = _ArmPaths(out, name)
        cards = train_chain(preset, seed, paths, console, chain, base)
        done[name] = list(cards.values())[-1].id
        registry.tag(f"arm-{name}", done[name])
    return done


def overrides(arm: Arm, changes: Sequence[str] = ()) -> dict[str, tuple[str, ...]]:
    """Phase -> what it is given beside the preset: `PHASE.KEY=VALUE` of all arms, then its own.

    A phase that the arm lacks is passed over; BadInput for one that no arm has.
    """
    common: dict[str, list[str]] = {phase: [] for phase in TRAINED}
    for change in changes:
        phase, _, setting = change.partition(".")
        if phase not in TRAINED or "=" not in setting:
            raise BadInput(
                f"--change {change}: write PHASE.KEY=VALUE with a phase of {', '.join(TRAINED)}"
            )
        common[phase].append(setting)
    return {phase: (*common[phase], *own) for phase, own in arm.changes.items()}


@dataclass(frozen=True)
class _ArmPaths(Paths):
    """One registry for all arms, logs of its own for each."""

    arm: str

    @property
    def logs(self) -> Path:
        return self.out / "logs" / self.arm
