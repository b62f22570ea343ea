"""Write a checkpoint for other programs: a Hugging Face folder, one with a vLLM plugin, a GGUF."""

import shutil
import uuid
from pathlib import Path
from typing import Literal

from tinr.checkpoints.card import Card
from tinr.checkpoints.durable_files import check_new, disk_errors
from tinr.checkpoints.export.gguf_file import write_gguf
from tinr.checkpoints.registry import Registry

Format = Literal["hf", "gguf", "vllm"]
PLUGIN = "tinr_tool_parser.py"


def export(registry: Registry, ref: str, out: Path, form: Format) -> Card:
    """Write a checkpoint into the new or empty folder `out`, all or nothing.

    hf: its files. vllm: these and a tool parser for `vllm serve`. gguf: one file named by its id.
    Raises BadInput for any other `out`, a damaged checkpoint, or a model without GGUF support here.
    """
    if form == "hf":
        return registry.export(ref, out)
    check_new(out)
    staging_folder = out.parent / f".{out.name}.{uuid.uuid4().hex}"
    copy = staging_folder / "copy"
    try:
        card = registry.export(ref, copy)
        with disk_errors(out, "nothing was exported"):
            result = staging_folder / "result"
            if form == "vllm":
                shutil.copyfile(Path(__file__).with_name("vllm_parser.py"), copy / PLUGIN)
                copy.rename(result)
            else:
                result.mkdir()
                write_gguf(copy, result / f"{card.id}.gguf", card.id)
            result.rename(out)
    finally:
        shutil.rmtree(staging_folder, ignore_errors=True)
    return card
