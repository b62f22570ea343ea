"""The card: what one published checkpoint is, where it came from, and which gates it passed.

A card is plain JSON; `Card.from_json` and `to_json` are inverses. Its id is a hash of the rest of
the card, so a card that was edited after publication no longer matches its own id.
"""

import hashlib
import json
import os
import platform
import re
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path, PurePosixPath
from types import UnionType
from typing import Any, get_origin, get_type_hints

import tinr
from tinr.records import BadInput

CARD_VERSION = 1
PHASES = ("base", "align", "sft", "grpo", "calibrate", "reject", "update")
ID = re.compile(rf"(?:{'|'.join(PHASES)})-[0-9]{{8}}-[0-9a-f]{{8}}")
CREATED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
PACKAGES = ("torch", "transformers", "trl", "datasets", "sentencepiece", "tokenizers")


@dataclass(frozen=True)
class Card:
    """The record of one checkpoint. `Registry.publish` fills in id, created and files."""

    phase: str
    base_model: str  # name of the open-weights model, or of the preset it was made from
    base_hash: str
    tokenizer_hash: str
    config: Mapping[str, Any]  # resolved: every key, including defaults
    seed: int
    fingerprint: str  # sha256 of what determines the checkpoint; the caller computes it
    parent: str | None = None  # id, never a tag
    catalogue_hash: str | None = None  # None: no catalogue yet (base)
    data_position: Mapping[str, Any] = field(default_factory=dict)
    git_commit: str | None = None
    packages: Mapping[str, str] = field(default_factory=dict)
    hardware: Mapping[str, Any] = field(default_factory=dict)
    tokens: int = 0  # trained on
    seconds: float = 0.0  # spent in this phase
    gates: Mapping[str, Any] = field(default_factory=dict)
    """Metric -> {"value", "n", "low", "high", "limit", "passed"}."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # such as gates that were overridden
    id: str = ""
    created: str = ""  # ISO 8601 UTC with microseconds and Z, so text order is time order
    files: list[dict[str, Any]] = field(default_factory=list)  # {"path", "bytes", "sha256"}
    version: int = CARD_VERSION

    def to_json(self) -> str:
        """Return the card as indented strict JSON; BadInput if a field is not plain data."""
        values = {field_info.name: getattr(self, field_info.name) for field_info in fields(self)}
        for name, value in values.items():
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise BadInput(
                    f"card of phase {self.phase}: {name} is not plain JSON ({error}); "
                    "use text, finite numbers, lists and dicts, and null for unscored values"
                ) from error
        return json.dumps(values, indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, where: Path | str = "card") -> "Card":
        """Read the card in `text`; `where` is the file that BadInput names."""
        try:
            data = json.loads(text, parse_constant=_refuse_constant)
        except ValueError as error:
            raise BadInput(f"{where}: not JSON ({error}); restore the file") from error
        _check_keys(data, where)
        _check_values(data, where)
        return cls(**data)


def card_id(card: Card) -> str:
    """Return `<phase>-<YYYYMMDD>-<8 hex>`, the hex from the sha256 of the card without its id."""
    content = {
        field_info.name: getattr(card, field_info.name)
        for field_info in fields(card)
        if field_info.name != "id"
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{card.phase}-{card.created[:10].replace('-', '')}-{digest[:8]}"


def now() -> str:
    """Return the current time in a card's format: 2025-01-31T23:59:59.000000Z."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _check_keys(data: Any, where: Path | str) -> None:
    if not isinstance(data, dict):
        raise BadInput(f"{where}: a card is a JSON object; restore the file")
    version = data.get("version")
    if isinstance(version, int) and version > CARD_VERSION:
        raise BadInput(
            f"{where}: card version {version} is newer than this tinr reads "
            f"({CARD_VERSION}); upgrade tinr"
        )
    names = {field_info.name for field_info in fields(Card)}
    for fault, keys in (("missing", names - data.keys()), ("unknown", data.keys() - names)):
        if keys:
            raise BadInput(f"{where}: {fault} key {', '.join(sorted(keys))}; restore the file")


