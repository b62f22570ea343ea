"""The log of a run: always JSONL, and wandb on request, offline by default.

Metric names are stable and listed here; `log` raises for any other. If wandb fails, the run prints
one warning and continues without it: the JSONL has the same rows.
"""

import fcntl
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, Self

from tinr.files import write_text
from tinr.records import REWARDS, BadInput

STEP = "train/global_step"  # the axis of every metric in wandb; `step` in a row
METRIC_NAMES = {
    "train/loss": "cross-entropy over labelled tokens, nats",
    "train/learning_rate": "learning rate of the first parameter group",
    "train/grad_norm": "gradient norm before clipping",
    "train/tokens": "tokens trained on so far, without padding",
    "train/bucket": "curriculum bucket, 0 is the easiest; only with a curriculum",
    "train/difficulty": "mean difficulty of that bucket's queries, in [0, 1]",
    "preference/margin": "chosen minus rejected side, mean log-probability per token, nats",
    "preference/accuracy": "share of pairs whose chosen side is more likely per token",
    "reward/total": "mean total reward of the step's conversations",
    "reward/format": "mean format reward",
    "reward/tool": "mean tool reward",
    "reward/answer": "mean answer reward of the conversations that can be scored",
    "rollout/flat_groups": "share of groups whose rewards are all equal",
    "rollout/length": "mean tokens per completion, environment included",
    "rollout/entropy": "mean entropy of the policy, nats per token",
    "rollout/kl": "mean KL of the policy to its parent, nats per token; only if beta is set",
    "rollout/finished": "share of conversations that ended before the token limit",
    "rollout/stuck": "share of conversations that ended because no token was allowed any more",
    "rollout/tool_faults": "calls so far in which a tool exceeded a limit or ended its process",
}
Beside = Callable[[int], Mapping[str, float]]  # step -> further values of its row
GATES = ("document_to_token", "token_to_document", "token_to_schema")
GATE_PARTS = {  # keys of a gate in a card
    "value": "recall after the phase",
    "low": "lower end of its 95 % interval",
    "high": "upper end of its 95 % interval",
    "limit": "minimum recall to pass",
}


def gate_metric(gate: str, part: str) -> str:
    """Return the metric name of a gate's part: `gate/NAME` for the value, `gate/NAME_low`, ..."""
    return f"gate/{gate}" if part == "value" else f"gate/{gate}_{part}"


METRIC_NAMES |= {
    gate_metric(gate, part): meaning for gate in GATES for part, meaning in GATE_PARTS.items()
}
TABLE_NAMES = {
    "conversations": "a few of the step's conversations: prompt, reply, rewards",
    "lineage": "the checkpoints from the base to the published one",
}
CONVERSATION = ("query", "prompt", "reply", *REWARDS)
ANCESTOR = ("id", "phase", "parent", "created", "base_model", "seed", "tokens", "seconds")


class PublishedCard(Protocol):
    """The part of a checkpoint's card that wandb gets."""

    @property
    def id(self) -> str: ...

    @property
    def parent(self) -> str | None: ...

    def to_json(self) -> str:
        """The whole card."""
        ...


