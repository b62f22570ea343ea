"""Draw, roll out, score and select groups of conversations for GRPO; tools are executed.

Groups without spread are replaced as in DAPO, arXiv 2503.14476.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Any

import torch
from trl.models import unwrap_model_for_generation

from tinr.catalogue.retrieval import Library
from tinr.chat.codec import Codec
from tinr.chat.render import as_text
from tinr.records import REWARDS, Query, RunFailed, Score
from tinr.rollout.conversation import Conversation, converse, make_prompts
from tinr.rollout.generate import Row, generate
from tinr.rollout.grammar import Grammars
from tinr.rollout.scoring.rewards import RewardWeights, score
from tinr.rollout.tools.executor import Executor
from tinr.rollout.vllm import Served
from tinr.run_log import RunLog
from tinr.training.grpo_config import PolicyConfig

SHOWN_EVERY = 10  # steps between the samples of conversations in the log
SHOWN = 4  # conversations in a sample


@dataclass
class RolloutSource:
    """Draws queries, rolls them out and scores them for GRPO, preferring groups with spread."""

    codec: Codec
    library: Library
    executor: Executor
    queries: Sequence[Query]
    config: PolicyConfig
    weights: RewardWeights
    seed: int
    log: RunLog
    engine: Callable[..., list[Row]] = generate

    @cached_property
    def grammars(self) -> Grammars | None:
        """The grammars that constrain replies, or None."""
        is_constrained = self.config.constrained
        return Grammars(self.codec, self.library.catalogue) if is_constrained else None

    def rollout(self, prompts: list[Any], trainer: Any) -> dict[str, Any]:
        """Roll out as many completions as `prompts`, group by group: TRL's rollout function.

        Only the number of `prompts` is used. The queries come from this source's own stream, which
        depends on seed, rank and step, so a resumed run draws the same ones.
        """
        group_count = len(prompts) // self.config.group
        step, rank = trainer.state.global_step, trainer.accelerator.process_index
        queries = self._draw(round(group_count * max(1.0, self.config.oversample)), step, rank)
        mode = self.config.documents[step % len(self.config.documents)]
        prompts_ids = make_prompts(self.codec, queries, self.library.shown(queries, mode))
        if isinstance(self.engine, Served):
            trainer.accelerator.wait_for_everyone()  # only the first rank sends the weights
            self.engine.check(prompts_ids[0])
        # under ZeRO-3 gather the weights once for all turns: ranks need different numbers of turns
        wrapper: Any = trainer.model_wrapped
        with unwrap_model_for_generation(wrapper, trainer.accelerator) as unwrapped_model:
            model: Any = unwrapped_model
            was_training = model.training
            model.eval()
            conversations = converse(
                model,
                self.codec,
                queries,
                self.library.catalogue,
                self.executor,
                mode,
                prompts=prompts_ids,
                engine=self.engine,
                group=self.config.group,
                temperature=self.config.temperature,
                max_tokens=self.config.max_tokens,
                seed=hash((self.seed, step, rank)) & 0x7FFFFFFF,
                top_p=self.config.top_p,
                grammars=self.grammars,
            )
            model.train(was_training)
        scores = self._score(conversations, step + 1)
        self._log(step + 1, conversations, scores)
        indices = self._with_spread(scores, group_count)
        if self.config.narrowed:
            trainer.support = [conversations[i].row.support for i in indices]
        masks = [torch.tensor(conversations[i].row.mask, dtype=torch.long) for i in indices]
        trainer.written_mask = torch.nn.utils.rnn.pad_sequence(masks, batch_first=True)
        return self._as_trl([(conversations[i], scores[i]) for i in indices])

    def _score(self, conversations: Sequence[Conversation], step: int) -> list[Score]:
        """Score the conversations. A reward that raises stops the run or zeroes its group."""
        scores: list[Score | None] = []
        for conversation in conversations:
            try:
                scores.append(
                    score(
                        conversation.reply,
                        conversation.query,
                        self.weights,
                        self.library.catalogue.by_name,
                    )
                )
            except Exception as error:
                if self.config.on_fault == "stop":
                    raise RunFailed(
                        f"step {step}: the reward of query {conversation.query.id} raised "
                        f"{type(error).__name__}: {error}; nothing was published. Fix it, or set "
                        "policy.on_fault=continue to skip such groups"
                    ) from error
                scores.append(None)
        size = self.config.group
        for start in range(0, len(scores), size):
            if None in scores[start : start + size]:
                scores[start : start + size] = [Score(total=0.0)] * size
        return [reward for reward in scores if reward is not None]

    def _draw(self, count: int, step: int, rank: int) -> list[Query]:
        rng = Random(f"{self.seed}/{step}/{rank}")
        return rng.sample(list(self.queries), min(count, len(self.queries)))

    def _with_spread(self, scores: Sequence[Score], wanted: int) -> list[int]:
        """Choose `wanted` groups, those with spread first. Returns indices of conversations."""
        groups = self._groups(scores)
        order = sorted(range(len(groups)), key=lambda g: max(groups[g]) == min(groups[g]))
        while len(order) < wanted:  # fewer queries than groups
            order += order[: wanted - len(order)]
        size = self.config.group
        return [g * size + member for g in order[:wanted] for member in range(size)]

    def _groups(self, scores: Sequence[Score]) -> list[list[float]]:
        size = self.config.group
        totals = [s.total for s in scores]
        return [totals[start : start + size] for start in range(0, len(totals), size)]

    def _as_trl(self, pairs: Sequence[tuple[Conversation, Score]]) -> dict[str, Any]:
        return {
            "prompt_ids": [list(c.prompt) for c, _ in pairs],
            "completion_ids": [c.row.ids for c, _ in pairs],
            "env_mask": [c.row.mask for c, _ in pairs],
            "logprobs": [c.row.logprobs for c, _ in pairs] if self.config.narrowed else None,
            "total_score": [s.total for _, s in pairs],
        }

    def _log(
        self, step: int, conversations: Sequence[Conversation], scores: Sequence[Score]
    ) -> None:
        groups = self._groups(scores)
        flat_share = sum(max(g) == min(g) for g in groups) / len(groups)
        row = {
            "rollout/flat_groups": flat_share,
            "rollout/length": _mean([len(c.row.ids) for c in conversations]),
            "rollout/finished": _mean([c.row.finished for c in conversations]),
            "rollout/tool_faults": self.executor.faults,
        }
        if self.config.constrained:
            row["rollout/stuck"] = _mean([c.row.stuck for c in conversations])
        for name in REWARDS:
            values = [v for s in scores if (v := getattr(s, name)) is not None]
            if values:
                row[f"reward/{name}"] = _mean(values)
        self.log.log(step, row)
        if (step - 1) % SHOWN_EVERY == 0:
            self.log.conversations(step, shown(conversations, scores, self.config.group))


def shown(
    conversations: Sequence[Conversation], scores: Sequence[Score], group: int
) -> list[dict[str, Any]]:
    """Make rows for the log: the first conversation of each of the first queries."""
    rows = []
    for index in range(0, len(conversations), group)[:SHOWN]:
        query, pieces, rewards = (
            conversations[index].query,
            conversations[index].pieces,
            scores[index],
        )
        history = (f"{message.role}: {message.content}" for message in query.history)
        rows.append(
            {
                "query": query.id,
                "prompt": "\n".join([*history, query.text]),
                "reply": as_text(pieces),
            }
            | {name: getattr(rewards, name) for name in REWARDS}
        )
    return rows


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
