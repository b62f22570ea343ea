"""The steps that every phase shares: resolve the parent, reuse, gate, publish.

Phases meet only in the registry. A phase that was already run with the same parent,
configuration, catalogue and code version is not run again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from transformers import PreTrainedModel
from typing_extensions import Doc

from tinr import distributed
from tinr.catalogue.load import Catalogue, load_catalogue, query_line, write_jsonl
from tinr.chat.codec import Codec
from tinr.checkpoints.card import Card, environment
from tinr.checkpoints.chat_template import savable
from tinr.checkpoints.fingerprint import contents, fingerprint, settings, tokenizer_hash
from tinr.checkpoints.model import check_head, load, to_accelerator
from tinr.checkpoints.open import save
from tinr.checkpoints.registry import PARENT, Registry
from tinr.checkpoints.step_checkpoints import Steps
from tinr.config import TrainableConfig, TrainingConfig, as_dict
from tinr.data.distillation import Distributions
from tinr.data.packing import Batch
from tinr.evaluation.metrics import Rate
from tinr.evaluation.recall import probe
from tinr.files import write_text
from tinr.records import BadInput, GateFailed, Query
from tinr.run_log import GATES, RunLog
from tinr.training.choice_margins import ChoiceMargins
from tinr.training.loop import TrainedModel, deepspeed_file
from tinr.training.supervised import train

ADAPTER = "adapter"  # folder of a checkpoint for the trained adapter, if not all weights trained
QUERIES = "queries.jsonl"  # file of a checkpoint for training queries, if the user allows it


@dataclass(frozen=True)
class PhaseConfig:
    """Settings of all phases."""

    remedy: ClassVar[str] = "Train longer, replay more, or"  # what to try when a gate is missed

    parent: Annotated[str, Doc("registry reference: an id, a tag or phase@latest")] = ""
    registry: str = "runs/registry"
    run: Annotated[str, Doc("folder of the logs")] = "runs/latest"
    wandb: Annotated[bool, Doc("log to wandb too (offline unless WANDB_MODE says otherwise)")] = (
        False
    )
    seed: int = 0
    accept: Annotated[tuple[str, ...], Doc("names of gates that may fail")] = ()
    trainable: TrainableConfig = field(default_factory=TrainableConfig)


@dataclass
class Phase:
    """One run of one phase, from its parent to its card."""

    name: str
    config: PhaseConfig
    catalogue: Catalogue
    registry: Registry
    parent: Card
    folder: Path
    fingerprint: str
    steps: Steps
    run_log: RunLog | None = None  # the log, open until the checkpoint is published

    @property
    def published(self) -> Card | None:
        """The checkpoint of an earlier run with the same fingerprint, or None.

        GateFailed if it missed a gate that the configuration does not accept by name.
        """
        card = self.registry.find(self.name, self.fingerprint)
        if card is not None:
            missed_gates = [name for name, gate in card.gates.items() if not gate["passed"]]
            self._refuse(missed_gates, card.gates, f"{card.id} was accepted earlier;")
        return card

    def load(self) -> tuple[PreTrainedModel, Any]:
        """Load the parent's model and tokenizer. BadInput if it cannot be trained here."""
        model, tokenizer = load(self.folder)
        check_head(model)
        model.generation_config = savable(model.generation_config)  # step checkpoints are saved
        return model, tokenizer

    @contextmanager
    def log(self, done: int | None = None) -> Iterator[RunLog]:
        """Context manager that opens the phase's log and locks the phase against other processes.

        It saves the resolved configuration before the first step. done: steps that earlier starts
        completed, if the phase's own step checkpoints do not record it. Gate and publish inside,
        so that their results are logged too. BadInput if another process is running this phase, or
        has published it since this process last looked.
        """
        with self.steps.held():
            if (
                distributed.shared(lambda: self.registry.find(self.name, self.fingerprint))
                is not None
            ):
                raise BadInput(
                    f"{self.name}: another process has just published this phase; run the same "
                    "command again to use its checkpoint"
                )
            if distributed.rank() == 0:
                write_text(self.steps.folder / PARENT, self.parent.id)  # for gc to keep
                self.registry.resolve(self.parent.id)  # raises if gc removed the parent meanwhile
            done = self.steps.done if done is None else done
            with open_log(self.name, self.config, done) as self.run_log:
                yield self.run_log

    def train(
        self, model: PreTrainedModel, codec: Codec, batches: Iterable[Batch],
        config: TrainingConfig, log: RunLog, teacher: Distributions | None = None,
        rows: Sequence[int] | None = None, margins: ChoiceMargins | None = None,
    ) -> TrainedModel:  # fmt: skip
        """Run the supervised loop with the settings that all phases share.

        rows: ids whose rows train if not all weights do; None: those of all tags and tools.
        """
        return train(
            model, codec.tokenizer, batches, config, self.config.seed, log, self.name,
            self.steps, self.config.trainable,
            list(codec.markup.values()) if rows is None else rows, teacher, margins,
        )  # fmt: skip

    @property
    def aligned(self) -> list[Card]:
        """The align checkpoints among the ancestors, oldest first."""
        return [c for c in self.registry.lineage(self.parent.id) if c.phase == "align"]

    def floor(self, tolerance: float) -> dict[str, float] | None:
        """The minimum recall of each gate: what phase 1 reached, minus the tolerance.

        None for a model that was never aligned: it knows no documents, so there is no gate.
        """
        if not self.aligned:
            return None
        return {
            name: gate["value"] - tolerance
            for name, gate in self.aligned[-1].gates.items()
            if gate["limit"] is not None and gate["value"] is not None
        }

    def gate(
        self,
        model: PreTrainedModel,
        codec: Codec,
        min_recall: Mapping[str, float],
        catalogue: Catalogue | None = None,
    ) -> dict[str, Any]:
        """Compare the recall of a catalogue (default: the phase's) with the minimum of each gate.

        Raises GateFailed for a missed gate that is not accepted by name.
        """
        # after training: without eval the model would use dropout, and no cache with gradient
        # checkpointing; under DeepSpeed it was gathered on the host
        model = to_accelerator(model).eval()
        rates = probe(model, codec, self.catalogue if catalogue is None else catalogue)
        gates = {name: _gate(rate, min_recall.get(name)) for name, rate in rates.items()}
        if self.run_log:
            self.run_log.gates(gates)
        missed_gates = [name for name, gate in gates.items() if not gate["passed"]]
        self._refuse(missed_gates, gates)
        return gates

    def _refuse(
        self, missed_gates: Sequence[str], gates: Mapping[str, Any], outcome: str = ""
    ) -> None:
        """Raise GateFailed for missed gates that are not accepted by name."""
        failures = [name for name in missed_gates if name not in self.config.accept]
        if failures:
            text = ", ".join(
                f"{name} {gates[name]['value']:.3f} is below {gates[name]['limit']:.3f}"
                for name in failures
            )
            outcome = outcome or f"nothing was published. {self.config.remedy}"
            raise GateFailed(
                f"{self.name}: {text}; {outcome} accept it by name: accept=[{','.join(failures)}]"
            )

    def conclude(
        self,
        trained: TrainedModel,
        codec: Codec,
        min_recall: Mapping[str, float] | None,
        queries: Sequence[Query] = (),
        metrics: Mapping[str, Any] | None = None,
        checked: Catalogue | None = None,
        position: Mapping[str, Any] | None = None,
        beside: Sequence[Query] = (),
    ) -> Card:
        """Gate, unless `min_recall` is None, and publish. The card lists the tools with queries.

        checked: the tools that the gate tests; None: the whole catalogue. position: additional
        entries of the card's `data_position`. beside: queries to store next to the weights, for
        updates. The first rank does the work, and all ranks get its card.
        """
        tool_names = sorted({call.name for query in queries for call in query.calls})
        position = {"steps": trained.steps, "queried_tools": tool_names} | dict(position or {})

        def finish() -> Card:
            gates = (
                {} if min_recall is None else self.gate(trained.model, codec, min_recall, checked)
            )
            return self._publish(trained, codec.tokenizer, gates, position, metrics or {}, beside)

        return distributed.shared(finish)

    def _publish(
        self,
        result: TrainedModel,
        tokenizer: Any,
        gates: Mapping[str, Any],
        position: Mapping[str, Any],
        metrics: Mapping[str, Any],
        beside: Sequence[Query],
    ) -> Card:
        """Write model, tokenizer, catalogue and queries as a new checkpoint."""
        missed_gates = [name for name, gate in gates.items() if not gate["passed"]]
        card = Card(
            phase=self.name,
            base_model=self.parent.base_model,
            base_hash=self.parent.base_hash,
            tokenizer_hash=tokenizer_hash(tokenizer),
            config=as_dict(self.config),
            seed=self.config.seed,
            fingerprint=self.fingerprint,
            parent=self.parent.id or None,
            catalogue_hash=self.catalogue.hash,
            data_position=dict(position),
            tokens=result.tokens,
            seconds=self.steps.seconds,
            gates=dict(gates),
            metrics=dict(metrics),
            notes=[f"gate accepted although missed: {name}" for name in missed_gates],
            **environment(),
        )

        def write(folder: Path) -> None:
            save(folder, result.model, tokenizer, self.catalogue)
            if result.adapter is not None:
                result.adapter.save(folder / ADAPTER)
            if beside:
                write_jsonl(folder / QUERIES, map(query_line, beside))

        card = self.registry.publish(card, write)
        self.steps.clear()
        if self.run_log:
            self.run_log.published(self.registry.lineage(card.id))
        return card


