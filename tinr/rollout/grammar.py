"""Constrain the text inside the tags: tools in `<tool_token>`, valid calls in `<tool_call>`.

All other text is free. llguidance runs the grammars over bytes and single vocabulary entries, so
that they hold for any tokenizer and any split of text into tokens. A call has the form that
`tinr.chat.render` writes, in any layout; its arguments follow the tool's schema, in the schema's
order. A row that cannot continue (for example if no tool is known) ends; it is counted, and nothing
is raised.
"""

import copy
import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from llguidance import LLExecutor, LLMatcher, LLTokenizer
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask_par
from numpy.typing import NDArray

from tinr.catalogue.load import Catalogue
from tinr.chat.codec import Codec, name_of, token_of
from tinr.records import ToolDoc

SPACE = r"[ \t\r\n]{0,32}"  # between the parts of a call: any layout of bounded length
MOST_SCHEMAS = 500  # most tools in one grammar; with more, arguments are any object
KEPT = 1024  # cached grammars, one per set of named tools
OBJECT: Mapping[str, Any] = {"type": "object"}


class Grammars:
    """The grammars of a catalogue for a codec. Make it once, and call `start` for each batch."""

    def __init__(self, codec: Codec, catalogue: Catalogue):
        self.codec = codec
        self.known = {
            doc.name: doc
            for doc in catalogue.tools
            if codec.writes_names or doc.name in codec.tool_ids
        }
        self.openings = {codec.id(f"<{tag}>"): tag for tag in ("tool_token", "tool_call")}
        self.tokenizer = _tokenizer(codec)
        self.executor = LLExecutor(num_threads=torch.get_num_threads())
        self.one_call = False
        self.loose: set[str] = set()  # tools whose schema has no grammar
        self._schemas: dict[str, Mapping[str, Any]] = {}
        self._calls: dict[frozenset[str], LLMatcher] = {}

    def only(self, names: Iterable[str], *, one_call: bool = False) -> "Grammars":
        """Restrict the grammars to some of the tools, or to one call in a turn.

        The copy shares the tokenizer, the executor and the schemas, which are costly to make.
        """
        subset = copy.copy(self)
        subset.one_call = one_call
        subset.__dict__.pop("_names", None)
        subset.known = {name: self.known[name] for name in names if name in self.known}
        subset._calls = {}
        return subset

    def start(
        self,
        rows: int,
        named: Sequence[Sequence[str]] = (),
        offered: Sequence[Sequence[str]] = (),
    ) -> "Constraint":
        """Make the states of a batch, with all rows outside the tags.

        named: for each row, the tools that its reply has already named (default: none). offered:
        for each row, the only tools that it may name (by default, or if empty: all).
        """
        return Constraint(self, rows, named, offered)

    def names(self) -> LLMatcher:
        """Return a matcher of tool names, one per line, up to `</tool_token>`."""
        return self._names.deep_copy()

    def calls(self, named: Iterable[str]) -> LLMatcher:
        """Return a matcher of one or more calls of the named tools (none: any), to the end tag."""
        tools = frozenset(named).intersection(self.known) or frozenset(self.known)
        if tools not in self._calls:
            if len(self._calls) >= KEPT:
                self._calls.clear()
            self._calls[tools] = self._make_calls([self.known[name] for name in sorted(tools)])
        return self._calls[tools].deep_copy()

    @cached_property
    def _names(self) -> LLMatcher:
        tools = self._tool_choice(self.known) if self.known else "/[^\\s\\S]/"
        return self._matcher(f'start: "\\n" (({tools}) "\\n")+ {self._entry("</tool_token>")}')

    def _make_calls(self, docs: Sequence[ToolDoc]) -> LLMatcher:
        matcher = self._matcher(self._call_grammar(docs)) if len(docs) <= MOST_SCHEMAS else None
        if matcher is not None and not matcher.is_error():
            return matcher
        choice = self._tool_choice(doc.name for doc in docs)
        return self._matcher(self._of_calls([f"({choice}) middle {_schema(OBJECT)} end"]))

    def _call_grammar(self, docs: Sequence[ToolDoc]) -> str:
        return self._of_calls(
            f"{self._tool_choice([doc.name])} middle {_schema(self._argument_schema(doc))} end"
            for doc in docs
        )

    def _of_calls(self, kinds: Iterable[str]) -> str:
        several = ' | "[" SPACE call (SPACE "," SPACE call)* SPACE "]"'
        return "\n".join(
            (
                f"start: SPACE (call{'' if self.one_call else several}) SPACE "
                f"{self._entry('</tool_call>')}",
                r'call: "{" SPACE "\"token\"" SPACE ":" SPACE "\"" kind',
                f"kind: {' | '.join(kinds)}",
                r'middle: "\"" SPACE "," SPACE "\"parameters\"" SPACE ":" SPACE',
                'end: SPACE "}"',
                f"SPACE: /{SPACE}/",
            )
        )

    def _argument_schema(self, doc: ToolDoc) -> Mapping[str, Any]:
        """Return the schema of the arguments; it excludes other keys, as the executor does."""
        if doc.name not in self._schemas:
            schema = {"additionalProperties": False, **doc.parameters}
            message = LLMatcher.validate_grammar(f"start: {_schema(schema)}", self.tokenizer)
            if message and not message.startswith("WARNING"):
                self.loose.add(doc.name)
                reason = message.splitlines()[0]
                warnings.warn(
                    f"tool {doc.name}: its parameters have no grammar ({reason}); constrained "
                    "calls of it may have any JSON object as arguments",
                    stacklevel=2,
                )
                schema = OBJECT
            self._schemas[doc.name] = schema
        return self._schemas[doc.name]

    def _tool_choice(self, names: Iterable[str]) -> str:
        """Return a grammar that matches one of the tools, as the vocabulary writes them."""
        if self.codec.writes_names:
            return " | ".join(json.dumps(token_of(n), ensure_ascii=False) for n in names)
        return f"<[{','.join(str(self.codec.tool_ids[name]) for name in names)}]>"

    def _entry(self, token: str) -> str:
        return f"<[{self.codec.id(token)}]>"

    def _matcher(self, grammar: str) -> LLMatcher:
        return LLMatcher(self.tokenizer, f"%llguidance {{}}\n{grammar}", log_level=0)


