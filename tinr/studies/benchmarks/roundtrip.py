"""Token in, token out: random conversations, compared id by id with what is trained.

What the model was fed and what the environment said are written down beside the sampler; the
tensors are those that TRL's trainer makes of the rollout, padded, shuffled and split.
"""

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from tinr.catalogue.load import Catalogue, load_catalogue
from tinr.catalogue.retrieval import DocumentsConfig, Library
from tinr.chat.codec import Codec, grow_tokenizer
from tinr.checkpoints.step_checkpoints import Steps
from tinr.data.base_tokenizer import train_tokenizer
from tinr.records import Query
from tinr.rollout.generate import Respond, Row, generate
from tinr.rollout.sampling_support import Support
from tinr.rollout.scoring.rewards import RewardWeights
from tinr.rollout.tools.executor import Executor
from tinr.run_log import RunLog
from tinr.training.grpo import make_trainer
from tinr.training.grpo_config import PolicyConfig
from tinr.training.grpo_rollout import RolloutSource

WIDTH = 16  # of the random model; what it says does not matter
PROMPTS, GROUP = 16, 8
STOPS = 0.1  # share of the vocabulary at which the environment is asked
ENDS = 0.1  # how often it ends the conversation then
SAYS = 24  # the most ids that it says at once, any ids
TURNS = 6  # how often it speaks in a conversation


# Prompt, ids, mask; where less than the vocabulary was drawn from, and what: packed bytes.
Trained = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...], bytes]


@dataclass
class Count:
    """What was compared, and how many ids, masks or sets were not the same."""

    conversations: int = 0
    tokens: int = 0
    given: int = 0  # of the tokens, by the environment
    turns: int = 0
    narrowed: int = 0  # tokens drawn from less than the vocabulary
    errors: int = 0

    def as_dict(self) -> dict[str, int]:
        """For printing."""
        return asdict(self)