def begin(
    phase: str,
    config: PhaseConfig,
    parents: tuple[str, ...],
    catalogue: Catalogue | None = None,
    verify: bool = True,
) -> Phase:
    """Open the parent and determine catalogue, fingerprint and steps of the checkpoint.

    Without a catalogue it uses the parent's. Only align and update may replace the catalogue of an
    aligned parent. Raises BadInput for a parent of another phase, for files that do not match
    their hashes (unless verify=False), if there is no catalogue, or if two catalogues conflict.
    """
    for section in vars(config).values():  # before any slow work
        if hasattr(section, "deepspeed"):
            deepspeed_file(section.deepspeed, section.optimiser)
    for key in ("min_recall", "accept"):
        unknown_gates = sorted(set(getattr(config, key, ())) - set(GATES))
        if unknown_gates:
            raise BadInput(f"{key}: no gate {unknown_gates[0]!r}; the gates are {', '.join(GATES)}")
    registry = Registry(config.registry)
    parent, folder = registry.open(config.parent, phase=parents, verify=verify)
    if catalogue is None and parent.catalogue_hash is None:
        raise BadInput(
            f"{parent.id}: a checkpoint of phase {parent.phase} knows no tools; align it, or give "
            "sft a catalogue=[...] and documents={retrieved: 1} to put documents in the prompt"
        )
    replaces = phase in ("align", "update")
    if catalogue is not None and parent.catalogue_hash is not None and not replaces:
        raise BadInput(f"catalogue: {parent.id} already has a catalogue; omit the key")
    if catalogue is None:
        catalogue = load_catalogue(folder)
    mark = fingerprint(phase, settings(config), parent.id, catalogue.hash, *contents(config))
    steps = registry.steps(phase, mark)
    return Phase(phase, config, catalogue, registry, parent, folder, mark, steps)


def open_log(phase: str, config: Any, done: int) -> RunLog:
    """Open the log of a phase, which keeps what earlier starts logged.

    Each rank other than the first has its own folder.
    """
    folder, is_first = Path(config.run), distributed.rank() == 0
    folder = folder if is_first else folder / f"rank{distributed.rank()}"
    return RunLog(folder, phase, as_dict(config), config.wandb and is_first, done)


def _gate(rate: Rate, min_recall: float | None) -> dict[str, Any]:
    return {**asdict(rate), "limit": min_recall, "passed": passes(rate, min_recall)}


def passes(rate: Rate, min_recall: float | None) -> bool:
    """Whether a recall reaches its minimum, if there is one and something was measured."""
    return min_recall is None or rate.value is None or rate.value >= min_recall
