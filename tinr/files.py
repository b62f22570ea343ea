"""Write files completely or not at all."""

import errno
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tinr.records import BadInput


def make_folder(path: Path | None) -> None:
    """Create the folder for results before the work starts; BadInput if that is impossible."""
    if path is None:
        return
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{path}: cannot create the folder ({error.strerror})") from error


def not_over(out: Path, sources: Iterable[str | Path]) -> None:
    """Raise BadInput if the file to write is one of the files to read."""
    if out.exists() and out.resolve() in {Path(source).resolve() for source in sources}:
        raise BadInput(f"--out {out}: is an input file; give another file")


def without_halves(value: Any, source: str) -> Any:
    """Replace lone surrogates in the texts of a JSON value.

    No file and no tokenizer accepts them. source: the JSON text of the value.
    """
    if not re.search(r"\\u[dD][89a-fA-F]", source):
        return value
    return json.loads(whole_text(json.dumps(value, ensure_ascii=False)))


def whole_text(text: str) -> str:
    """Return the text with lone surrogates replaced and surrogate pairs joined."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def write_text(path: Path, text: str | Iterable[str]) -> None:
    """Write UTF-8 text, or an iterable of its pieces, to a partial file and then rename it."""
    write_together({path: text})


def write_together(texts: Mapping[Path, str | Iterable[str]]) -> None:
    """Write several files; none gets its final name before all are written."""
    partials = {path: path.with_name(f"{path.name}.{os.getpid()}.partial") for path in texts}
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with partials[path].open("w", encoding="utf-8") as file:
                file.writelines([text] if isinstance(text, str) else text)
        for path in texts:
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        for path, partial in partials.items():
            partial.replace(path)
    finally:
        for partial in partials.values():
            partial.unlink(missing_ok=True)
