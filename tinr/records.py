"""The frozen records every room shares, and the one error for bad input. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

DocumentsMode = Literal["none", "on_select", "in_prompt", "retrieved"]
Split = Literal["seen", "unseen", "ood", "no_tool"]
Role = Literal["system", "user", "assistant", "tool"]


class BadInput(Exception):
    """Something a user gave is wrong. One line: what, where, what to do.

    Commands print it as `error: ...` and exit with code 2.
    """


class RunFailed(Exception):
    """Something ran and failed: a diverging loss, a fault, a check. Commands exit with code 1."""


class GateFailed(RunFailed):
    """A phase ended below a gate that its configuration does not accept."""


@dataclass(frozen=True)
class ToolDoc:
    """A tool document: what a model may know of a tool.

    `parameters` is a JSON Schema of type object. `returns` describes the result in words.
    `source` names the catalogue that the document came from.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    returns: str = ""
    source: str = ""
    domain: str = ""


@dataclass(frozen=True)
class Call:
    """One use of a tool: its name and its arguments, both as plain data."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Message:
    """One message of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True)
class Mention:
    """A tool in a thought: the thought has its tool token at this place."""

    tool: str


UNANSWERED = "I have no tool for that."  # the reply to a query without calls that states none
NO_ARGUMENTS = "no_reference_arguments"  # the flag of a query whose reference is names only
SOME_CALL = "some_call_expected"  # the flag of a query that any call answers
HISTORY_CUT = "history_cut"  # the source goes on after the last message of the user
OTHER_REFERENCE = "other_reference"  # the source has a second reference; it is not scored
# Accepted values of each parameter of one call; "" among them: it may be left out.
Accepted = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Query:
    """What a user asks and what is expected of the reply.

    `turns` groups the reference calls: calls in one turn are parallel, a later turn
    uses what an earlier one returned. No turns: no call is expected. `answer` is the
    reference final answer, None where there is none to score.
    """

    id: str
    text: str
    turns: tuple[tuple[Call, ...], ...] = ()
    answer: str | None = None
    split: Split | None = None
    kind: str = ""
    reply: str = ""  # a suitable final answer in words, where none can be scored
    observations: tuple[str, ...] = ()  # what the reference calls returned, turn after turn
    thought: tuple[str | Mention, ...] = ()  # of a reasoning trace; empty: composed
    history: tuple[Message, ...] = ()  # the messages before the query
    tools: tuple[str, ...] = ()  # candidates that come with the query; empty: not stated
    accept: tuple[Accepted, ...] = ()  # accepted values, one mapping for each reference call
    flags: tuple[str, ...] = ()  # known defects of the reference, in the source's words
    group: str = ""  # its row in the tables; empty: its split
    # of each reference call: parameter -> words of the text that ask for its value; empty: unknown
    implied: tuple[Mapping[str, str], ...] = ()
    # templates that the text was made from; queries that share one are not independent
    phrasings: tuple[str, ...] = ()

    @property
    def calls(self) -> tuple[Call, ...]:
        """All reference calls in order."""
        return tuple(call for turn in self.turns for call in turn)

    @property
    def any_call(self) -> bool:
        """Whether any call is right: the reference does not say which."""
        return SOME_CALL in self.flags

    @property
    def expects_call(self) -> bool:
        """Whether a reply without a call is wrong."""
        return bool(self.calls) or self.any_call

    @property
    def states_arguments(self) -> bool:
        """Whether the reference states its calls' arguments, not only their names."""
        return NO_ARGUMENTS not in self.flags

    @property
    def teachable(self) -> bool:
        """Whether the reference is a complete and exact target for training on this query."""
        return self.states_arguments and not self.any_call and HISTORY_CUT not in self.flags


@dataclass(frozen=True)
class Reply:
    """What a model wrote in one conversation, read by `tinr.chat.parse.parse`.

    `named` has the tools of the <tool_token> part, in order and with repeats. `calls` has the
    calls that could be parsed. `response` is the final answer. `problems` says in stable words
    why the reply is not well formed; it is empty for a well-formed reply. `attempted`: a part
    names or calls tools, even if it cannot be read. `observed`: the reply has tool results.
    `failed`: the places in `calls` of those that were answered by an error.
    """

    thought: str | None = None
    named: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    response: str | None = None
    problems: tuple[str, ...] = ()
    observed: bool = False
    attempted: bool = False
    failed: tuple[int, ...] = ()

    @property
    def calls_tools(self) -> bool:
        """Whether it names or calls tools, even in a part that cannot be read."""
        return bool(self.calls or self.named) or self.attempted


@dataclass(frozen=True)
class Score:
    """Rewards of one reply, each in [0, 1] or None where it cannot be scored."""

    format: float
    tool: float | None
    answer: float | None
    total: float
    why: tuple[str, ...] = field(default=())


REWARDS = ("total", "format", "tool", "answer")  # the fields of a Score that are logged and shown
