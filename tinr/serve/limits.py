"""Limits on whether a reply calls tools."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import torch

from tinr.chat.codec import Codec
from tinr.records import BadInput

ToolChoice = Literal["auto", "none", "required"]


@dataclass
class ChoiceLimit:
    """Enforces `none` (the reply calls nothing) or `required` (it calls, then it may answer).

    tools: those that may be called. has_called: the reply so far has a call.
    """

    codec: Codec
    choice: ToolChoice
    tools: Collection[str]
    has_called: bool = False

    def __post_init__(self) -> None:
        if self.codec.writes_names:
            raise BadInput(
                f"tool_choice: {self.choice} needs a checkpoint with tool tokens; remove it"
            )
        self._tool_ids = [self.codec.tool_ids[name] for name in self.tools]
        self._calling = [
            *self.codec.tool_ids.values(),
            *map(self.codec.id, ("<tool_token>", "<tool_call>")),
        ]
        self._ending = [self.codec.id("<response>"), self.codec.id(self.codec.frame.close)]
        self._thinks = self.codec.id("<think>")
        self._calls = self.codec.id("<tool_call>")

    def narrow(self, last: int, allowed: torch.Tensor) -> None:
        """Remove entries, in place, from the set (V,) bool that may follow the id `last`."""
        if self.choice == "none":
            allowed[self._calling] = False
        elif self.choice == "required" and not self.has_called:
            self.has_called = last == self._calls
            if last == self._thinks:  # the thought begins with the tool
                chosen = allowed[self._tool_ids].clone()
                allowed[:] = False
                allowed[self._tool_ids] = chosen
            elif not self.has_called:
                allowed[self._ending] = False
