"""What every phase does around its own work: resolve the parent, reuse, gate, publish.

Phases meet only in the registry. A phase that was already run with the same parent,
configuration, catalogue and code version is not run again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from transformers import PreTrainedModel
from typing_extensions import Doc

from tinr import distributed
from tinr.catalogue.load import Catalogue, load_catalogue
from tinr.chat.codec import Codec
from tinr.checkpoints.card import Card, environment
from tinr.checkpoints.chat_template import savable
from tinr.checkpoints.fingerprint import contents, fingerprint, settings, tokenizer_hash
from tinr.checkpoints.model import check_head, load, to_accelerator
from tinr.checkpoints.open import save
from tinr.checkpoints.registry import PARENT, Registry
from tinr.checkpoints.step_checkpoints import Steps
from tinr.config import TrainableConfig, TrainingConfig, as_dict
from tinr.data.packing import Batch
from tinr.evaluation.metrics import Rate
from tinr.evaluation.recall import GATES, probe
from tinr.files import write_text
from tinr.records import BadInput, GateFailed, Query
from tinr.run_log import RunLog
from tinr.training.loop import TrainedModel, deepspeed_file
from tinr.training.supervised import train

ADAPTER = "adapter"  # folder of a checkpoint for what was trained where not all weights moved


@dataclass(frozen=True)
class PhaseConfig:
    """What all phases need to know."""

    parent: Annotated[str, Doc("registry reference: an id, a tag or phase@latest")] = ""
    registry: str = "runs/registry"
    run: Annotated[str, Doc("folder of the logs")] = "runs/latest"
    wandb: Annotated[bool, Doc("log to wandb too (offline unless WANDB_MODE says otherwise)")] = (
        False
    )
    seed: int = 0
    accept: Annotated[tuple[str, ...], Doc("gates that may fail, by name")] = ()
    trainable: TrainableConfig = field(default_factory=TrainableConfig)


@dataclass
class Stage:
    """One run of one phase, from its parent to its card."""

    phase: str
    config: PhaseConfig
    catalogue: Catalogue
    registry: Registry
    parent: Card
    folder: Path
    fingerprint: str
    steps: Steps
    written: RunLog | None = None  # the log, open until the checkpoint is published

    @property
    def published(self) -> Card | None:
        """The checkpoint of an earlier run of exactly this, if there is one.

        GateFailed where it missed a gate that is not accepted by name now.
        """
        card = self.registry.find(self.phase, self.fingerprint)
        if card is not None:
            missed = [name for name, gate in card.gates.items() if not gate["passed"]]
            self._refuse(missed, card.gates, f"{card.id} had been accepted;")
        return card

    def load(self) -> tuple[PreTrainedModel, Any]:
        """The parent's model and tokenizer; BadInput for a model that cannot be trained here."""
        model, tokenizer = load(self.folder)
        check_head(model)
        model.generation_config = savable(model.generation_config)  # step checkpoints are saved
        return model, tokenizer

    @contextmanager
    def log(self, done: int | None = None) -> Iterator[RunLog]:
        """Within, the phase's log is open, and no other process runs this very phase.

        The resolved configuration is saved before step one. done: steps that earlier starts have
        made, where the stage's own step checkpoints do not say it. Gate and publish within: what
        they find is logged too. BadInput where the phase is running already, or was published
        since this process looked.
        """
        with self.steps.held():
            if (
                distributed.shared(lambda: self.registry.find(self.phase, self.fingerprint))
                is not None
            ):
                raise BadInput(
                    f"{self.phase}: another process has just published this very phase; the same "
                    "command again takes what it made"
                )
            if distributed.rank() == 0:
                write_text(self.steps.folder / PARENT, self.parent.id)  # for gc to keep
                self.registry.resolve(self.parent.id)  # which may have been quicker
            done = self.steps.done if done is None else done
            with open_log(self.phase, self.config, done) as self.written:
                yield self.written

    def train(
        self, model: PreTrainedModel, codec: Codec, batches: Iterable[Batch],
        config: TrainingConfig, log: RunLog,
    ) -> TrainedModel:  # fmt: skip
        """The supervised loop with what all phases configure alike."""
        return train(
            model, codec.tokenizer, batches, config, self.config.seed, log, self.phase,
            self.steps, self.config.trainable, list(codec.markup.values()),
        )  # fmt: skip

    @property
    def aligned(self) -> list[Card]:
        """The checkpoints of phase 1 that this one comes from, the first one first."""
        return [c for c in self.registry.lineage(self.parent.id) if c.phase == "align"]

    def floor(self, tolerance: float) -> dict[str, float] | None:
        """The least recall allowed: what phase 1 reached where it was gated, less the tolerance.

        None for a model that was never aligned: it knows no documents, so nothing is gated.
        """
        if not self.aligned:
            return None
        return {
            name: gate["value"] - tolerance
            for name, gate in self.aligned[-1].gates.items()
            if gate["limit"] is not None and gate["value"] is not None
        }

    def gate(
        self, model: PreTrainedModel, codec: Codec, min_recall: Mapping[str, float]
    ) -> dict[str, Any]:
        """Probe the knowledge of phase 1 against the least shares allowed.

        Raises GateFailed for a gate that is missed and not accepted by name.
        """
        # a trained model: without eval it would answer with dropout, and without a cache where
        # its activations were checkpointed; under DeepSpeed it was gathered on the host
        model = to_accelerator(model).eval()
        measured = probe(model, codec, self.catalogue)
        gates = {name: _gate(rate, min_recall.get(name)) for name, rate in measured.items()}
        if self.written:
            self.written.gates(gates)
        missed = [name for name, gate in gates.items() if not gate["passed"]]
        self._refuse(missed, gates, "nothing was published. Train longer, replay more, or")
        return gates

    def _refuse(self, missed: Sequence[str], gates: Mapping[str, Any], outcome: str) -> None:
        """Raise GateFailed for missed gates that are not accepted by name."""
        refused = [name for name in missed if name not in self.config.accept]
        if refused:
            said = ", ".join(
                f"{name} {gates[name]['value']:.3f} is below {gates[name]['limit']:.3f}"
                for name in refused
            )
            raise GateFailed(
                f"{self.phase}: {said}; {outcome} accept it by name: accept=[{','.join(refused)}]"
            )

    def conclude(
        self,
        trained: TrainedModel,
        codec: Codec,
        min_recall: Mapping[str, float] | None,
        queries: Sequence[Query] = (),
        metrics: Mapping[str, Any] | None = None,
    ) -> Card:
        """Gate, unless `min_recall` is None, and publish with the tools that had queries.

        On several ranks the first does it, and all get its card.
        """
        queried = sorted({call.name for query in queries for call in query.calls})

        def finish() -> Card:
            gates = {} if min_recall is None else self.gate(trained.model, codec, min_recall)
            return self._publish(trained, codec.tokenizer, gates, queried, metrics or {})

        return distributed.shared(finish)

    def _publish(
        self,
        trained: TrainedModel,
        tokenizer: Any,
        gates: Mapping[str, Any],
        queried: Sequence[str],
        metrics: Mapping[str, Any],
    ) -> Card:
        """Write model, tokenizer and catalogue as a new checkpoint."""
        missed = [name for name, gate in gates.items() if not gate["passed"]]
        card = Card(
            phase=self.phase,
            base_model=self.parent.base_model,
            base_hash=self.parent.base_hash,
            tokenizer_hash=tokenizer_hash(tokenizer),
            config=as_dict(self.config),
            seed=self.config.seed,
            fingerprint=self.fingerprint,
            parent=self.parent.id or None,
            catalogue_hash=self.catalogue.hash,
            data_position={"steps": trained.steps, "queried_tools": list(queried)},
            tokens=trained.tokens,
            seconds=self.steps.seconds,
            gates=dict(gates),
            metrics=dict(metrics),
            notes=[f"gate accepted although missed: {name}" for name in missed],
            **environment(),
        )

        def write(folder: Path) -> None:
            save(folder, trained.model, tokenizer, self.catalogue)
            if trained.adapter is not None:
                trained.adapter.save(folder / ADAPTER)

        card = self.registry.publish(card, write)
        self.steps.clear()
        if self.written:
            self.written.published(self.registry.lineage(card.id))
        return card