@dataclass
class Turn:
    """State of a row: its grammars, its open tag, the ids inside it, and the tools named so far."""

    grammars: Grammars
    tag: str = ""  # "": outside the tags
    matcher: LLMatcher | None = None
    inside: list[int] = field(default_factory=list)
    named: list[str] = field(default_factory=list)


class Constraint:
    """The state of each row of one batch."""

    def __init__(
        self,
        grammars: Grammars,
        rows: int,
        named: Sequence[Sequence[str]] = (),
        offered: Sequence[Sequence[str]] = (),
    ):
        self.grammars = grammars  # what all rows share: tokenizer, executor, tags
        subsets = {names: grammars.only(names) for names in map(tuple, offered) if names}
        self.turns = [
            Turn(subsets.get(tuple(only), grammars), named=list(names))
            for names, only in zip(named or [()] * rows, offered or [()] * rows, strict=True)
        ]
        self.within = np.zeros(rows, bool)  # whether a row is inside a tag

    def allowed(
        self, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint8]] | None:
        """Return which of `rows` (B,) are inside a tag (N,), and which set each may write next.

        The sets (N, W) have the format of `sampling_support.pack`; that of a row that cannot
        continue is empty. Returns None if no row is inside a tag.
        """
        inside = self.within[rows].nonzero()[0]
        if not len(inside):
            return None
        matchers = [
            (self.turns[row].matcher, index) for index, row in enumerate(rows[inside].tolist())
        ]
        tokenizer = self.grammars.tokenizer
        bits = allocate_token_bitmask(len(inside), tokenizer.vocab_size)
        fill_next_token_bitmask_par(self.grammars.executor, matchers, bits)
        packed = bits.view(np.uint8)
        end = tokenizer.eos_token  # a matcher that cannot continue allows it
        packed[:, end // 8] &= 0xFF ^ (1 << end % 8)
        return inside, packed

    def feed(self, rows: NDArray[np.int64], ids: NDArray[np.int64]) -> None:
        """Take the next id (B,) of each of `rows` (B,), from the model or the environment."""
        is_inside = self.within[rows] | np.isin(ids, list(self.grammars.openings))
        for row, index in zip(rows[is_inside].tolist(), ids[is_inside].tolist(), strict=True):
            self._take(self.turns[row], index)
            self.within[row] = self.turns[row].matcher is not None

    def _take(self, turn: Turn, index: int) -> None:
        grammars = turn.grammars
        if turn.matcher is None:
            turn.tag, turn.inside = grammars.openings[index], []
            is_call = turn.tag == "tool_call"
            turn.matcher = grammars.calls(turn.named) if is_call else grammars.names()
            return
        turn.inside.append(index)
        if turn.matcher.consume_token(index) and index != grammars.codec.id(f"</{turn.tag}>"):
            return
        turn.matcher = None  # the tag is closed, or the environment writes now
        if turn.tag == "tool_token":
            pieces = grammars.codec.decode(turn.inside)
            turn.named += [name for p in pieces if p.token and (name := name_of(p.text))]


def _schema(schema: Mapping[str, Any]) -> str:
    """Write a JSON Schema for use inside a grammar."""
    layout = {"x-guidance": {"whitespace_flexible": True, "whitespace_pattern": SPACE}}
    return f"%json {json.dumps({**schema, **layout})}"


def _tokenizer(codec: Codec) -> LLTokenizer:
    """Make llguidance's tokenizer, with the markup as special entries that text cannot spell."""
    state = json.loads(codec.tokenizer.backend_tokenizer.to_str())
    state["truncation"] = state["padding"] = None
    for entry in state["added_tokens"]:
        entry["special"] = entry["special"] or entry["content"] in codec.markup
    return LLTokenizer(json.dumps(state), eos_token=codec.id(codec.frame.close))
