"""Write the registry: one folder, many readers and writers, no lock.

A checkpoint is written in staging, hashed, sealed, flushed and renamed into place, and its card is
written last. A process that dies at any moment leaves a complete checkpoint or none, and at most a
leftover that `gc` removes after a day.
"""

import errno
import os
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tinr.checkpoints import durable_files
from tinr.checkpoints.card import ID, Card, card_id, now
from tinr.checkpoints.registry_read import CARD, TAG, Shelf
from tinr.checkpoints.step_checkpoints import Steps
from tinr.records import BadInput

EXPORTED_CARD = "tinr_card.json"
PARENT = "parent"  # a file among step checkpoints with the id of the phase's parent
LEFTOVER_AGE = 86400.0  # seconds; younger ones may belong to a running process
STEPS_AGE = 7 * 86400.0  # seconds; for step checkpoints: a user may resume from them


@dataclass(frozen=True)
class Garbage:
    """The checkpoint ids, and leftovers of dead processes, that `gc` removed or would remove."""

    checkpoints: list[str]
    leftovers: list[Path]


class Registry(Shelf):
    """Published checkpoints below `root`, which the first publication creates."""

    def publish(self, card: Card, write: Callable[[Path], object]) -> Card:
        """Publish what `write(folder)` writes; return the card with id, created and files.

        All or nothing: after any exception, nothing is published and no file remains. Raises
        BadInput if the card is not plain JSON (before `write`), or the disk is full or read-only.
        """
        card = Card.from_json(replace(card, id="", files=[]).to_json(), "card to publish")
        with durable_files.disk_errors(self.root, "nothing was published"):
            staging_folder = self._stage()
            published_folder = None
            try:
                staging_folder.mkdir()
                write(staging_folder)
                card = _seal_and_complete(card, staging_folder)
                published_folder = self._move(staging_folder, self.path(card))
                _write_card(published_folder, card)
            except BaseException:
                if published_folder is not None:  # readers must not see it while it is removed
                    os.rename(published_folder, staging_folder)
                shutil.rmtree(staging_folder, ignore_errors=True)  # the first error is raised
                raise
        return card

    def steps(self, phase: str, fingerprint: str) -> Steps:
        """Return the step checkpoints of the run with this fingerprint."""
        return Steps(self.root / "steps" / f"{phase}-{fingerprint[:16]}")

    def _stage(self) -> Path:
        """Return a new path in staging."""
        self._staging.mkdir(parents=True, exist_ok=True)
        return self._staging / uuid.uuid4().hex

    def _move(self, staging_folder: Path, folder: Path) -> Path:
        self._checkpoints.mkdir(exist_ok=True)
        durable_files.flush(self.root)
        try:
            os.rename(staging_folder, folder)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            raise BadInput(
                f"{folder}: already exists; the same checkpoint was published before"
            ) from error
        return folder

    def tag(self, name: str, ref: str) -> Card:
        """Make the tag `name` point to the checkpoint `ref`; replace an existing tag."""
        if not TAG.fullmatch(name) or ID.fullmatch(name):
            raise BadInput(
                f"tag {name!r}: not a tag name; use up to 100 of a-z 0-9 . _ -, "
                "starting with a letter or digit, and not the form of an id"
            )
        card = self.resolve(ref)
        with durable_files.disk_errors(self._tags, "the tag is unchanged"):
            self._tags.mkdir(exist_ok=True)
            temporary = self._stage()
            try:
                durable_files.write_whole(
                    self._tags / name, f"{card.id}\n", temporary=temporary, mode=0o644
                )
            finally:
                temporary.unlink(missing_ok=True)
        if not self._exists(card.id):
            raise BadInput(f"{card.id}: removed by gc while it was tagged; tag another")
        return card

    def untag(self, name: str) -> None:
        """Remove a tag, but not its checkpoint."""
        if name not in self.tags():
            raise self._unknown(name, "tag", list(self.tags()))
        (self._tags / name).unlink(missing_ok=True)

    def gc(self, *, dry_run: bool = True) -> Garbage:
        """Remove unneeded checkpoints, and old leftovers of dead processes.

        It keeps tagged checkpoints, the newest of each phase, the parents of running phases, and
        all their ancestors. Leftovers are removed after a day, step checkpoints and searches after
        a week. Raises BadInput for a broken card: its ancestors are unknown.
        """
        needed_ids = self._needed_ids()
        names = [card.id for card in reversed(self.cards()) if card.id not in needed_ids]
        leftovers = self._leftovers()
        if dry_run:
            return Garbage(names, leftovers)
        removed_names = []
        with durable_files.disk_errors(self.root, "what gc has already removed stays removed"):
            for name in names:  # newest first: children before their parents
                if self._remove(name):
                    removed_names.append(name)
            for path in leftovers:
                durable_files.delete(path)
        return Garbage(removed_names, leftovers)

    def _remove(self, name: str) -> bool:
        """Remove a checkpoint unless it is needed now, for example by a new tag or a new phase.

        Tagging and starting a phase first write and then look for the checkpoint. This method first
        moves the checkpoint away and then looks for tags and phases. The later of the two therefore
        always sees the other.
        """
        if name in self._needed_ids() or not self._exists(name):
            return False
        folder, staging_folder = self.path(name), self._stage()
        os.rename(folder, staging_folder)
        if name in (*self.tags().values(), *self._parents_of_running_phases()):
            os.rename(staging_folder, folder)
            return False
        durable_files.delete(staging_folder)
        return True

    def _needed_ids(self) -> set[str]:
        cards, problems = self._survey()
        if problems:
            raise BadInput(problems[0])
        parents = {card.id: card.parent for card in cards}
        newest_ids = {card.phase: card.id for card in cards}
        ids: set[str] = set()
        for start in (
            *self.tags().values(),
            *newest_ids.values(),
            *self._parents_of_running_phases(),
        ):
            name: str | None = start
            while name is not None and name not in ids:
                ids.add(name)
                name = parents.get(name)
        return ids

    def _parents_of_running_phases(self) -> list[str]:
        """Return the parents of phases that are running."""
        return [path.read_text().strip() for path in self.root.glob(f"steps/*/{PARENT}")]

    def _leftovers(self) -> list[Path]:
        """Return old folders and files that no process still writes to and no reader sees."""
        incomplete_folders = [
            path
            for path in self._checkpoints.glob("*")
            if ID.fullmatch(path.name) and not self._exists(path.name)
        ]
        paths = sorted([*self._staging.glob("*"), *incomplete_folders])
        return [
            *(path for path in paths if durable_files.age(path) > LEFTOVER_AGE),
            *(
                path
                for path in sorted(self.root.glob("steps/*"))
                if durable_files.age(path) > STEPS_AGE
            ),
        ]

    def export(self, ref: str, out: Path | str) -> Card:
        """Copy a checkpoint into `out`, as an ordinary Hugging Face folder, all or nothing.

        `out` must be missing or an empty folder; the card is written to it as tinr_card.json.
        Raises BadInput for any other `out`, or if the sha256 of a copy is not the card's.
        """
        card, out = self.resolve(ref), Path(out)
        durable_files.check_new(out)
        staging_folder = out.parent / f".{out.name}.{uuid.uuid4().hex}"
        with durable_files.disk_errors(out, "nothing was exported"):
            try:
                staging_folder.mkdir(parents=True)
                _copy(card, self.path(card), staging_folder)
                os.rename(staging_folder, out)
            except BaseException:
                shutil.rmtree(staging_folder, ignore_errors=True)  # the first error is raised
                raise
        return card