def _check_values(data: dict[str, Any], where: Path | str) -> None:
    for name, hint in get_type_hints(Card).items():
        kind = hint if isinstance(hint, UnionType) else get_origin(hint) or hint
        kind = (int, float) if kind is float else kind
        if not isinstance(data[name], kind):
            raise BadInput(f"{where}: key {name} is {data[name]!r}, not {hint}; correct it")
    if data["version"] != CARD_VERSION:
        raise BadInput(f"{where}: key version is {data['version']}, not {CARD_VERSION}; correct it")
    if data["phase"] not in PHASES:
        raise BadInput(f"{where}: key phase is {data['phase']!r}; phases are {', '.join(PHASES)}")
    if data["parent"] is not None and not ID.fullmatch(data["parent"]):
        raise BadInput(
            f"{where}: key parent is {data['parent']!r}; give the parent's id (resolve the name)"
        )
    if data["created"] and not CREATED.fullmatch(data["created"]):
        raise BadInput(
            f"{where}: key created is {data['created']!r}; write UTC as 2025-01-31T23:59:59.000000Z"
        )
    for entry in data["files"]:
        _check_entry(entry, where)


def _check_entry(entry: Any, where: Path | str) -> None:
    """Raise BadInput for a file entry that is malformed or points outside the checkpoint."""
    is_valid = isinstance(entry, dict) and entry.keys() == {"path", "bytes", "sha256"}
    is_valid = is_valid and isinstance(entry["path"], str) and isinstance(entry["bytes"], int)
    if is_valid:
        path = PurePosixPath(entry["path"])
        is_valid = not path.is_absolute() and ".." not in path.parts and path.parts != ()
    if not is_valid:
        raise BadInput(f"{where}: key files has the invalid entry {entry!r}; restore the file")


def git_commit() -> str | None:
    """Return the commit of the running code, with `-dirty` if tracked files differ from it.

    None if the code is not in its own git repository, or git is missing.
    """
    home = Path(tinr.__file__).resolve().parents[1]
    git = ["git", "-C", str(home)]
    describe = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        top_level = subprocess.run(
            [*git, "rev-parse", "--show-toplevel"], capture_output=True, text=True
        )
        if top_level.returncode != 0 or Path(top_level.stdout.strip()) != home:
            return None
        result = subprocess.run([*git, *describe], capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def package_versions() -> dict[str, str]:
    """Return the versions of python, tinr and the installed packages that affect a checkpoint."""
    versions = {"python": platform.python_version(), "tinr": tinr.__version__}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # optional packages are listed only if installed
    return versions


def peak_rss_gib() -> float:
    """Return the peak memory of this process so far, in GiB."""
    unit = 1 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30, 2)


def hardware() -> dict[str, Any]:
    """Return the hardware: {"cpu", "cores", "accelerators", "ram_gib", "peak_rss_gib"}.

    "cores" are the usable ones, "ram_gib" is the machine's memory, and "peak_rss_gib" this
    process's peak.
    """
    import torch  # slow to import, and only this function needs it

    accelerators = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    ram = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count()
    return {
        "cpu": _cpu_model(),
        "cores": cores,
        "accelerators": accelerators,
        "ram_gib": round(ram / 2**30, 1),
        "peak_rss_gib": peak_rss_gib(),
    }


def _cpu_model() -> str:
    listing = Path("/proc/cpuinfo")  # on Linux; elsewhere, `platform` gives the name
    text = listing.read_text(errors="replace") if listing.exists() else ""
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return match.group(1).strip() if match else platform.processor() or platform.machine()


def environment() -> dict[str, Any]:
    """Return facts of this machine as keywords of a card: `Card(..., **environment())`."""
    return {
        "git_commit": git_commit(),
        "packages": package_versions(),
        "hardware": hardware(),
    }
