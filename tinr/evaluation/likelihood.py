"""How probable given continuations are, and the best one under a constraint.

A prompt is read once and its cache shared by its options. Options are pieces, so a tool
counts alike whether it is one vocabulary entry or spelled in several.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch
from transformers import DynamicCache, PreTrainedModel

from tinr.chat.codec import Codec, Piece
from tinr.evaluation.choices import Choice
from tinr.progress import progress_bar
from tinr.rollout.generate import forward, prefill

BATCH_TOKENS = 4096  # of all rows of a batch, padding included
BATCH_LOGITS = 100_000_000  # numbers in the logits of a batch: 400 MB

Tree = dict[int, Any]  # id -> what may follow, or the name of the option that ends here


@dataclass(frozen=True)
class Likelihood:
    """The log-probability of one option after its prompt, in nats, and its length."""

    total: float
    tokens: int

    @property
    def mean(self) -> float:
        """Nats a token."""
        return self.total / max(1, self.tokens)


@torch.inference_mode()
def likelihoods(
    model: PreTrainedModel,
    codec: Codec,
    choices: Sequence[Choice],
    shared: bool = True,
    title: str = "how likely given texts are",
) -> list[list[Likelihood]]:
    """The likelihood of every option of every choice, in their order; a title shows progress.

    Prompts must not be empty. shared=False: the ids with which all options of a choice begin
    are read once and not counted, which changes no comparison of sums and saves half of the
    work on lines that differ in a word. Another batch may differ in the last digits.
    """
    prompts = [codec.encode(choice.prompt)[0] for choice in choices]
    options = [[codec.encode(option)[0] for option in choice.options] for choice in choices]
    for row, choice in enumerate(choices):
        alike = 0 if shared or choice.even else _alike(options[row])
        prompts[row] = prompts[row] + options[row][0][:alike]
        options[row] = [option[alike:] for option in options[row]]
    longest = [max(map(len, given)) for given in options]
    found: dict[int, list[Likelihood]] = {}
    sizes = [
        (len(p), len(p) + most, len(given))
        for p, most, given in zip(prompts, longest, options, strict=True)
    ]
    tokens = [len(p) + sum(map(len, given)) for p, given in zip(prompts, options, strict=True)]
    with progress_bar(sum(tokens), title, "token") as bar:
        for batch in batches(sizes, batch_tokens(model)):
            scored = _score(
                model, [prompts[i] for i in batch], [options[i] for i in batch], codec.pad
            )
            found.update(zip(batch, scored, strict=True))
            bar.update(sum(tokens[i] for i in batch))
    return [found[i] for i in range(len(choices))]


def hits(
    model: PreTrainedModel, codec: Codec, choices: Sequence[Choice], title: str = ""
) -> list[bool]:
    """Whether the right option is likelier than every other; a tie is a miss."""
    shown: dict[str, Any] = {"title": title} if title else {}
    scored = likelihoods(model, codec, choices, shared=False, **shown)
    return [_right(choice, found) for choice, found in zip(choices, scored, strict=True)]


def _alike(options: Sequence[Sequence[int]]) -> int:
    """How many ids all options begin with."""
    columns = zip(*options, strict=False)
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))


def _right(choice: Choice, found: Sequence[Likelihood]) -> bool:
    right, *others = (one.mean if choice.even else one.total for one in found)
    return all(right > other for other in others)


@torch.inference_mode()
def decode_among(
    model: PreTrainedModel,
    codec: Codec,
    prompts: Sequence[Sequence[Piece]],
    options: Mapping[str, Sequence[Piece]],
    title: str = "the likeliest of all options",
) -> list[str]:
    """Greedy decoding in which only the options can be written: the one written at each prompt.

    Each step takes the likeliest id that goes on with an option. Where every option is one
    id, that is the likeliest option.
    """
    tree = _tree({name: codec.encode(pieces)[0] for name, pieces in options.items()})
    ids = [codec.encode(prompt)[0] for prompt in prompts]
    found: dict[int, str] = {}
    sizes = [(len(p), len(p), 1) for p in ids]
    with progress_bar(sum(map(len, ids)), title, "token") as bar:
        for batch in batches(sizes, batch_tokens(model)):
            names = _descend(model, [ids[i] for i in batch], tree, codec.pad)
            found.update(zip(batch, names, strict=True))
            bar.update(sum(len(ids[i]) for i in batch))
    return [found[i] for i in range(len(prompts))]


def batch_tokens(model: PreTrainedModel) -> int:
    """Tokens that a batch may have, so that its logits stay in memory."""
    rows = model.get_input_embeddings().weight.shape[0]  # type: ignore[union-attr]
    return max(1, min(BATCH_TOKENS, BATCH_LOGITS // int(rows)))


def batches(sizes: Sequence[tuple[int, int, int]], tokens: int) -> Iterator[list[int]]:
    """Numbers of items, short prompts first: (prompt, whole width, rows) -> batches of `tokens`.

    An item larger than a batch is a batch of its own.
    """
    batch: list[int] = []
    width = rows = 0
    for item in sorted(range(len(sizes)), key=lambda i: sizes[i]):
        width, rows = max(width, sizes[item][1]), rows + sizes[item][2]
        if batch and width * rows > tokens:
            yield batch
            batch, width, rows = [], sizes[item][1], sizes[item][2]
        batch.append(item)
    if batch:
        yield batch


def _score(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    options: Sequence[Sequence[Sequence[int]]],
    pad: int,
) -> list[list[Likelihood]]:
    """Options of each prompt: their first id from the prompt's end, the rest from themselves."""
    cache = DynamicCache()
    logits, mask = prefill(model, prompts, pad, cache)
    first = torch.log_softmax(logits, -1)
    owner = [row for row, given in enumerate(options) for _ in given]
    flat = [option for given in options for option in given]
    totals = [float(first[o, option[0]]) if option else 0.0
              for o, option in zip(owner, flat, strict=True)]  # fmt: skip
    longest = max((len(option) - 1 for option in flat), default=0)
    if longest > 0:
        rows = torch.tensor(owner, device=model.device)
        cache.batch_select_indices(rows)
        fed = _padded([option[:-1] for option in flat], longest, pad, model)
        asked = _padded([option[1:] for option in flat], longest, pad, model)
        real = _padded([[1] * (len(option) - 1) for option in flat], longest, 0, model)
        seen = torch.cat([mask[rows], real], 1)
        logp = torch.log_softmax(forward(model, fed, seen, cache).float(), -1)
        given = logp.gather(2, asked[:, :, None]).squeeze(2).double() * real
        totals = [a + b for a, b in zip(totals, given.sum(1).tolist(), strict=True)]
    scored = iter(Likelihood(t, len(o)) for t, o in zip(totals, flat, strict=True))
    return [[next(scored) for _ in given] for given in options]