def begin(
    phase: str,
    config: PhaseConfig,
    parents: tuple[str, ...],
    catalogue: Catalogue | None = None,
    verify: bool = True,
) -> Stage:
    """Open the parent and settle what determines the checkpoint.

    Without a catalogue it is the parent's own; only an align phase gives an aligned parent
    another. Raises BadInput for a parent of another phase, with files that do not fit their
    hashes (verify=False: not looked at), or where the catalogue is not settled.
    """
    for part in vars(config).values():  # before anything is made ready for it
        if hasattr(part, "deepspeed"):
            deepspeed_file(part.deepspeed, part.optimiser)
    for key in ("min_recall", "accept"):
        unknown = sorted(set(getattr(config, key, ())) - set(GATES))
        if unknown:
            raise BadInput(f"{key}: no gate {unknown[0]!r}; the gates are {', '.join(GATES)}")
    registry = Registry(config.registry)
    parent, folder = registry.open(config.parent, phase=parents, verify=verify)
    if catalogue is None and parent.catalogue_hash is None:
        raise BadInput(
            f"{parent.id}: a checkpoint of phase {parent.phase} knows no tools; align it, or "
            "give sft a catalogue=[...] and documents={retrieved: 1}: documents in the prompt"
        )
    if catalogue is not None and parent.catalogue_hash is not None and phase != "align":
        raise BadInput(f"catalogue: {parent.id} has a catalogue of its own; leave the key out")
    if catalogue is None:
        catalogue = load_catalogue(folder)
    mark = fingerprint(phase, settings(config), parent.id, catalogue.hash, *contents(config))
    steps = registry.steps(phase, mark)
    return Stage(phase, config, catalogue, registry, parent, folder, mark, steps)


def open_log(phase: str, config: Any, done: int) -> RunLog:
    """The log of a phase, with what earlier starts logged; other ranks than the first have
    folders of their own."""
    folder, first = Path(config.run), distributed.rank() == 0
    folder = folder if first else folder / f"rank{distributed.rank()}"
    return RunLog(folder, phase, as_dict(config), config.wandb and first, done)


def _gate(rate: Rate, min_recall: float | None) -> dict[str, Any]:
    passed = min_recall is None or rate.value is None or rate.value >= min_recall
    return {**asdict(rate), "limit": min_recall, "passed": passed}
