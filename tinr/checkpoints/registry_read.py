"""Read the registry: list its checkpoints, resolve their names, check that they are complete.

    ROOT/checkpoints/ID/    files and card.json; without card.json it is not a checkpoint
    ROOT/tags/NAME          the id that the tag points to
    ROOT/staging/           what is being written or removed
    ROOT/steps/             where killed runs resume (`tinr.checkpoints.step_checkpoints`)

This module writes nothing.
"""

import difflib
import re
from contextlib import suppress
from pathlib import Path

from tinr.checkpoints import durable_files
from tinr.checkpoints.card import ID, PHASES, Card, card_id
from tinr.records import BadInput

CARD = "card.json"
TAG = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


class Shelf:
    """The checkpoints and tags below `root`; a missing root has none."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        if self.root.exists() and not self.root.is_dir():
            raise BadInput(f"{self.root}: not a folder; name the registry's folder")
        self._checkpoints = self.root / "checkpoints"
        self._tags = self.root / "tags"
        self._staging = self.root / "staging"

    def path(self, card: Card | str) -> Path:
        """Return the folder of a checkpoint given by card or id."""
        name = card if isinstance(card, str) else card.id
        if not ID.fullmatch(name):
            raise BadInput(f"{name!r}: not a checkpoint id; resolve the name first")
        return self._checkpoints / name

    def tags(self) -> dict[str, str]:
        """Return tag -> id, sorted by tag; `verify` reports tags whose checkpoint is missing."""
        ids = {}
        for path in sorted(self._tags.glob("*")):
            if TAG.fullmatch(path.name):
                with suppress(FileNotFoundError):  # removed after it was listed
                    ids[path.name] = path.read_text(encoding="utf-8", errors="replace").strip()
        return ids

    def ids(self) -> list[str]:
        """Return the ids of all checkpoints, including those with a broken card."""
        return [
            path.name for path in sorted(self._checkpoints.glob("*")) if self._exists(path.name)
        ]

    def holds(self, ref: str) -> bool:
        """Whether `ref` is an id or tag of this registry, or has the form `phase@latest`."""
        return "@" in ref or ref in self.ids() or ref in self.tags()

    def cards(self) -> list[Card]:
        """Return all cards, oldest first, except broken ones, which `verify` reports."""
        return self._survey()[0]

    def resolve(self, ref: str) -> Card:
        """Return the card for an id, tag or `phase@latest` (newest of the phase, ties by id)."""
        name = self._identify(ref)
        if not self._exists(name):
            raise BadInput(f"tag {ref}: points to {name}, which is not in {self.root}; tag again")
        return self._read(name)

    def open(
        self,
        ref: str,
        *,
        phase: str | tuple[str, ...] | None = None,
        catalogue_hash: str | None = None,
        tokenizer_hash: str | None = None,
        verify: bool = True,
    ) -> tuple[Card, Path]:
        """Return the card and folder of an undamaged checkpoint with the required properties.

        A property that is None is not required. BadInput shows both values of a mismatch, or names
        the first file whose size or sha256 differs from the card (verify=False: not checked).
        """
        card = self.resolve(ref)
        phases = (phase,) if isinstance(phase, str) else phase or ()
        catalogues = (catalogue_hash,) if catalogue_hash else ()
        tokenizers = (tokenizer_hash,) if tokenizer_hash else ()
        for noun, value, needs in (
            ("phase", card.phase, phases),
            ("catalogue", card.catalogue_hash, catalogues),
            ("tokenizer", card.tokenizer_hash, tokenizers),
        ):
            if needs and value not in needs:
                raise BadInput(
                    f"checkpoint {ref} ({card.id}): {noun} is {value or 'none'}, "
                    f"but {' or '.join(needs)} is required; name another checkpoint"
                )
        folder = self.path(card)
        for fault in durable_files.damage(folder, card.files) if verify else ():
            raise BadInput(fault)
        return card, folder

    def find(self, phase: str, fingerprint: str) -> Card | None:
        """Return the newest checkpoint of a phase with this fingerprint; it can be reused."""
        cards = [card for card in self._survey(phase)[0] if card.fingerprint == fingerprint]
        return cards[-1] if cards else None

    def lineage(self, ref: str) -> list[Card]:
        """Return the cards from the first ancestor to `ref`."""
        cards = [self.resolve(ref)]
        while (parent := cards[0].parent) is not None:
            if not self._exists(parent):
                raise BadInput(
                    f"{self.path(cards[0])}: its parent {parent} is not in {self.root}; "
                    "restore the parent's folder"
                )
            cards.insert(0, self._read(parent))
        return cards

    def check(self) -> None:
        """Raise BadInput if there is no registry: no folder, or a folder of something else."""
        if self._checkpoints.is_dir():
            return
        subfolder = self.root / "registry"
        hint = f"did you mean {subfolder}?" if (subfolder / self._checkpoints.name).is_dir() else ""
        name = "give the folder of one: --registry FOLDER, or registry=FOLDER for a phase"
        raise BadInput(f"{self.root}: no registry there; {hint or name}")

    def _identify(self, ref: str) -> str:
        """Return the id for a name. A tag's checkpoint may be missing."""
        if ID.fullmatch(ref) and self._exists(ref):
            return ref
        tags = self.tags()
        if ref in tags:
            return tags[ref]
        phase, _, word = ref.partition("@")
        if word == "latest" and phase in PHASES:
            cards, problems = self._survey(phase)
            if problems:
                raise BadInput(problems[0])  # the broken one may be the newest
            if not cards:
                self.check()
                raise BadInput(
                    f"{ref}: no checkpoint of phase {phase} in {self.root}; run `tinr {phase}`"
                )
            return cards[-1].id
        latest = [f"{phase}@latest" for phase in PHASES]
        raise self._unknown(ref, "checkpoint", [*tags, *latest, *self.ids()])

    def _unknown(self, name: str, noun: str, names: list[str]) -> BadInput:
        matches = difflib.get_close_matches(name, names)
        hint = f"did you mean {' or '.join(matches)}?" if matches else "see tinr registry list"
        return BadInput(f"{name}: no {noun} of this name in {self.root}; {hint}")

    def _exists(self, name: str) -> bool:
        return bool(ID.fullmatch(name)) and (self._checkpoints / name / CARD).is_file()

    def _read(self, name: str) -> Card:
        path = self.path(name) / CARD
        try:
            card = Card.from_json(path.read_bytes(), path)
        except FileNotFoundError as error:
            raise BadInput(f"{path}: removed while it was read; see tinr registry list") from error
        if card.id != name or card_id(card) != name:
            raise BadInput(f"{path}: was changed after it was published; restore the file")
        return card

    def _survey(self, phase: str = "") -> tuple[list[Card], list[str]]:
        """Return the readable cards of a phase, oldest first, and the faults of the others."""
        cards, problems = [], []
        for name in self.ids():
            if name.startswith(phase):
                try:
                    cards.append(self._read(name))
                except BadInput as error:
                    if self._exists(name):  # else gc removed it after it was listed
                        problems.append(str(error))
        return sorted(cards, key=lambda card: (card.created, card.id)), problems

    def verify(self, ref: str | None = None) -> list[str]:
        """Return the faults of one checkpoint, or of the registry; [] if there are none.

        Faults are missing, changed and extra files, broken cards and missing parents; for the
        registry also folders without a card and tags without a checkpoint.
        """
        if ref is not None:
            return self._faults(self._identify(ref))
        problems = [fault for name in self.ids() for fault in self._faults(name)]
        for folder in sorted(self._checkpoints.glob("*")):
            if not ID.fullmatch(folder.name):
                problems.append(f"{folder}: not named by an id; rename or remove it")
            elif not self._exists(folder.name):
                problems.append(
                    f"{folder}: no {CARD}: it is being published, or its process died; "
                    "tinr registry gc --delete removes it when it is a day old"
                )
        for tag, name in self.tags().items():
            if not self._exists(name):
                problems.append(
                    f"{self._tags / tag}: points to {name}, which does not exist; tag again"
                )
        return problems

    def _faults(self, name: str) -> list[str]:
        if not self._exists(name):
            return [f"{self.root}: checkpoint {name} is missing; restore its folder"]
        try:
            card = self._read(name)
        except BadInput as error:
            return [str(error)]
        folder = self.path(name)
        faults = list(durable_files.damage(folder, card.files))
        card_paths = {CARD, *(entry["path"] for entry in card.files)}
        for path in sorted(folder.rglob("*")):
            is_folder = path.is_dir() and not path.is_symlink()
            if not is_folder and path.relative_to(folder).as_posix() not in card_paths:
                faults.append(f"{path}: not in the card; remove it")
        if card.parent is not None and not self._exists(card.parent):
            faults.append(f"{folder}: its parent {card.parent} is missing; restore its folder")
        return faults
