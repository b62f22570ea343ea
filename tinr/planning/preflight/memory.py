"""Memory of a rank by formulas; measured peaks of small models agree (docs/benchmarks.md).

The formulas count what a Llama-like block saves for its backward pass: two normalisations,
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
    """The settings of a training that determine its memory."""

    ranks: int = 1
    zero: Zero | None = None  # None: float32 weights, autocast
    muon: bool = False
    bf16: bool = True
    checkpointing: bool = False
    accumulate: int = 1
    trainable: TrainableConfig = field(default_factory=TrainableConfig)
    accelerator: bool = True  # False: a CPU, where attention uses plain products and saves scores
    nodes: int = 1  # machines that share the ranks evenly

    @property
    def half(self) -> bool:
        """Whether the weights themselves are bfloat16."""
        return self.zero is not None and self.zero.bf16


@dataclass(frozen=True)
class Pass:
    """One forward and backward pass: R rows of T positions, N of them with logits.

    scored: positions whose log-probabilities are computed in chunks (`head_scores`).
    """

    rows: int
    width: int
    labelled: int
    scored: int = 0


@dataclass(frozen=True)
class Load:
    """The computation: groups of simultaneous passes, and the size of the rollouts' cache."""

    passes: tuple[tuple[Pass, ...], ...]
    rollout_rows: int = 0
    rollout_length: int = 0
    reference: bool = False  # whether there is a frozen copy of the weights, for KL


@dataclass(frozen=True)
class Memory:
    """Bytes on a rank's device; `host`: on a node, all its ranks together."""

    weights: int
    gradients: int
    optimiser: int
    copies: int  # bfloat16 copies of float32 weights, ZeRO-3's gathered ones, grown tables
    buckets: int  # of the communication between ranks
    activations: int  # of the largest batch
    logits: int  # of the same batch
    cache: int  # keys, values and sampling of the rollouts
    step: int  # temporary memory of the optimiser's step
    peak: int  # the largest of three: forward and backward, step, rollout
    moment: str
    host: int


def memory_of(shape: Shape, setup: Setup, load: Load) -> Memory:
    """Compute the peak memory of a rank, by part."""
    zero = setup.zero or Zero(bf16=False)
    gradient_count, total = (
        shape.moving(setup.trainable),
        shape.parameters + shape.added(setup.trainable),
    )
    size = 2 if setup.half else 4
    weights = _share(size * total * (2 if load.reference else 1), setup, 3)
    gradients = _share(size * gradient_count, setup, 2)
    optimiser = _share(optimiser_bytes(shape, setup), setup, 1)
    step = _share(_step_bytes(shape, setup), setup, 1)
    # each rank reads the whole model into host memory before moving or sharding it
    host = setup.ranks // setup.nodes * 4 * shape.parameters if setup.accelerator else 0
    if zero.offload_optimiser:  # with float32 gradients, of all ranks of the node
        host += (optimiser_bytes(shape, setup) + 4 * gradient_count) // setup.nodes
        optimiser = step = 0
    if zero.offload_weights:
        host += size * total // setup.nodes
        weights = 0
    copies, buckets = _copies(shape, setup, total), _buckets(shape, setup, gradient_count)
    pass_peak, (activations, logits) = _heaviest_group(shape, setup, load)
    cache = _cache(shape, setup, load)
    resident = weights + optimiser + (copies if zero.stage == 3 else 0)
    # without DeepSpeed or accumulation, gradients replace activations that the backward pass frees
    gradient_bytes = gradients if setup.zero or setup.accumulate > 1 else 0
    moments = {
        "forward and backward": weights + optimiser + gradient_bytes + copies + buckets + pass_peak,
        "optimiser's step": resident + gradients + buckets + step,
        "rollout": resident + cache,
    }
    moment = max(moments, key=lambda name: moments[name])
    return Memory(
        weights, gradients, optimiser, copies, buckets, activations, logits, cache, step,
        moments[moment], moment, host,
    )  # fmt: skip


