"""The likelihood of continuations, and the best one under a constraint.

The model reads a prompt once, and its options share the cache. Options are pieces, so a tool is
treated the same whether it is one vocabulary entry or several.
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

BATCH_TOKENS = 4096  # tokens in a batch, padding included
BATCH_LOGITS = 100_000_000  # logits in a batch: 400 MB

Tree = dict[int, Any]  # id -> subtree, or the name of the option that ends here


@dataclass(frozen=True)
class Likelihood:
    """The log-probability of one option after its prompt, in nats, and its length."""

    total: float
    tokens: int

    @property
    def mean(self) -> float:
        """Nats per token."""
        return self.total / max(1, self.tokens)


@torch.inference_mode()
def likelihoods(
    model: PreTrainedModel,
    codec: Codec,
    choices: Sequence[Choice],
    shared: bool = True,
    title: str = "likelihood of texts",
) -> list[list[Likelihood]]:
    """The likelihood of every option of every choice, in order; a title shows a progress bar.

    Prompts must not be empty. shared=False: the common prefix of a choice's options is read once
    and not counted. This changes no comparison of sums, and halves the work if options differ in
    one word. The last digits may depend on the batch.
    """
    prompts = [codec.encode(choice.prompt)[0] for choice in choices]
    options = [[codec.encode(option)[0] for option in choice.options] for choice in choices]
    for row, choice in enumerate(choices):
        prefix_size = 0 if shared or choice.even else _shared_prefix_size(options[row])
        prompts[row] = prompts[row] + options[row][0][:prefix_size]
        options[row] = [option[prefix_size:] for option in options[row]]
    longest = [max(map(len, row_options)) for row_options in options]
    scores: dict[int, list[Likelihood]] = {}
    sizes = [
        (len(p), len(p) + width, len(row_options))
        for p, width, row_options in zip(prompts, longest, options, strict=True)
    ]
    tokens = [
        len(p) + sum(map(len, row_options)) for p, row_options in zip(prompts, options, strict=True)
    ]
    with progress_bar(sum(tokens), title, "token") as bar:
        for batch in batches(sizes, batch_tokens(model)):
            batch_scores = _score(
                model, [prompts[i] for i in batch], [options[i] for i in batch], codec.pad
            )
            scores.update(zip(batch, batch_scores, strict=True))
            bar.update(sum(tokens[i] for i in batch))
    return [scores[i] for i in range(len(choices))]


def hits(
    model: PreTrainedModel, codec: Codec, choices: Sequence[Choice], title: str = ""
) -> list[bool]:
    """Whether the right option is more likely than every other; a tie is a miss."""
    settings: dict[str, Any] = {"title": title} if title else {}
    scores = likelihoods(model, codec, choices, shared=False, **settings)
    return [
        _is_hit(choice, option_scores)
        for choice, option_scores in zip(choices, scores, strict=True)
    ]


def _shared_prefix_size(options: Sequence[Sequence[int]]) -> int:
    """The number of ids in the common prefix of all options."""
    columns = zip(*options, strict=False)
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))


def _is_hit(choice: Choice, option_scores: Sequence[Likelihood]) -> bool:
    value, *other_values = (score.mean if choice.even else score.total for score in option_scores)
    return all(value > other_value for other_value in other_values)


@torch.inference_mode()
def decode_among(
    model: PreTrainedModel,
    codec: Codec,
    prompts: Sequence[Sequence[Piece]],
    options: Mapping[str, Sequence[Piece]],
    title: str = "most likely option",
) -> list[str]:
    """Decode greedily among the options only; return the name of the option for each prompt.

    Each step takes the most likely id that continues an option. If every option is one id, the
    result is the most likely option.
    """
    tree = _tree({name: codec.encode(pieces)[0] for name, pieces in options.items()})
    ids = [codec.encode(prompt)[0] for prompt in prompts]
    name_of_prompt: dict[int, str] = {}
    sizes = [(len(p), len(p), 1) for p in ids]
    with progress_bar(sum(map(len, ids)), title, "token") as bar:
        for batch in batches(sizes, batch_tokens(model)):
            names = _descend(model, [ids[i] for i in batch], tree, codec.pad)
            name_of_prompt.update(zip(batch, names, strict=True))
            bar.update(sum(len(ids[i]) for i in batch))
    return [name_of_prompt[i] for i in range(len(prompts))]


def batch_tokens(model: PreTrainedModel) -> int:
    """The maximum number of tokens in a batch, so that its logits fit in memory."""
    rows = model.get_input_embeddings().weight.shape[0]  # type: ignore[union-attr]
    return max(1, min(BATCH_TOKENS, BATCH_LOGITS // int(rows)))


def batches(sizes: Sequence[tuple[int, int, int]], tokens: int) -> Iterator[list[int]]:
    """Group item numbers into batches of at most `tokens`, short prompts first.

    sizes: (tokens of the prompt, full width, rows) of each item. An item larger than a batch gets
    a batch of its own.
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
    """Score the options: the first id by the prompt's logits, the rest by the option's own."""
    cache = DynamicCache()
    logits, mask = prefill(model, prompts, pad, cache)
    first = torch.log_softmax(logits, -1)
    owners = [row for row, row_options in enumerate(options) for _ in row_options]
    flat = [option for row_options in options for option in row_options]
    totals = [float(first[o, option[0]]) if option else 0.0
              for o, option in zip(owners, flat, strict=True)]  # fmt: skip
    longest = max((len(option) - 1 for option in flat), default=0)
    if longest > 0:
        rows = torch.tensor(owners, device=model.device)
        cache.batch_select_indices(rows)
        inputs = _padded([option[:-1] for option in flat], longest, pad, model)
        targets = _padded([option[1:] for option in flat], longest, pad, model)
        is_real = _padded([[1] * (len(option) - 1) for option in flat], longest, 0, model)
        attention = torch.cat([mask[rows], is_real], 1)
        logp = torch.log_softmax(forward(model, inputs, attention, cache).float(), -1)
        token_logp = logp.gather(2, targets[:, :, None]).squeeze(2).double() * is_real
        totals = [a + b for a, b in zip(totals, token_logp.sum(1).tolist(), strict=True)]
    scores = iter(Likelihood(t, len(o)) for t, o in zip(totals, flat, strict=True))
    return [[next(scores) for _ in row_options] for row_options in options]


