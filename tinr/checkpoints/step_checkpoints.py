"""Step checkpoints: where a phase goes on that was killed.

    ROOT/steps/PHASE-FINGERPRINT/checkpoint-N/    what the trainer wrote after step N
    ROOT/steps/PHASE-FINGERPRINT/checkpoint-N/whole.json    written last: all of it is there

They are this machine's own and no part of the registry's contract: never published, and
removed once the phase has published.
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
KEPT = 2  # the newest is not whole while it is written


@dataclass
class Steps:
    """The step checkpoints of one run, and how long it took so far, over all its starts."""

    folder: Path
    _began: float = field(default_factory=time.monotonic)
    _holding: bool = False

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Count from here on, beside what the last whole step checkpoint says."""
        last = self.last()
        self._began = time.monotonic() - (_said(last / WHOLE)["seconds"] if last else 0.0)

    @property
    def seconds(self) -> float:
        """Spent on this run, its earlier starts up to their last whole step checkpoint too."""
        return round(time.monotonic() - self._began, 1)

    def add(self, seconds: float) -> None:
        """Count what parts of this run have taken that keep step checkpoints of their own."""
        self._began -= seconds

    def last(self) -> Path | None:
        """The newest whole step checkpoint."""
        whole = [path.parent for path in self.folder.glob(f"checkpoint-*/{WHOLE}") if _said(path)]
        return max(whole, key=_step, default=None)

    @property
    def done(self) -> int:
        """Steps that need not be made again."""
        last = self.last()
        return 0 if last is None else _step(last)

    def complete(self, step: int) -> None:
        """State that everything of step `step` is written, once it is on the disk."""
        at = self.folder / f"checkpoint-{step}"
        for path in at.rglob("*"):
            flush(path)
        said = {"step": step, "seconds": self.seconds, "ranks": distributed.world()}
        write_text(at / WHOLE, json.dumps(said))
        flush(at / WHOLE)
        flush(at)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within, this process alone may write here; what a killed one left half is removed.

        May be entered again within. Of several ranks the first one holds it. BadInput where
        another process runs the same phase with the same settings, and where an earlier start
        had another number of ranks: a step took other batches then.
        """
        if self._holding or distributed.rank() > 0:
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
                if not _said(path / WHOLE):
                    shutil.rmtree(path, ignore_errors=True)
            self._check_ranks()
            self._holding = True
            try:
                yield
            finally:
                self._holding = False

    def _check_ranks(self) -> None:
        last = self.last()
        before = _said(last / WHOLE).get("ranks", 1) if last else distributed.world()
        if before != distributed.world():
            raise BadInput(
                f"{self.folder}: begun on {before} ranks, and this is {distributed.world()}; "
                f"go on with {before}, or remove the folder to begin again"
            )

    def clear(self) -> None:
        """Remove all of them: the phase has published."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _said(path: Path) -> dict[str, Any]:
    """What stands in a file of WHOLE; nothing where it is not there or was cut."""
    try:
        said = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) and "seconds" in said else {}


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))
