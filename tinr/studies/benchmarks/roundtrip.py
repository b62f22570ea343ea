"""Token in, token out: compares random conversations id by id with the training tensors.

A witness around the sampler records the model's inputs and the environment's answers. The tensors
are those that TRL's trainer makes from the rollout: padded, shuffled and split.
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

WIDTH = 16  # hidden size of the random model, whose replies do not matter
PROMPTS, GROUP = 16, 8
STOPS = 0.1  # share of the vocabulary that calls the environment
ENDS = 0.1  # probability that it then ends the conversation
SAYS = 24  # random ids per answer, at most
TURNS = 6  # answers per conversation, at most


# Prompt, ids, mask; positions sampled from part of the vocabulary, and their sets as packed bytes.
Trained = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...], bytes]


@dataclass
class Count:
    """How much was compared, and the number of ids, masks or sets that differ."""

    conversations: int = 0
    tokens: int = 0
    given: int = 0  # tokens from the environment
    turns: int = 0
    narrowed: int = 0  # tokens sampled from part of the vocabulary
    errors: int = 0

    def as_dict(self) -> dict[str, int]:
        """Plain data, for printing."""
        return asdict(self)


@dataclass
class Witness:
    """Wraps the sampler: a random environment answers, and the expected rows are recorded."""

    rng: Random
    count: Count
    vocabulary: int
    rows: list[Trained] = field(default_factory=list)  # the expected training rows

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
        """Sample rows; compare each with the model's inputs and the environment's answers."""
        insertions: dict[int, list[tuple[int, list[int]]]] = {}
        prefixes: dict[int, list[list[int]]] = {}

        def answer(row: int, ids: Sequence[int]) -> Sequence[int] | None:
            prefixes.setdefault(row, []).append(list(ids))
            if self.rng.random() < ENDS:
                return None
            if len(insertions.setdefault(row, [])) == TURNS:
                return []
            size = self.rng.randint(0, SAYS)
            answer_ids = [self.rng.randrange(self.vocabulary) for _ in range(size)]
            insertions[row].append((len(ids), answer_ids))
            return answer_ids

        answer_stops = frozenset(
            self.rng.sample(range(self.vocabulary), int(STOPS * self.vocabulary))
        )
        inputs: list[list[int]] = []
        hook = model.register_forward_pre_hook(
            lambda _, args, kwargs: inputs.append(kwargs["input_ids"][:, -1].tolist()),
            with_kwargs=True,
        )
        rows = generate(
            model,
            prompts,
            answer,
            stops | answer_stops,
            group=group,
            max_tokens=max_tokens,
            **settings,
        )
        hook.remove()
        for number, row in enumerate(rows):
            expected_mask = [1] * len(row.ids)
            for position, answer_ids in insertions.get(number, []):
                visible_ids = answer_ids[: len(row.ids) - position]
                expected_mask[position : position + len(visible_ids)] = [0] * len(visible_ids)
                self._count_errors(row.ids[position : position + len(visible_ids)], visible_ids)
            self._count_errors(row.mask, expected_mask)
            for ids in prefixes.get(number, []):
                self._count_errors(row.ids[: len(ids)], ids)
            self.count.turns += len(insertions.get(number, []))
            prompt = tuple(prompts[number // group])
            self.rows.append((prompt, tuple(row.ids), tuple(expected_mask), *_sets(row.support)))
        self._check_inputs(inputs[1:], rows)
        return rows

    def _check_inputs(self, inputs: Sequence[Sequence[int]], rows: Sequence[Row]) -> None:
        """Check that every id but a row's last was the model's input at the next step."""
        alive_rows = list(range(len(rows)))
        for step, column in enumerate(inputs):
            if len(column) < len(alive_rows):  # finished rows were dropped
                alive_rows = [r for r in alive_rows if len(rows[r].ids) + rows[r].stuck > step + 1]
            pairs = zip(alive_rows, column, strict=True)
            continuations = [(r, index) for r, index in pairs if len(rows[r].ids) > step + 1]
            self._count_errors(
                [rows[r].ids[step] for r, _ in continuations], [index for _, index in continuations]
            )

    def _count_errors(self, ids: Sequence[int], expected_ids: Sequence[int]) -> None:
        differences = sum(a != b for a, b in zip(ids, expected_ids, strict=False))
        self.count.errors += differences + abs(len(ids) - len(expected_ids))


def roundtrip(tokens: int, seed: int = 0) -> Count:
    """Compare random conversations of at least `tokens` tokens, and count every difference.

    Half of them are constrained and sampled from a nucleus.
    """
    count, catalogue = Count(), load_catalogue("toolbox")
    tokenizer = train_tokenizer(512, seed)
    grow_tokenizer(tokenizer, catalogue.names)
    for number, is_narrowed in enumerate((False, True)):
        token_target = (number + 1) * tokens // 2
        _compare(count, token_target, Codec(tokenizer), catalogue, is_narrowed, seed)
    return count


def _compare(
    count: Count, tokens: int, codec: Codec, catalogue: Catalogue, narrowed: bool, seed: int
) -> None:
    """Run rollouts through the trainer until `tokens` tokens are compared."""
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
    """Compare the tensors of a rollout's batches with the recorded rows, in any order.

    A missing row, and a row that differs in anything, including its sets, counts with all its ids.
    """
    count, truth = witness.count, Counter(witness.rows)
    witness.rows.clear()
    for batch in batches:
        supports = batch.get("support") or [None] * len(batch["prompt_ids"])
        for row, support in enumerate(supports):
            prompt = batch["prompt_ids"][row][batch["prompt_mask"][row] == 1]
            is_completion = batch["completion_mask"][row] == 1
            ids, mask = (
                batch[key][row][is_completion].cpu() for key in ("completion_ids", "tool_mask")
            )
            row_parts = tuple(map(tuple, (prompt.tolist(), ids.tolist(), mask.tolist())))
            trained_row: Any = (*row_parts, *_sets(support))
            count.errors += 0 if truth[trained_row] > 0 else len(ids)
            truth[trained_row] -= 1
            count.conversations += 1
            count.tokens += len(ids)
            count.given += int((mask == 0).sum())
            if support is not None:
                sets = support.sets(witness.vocabulary)
                positions = torch.from_numpy(support.positions)
                is_allowed = sets[torch.arange(len(sets)), ids[positions]] & (mask[positions] == 1)
                count.errors += int((~is_allowed).sum())
                count.narrowed += len(sets)
    count.errors += sum(copies * len(row[1]) for row, copies in truth.items() if copies > 0)


def _sets(support: Support | None) -> tuple[tuple[int, ...], bytes]:
    """The sets that a row was sampled from, in comparable form."""
    if support is None:
        return (), b""
    return tuple(support.positions.tolist()), support.packed.tobytes()
