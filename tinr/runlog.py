"""What a run writes down: JSONL always, wandb when asked, offline unless told otherwise.

Metric names are stable and listed here, in one place; `log` refuses any other.
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tinr.records import BadInput

METRIC_NAMES = {
    "train/loss": "cross-entropy over labelled tokens, nats",
    "train/learning_rate": "of the first parameter group",
    "train/grad_norm": "before clipping",
    "train/tokens": "real tokens trained on so far",
    "reward/total": "mean total reward of the step's conversations",
    "reward/format": "mean format reward",
    "reward/tool": "mean tool reward",
    "reward/answer": "mean answer reward over those that can be scored",
    "rollout/flat_groups": "share of groups whose rewards are all equal",
    "rollout/length": "mean tokens of a completion, environment included",
    "rollout/entropy": "mean entropy of the policy, nats a token",
    "rollout/finished": "share of conversations that ended before the limit",
    "rollout/tool_faults": "calls so far in which a tool broke a bound or ended its process",
    "gate/document_to_token": "recall after the phase",
    "gate/token_to_document": "recall after the phase",
    "gate/token_to_schema": "recall after the phase",
}


class RunLog:
    """Rows of one phase in `folder/PHASE.jsonl`, each with step and seconds since the start."""

    def __init__(self, folder: Path, phase: str, config: Mapping[str, Any], wandb: bool = False):
        self.path = Path(folder) / f"{phase}.jsonl"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            (self.path.parent / f"{phase}.config.json").write_text(json.dumps(config, indent=2))
            self._file = self.path.open("w", encoding="utf-8")
        except OSError as error:
            raise BadInput(
                f"{self.path}: cannot write the log ({error.strerror}); choose another run folder"
            ) from error
        self._started = time.monotonic()
        self._wandb = _start_wandb(self.path.parent, phase, config) if wandb else None

    @property
    def seconds(self) -> float:
        """Since the start."""
        return round(time.monotonic() - self._started, 3)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write one row; an unlisted metric name is a programming error."""
        unknown = set(values) - set(METRIC_NAMES)
        if unknown:
            raise KeyError(f"metric names not in METRIC_NAMES: {sorted(unknown)}")
        self._file.write(json.dumps({"step": step, "seconds": self.seconds, **values}) + "\n")
        self._file.flush()
        if self._wandb is not None:
            self._wandb.log({**values, "train/global_step": step})

    def close(self) -> None:
        """Flush and end the run."""
        self._file.close()
        if self._wandb is not None:
            self._wandb.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def read_log(path: Path) -> list[dict[str, float]]:
    """The rows of a log; a row that a killed run cut short is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def _start_wandb(folder: Path, phase: str, config: Mapping[str, Any]) -> Any:
    """An offline run below `folder` unless WANDB_MODE says otherwise; its caches stay there too."""
    os.environ.setdefault("WANDB_MODE", "offline")
    for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        os.environ.setdefault(name, str(folder))
    import wandb

    run = wandb.init(project="tinr", name=phase, config=dict(config), dir=str(folder))
    run.define_metric("*", step_metric="train/global_step")
    return run
