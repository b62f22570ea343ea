"""Read and check `summary.json`: parts may be absent, but not invalid."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tinr.records import BadInput

CHAIN = ("base", "align", "sft", "grpo")
KINDS = {  # type of a value of the summary -> its test
    "text": lambda v: isinstance(v, str),
    "a whole number": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "a finite number of at least 0": lambda v: is_finite(v) and v >= 0,
    "an object": lambda v: isinstance(v, Mapping),
    "a share in [0, 1]": lambda v: is_finite(v) and 0 <= v <= 1,
    "a finite number": lambda v: is_finite(v),
}
TEXT, WHOLE, AMOUNT, _, SHARE, NUMBER = KINDS
RATE = {"value": SHARE, "n": AMOUNT, "low": SHARE, "high": SHARE}
EVALUATION = {"*": {"*": {"*": RATE}}}
COMPARISON = dict.fromkeys(("metric", "before", "after"), TEXT)
COMPARISON |= dict.fromkeys(("n", "gained", "lost"), AMOUNT) | {"p": SHARE}
TAX = dict.fromkeys(("value", "low", "high"), NUMBER) | {"n": AMOUNT, "unit": TEXT}
SHAPE = {
    "phases": {"*": {"checkpoint": TEXT, "seconds": AMOUNT, "gate": {"*": SHARE}}},
    "eval": EVALUATION,
    "history": {"*": EVALUATION},
    "knowledge": {"*": {"*": RATE | {"chance": SHARE, "blind": SHARE}}},
    "tax": {"*": {"*": TAX}},
    "comparison": COMPARISON,
    "seconds": AMOUNT,
    "peak_rss_gib": AMOUNT,
    "seed": WHOLE,
    "versions": {"*": TEXT},
    "cost": {"prompt_tokens": {"*": AMOUNT}},
}


def read_summary(path: Path) -> dict[str, Any]:
    """Read the summary of a run; parts may be absent. Raise BadInput if one is invalid."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(
            f"{path}: cannot read it ({error.strerror}); give the folder of a finished quickstart"
        ) from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: invalid JSON ({error}); run the quickstart again") from error
    _check(data, SHAPE, path, "")
    return data


def _check(value: Any, shape: Any, path: Path, pointer: str) -> None:
    """Raise BadInput at the first value that does not have its `shape`; null counts as absent."""
    kind = shape if isinstance(shape, str) else "an object"
    if not KINDS[kind](value):
        location = (pointer or "/").encode("unicode_escape").decode()
        raise BadInput(f"{path}: {location} is {repr(value)[:60]}, not {kind}; correct it there")
    if isinstance(shape, Mapping):
        for key in (key for key in value if value[key] is not None):
            if inner_shape := shape.get(key, shape.get("*")):
                _check(value[key], inner_shape, path, f"{pointer}/{key}")


def is_finite(value: Any) -> bool:
    """Whether a value is a number that can be drawn: no bool, nan, infinity or huge integer."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


def at(data: Any, *keys: str) -> Any:
    """The value below a chain of keys; None if a key is missing."""
    for key in keys:
        if not isinstance(data, Mapping):
            return None
        data = data.get(key)
    return data


def phases_of(summary: Mapping[str, Any]) -> list[str]:
    """The phases of the run in the order of CHAIN, unknown phases last."""
    keys = ("phases", "history", "knowledge", "tax")
    return in_order(phase for key in keys for phase in at(summary, key) or {})


def in_order(names: Iterable[str]) -> list[str]:
    """Phases in the order of CHAIN without repeats, unknown phases last."""
    phases = dict.fromkeys(names)
    return [p for p in CHAIN if p in phases] + [p for p in phases if p not in CHAIN]
