"""Configuration as pure data: frozen dataclasses, YAML files, dotted overrides. No torch.

Each default lives once, in its dataclass. A YAML file holds only what differs; a
`key=value` on the command line wins over it; an unknown key fails with the nearest
known name.
"""

import dataclasses
import difflib
import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, get_type_hints

import yaml
from pydantic import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    TypeAdapter,
    ValidationError,
)

from tinr.records import BadInput

MACHINE_KEYS = ("registry", "run", "wandb", "accept", "capacity")  # say where or whether, not what
Settings = TypeVar("Settings")
Count = PositiveInt  # of what there must be some
Whole = NonNegativeInt
Weight = NonNegativeFloat
Positive = PositiveFloat


@dataclass(frozen=True)
class OptimiserConfig:
    """How weights move: AdamW, or Muon for the matrices inside the layers and AdamW beside it."""

    name: Literal["adamw", "muon"] = "adamw"
    learning_rate: Positive = 5e-5  # peak
    embedding_rate: Weight | None = None  # peak for the input and output rows; None: the same
    warmup: Weight = 0.03  # share of the steps
    final: Weight = 0.1  # of cosine: the learning rate at the end as a share of the peak
    schedule: Literal["linear", "cosine"] = "linear"  # linear ends at 0
    weight_decay: Weight = 0.0
    betas: tuple[float, float] = (0.9, 0.95)  # of AdamW
    gradient_clip: Positive = 1.0  # largest gradient norm
    gradient_limit: float | None = None  # norm before clipping from which a step is bad
    bad_step: Literal["stop", "skip"] = "stop"  # where loss or gradient is no number, or beyond
    # the limit; ten bad steps in a row stop the run in any case


@dataclass(frozen=True)
class TrainableConfig:
    """Which weights move."""

    what: Literal["all", "top", "lora", "rows"] = "all"  # top: the last layers and the rows of tags
    # and tool tokens, so that nothing is computed backwards below them; lora: adapters inside the
    # layers and these rows; rows: these rows alone
    layers: Count = 10  # of top: how many of the last ones move
    rank: Count = 16  # of the adapters
    alpha: float = 32.0  # their scale times the rank
    dropout: Weight = 0.0  # of the adapters' input
    targets: tuple[str, ...] = ()  # names of linear layers; (): all of them inside the blocks

    @property
    def adapts(self) -> bool:
        """Whether what moves lies beside the model's own weights, as an adapter."""
        return self.what in ("lora", "rows")


@dataclass(frozen=True)
class TrainingConfig:
    """The loop that all supervised phases share."""

    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    batch_tokens: Count = 8192  # tokens a batch and rank, padding included
    accumulate: Count = 1  # batches a step and rank
    row_tokens: Count = 256  # length of a packed row; a longer example has a row of its own
    longest: Count = 2048  # tokens; longer examples are dropped and counted
    bf16: bool | None = None  # autocast of float32 weights; null: where the machine is faster so
    compile: bool = False  # the layers, on a CPU: 20 s once, then about a third faster
    gradient_checkpointing: bool = False  # activations are computed again: less memory, slower
    checkpoint_steps: Whole = 200  # a step checkpoint every so many steps; 0: none
    deepspeed: str | None = None  # zero1, zero2, zero3, zero2_offload, zero3_offload, or a file


@dataclass(frozen=True)
class PreferenceConfig:
    """The loop over preference pairs; dropout is off in it, as TRL has it."""

    loss: Literal["simpo", "dpo", "ipo", "orpo"] = "simpo"
    beta: Positive = 2.5  # how sharply sides are told apart; usual: simpo 2.5, dpo 0.1, ipo 0.1
    # (its tau), orpo 0.1 (its lambda)
    gamma: float = 0.5  # simpo: how far apart the sides should be, after beta
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(learning_rate=1e-6))
    epochs: Count = 2
    pairs: Count = 8  # a batch and rank
    accumulate: Count = 1  # batches a step and rank
    longest: Count = 2048  # tokens of a side, prompt included; longer pairs are dropped and counted
    bf16: bool | None = None  # autocast of float32 weights; null: where the machine is faster so
    replay_weight: Weight = 0.5  # of the replayed batch's loss beside that of the pairs
    gradient_checkpointing: bool = False  # activations are computed again: less memory, slower
    checkpoint_steps: Whole = 50  # a step checkpoint every so many steps; 0: none
    deepspeed: str | None = None  # zero1, zero2, zero3, zero2_offload, zero3_offload, or a file


@dataclass(frozen=True)
class SearchConfig:
    """Tree search over fragments; the published settings of iTool (arXiv 2501.09766)."""

    samples: Count = 3  # continuations drawn at an expansion
    temperature: Positive = 1.5  # at which they are drawn
    fragment: Count = 50  # tokens of one at most
    depth: Count = 8  # decisions from the root; published are 3 fragments
    iterations: Count = 5  # expansions of a tree
    exploration: float = 1.0  # weight of what was seldom tried
    completion: Count = 384  # tokens of a whole reply at most


@dataclass(frozen=True)
class PairsConfig:
    """Which siblings become a preference pair; published."""

    gap: float = 0.1  # between the means of best and worst, at least
    least: float = -0.3  # mean of the best, at least
    overlap: float = 0.95  # share of tokens that both have, at most
    most: Count = 4000  # pairs a round


