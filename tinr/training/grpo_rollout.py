"""Groups of conversations for GRPO, in which tools really run: drawn, rolled out, scored, kept.

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
from tinr.records import GateFailed, Query, Score
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
    """What GRPO learns from: queries drawn, rolled out and scored; groups with spread kept."""

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
        """What replies are held to."""
        held = self.config.constrained
        return Grammars(self.codec, self.library.catalogue) if held else None

    def rollout(self, prompts: list[Any], trainer: Any) -> dict[str, Any]:
        """TRL's rollout function: as many completions as `prompts`, group by group.

        `prompts` only say how many are wanted; the queries come from this source's own
        stream, decided by seed, rank and step, so a resumed run draws the same ones.
        """
        wanted = len(prompts) // self.config.group
        step, rank = trainer.state.global_step, trainer.accelerator.process_index
        drawn = self._draw(round(wanted * max(1.0, self.config.oversample)), step, rank)
        mode = self.config.documents[step % len(self.config.documents)]
        prompts_ids = make_prompts(self.codec, drawn, self.library.shown(drawn, mode))
        if isinstance(self.engine, Served):
            trainer.accelerator.wait_for_everyone()  # the first rank alone puts the weights there
            self.engine.check(prompts_ids[0])
        # under ZeRO-3 the weights are whole for all turns at once: ranks take different numbers
        wrapped: Any = trainer.model_wrapped
        with unwrap_model_for_generation(wrapped, trainer.accelerator) as whole:
            model: Any = whole
            was_training = model.training
            model.eval()
            conversations = converse(
                model,
                self.codec,
                drawn,
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
        kept = self._with_spread(scores, wanted)
        if self.config.narrowed:
            trainer.support = [conversations[i].row.support for i in kept]
        masks = [torch.tensor(conversations[i].row.mask, dtype=torch.long) for i in kept]
        trainer.written = torch.nn.utils.rnn.pad_sequence(masks, batch_first=True)
        return self._as_trl([(conversations[i], scores[i]) for i in kept])

    def _score(self, done: Sequence[Conversation], step: int) -> list[Score]:
        """The rewards; one that raises stops the run, or all of its group get the same."""
        scores: list[Score | None] = []
        for one in done:
            try:
                scores.append(
                    score(one.reply, one.query, self.weights, self.library.catalogue.by_name)
                )
            except Exception as error:
                if self.config.on_fault == "stop":
                    raise GateFailed(
                        f"step {step}: the reward of query {one.query.id} raised "
                        f"{type(error).__name__}: {error}; nothing was published. Mend it, or go "
                        "on without: policy.on_fault=continue"
                    ) from error
                scores.append(None)
        size = self.config.group
        for start in range(0, len(scores), size):
            if None in scores[start : start + size]:
                scores[start : start + size] = [Score(0.0, 0.0, None, 0.0)] * size
        return [one for one in scores if one is not None]

    def _draw(self, count: int, step: int, rank: int) -> list[Query]:
        rng = Random(f"{self.seed}/{step}/{rank}")
        return rng.sample(list(self.queries), min(count, len(self.queries)))

    def _with_spread(self, scores: Sequence[Score], wanted: int) -> list[int]:
        """Indices of the conversations of `wanted` groups, groups with spread before flat ones."""
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

    def _as_trl(self, kept: Sequence[tuple[Conversation, Score]]) -> dict[str, Any]:
        return {
            "prompt_ids": [list(c.prompt) for c, _ in kept],
            "completion_ids": [c.row.ids for c, _ in kept],
            "env_mask": [c.row.mask for c, _ in kept],
            "logprobs": [c.row.logprobs for c, _ in kept] if self.config.narrowed else None,
            "format_score": [s.format for _, s in kept],
            "tool_score": [s.tool for _, s in kept],
            "answer_score": [s.answer for _, s in kept],
            "total_score": [s.total for _, s in kept],
        }

    def _log(self, step: int, done: Sequence[Conversation], scores: Sequence[Score]) -> None:
        groups = self._groups(scores)
        flat = sum(max(g) == min(g) for g in groups) / len(groups)
        row = {
            "rollout/flat_groups": flat,
            "rollout/length": _mean([len(c.row.ids) for c in done]),
            "rollout/finished": _mean([c.row.finished for c in done]),
            "rollout/tool_faults": self.executor.faults,
        }
        if self.config.constrained:
            row["rollout/stuck"] = _mean([c.row.stuck for c in done])
        for name in ("total", "format", "tool", "answer"):
            values = [v for s in scores if (v := getattr(s, name)) is not None]
            if values:
                row[f"reward/{name}"] = _mean(values)
        self.log.log(step, row)
        if (step - 1) % SHOWN_EVERY == 0:
            self.log.conversations(step, shown(done, scores, self.config.group))


def shown(
    done: Sequence[Conversation], scores: Sequence[Score], group: int
) -> list[dict[str, Any]]:
    """The first tries at the first queries, drawn at random both: as the log keeps them."""
    rows = []
    for index in range(0, len(done), group)[:SHOWN]:
        query, said, judged = done[index].query, done[index].pieces, scores[index]
        before = (f"{message.role}: {message.content}" for message in query.history)
        rows.append(
            {"query": query.id, "prompt": "\n".join([*before, query.text]), "reply": as_text(said)}
            | {name: getattr(judged, name) for name in ("total", "format", "tool", "answer")}
        )
    return rows


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