def _descend(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], tree: Tree, pad: int
) -> list[str]:
    cache = DynamicCache()
    logits, mask = prefill(model, prompts, pad, cache)
    nodes: list[Any] = [tree] * len(prompts)
    while True:
        chosen_ids = [pad] * len(nodes)
        for row, node in enumerate(nodes):
            if isinstance(node, dict):
                next_ids = list(node)
                chosen_ids[row] = next_ids[int(logits[row, next_ids].argmax())]
                nodes[row] = node[chosen_ids[row]]
        if not any(isinstance(node, dict) for node in nodes):
            return nodes
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
        step = torch.tensor(chosen_ids, device=model.device)[:, None]
        logits = forward(model, step, mask, cache)[:, -1].float()


def _tree(options: Mapping[str, Sequence[int]]) -> Tree:
    """The options' ids as a prefix tree; ValueError if one is empty or a prefix of another."""
    tree: Tree = {}
    for name, ids in options.items():
        node: Any = tree
        for index in ids[:-1]:
            node = node.setdefault(index, {}) if isinstance(node, dict) else None
        if not ids or not isinstance(node, dict) or ids[-1] in node:
            raise ValueError(
                f"option {name!r} is empty, or a prefix of another option, or begins with one"
            )
        node[ids[-1]] = name
    return tree


def _padded(
    rows: Sequence[Sequence[int]], width: int, pad: int, model: PreTrainedModel
) -> torch.Tensor:
    """(R, width), padded right."""
    padded_rows = [[*row, *[pad] * (width - len(row))] for row in rows]
    return torch.tensor(padded_rows, device=model.device)