def load_config(
    kind: type[Settings],
    files: str | Path | Sequence[str | Path] | None,
    overrides: Sequence[str] = (),
) -> Settings:
    """A checked configuration of `kind` from YAML files and `key=value` overrides.

    A later file wins over an earlier one, an override over all. Raises BadInput for a missing
    or broken file, an unknown key, or a wrong value.
    """
    files = [files] if isinstance(files, str | Path) else files or []
    values: dict[str, Any] = {}
    default = _default(kind)
    for file in files:
        read = _read_yaml(Path(file))
        _check_keys(kind, read, str(file), ())
        _lay_over(values, read)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise BadInput(f"{override!r}: not an override; write key=value or part.key=value")
        _assign(values, key.split("."), _scalar(text, override), override, default)
    places = ", ".join([*map(str, files), *(["command line"] if overrides else [])])
    return build(kind, values, places or "defaults", {o.partition("=")[0] for o in overrides})


def build(
    kind: type[Settings], values: Mapping[str, Any], place: str, overridden: Collection[str] = ()
) -> Settings:
    """A frozen dataclass from plain data; BadInput names the key and what it should be.

    A group that is given in part keeps the rest of what it is by default in this place.
    overridden: the keys that the command line gives, which is then the place of a mistake.
    """
    _check_keys(kind, values, place, ())
    try:
        made = TypeAdapter(kind).validate_python(_on_default(_default(kind), values))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if any(key == one or key.startswith(f"{one}.") for one in overridden):
            place = "command line"
        said = first["msg"].replace("a valid tuple", f"a list: {key}=[...]")
        raise BadInput(f"{place}: {key}: {said}, not {first['input']!r}; correct it") from error
    for key, number in _endless(made):  # no card, no fingerprint and no log can hold one
        raise BadInput(f"{place}: {key}: {number} is no finite number; give a large one instead")
    return made


def override(key: str, value: object) -> str:
    """`key=value` that is read back as this very text, whatever it looks like."""
    return f"{key}={json.dumps(str(value), ensure_ascii=False)}"


def as_dict(config: Any) -> dict[str, Any]:
    """The resolved configuration as plain data that JSON and YAML hold."""
    return json.loads(json.dumps(dataclasses.asdict(config), default=str))


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise BadInput(f"{path}: no such configuration file; check the path")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:  # 2024-31-12 is a ValueError
        reason = " ".join(str(error).split())
        raise BadInput(f"{path}: not YAML ({reason}); correct the file") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise BadInput(f"{path}: not a mapping; write key: value lines")
    return values


def _default(kind: Any) -> Any:
    """All defaults of a class; None where something must be given."""
    try:
        return kind()
    except (BadInput, TypeError):
        return None


def _on_default(default: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, groups among them completed by what they are in `default`."""
    whole = dict(values)
    for key, value in values.items():
        group = getattr(default, key, None)
        if dataclasses.is_dataclass(group) and isinstance(value, Mapping):
            usual = {f.name: getattr(group, f.name) for f in dataclasses.fields(group)}
            whole[key] = usual | _on_default(group, value)
    return whole


def _endless(value: Any, key: str = "") -> Iterator[tuple[str, float]]:
    """The numbers in a configuration that are infinite or none, with their keys."""
    if isinstance(value, float) and not math.isfinite(value):
        yield key, value
    inner: Any = ()
    if dataclasses.is_dataclass(value):
        inner = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
    elif isinstance(value, Mapping):
        inner = value.items()
    elif isinstance(value, tuple | list):
        inner = enumerate(value)
    for name, one in inner:
        yield from _endless(one, f"{key}.{name}" if key else str(name))


def _lay_over(values: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Put `more` over `values`, group by group."""
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(values.get(key), dict):
            _lay_over(values[key], value)
        else:
            values[key] = value


def _scalar(text: str, override: str) -> Any:
    try:
        value = yaml.safe_load(text) if text else ""
    except (yaml.YAMLError, ValueError) as error:
        raise BadInput(f"{override!r}: the value is not YAML; put it in quotes") from error
    if isinstance(value, str) and not text.startswith(("'", '"')):
        try:  # YAML 1.1 reads 5e-5 as text
            return float(value)
        except ValueError:
            return value
    return value


def _assign(
    values: dict[str, Any], keys: Sequence[str], value: Any, override: str, default: Any
) -> None:
    """Put a value into its place; of a mapping that nobody gave the others stay as by default."""
    for key in keys[:-1]:
        default = default.get(key) if isinstance(default, Mapping) else getattr(default, key, None)
        inner = values.setdefault(key, dict(default) if isinstance(default, Mapping) else {})
        if not isinstance(inner, dict):
            raise BadInput(f"{override!r}: {key} is a value, not a group; drop the part after it")
        values = inner
    values[keys[-1]] = value


def _check_keys(kind: Any, values: Any, place: str, above: tuple[str, ...]) -> None:
    """Unknown keys, at any depth, fail with the nearest known name."""
    if not dataclasses.is_dataclass(kind) or not isinstance(values, Mapping):
        return
    types = get_type_hints(kind)
    known = [f.name for f in dataclasses.fields(kind)]
    for key, value in values.items():
        full = ".".join((*above, str(key)))
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
            raise BadInput(f"{place}: unknown key {full!r}; {hint}")
        _check_keys(types[key], value, place, (*above, str(key)))