def _descend(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], tree: Tree, pad: int
) -> list[str]:
    cache = DynamicCache()
    logits, mask = prefill(model, prompts, pad, cache)
    nodes: list[Any] = [tree] * len(prompts)
    while True:
        fed = [pad] * len(nodes)
        for row, node in enumerate(nodes):
            if isinstance(node, dict):
                allowed = list(node)
                fed[row] = allowed[int(logits[row, allowed].argmax())]
                nodes[row] = node[fed[row]]
        if not any(isinstance(node, dict) for node in nodes):
            return nodes
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
        step = torch.tensor(fed, device=model.device)[:, None]
        logits = forward(model, step, mask, cache)[:, -1].float()


def _tree(options: Mapping[str, Sequence[int]]) -> Tree:
    """The options' ids as a prefix tree; ValueError where one is empty or begins another."""
    tree: Tree = {}
    for name, ids in options.items():
        node: Any = tree
        for index in ids[:-1]:
            node = node.setdefault(index, {}) if isinstance(node, dict) else None
        if not ids or not isinstance(node, dict) or ids[-1] in node:
            raise ValueError(f"option {name!r} is empty, or it and another begin alike and end")
        node[ids[-1]] = name
    return tree


def _padded(
    rows: Sequence[Sequence[int]], width: int, pad: int, model: PreTrainedModel
) -> torch.Tensor:
    """(R, width), padded right."""
    filled = [[*row, *[pad] * (width - len(row))] for row in rows]
    return torch.tensor(filled, device=model.device)