def _seal_and_complete(card: Card, folder: Path) -> Card:
    """Seal the files of a staged checkpoint and list them in its card."""
    entries = durable_files.inventory(folder)
    if not entries:
        raise ValueError("a checkpoint needs at least one file, and none was written")
    for entry in entries:
        if entry["path"] in (CARD, EXPORTED_CARD):
            raise ValueError(f"{entry['path']} is written by the registry, not into a checkpoint")
    durable_files.seal(folder)
    card = replace(card, created=card.created or now(), files=entries)
    return replace(card, id=card_id(card))


def _write_card(folder: Path, card: Card) -> None:
    """Make a checkpoint visible, after flushing its folder's own entry."""
    durable_files.flush(folder.parent)
    temporary = folder / f"{CARD}.tmp"
    durable_files.write_whole(folder / CARD, card.to_json(), temporary=temporary, mode=0o444)


def _copy(card: Card, source: Path, target: Path) -> None:
    """Copy the files that a card lists, and check the sizes and hashes of the copies."""
    for entry in card.files:
        copy = target / entry["path"]
        copy.parent.mkdir(parents=True, exist_ok=True)
        if (source / entry["path"]).is_symlink() or not (source / entry["path"]).is_file():
            raise BadInput(f"{source / entry['path']}: missing; restore it or publish again")
        shutil.copyfile(source / entry["path"], copy)
    for fault in durable_files.damage(target, card.files):
        raise BadInput(fault.replace(str(target), str(source)))
    (target / EXPORTED_CARD).write_text(card.to_json(), encoding="utf-8")
