"""What a DeepSpeed configuration shards and offloads, read by name or from a file."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinr.records import BadInput

LIVE = 10**9  # parameters that ZeRO-3 keeps gathered; DeepSpeed's default


@dataclass(frozen=True)
class Zero:
    """What DeepSpeed shards, and what it offloads to the host."""

    stage: int = 0  # 1: optimiser; 2: gradients too; 3: weights too
    offload_optimiser: bool = False
    offload_weights: bool = False
    bf16: bool = True  # weights and gradients in 2 bytes, a float32 copy with the optimiser
    bucket: int | None = None  # parameters reduced at once; None: hidden x hidden ("auto")
    live: int = LIVE


NAMED = {
    "zero1": Zero(1),
    "zero2": Zero(2),
    "zero3": Zero(3),
    "zero2_offload": Zero(2, offload_optimiser=True),
    "zero3_offload": Zero(3, offload_optimiser=True, offload_weights=True),
}


def zero_of(name: str | None) -> Zero | None:
    """Read a DeepSpeed configuration by name or from a file. BadInput if there is none."""
    if name is None or name in NAMED:
        return NAMED.get(name or "")
    path = Path(name)
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        section = settings.get("zero_optimization", {})
        stage, bucket = section.get("stage", 0), section.get("reduce_bucket_size", 5 * 10**8)
    except (OSError, ValueError, AttributeError) as error:
        raise BadInput(
            f"deepspeed={name}: not a DeepSpeed configuration ({error}); give a JSON file or "
            f"one of {', '.join(NAMED)}"
        ) from error
    live = section.get("stage3_max_live_parameters", LIVE)
    return Zero(
        stage=stage if stage in (0, 1, 2, 3) else 0,
        offload_optimiser=_offloads(section, "offload_optimizer"),
        offload_weights=_offloads(section, "offload_param"),
        bf16=settings.get("bf16", {}).get("enabled") in (True, "auto"),
        bucket=None if bucket == "auto" else int(bucket),
        live=LIVE if live == "auto" else int(live),
    )


def _offloads(section: dict[str, Any], key: str) -> bool:
    return (section.get(key) or {}).get("device", "none") != "none"
