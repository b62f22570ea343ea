"""Settings of the GRPO loop. No torch."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from typing_extensions import Doc

from tinr.config import Count, Formerly, OptimiserConfig, Positive, Weight, Whole
from tinr.records import BadInput, DocumentsMode


@dataclass(frozen=True)
class PolicyConfig:
    """The loop of phase 3."""

    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(learning_rate=2e-6))
    steps: int = 100
    prompts: Annotated[int, Doc("groups per step and rank")] = 8
    group: Annotated[int, Doc("conversations per prompt")] = 8
    oversample: Annotated[
        Positive, Doc("groups rolled out per group used; groups with spread are used first")
    ] = 2.0
    temperature: float = 1.0
    top_p: Annotated[
        float, Doc("probability mass of the most likely tokens to sample from; 1: all tokens")
    ] = 1.0
    constrained: Annotated[
        bool, Doc("inside the tags, allow only tools and calls that fit their documents")
    ] = False
    max_tokens: Annotated[
        Count,
        Formerly("longest"),
        Doc("maximum tokens of a conversation after the prompt, environment included"),
    ] = 384
    rows: Annotated[int, Doc("conversations in one forward and backward pass")] = 32
    documents: Annotated[tuple[DocumentsMode, ...], Doc("modes, alternating by step")] = ("none",)
    beta: Annotated[Weight, Doc("weight of KL to the parent; the published run uses none")] = 0.0
    bf16: Annotated[bool | None, Doc("null: if it is faster on this machine")] = None
    replay_weight: Annotated[Weight, Doc("weight of the loss of the replayed batch")] = 0.5
    gradient_checkpointing: Annotated[
        bool, Doc("recompute activations in the backward pass: less memory, slower")
    ] = False
    checkpoint_steps: Annotated[Whole, Doc("steps between step checkpoints; 0: none")] = 10
    deepspeed: Annotated[
        str | None, Doc("zero1, zero2, zero3, zero2_offload, zero3_offload, or a file")
    ] = None
    vllm: Annotated[
        str, Doc('vLLM server for rollouts, such as http://host:8000; "": roll out here')
    ] = ""
    on_fault: Annotated[
        Literal["stop", "continue"],
        Doc("what to do if a reward raises; continue: all rewards of its group become 0"),
    ] = "stop"

    def __post_init__(self):
        if self.group < 2 or min(self.prompts, self.rows, self.steps) < 1 or self.temperature <= 0:
            raise BadInput(
                "policy: give a group of two or more, at least one prompt, row and step, and a "
                "temperature above 0"
            )
        if self.prompts * self.group % min(self.rows, self.prompts * self.group):
            raise BadInput(
                f"policy.rows: {self.prompts} prompts of {self.group} conversations cannot be "
                f"split into passes of {self.rows} rows; give a divisor of "
                f"{self.prompts * self.group}"
            )
        if not self.documents:
            raise BadInput("policy.documents: name at least one documents mode")
        if not 0 < self.top_p <= 1:
            raise BadInput(f"policy.top_p: {self.top_p}: give more than 0, and at most 1")
        if self.narrowed and self.vllm:
            raise BadInput(
                "policy.vllm: a server does not report the set of tokens that it sampled from; "
                "omit the key, or set policy.constrained=false and policy.top_p=1"
            )

    @property
    def narrowed(self) -> bool:
        """Whether sampling is restricted to a part of the vocabulary."""
        return self.constrained or self.top_p < 1
