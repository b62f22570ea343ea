"""Decode with bfloat16 weights on a CPU, where reading the weights takes most of the time."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel

from tinr import distributed
from tinr.machine_speed import faster_type

MIN_PARAMETERS = 20_000_000  # the weights of a smaller model fit the CPU cache


@contextmanager
def decoding_weights(model: PreTrainedModel) -> Iterator[None]:
    """Give a float32 model on a CPU bfloat16 weights inside the context, if that is faster.

    The float32 weights are restored unchanged. Use it from one thread at a time. It does nothing
    with several processes, because their weights may be sharded. It needs half of the weights'
    memory in addition.
    """
    if not gains(model):
        yield
        return
    weights = {parameter: parameter.data for parameter in model.parameters()}
    try:
        with torch.inference_mode(False), torch.no_grad():
            for parameter, values in weights.items():
                parameter.data = values.to(torch.bfloat16)
        yield
    finally:
        for parameter, values in weights.items():
            parameter.data = values


def gains(model: PreTrainedModel) -> bool:
    """Whether the model decodes faster with bfloat16 weights on this machine."""
    parameters = list(model.parameters())
    return (
        model.device.type == "cpu"
        and distributed.world() == 1
        and all(parameter.dtype == torch.float32 for parameter in parameters)
        and sum(parameter.numel() for parameter in parameters) >= MIN_PARAMETERS
        and faster_type() is torch.bfloat16
    )
