"""Bytes that a rank holds, by formulas; measured peaks of small models agree (docs/benchmarks.md).

The formulas follow what a Llama-like block keeps for its backward pass: two normalisations,
queries, keys, values, a gated MLP. R rows, T positions, N labelled positions, V vocabulary
rows, H hidden, Q and K the width of all queries and of all keys, F intermediate.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tinr.config import TrainableConfig
from tinr.planning.preflight.shape import Shape
from tinr.planning.preflight.zero import Zero
from tinr.training.cpu_attention import PRODUCTS_ROW_TOKENS
from tinr.training.head_scores import CHUNK


@dataclass(frozen=True)
class Setup:
    """How a model is trained, as far as it costs memory."""

    ranks: int = 1
    zero: Zero | None = None  # None: float32 weights, autocast
    muon: bool = False
    bf16: bool = True
    checkpointing: bool = False
    accumulate: int = 1
    trainable: TrainableConfig = field(default_factory=TrainableConfig)
    accelerator: bool = True  # False: a CPU, where attention is plain products that keep scores
    nodes: int = 1  # machines that share the ranks evenly

    @property
    def half(self) -> bool:
        """Whether the weights themselves are bfloat16."""
        return self.zero is not None and self.zero.bf16


@dataclass(frozen=True)
class Pass:
    """One forward and backward pass: R rows of T positions, N of them with logits.

    scored: positions whose log-probabilities are taken some at a time (`head_scores`).
    """

    rows: int
    width: int
    labelled: int
    scored: int = 0


@dataclass(frozen=True)
class Load:
    """What is computed: groups of passes held at once, rows and length of the rollouts' cache."""

    passes: tuple[tuple[Pass, ...], ...]
    rollout_rows: int = 0
    rollout_length: int = 0
    reference: bool = False  # a frozen copy of the weights beside them (KL)


@dataclass(frozen=True)
class Memory:
    """Bytes on a rank's device; `host`: on a node, all its ranks together."""

    weights: int
    gradients: int
    optimiser: int
    copies: int  # bfloat16 copies of float32 weights, ZeRO-3's gathered ones, grown tables
    buckets: int  # of the exchange between ranks
    activations: int  # of the largest batch
    logits: int  # of the same batch
    cache: int  # keys, values and sampling of the rollouts
    step: int  # what the optimiser's step needs for a moment
    peak: int  # of the three moments: forward and backward, step, rollout
    moment: str
    host: int


def memory_of(shape: Shape, setup: Setup, load: Load) -> Memory:
    """What a rank holds at its peak, part by part."""
    zero = setup.zero or Zero(bf16=False)
    moving, total = shape.moving(setup.trainable), shape.parameters + shape.added(setup.trainable)
    size = 2 if setup.half else 4
    weights = _share(size * total * (2 if load.reference else 1), setup, 3)
    gradients = _share(size * moving, setup, 2)
    optimiser = _share(optimiser_bytes(shape, setup), setup, 1)
    step = _share(_step_bytes(shape, setup), setup, 1)
    # each rank reads the whole model there before it is on its device, or is shared out
    host = setup.ranks // setup.nodes * 4 * shape.parameters if setup.accelerator else 0
    if zero.offload_optimiser:  # with float32 gradients, of all ranks of the node
        host += (optimiser_bytes(shape, setup) + 4 * moving) // setup.nodes
        optimiser = step = 0
    if zero.offload_weights:
        host += size * total // setup.nodes
        weights = 0
    copies, buckets = _copies(shape, setup, total), _buckets(shape, setup, moving)
    heaviest, (activations, logits) = _heaviest(shape, setup, load)
    cache = _cache(shape, setup, load)
    held = weights + optimiser + (copies if zero.stage == 3 else 0)
    kept = gradients if setup.zero or setup.accumulate > 1 else 0  # else made as activations go
    moments = {
        "forward and backward": weights + optimiser + kept + copies + buckets + heaviest,
        "optimiser's step": held + gradients + buckets + step,
        "rollout": held + cache,
    }
    moment = max(moments, key=lambda name: moments[name])
    return Memory(
        weights, gradients, optimiser, copies, buckets, activations, logits, cache, step,
        moments[moment], moment, host,
    )  # fmt: skip