@dataclass
class Witness:
    """Stands in the sampler's place, lets a random environment speak and writes down the truth."""

    rng: Random
    count: Count
    vocabulary: int
    rows: list[Trained] = field(default_factory=list)  # as they should be trained

    def __call__(
        self,
        model: PreTrainedModel,
        prompts: Sequence[Sequence[int]],
        respond: Respond,
        stops: frozenset[int],
        *,
        group: int = 1,
        max_tokens: int,
        **settings: Any,
    ) -> list[Row]:
        """The sampler's rows, each compared with what was fed and said."""
        said: dict[int, list[tuple[int, list[int]]]] = {}
        seen: dict[int, list[list[int]]] = {}

        def answer(row: int, ids: Sequence[int]) -> Sequence[int] | None:
            seen.setdefault(row, []).append(list(ids))
            if self.rng.random() < ENDS:
                return None
            if len(said.setdefault(row, [])) == TURNS:
                return []
            size = self.rng.randint(0, SAYS)
            new = [self.rng.randrange(self.vocabulary) for _ in range(size)]
            said[row].append((len(ids), new))
            return new

        asked = frozenset(self.rng.sample(range(self.vocabulary), int(STOPS * self.vocabulary)))
        fed: list[list[int]] = []
        hook = model.register_forward_pre_hook(
            lambda _, args, kwargs: fed.append(kwargs["input_ids"][:, -1].tolist()),
            with_kwargs=True,
        )
        rows = generate(
            model, prompts, answer, stops | asked, group=group, max_tokens=max_tokens, **settings
        )
        hook.remove()
        for number, row in enumerate(rows):
            expected = [1] * len(row.ids)
            for at, new in said.get(number, []):
                room = new[: len(row.ids) - at]
                expected[at : at + len(room)] = [0] * len(room)
                self._same(row.ids[at : at + len(room)], room)
            self._same(row.mask, expected)
            for ids in seen.get(number, []):
                self._same(row.ids[: len(ids)], ids)
            self.count.turns += len(said.get(number, []))
            prompt = tuple(prompts[number // group])
            self.rows.append((prompt, tuple(row.ids), tuple(expected), *_sets(row.support)))
        self._fed(fed[1:], rows)
        return rows

    def _fed(self, fed: Sequence[Sequence[int]], rows: Sequence[Row]) -> None:
        """Every id but a row's last was the model's input at the next step."""
        alive = list(range(len(rows)))
        for step, column in enumerate(fed):
            if len(column) < len(alive):  # the finished ones were dropped
                alive = [r for r in alive if len(rows[r].ids) + rows[r].stuck > step + 1]
            pairs = zip(alive, column, strict=True)
            going = [(r, index) for r, index in pairs if len(rows[r].ids) > step + 1]
            self._same([rows[r].ids[step] for r, _ in going], [index for _, index in going])

    def _same(self, got: Sequence[int], expected: Sequence[int]) -> None:
        wrong = sum(a != b for a, b in zip(got, expected, strict=False))
        self.count.errors += wrong + abs(len(got) - len(expected))


def roundtrip(tokens: int, seed: int = 0) -> Count:
    """Random conversations of at least so many tokens, half of them constrained and cut to a
    nucleus; every difference between what was said and what is trained is counted."""
    count, catalogue = Count(), load_catalogue("toolbox")
    tokenizer = train_tokenizer(512, seed)
    grow_tokenizer(tokenizer, catalogue.names)
    for number, narrowed in enumerate((False, True)):
        until = (number + 1) * tokens // 2
        _compare(count, until, Codec(tokenizer), catalogue, narrowed, seed)
    return count


def _compare(
    count: Count, tokens: int, codec: Codec, catalogue: Catalogue, narrowed: bool, seed: int
) -> None:
    """Rollouts through the trainer until `tokens` are compared."""
    torch.manual_seed(seed)
    vocabulary = len(codec.tokenizer)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary, hidden_size=WIDTH, intermediate_size=WIDTH,
            num_hidden_layers=1, num_attention_heads=1, pad_token_id=codec.pad,
        )
    )  # fmt: skip
    rng = Random(f"{seed}/{narrowed}")
    witness = Witness(rng, count, vocabulary)
    queries = [
        Query(str(n), " ".join(rng.choices(catalogue.names, k=n % 9 + 1))) for n in range(64)
    ]
    config = PolicyConfig(
        prompts=PROMPTS, group=GROUP, oversample=1.0, max_tokens=160, bf16=False,
        top_p=0.9 if narrowed else 1.0, constrained=narrowed,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, RunLog(Path(folder), "roundtrip", {}) as log:
        source = RolloutSource(
            codec, Library(catalogue, DocumentsConfig()), Executor(catalogue, {}), queries, config,
            RewardWeights(), seed, log, witness,
        )  # fmt: skip
        trainer: Any = make_trainer(model, source, Steps(Path(folder)))
        trainer.model.train()
        while count.tokens < tokens:
            trainer._step = 0  # a rollout is due
            trainer._prepare_inputs([{"prompt": str(n)} for n in range(PROMPTS * GROUP)])
            _check(witness, trainer._buffered_inputs)
            trainer.state.global_step += 1


def _check(witness: Witness, batches: Sequence[dict[str, Any]]) -> None:
    """The tensors of a rollout's batches against the truth, whatever their order.

    A row that differs in anything, its sets included, counts with all its ids, and so does one
    that is missing.
    """
    count, truth = witness.count, Counter(witness.rows)
    witness.rows.clear()
    for batch in batches:
        supports = batch.get("support") or [None] * len(batch["prompt_ids"])
        for row, support in enumerate(supports):
            prompt = batch["prompt_ids"][row][batch["prompt_mask"][row] == 1]
            here = batch["completion_mask"][row] == 1
            ids, mask = (batch[key][row][here].cpu() for key in ("completion_ids", "tool_mask"))
            trained = tuple(map(tuple, (prompt.tolist(), ids.tolist(), mask.tolist())))
            said: Any = (*trained, *_sets(support))
            count.errors += 0 if truth[said] > 0 else len(ids)
            truth[said] -= 1
            count.conversations += 1
            count.tokens += len(ids)
            count.given += int((mask == 0).sum())
            if support is not None:
                sets = support.sets(witness.vocabulary)
                at = torch.from_numpy(support.positions)
                fits = sets[torch.arange(len(sets)), ids[at]] & (mask[at] == 1)
                count.errors += int((~fits).sum())
                count.narrowed += len(sets)
    count.errors += sum(left * len(row[1]) for row, left in truth.items() if left > 0)


def _sets(support: Support | None) -> tuple[tuple[int, ...], bytes]:
    """What a row was drawn from, in a form that can be compared."""
    if support is None:
        return (), b""
    return tuple(support.positions.tolist()), support.packed.tobytes()
