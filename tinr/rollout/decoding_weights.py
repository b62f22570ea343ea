"""The number type of a model's weights during decoding, whose seconds are spent reading them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel

from tinr import distributed
from tinr.machine_speed import faster_type

MIN_PARAMETERS = 20_000_000  # a smaller model's weights are read from the processor's cache


@contextmanager
def decoding_weights(model: PreTrainedModel) -> Iterator[None]:
    """Within, a float32 model on a CPU has bfloat16 weights where products are faster in them.

    The float32 weights come back unchanged. Only for one thread at a time, and not with several
    processes, whose weights may be in parts. Needs half the weights' memory on top.
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
    """Whether the model writes faster with bfloat16 weights on this machine."""
    parameters = list(model.parameters())
    return (
        model.device.type == "cpu"
        and distributed.world() == 1
        and all(parameter.dtype == torch.float32 for parameter in parameters)
        and sum(parameter.numel() for parameter in parameters) >= MIN_PARAMETERS
        and faster_type() is torch.bfloat16
    )
