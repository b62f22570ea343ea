"""Train a small base from scratch and publish it as phase "base": for tests and studies.

`tinr.checkpoints.import_model` imports a pretrained model.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Annotated, Any

import torch
from transformers import PreTrainedModel, Qwen3Config, Qwen3ForCausalLM
from typing_extensions import Doc

from tinr.chat.codec import Codec
from tinr.checkpoints.card import Card, environment
from tinr.checkpoints.fingerprint import fingerprint, settings, tokenizer_hash
from tinr.checkpoints.import_model import weights_hash
from tinr.checkpoints.open import save
from tinr.checkpoints.registry import Registry
from tinr.checkpoints.step_checkpoints import Steps
from tinr.config import Count, OptimiserConfig, TrainingConfig, Weight, as_dict
from tinr.data.base_tasks import EASY, HARD, Level, make_task
from tinr.data.base_tokenizer import train_tokenizer
from tinr.data.packing import Example, make_batches
from tinr.run_log import RunLog
from tinr.training.loop import TrainedModel
from tinr.training.phase_run import open_log
from tinr.training.supervised import train


@dataclass(frozen=True)
class BaseConfig:
    """Settings of a small model (Qwen3: Llama with normalised queries and keys), and training."""

    registry: str = "runs/registry"
    run: Annotated[str, Doc("folder of the logs")] = "runs/latest"
    wandb: bool = False
    seed: int = 0
    vocabulary: Annotated[Count, Doc("tokens without tags and role markers")] = 2048
    hidden: Count = 192
    layers: Count = 4
    heads: Count = 3
    positions: Annotated[Count, Doc("maximum context, tokens")] = 2048
    tokens: Annotated[Count, Doc("training tokens")] = 4_400_000
    easy: Annotated[Weight, Doc("share of the tokens in easy tasks, which come first")] = 0.4
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            optimiser=OptimiserConfig(name="muon", learning_rate=0.01, weight_decay=0.05),
            batch_tokens=4096,
            row_tokens=320,
        )
    )


def build_base(config: BaseConfig) -> Card:
    """Train a tokenizer and a model on generic tasks. Returns the new or an existing card."""
    mark = fingerprint("base", settings(config))
    registry = Registry(config.registry)
    known_card = registry.find("base", mark)
    if known_card:
        return known_card
    steps = registry.steps("base", mark)
    with steps.held(), open_log("base", config, steps.done) as log:
        model, tokenizer, result = _train_base(config, log, steps)
        card = Card(
            phase="base",
            base_model=f"from scratch, {model.num_parameters():,} parameters",
            base_hash=weights_hash(model),
            tokenizer_hash=tokenizer_hash(tokenizer),
            config=as_dict(config),
            seed=config.seed,
            fingerprint=mark,
            tokens=result.tokens,
            seconds=steps.seconds,
            data_position={"steps": result.steps},
            metrics={"loss": result.loss},
            **environment(),
        )
        card = registry.publish(card, lambda folder: save(folder, model, tokenizer, None))
        log.published([card])
    steps.clear()
    return card


def _train_base(
    config: BaseConfig, log: RunLog, steps: Steps
) -> tuple[PreTrainedModel, Any, TrainedModel]:
    """Train a tokenizer, and a model on the generic tasks, the easy ones first."""
    tokenizer = train_tokenizer(config.vocabulary, config.seed)
    codec = Codec(tokenizer)
    model = new_model(config, tokenizer)
    rng = Random(f"{config.seed}/base")
    batches = (
        batch
        for level, share in ((EASY, config.easy), (HARD, 1 - config.easy))
        for batch in make_batches(
            generic_examples(codec, rng, share * config.tokens, level),
            config.training,
            config.seed,
            codec.pad,
        )
    )
    result = train(model, tokenizer, batches, config.training, config.seed, log, "base", steps)
    return result.model, tokenizer, result


def generic_examples(codec: Codec, rng: Random, tokens: float, level: Level) -> list[Example]:
    """Make generic tasks of at least `tokens` tokens in all (none for 0)."""
    examples: list[Example] = []
    while tokens > 0:
        examples.append(Example(*codec.encode(make_task(rng, codec.frame, level))))
        tokens -= len(examples[-1].ids)
    return examples


def new_model(config: BaseConfig, tokenizer: Any) -> Qwen3ForCausalLM:
    """Make a Llama with random weights; normalised queries and keys learn to bind values sooner."""
    torch.manual_seed(config.seed)
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=config.hidden,
            intermediate_size=config.hidden * 8 // 3 // 32 * 32,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.heads,
            head_dim=config.hidden // config.heads,
            max_position_embeddings=config.positions,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
        )
    )
