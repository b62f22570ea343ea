"""Step checkpoints: a killed phase resumes from the last one.

    ROOT/steps/PHASE-FINGERPRINT/checkpoint-N/    the trainer's files after step N
    ROOT/steps/PHASE-FINGERPRINT/checkpoint-N/whole.json    written last: the files are complete

They belong to this machine and are not part of the registry's contract: they are never published,
and are removed when the phase has published.
"""

import fcntl
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinr import distributed
from tinr.checkpoints.durable_files import flush
from tinr.files import write_text
from tinr.records import BadInput

WHOLE = "whole.json"
KEPT = 2  # the newest is incomplete while it is written


@dataclass
class Steps:
    """The step checkpoints of one run, and its run time so far over all starts."""

    folder: Path
    _start_time: float = field(default_factory=time.monotonic)
    _is_locked: bool = False

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Restart the clock from the seconds of the last complete step checkpoint."""
        last = self.last()
        self._start_time = time.monotonic() - (
            _completion(last / WHOLE)["seconds"] if last else 0.0
        )

    @property
    def seconds(self) -> float:
        """Run time in seconds, with earlier starts up to their last complete step checkpoint."""
        return round(time.monotonic() - self._start_time, 1)

    def add(self, seconds: float) -> None:
        """Add the seconds of a part of this run that has its own step checkpoints."""
        self._start_time -= seconds

    def last(self) -> Path | None:
        """Return the newest complete step checkpoint; None if there is none."""
        complete_checkpoints = [
            path.parent for path in self.folder.glob(f"checkpoint-*/{WHOLE}") if _completion(path)
        ]
        return max(complete_checkpoints, key=_step, default=None)

    @property
    def done(self) -> int:
        """The number of steps that need not be repeated."""
        last = self.last()
        return 0 if last is None else _step(last)

    def complete(self, step: int) -> None:
        """Flush the files of step `step` to the disk, and then mark them as complete."""
        folder = self.folder / f"checkpoint-{step}"
        for path in folder.rglob("*"):
            flush(path)
        completion = {"step": step, "seconds": self.seconds, "ranks": distributed.world()}
        write_text(folder / WHOLE, json.dumps(completion))
        flush(folder / WHOLE)
        flush(folder)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the folder for this process, and remove incomplete step checkpoints.

        The lock is reentrant; only rank 0 takes it. Raises BadInput if another process runs the
        same phase with the same settings, or if an earlier start had another number of ranks,
        because its steps had other batches.
        """
        if self._is_locked or distributed.rank() > 0:
            yield
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise BadInput(
                    f"{self.folder}: the same phase with the same settings is running already; "
                    "wait for it, or change a setting"
                ) from error
            for path in self.folder.glob("checkpoint-*"):
                if not _completion(path / WHOLE):
                    shutil.rmtree(path, ignore_errors=True)
            self._check_ranks()
            self._is_locked = True
            try:
                yield
            finally:
                self._is_locked = False

    def _check_ranks(self) -> None:
        last = self.last()
        ranks = _completion(last / WHOLE).get("ranks", 1) if last else distributed.world()
        if ranks != distributed.world():
            raise BadInput(
                f"{self.folder}: started with {ranks} ranks, not {distributed.world()}; "
                f"resume with {ranks}, or remove the folder to start again"
            )

    def clear(self) -> None:
        """Remove all step checkpoints: the phase has published."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _completion(path: Path) -> dict[str, Any]:
    """Return the content of a WHOLE file; empty if the file is missing or incomplete."""
    try:
        completion = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return completion if isinstance(completion, dict) and "seconds" in completion else {}


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))