def _share(size: int, setup: Setup, stage: int) -> int:
    """A rank's share of what is sharded from a ZeRO stage on."""
    return -(-size // setup.ranks) if setup.zero and setup.zero.stage >= stage else size


def optimiser_bytes(shape: Shape, setup: Setup) -> int:
    """Bytes of the optimiser: two float32 moments per parameter, one for Muon's matrices.

    With bfloat16 weights, it also has a float32 copy of them.
    """
    count = shape.moving(setup.trainable)
    matrix_count = 0
    if setup.muon:  # everything inside the blocks that is a matrix
        rows = shape.growth.own * shape.hidden * shape.tables
        matrix_count = count - rows if setup.trainable.adapts else shape.matrices
    return 8 * count - 4 * matrix_count + (4 * count if setup.half else 0)


def _step_bytes(shape: Shape, setup: Setup) -> int:
    """Temporary bytes of a step.

    DeepSpeed: float32 gradients. AdamW: square roots, on a CPU of one tensor at a time. Muon: 17
    bytes per element of the largest stack of matrices of one size.
    """
    count = shape.moving(setup.trainable)
    if setup.half:
        return 4 * count
    if setup.muon and not setup.trainable.adapts and shape.linears:
        stacks: dict[tuple[int, int], int] = {}
        for linear in shape.linears:
            key = (linear.inputs, linear.outputs)
            stacks[key] = stacks.get(key, 0) + linear.count * linear.inputs * linear.outputs
        return 17 * max(stacks.values())
    return 4 * (count if setup.accelerator else min(count, 2 * shape.growth.rows * shape.hidden))


def _copies(shape: Shape, setup: Setup, total: int) -> int:
    """Bytes of copies of the weights.

    With autocast, bfloat16 copies of the linear weights and the head; with ZeRO-3, the gathered
    weights; if the base's weights are frozen, the tables that include the new rows.
    """
    table = shape.growth.rows * shape.hidden
    is_frozen = setup.trainable.adapts
    copies = (2 if setup.half else 4) * table * shape.tables if is_frozen else 0
    if setup.zero and setup.zero.stage == 3:
        return copies + 2 * min(total, setup.zero.live)
    if setup.bf16 and not setup.half:
        copies += 2 * (shape.matrices + table + (shape.added(setup.trainable) if is_frozen else 0))
    return copies


def _buckets(shape: Shape, setup: Setup, moving: int) -> int:
    """Bytes of two reduce buckets with DeepSpeed; else, with several ranks, of copied gradients."""
    if setup.zero is None:
        return 4 * moving if setup.ranks > 1 else 0
    bucket = shape.hidden**2 if setup.zero.bucket is None else setup.zero.bucket
    return 2 * (2 if setup.half else 4) * min(bucket, moving)


def _heaviest_group(shape: Shape, setup: Setup, load: Load) -> tuple[int, tuple[int, int]]:
    """Bytes of the group of passes that needs most, and its activations and logits.

    The larger of all its passes with their logits, and of one pass with its policy's head.
    """
    sizes = [(0, (0, 0))]
    for group in load.passes:
        pass_sizes = [pass_bytes(shape, setup, batch_pass) for batch_pass in group]
        activations, logits = (sum(pair[i] for pair in pass_sizes) for i in (0, 1))
        for (pass_activations, _), batch_pass in zip(pass_sizes, group, strict=True):
            logits = max(
                logits, pass_activations + head_bytes(shape, setup, batch_pass) - activations
            )
        sizes.append((activations + logits, (activations, logits)))
    return max(sizes)


def head_bytes(shape: Shape, setup: Setup, batch_pass: Pass) -> int:
    """Bytes of a policy's head.

    Three float32 copies of a chunk of logits, and the float32 gradient of the head's weights.
    """
    if not batch_pass.scored:
        return 0
    entries = shape.growth.rows
    chunk = CHUNK["cuda" if setup.accelerator else "cpu"] // entries
    return 12 * min(batch_pass.scored, chunk) * entries + 4 * entries * shape.hidden


def pass_bytes(shape: Shape, setup: Setup, batch_pass: Pass) -> tuple[int, int]:
    """Bytes of the activations and of the logits of one pass.

    Logits: float32 log-probabilities, their gradient and that of the logits, 12 N V.
    """
    tokens = batch_pass.rows * batch_pass.width
    scores = not setup.accelerator and batch_pass.width <= PRODUCTS_ROW_TOKENS
    layers = shape.trained_layers(setup.trainable)
    layer = layer_bytes(shape, setup, batch_pass.width, scores) * tokens
    ends = 12 * shape.hidden * tokens + 6 * shape.hidden * batch_pass.labelled
    logits = 12 * batch_pass.labelled * shape.growth.rows
    if setup.checkpointing:  # each layer's input; one whole layer, after the logits are freed
        inputs = (2 if setup.half else 4) * shape.hidden * tokens
        return layers * inputs + ends + max(0, layer - logits), logits
    return layers * layer + ends, logits


def layer_bytes(shape: Shape, setup: Setup, width: int, scores: bool) -> int:
    """Bytes that one position saves in one block for the backward pass.

    All weights train, autocast: 26 H + 8 Q + 8 F; bfloat16 weights: 16 H + 8 Q + 8 F;
    float32: 24 H + 16 Q + 16 F; frozen blocks: 8 H + 8 Q + 6 F, because they need gradients of
    inputs alone. Attention adds 2 T heads (scores) or 2 T + 4 heads (fused, mask).
    """
    hidden, queries = shape.hidden, shape.heads * shape.head_dim
    keys, intermediate = shape.kv_heads * shape.head_dim, shape.intermediate
    element_size = 2 if setup.bf16 or setup.half else 4
    is_moving = not setup.trainable.adapts
    # keys and values are repeated to the width Q
    size = 8 * hidden + 4 * element_size * queries + 3 * element_size * intermediate
    size += element_size * width * shape.heads if scores else element_size * width + 4 * shape.heads
    if shape.normed:
        size += (4 + (element_size if is_moving else 0)) * (queries + keys)
    if is_moving:
        norm_bytes, input_count = (4, 2) if setup.half else (8, 5) if element_size == 2 else (8, 2)
        size += (norm_bytes + element_size * input_count) * hidden + element_size * intermediate
    return size + _adapter_bytes(shape, setup, element_size)


def _adapter_bytes(shape: Shape, setup: Setup, element_size: int) -> int:
    """Bytes that adapters save per position, as a mean over the blocks.

    They save their input, the product between the two matrices and, with dropout, the dropped
    input and a mask.
    """
    linears = shape.adapted(setup.trainable)
    dropout_bytes = element_size + 1 if setup.trainable.dropout else 0
    size = sum(
        linear.count
        * ((element_size + dropout_bytes) * linear.inputs + element_size * setup.trainable.rank)
        for linear in linears
    )
    return size // shape.layers


def _cache(shape: Shape, setup: Setup, load: Load) -> int:
    """Bytes of the rollouts' keys and values, and of four copies of their float32 logits."""
    size = 2 if setup.half else 4
    token_bytes = 2 * shape.layers * shape.kv_heads * shape.head_dim * size
    return load.rollout_rows * (load.rollout_length * token_bytes + 16 * shape.growth.rows)


def heaviest_only(groups: Sequence[tuple[Pass, ...]]) -> tuple[tuple[Pass, ...], ...]:
    """Keep the groups of one pass that no other group exceeds in every dimension."""
    rows: list[tuple[int, int, int, tuple[Pass, ...]]] = []
    sizes = {(g[0].rows * g[0].width, g[0].width, g[0].labelled, g) for g in groups}
    for size in sorted(sizes, key=lambda s: s[:3], reverse=True):
        if not any(all(a >= b for a, b in zip(k[:3], size[:3], strict=True)) for k in rows):
            rows.append(size)
    return tuple(size[3] for size in rows)
