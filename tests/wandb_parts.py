"""What wandb wrote in offline mode, read back without an account or a network.

A `.wandb` file is a header of 7 bytes and then LevelDB's log: blocks of 32 KiB, in them chunks
of checksum, length and kind (1 whole, 2 first, 3 middle, 4 last), each record a protobuf.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

BLOCK, HEAD = 32768, struct.Struct("<IHB")


def records(path: Path) -> Iterator[Record]:
    """Every record of a run file, in order."""
    data, at, whole = path.read_bytes(), 7, b""
    assert data.startswith(b":W&B")
    while at + HEAD.size <= len(data):
        left = BLOCK - at % BLOCK
        if left < HEAD.size:  # the rest of a block that no head fits into
            at += left
            continue
        _, length, kind = HEAD.unpack_from(data, at)
        whole += data[at + HEAD.size : at + HEAD.size + length]
        at += HEAD.size + length
        if kind in (1, 4):
            record = Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def rows(found: list[Record]) -> list[dict[str, Any]]:
    """What was logged, row by row."""
    return [values(r.history.item) for r in found if r.HasField("history")]


def summary(found: list[Record]) -> dict[str, Any]:
    """The last value of every key of the summary."""
    items = [item for r in found if r.HasField("summary") for item in r.summary.update]
    return values(items)


def config(found: list[Record]) -> dict[str, Any]:
    """The configuration, with what was added to it later."""
    of_run = [item for r in found if r.HasField("run") for item in r.run.config.update]
    later = [item for r in found if r.HasField("config") for item in r.config.update]
    return values([*of_run, *later])


def values(items: Any) -> dict[str, Any]:
    """Key to value, nested as the keys are; later ones win."""
    found: dict[str, Any] = {}
    for item in items:
        *outer, last = item.nested_key or [item.key]
        place = found
        for key in outer:
            place = place.setdefault(key, {})
        place[last] = json.loads(item.value_json)
    return found