def _share(size: int, setup: Setup, stage: int) -> int:
    """A rank's part of what is sharded from a ZeRO stage on."""
    return -(-size // setup.ranks) if setup.zero and setup.zero.stage >= stage else size


def optimiser_bytes(shape: Shape, setup: Setup) -> int:
    """Two float32 moments, one for Muon's matrices; under DeepSpeed the float32 weights too."""
    moving = shape.moving(setup.trainable)
    single = 0
    if setup.muon:  # everything inside the blocks that is a matrix
        rows = shape.growth.own * shape.hidden * shape.tables
        single = moving - rows if setup.trainable.adapts else shape.matrices
    return 8 * moving - 4 * single + (4 * moving if setup.half else 0)


def _step_bytes(shape: Shape, setup: Setup) -> int:
    """DeepSpeed: float32 gradients. Else AdamW's square roots, on a CPU one tensor at a time;
    Muon: 17 bytes for each element of the largest stack of matrices of one size."""
    moving = shape.moving(setup.trainable)
    if setup.half:
        return 4 * moving
    if setup.muon and not setup.trainable.adapts and shape.linears:
        stacks: dict[tuple[int, int], int] = {}
        for one in shape.linears:
            key = (one.inputs, one.outputs)
            stacks[key] = stacks.get(key, 0) + one.count * one.inputs * one.outputs
        return 17 * max(stacks.values())
    return 4 * (moving if setup.accelerator else min(moving, 2 * shape.growth.rows * shape.hidden))


def _copies(shape: Shape, setup: Setup, total: int) -> int:
    """bfloat16 copies that autocast makes of the linear weights and the head; with ZeRO-3 the
    gathered weights; where only new rows move, tables with these in place."""
    table = shape.growth.rows * shape.hidden
    frozen = setup.trainable.adapts
    copies = (2 if setup.half else 4) * table * shape.tables if frozen else 0
    if setup.zero and setup.zero.stage == 3:
        return copies + 2 * min(total, setup.zero.live)
    if setup.bf16 and not setup.half:
        copies += 2 * (shape.matrices + table + (shape.added(setup.trainable) if frozen else 0))
    return copies


def _buckets(shape: Shape, setup: Setup, moving: int) -> int:
    """Two reduce buckets under DeepSpeed; without it, on several ranks, a copy of the gradients."""
    if setup.zero is None:
        return 4 * moving if setup.ranks > 1 else 0
    bucket = shape.hidden**2 if setup.zero.bucket is None else setup.zero.bucket
    return 2 * (2 if setup.half else 4) * min(bucket, moving)


def _heaviest(shape: Shape, setup: Setup, load: Load) -> tuple[int, tuple[int, int]]:
    """Bytes of the group of passes that needs most, and its activations and logits.

    A policy's head is done while the other passes of a group have their logits.
    """
    found = [(0, (0, 0))]
    for group in load.passes:
        parts = [pass_bytes(shape, setup, one) for one in group]
        activations, logits = (sum(part[i] for part in parts) for i in (0, 1))
        for (own, _), one in zip(parts, group, strict=True):
            logits = max(logits, own + head_bytes(shape, setup, one) - activations)
        found.append((activations + logits, (activations, logits)))
    return max(found)


def head_bytes(shape: Shape, setup: Setup, one: Pass) -> int:
    """A policy's head: three float32 copies of the logits that are in memory at once, and the
    float32 gradient of its weights."""
    if not one.scored:
        return 0
    entries = shape.growth.rows
    chunk = CHUNK["cuda" if setup.accelerator else "cpu"] // entries
    return 12 * min(one.scored, chunk) * entries + 4 * entries * shape.hidden


def pass_bytes(shape: Shape, setup: Setup, one: Pass) -> tuple[int, int]:
    """Activations and logits of one pass.

    Logits: float32 log-probabilities, their gradient and the logits' own, 12 N V.
    """
    tokens = one.rows * one.width
    scores = not setup.accelerator and one.width <= PRODUCTS_ROW_TOKENS
    layers = shape.trained_layers(setup.trainable)
    layer = layer_bytes(shape, setup, one.width, scores) * tokens
    ends = 12 * shape.hidden * tokens + 6 * shape.hidden * one.labelled
    logits = 12 * one.labelled * shape.growth.rows
    if setup.checkpointing:  # each layer's input; one layer whole, when the logits are gone
        inputs = (2 if setup.half else 4) * shape.hidden * tokens
        return layers * inputs + ends + max(0, layer - logits), logits
    return layers * layer + ends, logits


def layer_bytes(shape: Shape, setup: Setup, width: int, scores: bool) -> int:
    """What one position keeps of one block for the backward pass.

    Everything moves, autocast: 26 H + 8 Q + 8 F; bfloat16 weights: 16 H + 8 Q + 8 F;
    float32: 24 H + 16 Q + 16 F; frozen blocks: 8 H + 8 Q + 6 F, for there only gradients of
    inputs are needed. Attention adds 2 T heads (scores) or 2 T + 4 heads (fused, mask).
    """
    hidden, queries = shape.hidden, shape.heads * shape.head_dim
    keys, inner = shape.kv_heads * shape.head_dim, shape.intermediate
    half = 2 if setup.bf16 or setup.half else 4
    moving = not setup.trainable.adapts
    kept = 8 * hidden + 4 * half * queries + 3 * half * inner  # keys, values repeated to Q
    kept += half * width * shape.heads if scores else half * width + 4 * shape.heads
    if shape.normed:
        kept += (4 + (half if moving else 0)) * (queries + keys)
    if moving:
        normalised, inputs = (4, 2) if setup.half else (8, 5) if half == 2 else (8, 2)
        kept += (normalised + half * inputs) * hidden + half * inner
    return kept + _adapter_bytes(shape, setup, half)


def _adapter_bytes(shape: Shape, setup: Setup, half: int) -> int:
    """Each adapter keeps its input, with dropout the dropped one and a mask, and what lies
    between its two matrices; a mean over the blocks."""
    adapted = shape.adapted(setup.trainable)
    dropped = half + 1 if setup.trainable.dropout else 0
    size = sum(
        one.count * ((half + dropped) * one.inputs + half * setup.trainable.rank) for one in adapted
    )
    return size // shape.layers


def _cache(shape: Shape, setup: Setup, load: Load) -> int:
    """Keys and values of the rollouts, and the float32 logits that are sampled from, fourfold."""
    size = 2 if setup.half else 4
    each = 2 * shape.layers * shape.kv_heads * shape.head_dim * size
    return load.rollout_rows * (load.rollout_length * each + 16 * shape.growth.rows)


def heaviest_only(groups: Sequence[tuple[Pass, ...]]) -> tuple[tuple[Pass, ...], ...]:
    """The groups of one pass but for those that another exceeds in every way."""
    kept: list[tuple[int, int, int, tuple[Pass, ...]]] = []
    sizes = {(g[0].rows * g[0].width, g[0].width, g[0].labelled, g) for g in groups}
    for size in sorted(sizes, key=lambda s: s[:3], reverse=True):
        if not any(all(a >= b for a, b in zip(k[:3], size[:3], strict=True)) for k in kept):
            kept.append(size)
    return tuple(size[3] for size in kept)
