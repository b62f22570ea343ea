"""The GRPO loop: groups of conversations in which tools really run, on TRL's trainer.

TRL groups, normalises and takes the loss; the conversations are ours: it is handed ids,
a mask (1: the model wrote it, 0: the environment did, no loss), and the rewards. Where
replies are constrained or cut to a nucleus, it is handed what each token was drawn from as
well, and the loss takes its probabilities over that.
Source: GRPO, arXiv 2402.03300; groups without spread are replaced as in DAPO, arXiv
2503.14476.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from random import Random
from typing import Any, Literal

import torch
from datasets import Dataset
from transformers import PreTrainedModel
from trl import GRPOConfig, GRPOTrainer
from trl.models import unwrap_model_for_generation

from tinr import distributed
from tinr.catalogue.retrieval import Library
from tinr.chat.codec import Codec
from tinr.chat.render import as_text
from tinr.checkpoints.step_checkpoints import Steps
from tinr.config import Count, OptimiserConfig, Positive, TrainableConfig, Weight, Whole
from tinr.data.packing import Batch
from tinr.records import BadInput, DocumentsMode, GateFailed, Query, Score
from tinr.rollout.conversation import Conversation, converse, make_prompts
from tinr.rollout.generate import Row, generate
from tinr.rollout.grammar import Grammars
from tinr.rollout.sampling_support import Support
from tinr.rollout.scoring.rewards import RewardWeights, score
from tinr.rollout.tools.executor import Executor
from tinr.rollout.vllm import Served, connect
from tinr.run_log import RunLog
from tinr.training.cpu_attention import products, use_bf16
from tinr.training.loop import (
    Loop,
    Progress,
    Trainables,
    TrainedModel,
    common_arguments,
    mean_loss,
    run_loop,
    step_folder,
    with_loss,
)
from tinr.training.scored_rows import answer_scored, lay_out, longest_shared

SHOWN_EVERY = 10  # steps between the samples of conversations in the log
SHOWN = 4  # conversations in a sample


@dataclass(frozen=True)
class PolicyConfig:
    """The loop of phase 3."""

    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(learning_rate=2e-6))
    steps: int = 100
    prompts: int = 8  # groups a step and rank
    group: int = 8  # conversations of one prompt
    oversample: Positive = 2.0  # groups rolled out for each one used; those with spread go first
    temperature: float = 1.0
    top_p: float = 1.0  # of the probability is sampled from, the likeliest tokens; 1: all of it
    constrained: bool = False  # inside the tags only tools, and calls that fit their documents
    longest: Count = 384  # tokens of a conversation after the prompt, environment included
    rows: int = 32  # conversations in one forward and backward pass
    documents: tuple[DocumentsMode, ...] = ("none",)  # taken in turn, step by step
    beta: Weight = 0.0  # weight of KL to the parent; the published run has none
    bf16: bool | None = None  # null: where the machine is faster so
    replay_weight: Weight = 0.5  # of the replayed batch's loss beside the policy's
    gradient_checkpointing: bool = False  # activations are computed again: less memory, slower
    checkpoint_steps: Whole = 10  # a step checkpoint every so many steps; 0: none
    deepspeed: str | None = None  # zero1, zero2, zero3, zero2_offload, zero3_offload, or a file
    vllm: str = ""  # address of a vLLM server that rolls out, http://host:8000; "": here
    on_fault: Literal["stop", "continue"] = "stop"  # where a reward raises; continue: its group
    # teaches nothing

    def __post_init__(self):
        if self.group < 2 or min(self.prompts, self.rows, self.steps) < 1 or self.temperature <= 0:
            raise BadInput(
                "policy: give a group of two or more, at least one prompt, row and step, and a "
                "temperature above 0"
            )
        if self.prompts * self.group % min(self.rows, self.prompts * self.group):
            raise BadInput(
                f"policy.rows: {self.prompts} prompts of {self.group} conversations cannot be cut "
                f"into passes of {self.rows} rows; give a divisor of {self.prompts * self.group}"
            )
        if not self.documents:
            raise BadInput("policy.documents: name at least one documents mode")
        if not 0 < self.top_p <= 1:
            raise BadInput(f"policy.top_p: {self.top_p}: give more than 0, and at most 1")
        if self.narrowed and self.vllm:
            raise BadInput(
                "policy.vllm: a server does not say what it sampled from; leave the key out, or "
                "set policy.constrained=false and policy.top_p=1"
            )

    @property
    def narrowed(self) -> bool:
        """Whether less than the vocabulary is sampled from."""
        return self.constrained or self.top_p < 1


@dataclass
class Arena:
    """Where conversations happen: draws queries, rolls them out, scores them."""

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

        `prompts` only say how many are wanted; the queries come from this arena's own
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
                longest=self.config.longest,
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


class PolicyTrainer(Loop, GRPOTrainer):
    """TRL's trainer with our optimiser and a replayed batch beside each step's loss.

    support: what the rows at hand were drawn from, one for each; written: what of them the model
    wrote. Both travel with their batch. shared_up_to: tokens of conversations whose prompt may be
    read once for a group.
    """

    replay_weight: float
    support: list[Support | None] | None = None
    written: torch.Tensor | None = None  # (B, K) of completions
    shared_up_to = 0.0

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """GRPO's loss, plus that of a batch of earlier phases' examples."""
        self.support, self.written = inputs.get("support"), inputs.get("tool_mask")
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        self.support = self.written = None
        if self.replay_weight > 0 and self.accelerator.sync_gradients:  # the step's last pass
            loss = loss + self.replay_weight * self.replayed_loss(model, loss.device)
        return loss

    def _generate_and_score_completions(self, inputs):
        scored = super()._generate_and_score_completions(inputs)
        if self.support is not None:  # the rollout has left it here
            scored["support"] = self.support
        self.support = self.written = None
        return scored

    def _get_per_token_logps_and_entropies(
        self,
        model,
        input_ids,
        attention_mask,
        logits_to_keep,
        batch_size=None,
        compute_entropy=False,
        compute_aux_loss=False,
        **images,
    ):
        """(B, K) both, over what each token was drawn from; 0 where the model did not write.

        TRL masks these positions in all that it takes of them.
        """
        written = attention_mask[:, -logits_to_keep:].bool()
        if self.written is not None:
            written = written & self.written.to(written.device).bool()
        size = batch_size or len(input_ids)
        scores = [
            self._scores(model, input_ids[rows], attention_mask[rows], written[rows],
                         self.support and self.support[rows], compute_aux_loss)
            for rows in (slice(at, at + size) for at in range(0, len(input_ids), size))
        ]  # fmt: skip
        logps, entropies, auxiliary = zip(*scores, strict=True)
        blank = torch.zeros(written.shape, device=written.device)
        return (
            blank.masked_scatter(written, torch.cat(logps)),
            blank.masked_scatter(written, torch.cat(entropies)) if compute_entropy else None,
            torch.stack(auxiliary).mean() if compute_aux_loss else None,
        )

    def _scores(self, model, ids, mask, written, supports, auxiliary):
        """Those of one pass through the model, which is asked as it is wrapped."""
        share = int(mask.sum(1).max()) <= self.shared_up_to
        share = share and not auxiliary  # which counts a prompt once for each conversation
        scored = lay_out(ids, mask, written, self.temperature, supports, share, auxiliary)
        with self.accelerator.autocast():
            return model(scored=scored)


def train_policy(
    model: PreTrainedModel,
    arena: Arena,
    replay: Iterator[Batch],
    steps: Steps | None = None,
    trainable: TrainableConfig | None = None,
    title: str = "grpo",
) -> TrainedModel:
    """Run the loop; the model is changed in place, and whole in what is returned.

    With `steps` a killed run goes on from its newest whole step checkpoint.
    """
    config = arena.config
    if config.vllm:
        arena.engine = Served(connect(config.vllm))
    weights = Trainables(model, trainable or TrainableConfig(), list(arena.codec.markup.values()))
    with step_folder(steps) as folder, products(model), with_loss(model):
        trainer = make_trainer(model, arena, folder)
        trainer.replay_from(replay, folder.done)
        said = {"entropy": "rollout/entropy"} | ({"kl": "rollout/kl"} if config.beta else {})
        progress = Progress(arena.log, title, config.steps, others=said)
        run_loop(trainer, progress, config.optimiser, folder)
    tokens = int(trainer.state.num_input_tokens_seen)
    whole, adapter = weights.whole(trainer)
    return TrainedModel(whole, trainer.state.global_step, tokens, mean_loss(trainer), adapter)


def make_trainer(model: PreTrainedModel, arena: Arena, folder: Steps) -> PolicyTrainer:
    """TRL's trainer on this arena, before its first step."""
    config = arena.config
    groups = config.prompts * distributed.world() * config.steps
    rows = min(config.rows, config.prompts * config.group)
    passes = config.prompts * config.group // rows  # forward and backward, a step and rank
    answer_scored(model)
    trainer = PolicyTrainer(
        model=model,
        reward_funcs=[_total],  # type: ignore[list-item]
        args=_arguments(folder, config, rows, passes, arena.seed),
        processing_class=arena.codec.tokenizer,
        train_dataset=Dataset.from_dict({"prompt": [str(n) for n in range(groups)]}),
        rollout_func=arena.rollout,
    )
    if trainer.ref_model is not None:
        reference: Any = trainer.accelerator.unwrap_model(trainer.ref_model)
        answer_scored(reference)
    trainer.replay_weight = config.replay_weight
    trainer.shared_up_to = longest_shared(model)
    return trainer


def _arguments(
    folder: Steps, config: PolicyConfig, rows: int, passes: int, seed: int
) -> GRPOConfig:
    return GRPOConfig(
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=passes,
        num_generations=config.group,
        max_completion_length=config.longest,
        max_steps=config.steps,
        temperature=config.temperature,
        beta=config.beta,
        shuffle_dataset=False,
        bf16=use_bf16(config.bf16),
        gradient_checkpointing=config.gradient_checkpointing,
        logging_steps=1,
        use_vllm=bool(config.vllm),
        vllm_mode="server",
        vllm_server_base_url=config.vllm or None,
        vllm_importance_sampling_correction=False,
        **common_arguments(
            folder, config.checkpoint_steps, seed, config.optimiser, config.deepspeed
        ),
    )


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


def _total(prompts: Any, completions: Any, total_score: list[float], **_: Any) -> list[float]:
    """The arena has scored already; the parts are logged apart there."""
    return total_score


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
