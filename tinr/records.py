"""Frozen records shared by all packages, and the exceptions for users. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

DocumentsMode = Literal["none", "on_select", "in_prompt", "retrieved"]
Split = Literal["seen", "unseen", "ood", "no_tool"]
Role = Literal["system", "user", "assistant", "tool"]


class BadInput(Exception):
    """The user's input is wrong. The message is one line: what, where, what to do.

    Commands print it as `error: ...` and exit with code 2.
    """


class RunFailed(Exception):
    """A run failed: a diverging loss, a fault, a check. Commands exit with code 1."""


class GateFailed(RunFailed):
    """A phase missed a gate, and its configuration does not accept that."""


@dataclass(frozen=True)
class ToolDoc:
    """A tool document: what a model may know about a tool.

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
    """One call of a tool: its name and its arguments, both as plain data."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Message:
    """One message of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True)
class Mention:
    """A tool in a thought: the thought has its tool token at this position."""

    tool: str


UNANSWERED = "I have no tool for that."  # reply to a query without calls, if it has none
NO_ARGUMENTS = "no_reference_arguments"  # flag: the reference has tool names only
SOME_CALL = "some_call_expected"  # flag: any call is right
HISTORY_CUT = "history_cut"  # flag: the source continues after the user's last message
OTHER_REFERENCE = "other_reference"  # flag: a second reference exists; it is not scored
# Accepted values of each parameter of one call; if "" is one of them, it may be left out.
Accepted = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Query:
    """A user's query, and the expected reply.

    `turns` groups the reference calls: calls in one turn are parallel, a later turn
    uses results of an earlier one. No turns: no call is expected. `answer` is the
    reference final answer, None if there is none to score.
    """

    id: str
    text: str
    turns: tuple[tuple[Call, ...], ...] = ()
    answer: str | None = None
    split: Split | None = None
    kind: str = ""
    reply: str = ""  # a suitable final answer in words, if none can be scored
    observations: tuple[str, ...] = ()  # results of the reference calls, turn by turn
    thought: tuple[str | Mention, ...] = ()  # thought of a trace; empty: composed
    history: tuple[Message, ...] = ()  # the messages before the query
    tools: tuple[str, ...] = ()  # candidates given with the query; empty: not stated
    accept: tuple[Accepted, ...] = ()  # accepted values, one mapping per reference call
    flags: tuple[str, ...] = ()  # known defects of the reference, in the source's words
    group: str = ""  # row in the tables; empty: the split
    # per reference call: parameter -> words of the text that ask for its value; empty: unknown
    implied: tuple[Mapping[str, str], ...] = ()
    # templates that the text was made from; queries that share one are not independent
    phrasings: tuple[str, ...] = ()

    @property
    def calls(self) -> tuple[Call, ...]:
        """All reference calls in order."""
        return tuple(call for turn in self.turns for call in turn)

    @property
    def any_call(self) -> bool:
        """Whether any call is right, because the reference does not say which."""
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
    """A model's reply in one conversation, parsed by `tinr.chat.parse.parse`.

    `named` lists the tools of the <tool_token> part, in order and with repeats. `calls` lists the
    calls that could be parsed. `response` is the final answer. `problems` says in stable words
    why the reply is not well formed; it is empty for a well-formed reply. `attempted`: a part
    names or calls tools, even if it cannot be parsed. `observed`: the reply has tool results.
    `failed`: the indices in `calls` of those that returned an error.
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
        """Whether the reply names or calls tools, even in a part that cannot be parsed."""
        return bool(self.calls or self.named) or self.attempted


@dataclass(frozen=True, kw_only=True)
class Score:
    """Rewards of one reply, each in [0, 1] or None if it does not apply.

    why: the reasons of a total below 1; empty for 1.
    """

    total: float
    format: float | None = None
    tool: float | None = None
    answer: float | None = None
    why: tuple[str, ...] = ()


# The fields of a Score that are logged and shown: the total, and its parts.
REWARDS = ("total", "format", "tool", "answer")