class RunLog:
    """Rows of one phase in `folder/PHASE.jsonl`, each with step and seconds since the start.

    done: steps of an earlier start; their rows stay, and the clock continues from them.
    """

    def __init__(
        self,
        folder: Path,
        phase: str,
        config: Mapping[str, Any],
        wandb: bool = False,
        done: int = 0,
    ):
        self.path = Path(folder) / f"{phase}.jsonl"
        self._samples = self.path.with_suffix(".conversations.jsonl")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with _lock(self.path):
                (self.path.parent / f"{phase}.config.json").write_text(json.dumps(config, indent=2))
                rows = _keep_rows_until(self.path, done)
                _keep_rows_until(self._samples, done)
                self._file = self.path.open("a", encoding="utf-8")
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BadInput(
                f"{self.path}: cannot write the log ({error.strerror}); choose another run folder"
            ) from error
        self.offset = 0  # added to every step: the steps of earlier rounds
        self.beside: Beside | None = None  # called for every row with a loss
        self._step = int(rows[-1]["step"]) if rows else 0  # the last logged step
        self._started = time.monotonic() - (rows[-1]["seconds"] if rows else 0.0)
        self._wandb = _Wandb(self.path.parent, phase, config, wandb)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return round(time.monotonic() - self._started, 3)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write one row; KeyError for an unlisted metric name, which is a programming error."""
        if self.beside is not None and "train/loss" in values:
            values = {**values, **self.beside(step)}
        unknown_names = set(values) - set(METRIC_NAMES)
        if unknown_names:
            raise KeyError(f"metric names not in METRIC_NAMES: {sorted(unknown_names)}")
        step += self.offset
        self._step = step
        self._file.write(json.dumps({"step": step, "seconds": self.seconds, **values}) + "\n")
        self._file.flush()
        self._wandb.do(lambda run: run.log({**values, STEP: step}))

    def conversations(self, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append conversations to `PHASE.conversations.jsonl`; each has CONVERSATION's keys."""
        table = [[row[name] for name in CONVERSATION] for row in rows]
        with self._samples.open("a", encoding="utf-8") as file:
            for row in table:
                conversation = dict(zip(CONVERSATION, row, strict=True))
                file.write(json.dumps({"step": step, **conversation}) + "\n")
        self._wandb.table("conversations", ("step", *CONVERSATION), [[step, *row] for row in table])

    def gates(self, gates: Mapping[str, Mapping[str, Any]]) -> None:
        """Write one row with the values and limits of all gates at the last step."""
        row = {
            gate_metric(name, part): gate[part]
            for name, gate in gates.items()
            for part in GATE_PARTS
            if gate[part] is not None
        }
        if row:
            self.log(self._step - self.offset, row)
        self._wandb.do(lambda run: run.summary.update({"gates": dict(gates)}))

    def published(self, lineage: Sequence[PublishedCard]) -> None:
        """Log the new checkpoint to wandb: the last card of `lineage`, which starts at the base.

        The registry has the cards, so the JSONL does not repeat them. Weights are not uploaded.
        """
        self._wandb.published(lineage)

    def close(self, failed: bool = False) -> None:
        """Flush and end the run; wandb shows a failed run as failed."""
        self._file.close()
        self._wandb.close(failed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close(failed=exc[0] is not None)


def read_log(path: Path) -> list[dict[str, float]]:
    """Return the rows of a log; an incomplete row of a killed run is skipped."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Lock a log for this run; BadInput if another run writes it."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BadInput(
                f"{path}: another run writes this log; give this run its own folder: run=..."
            ) from error
        yield


def _keep_rows_until(path: Path, last_step: int) -> list[dict[str, float]]:
    """Keep the rows of an earlier start up to `last_step`, and return them.

    Rows of gates are removed, because gates are measured again.
    """
    rows = read_log(path) if last_step and path.is_file() else []
    early_rows = [
        row
        for row in rows
        if row["step"] <= last_step and not any(key.startswith("gate/") for key in row)
    ]
    if early_rows:
        # written completely, or the old file stays
        write_text(path, (json.dumps(row) + "\n" for row in early_rows))
    else:
        path.unlink(missing_ok=True)
    return early_rows


class _Wandb:
    """The same log in wandb: an offline run under `folder` unless WANDB_MODE says otherwise.

    No method raises: at the first failure it prints a warning and switches wandb off.
    """

    def __init__(self, folder: Path, phase: str, config: Mapping[str, Any], is_on: bool):
        self._run: Any = None
        self._lent: list[str] = []  # environment variables set here
        if is_on:
            self._guarded(lambda: self._start(str(folder.resolve()), phase, config))

    def _start(self, folder: str, phase: str, config: Mapping[str, Any]) -> None:
        for name in ("WANDB_CACHE_DIR", "WANDB_DATA_DIR"):  # wandb.init has no argument for them
            if name not in os.environ:
                os.environ[name] = folder
                self._lent.append(name)
        import wandb

        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "tinr"),
            name=phase,
            job_type=phase,
            config=dict(config),
            dir=os.environ.get("WANDB_DIR", folder),
            mode=os.environ.get("WANDB_MODE", "offline"),  # type: ignore[arg-type]
            reinit="create_new",  # never reuse the run of an earlier phase that could not be ended
        )
        self._run.define_metric("*", step_metric=STEP)

    def _guarded(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except Exception as error:  # any exception: it must not end days of training
            self._run = None
            reason = str(error).partition("\n")[0] or type(error).__name__
            print(f"warning: wandb is off, the JSONL continues: {reason}", file=sys.stderr)

    def do(self, action: Callable[[Any], Any]) -> None:
        """Call `action` with the run if wandb is on."""
        if self._run is not None:
            self._guarded(lambda: action(self._run))

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Log a table; if its rows have a step, it is the first column."""

        def action(run: Any) -> None:
            import wandb

            table = wandb.Table(columns=list(columns), data=[list(row) for row in rows])
            run.log({name: table} | ({STEP: rows[0][0]} if columns[0] == "step" else {}))

        if rows:
            self.do(action)

    def published(self, lineage: Sequence[PublishedCard]) -> None:
        """Log a checkpoint's facts, lineage and card; if wandb is online, its parent as input."""
        card = lineage[-1]
        facts = {name: value for name, value in vars(card).items() if name not in NOT_FACTS}
        ids = {"base": lineage[0].id, "parent": card.parent, "checkpoint": card.id}
        self.do(lambda run: run.summary.update({"checkpoint": facts}))
        self.do(lambda run: run.config.update({"lineage": ids}))  # to group runs by it
        self.table(
            "lineage",
            ANCESTOR,
            [[getattr(ancestor, name) for name in ANCESTOR] for ancestor in lineage],
        )
        self.do(lambda run: run.log_artifact(_artifact(card)))
        if card.parent is not None:  # offline, wandb allows no input; the table has it too
            self.do(lambda run: run.offline or run.use_artifact(_artifact(lineage[-2])))

    def close(self, failed: bool) -> None:
        """End the run."""
        self.do(lambda run: run.finish(exit_code=int(failed)))
        self._run = None
        for name in self._lent:
            os.environ.pop(name, None)
        self._lent.clear()


NOT_FACTS = ("config", "gates", "files", "version", "fingerprint")  # long, or logged elsewhere


def _artifact(card: PublishedCard) -> Any:
    """Return an artifact of the card only: same bytes in every run, so wandb recognises it."""
    import wandb

    artifact = wandb.Artifact(card.id, type="checkpoint", description=f"card of {card.id}")
    with artifact.new_file("card.json") as file:
        file.write(card.to_json())
    return artifact
