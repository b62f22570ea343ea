"""Hash, flush, seal, check and remove the files of a checkpoint.

This module does not know what a checkpoint is. A full or read-only disk raises a one-line BadInput.
"""

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinr.records import BadInput

REMEDIES = {
    errno.ENOSPC: "free space",
    errno.EDQUOT: "free space in your quota",
    errno.EROFS: "make the disk writable or choose another folder",
    errno.EACCES: "correct the permissions or choose another folder",
    errno.EPERM: "correct the permissions or choose another folder",
    errno.ENOTDIR: "choose another folder",
}
FULL_DISK = (os.strerror(errno.ENOSPC), "PytorchStreamWriter failed", "unexpected pos")


def check_new(folder: Path) -> None:
    """Raise BadInput unless the folder is missing or empty."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise BadInput(f"{folder}: exists and is not an empty folder; choose a new one")


@contextmanager
def disk_errors(folder: Path, outcome: str) -> Iterator[None]:
    """Convert disk errors below `folder` into BadInput whose message ends with `outcome`.

    safetensors and torch.save report a full disk with their own errors, recognised by their text.
    """
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        code = error.errno if isinstance(error, OSError) else None
        if code is None and any(words in str(error) for words in FULL_DISK):
            code = errno.ENOSPC
        if code not in REMEDIES:
            raise
        path = getattr(error, "filename", None) or folder
        raise BadInput(
            f"{path}: {os.strerror(code)}; {REMEDIES[code]}, "
            f"then run the same command again; {outcome}"
        ) from error


def digest(path: Path) -> str:
    """Return the sha256 of a file in hex, reading it in chunks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def walk(folder: Path) -> list[Path]:
    """Return the regular files below a folder, sorted; BadInput for a link or device."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir()]
    for path in paths:
        if path.is_symlink() or not path.is_file():
            raise BadInput(
                f"{path}: a checkpoint may contain only regular files; write a copy instead"
            )
    return paths


def inventory(folder: Path) -> list[dict[str, Any]]:
    """Return {"path" below the folder, "bytes", "sha256"} of every file, sorted by path."""
    return [
        {
            "path": path.relative_to(folder).as_posix(),
            "bytes": path.stat().st_size,
            "sha256": digest(path),
        }
        for path in walk(folder)
    ]


def damage(folder: Path, entries: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield differences from the inventory, one line per file: first sizes, then hashes."""
    hashes = []
    for entry in entries:
        path = folder / entry["path"]
        if path.is_symlink() or not path.is_file():
            yield f"{path}: missing; restore it or publish again"
        elif path.stat().st_size != entry["bytes"]:
            yield (
                f"{path}: {path.stat().st_size} bytes, its card says {entry['bytes']}; "
                "restore it or publish again"
            )
        else:
            hashes.append((path, entry["sha256"]))
    for path, card_hash in hashes:
        file_hash = digest(path)
        if file_hash != card_hash:
            yield (
                f"{path}: sha256 {file_hash[:12]}.., its card says {card_hash[:12]}..; "
                "restore it or publish again"
            )


def flush(path: Path) -> None:
    """Force a file, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def seal(folder: Path) -> None:
    """Make every file read-only and flush all files and folders, innermost first."""
    for path in walk(folder):
        path.chmod(path.stat().st_mode & ~0o222)
        flush(path)
    for path in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        flush(path)
    flush(folder)


def write_whole(path: Path, text: str, *, temporary: Path, mode: int) -> None:
    """Write a file so that readers see either the old one or all of the new one."""
    temporary.write_text(text, encoding="utf-8")
    temporary.chmod(mode)
    flush(temporary)
    os.replace(temporary, path)
    flush(path.parent)


def age(path: Path) -> float:
    """Return the seconds since the last write to a file or folder; 0 if it is being removed."""
    try:
        newest = max(child.lstat().st_mtime for child in (path, *path.rglob("*")))
    except FileNotFoundError:
        return 0.0
    return time.time() - newest


def delete(path: Path) -> None:
    """Remove a file or folder, even if another process is removing it too.

    Raises BadInput if something remains.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)  # checked below
    else:
        path.unlink(missing_ok=True)
    if path.exists():
        raise BadInput(f"{path}: cannot be removed; correct its permissions and run gc again")
