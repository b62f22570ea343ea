"""What a model may write inside the tags: tools after `<tool_token>`, a fitting call after
`<tool_call>`. Everything else is free.

The grammars are llguidance's, over bytes and single vocabulary entries, so that they hold for
any tokenizer and any cutting of text into pieces. A call has the form that `transcript` renders,
in any layout, with arguments as their tool's schema has them, in the schema's order. What cannot
go on (no tool is known, say) ends its row; it is counted, never raised.
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

SPACE = r"[ \t\r\n]{0,32}"  # between the parts of a call: any layout, but not for ever
MOST_SCHEMAS = 500  # tools in one grammar; where more may be called, arguments are any object
KEPT = 1024  # grammars that are kept, one for each set of tools that was named
OBJECT: Mapping[str, Any] = {"type": "object"}


class Grammars:
    """The grammars of one catalogue for one codec; make it once, `start` it for each batch."""

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
        self.loose: set[str] = set()  # tools whose schema has no grammar
        self._schemas: dict[str, Mapping[str, Any]] = {}
        self._calls: dict[frozenset[str], LLMatcher] = {}

    def only(self, names: Iterable[str]) -> "Grammars":
        """The same for some of the tools; what is costly is shared."""
        some = copy.copy(self)
        some.__dict__.pop("_names", None)
        some.known = {name: self.known[name] for name in names if name in self.known}
        some._calls = {}
        return some

    def start(self, rows: int, named: Sequence[Sequence[str]] = ()) -> "Constraint":
        """The states of a batch, all of them outside the tags.

        named: for each row the tools that its reply has named before (none given: none).
        """
        return Constraint(self, rows, named)

    def names(self) -> LLMatcher:
        """One tool a line, up to `</tool_token>`."""
        return self._names.deep_copy()

    def calls(self, named: Iterable[str]) -> LLMatcher:
        """A call, or a list of them, of the tools named (of any, where none is), to the close."""
        tools = frozenset(named).intersection(self.known) or frozenset(self.known)
        if tools not in self._calls:
            if len(self._calls) >= KEPT:
                self._calls.clear()
            self._calls[tools] = self._make_calls([self.known[name] for name in sorted(tools)])
        return self._calls[tools].deep_copy()

    @cached_property
    def _names(self) -> LLMatcher:
        tools = self._spelled(self.known) if self.known else "/[^\\s\\S]/"
        return self._matcher(f'start: "\\n" (({tools}) "\\n")+ {self._entry("</tool_token>")}')

    def _make_calls(self, docs: Sequence[ToolDoc]) -> LLMatcher:
        made = self._matcher(self._call_grammar(docs)) if len(docs) <= MOST_SCHEMAS else None
        if made is not None and not made.is_error():
            return made
        spelled = self._spelled(doc.name for doc in docs)
        return self._matcher(self._of_calls([f"({spelled}) middle {_schema(OBJECT)} end"]))

    def _call_grammar(self, docs: Sequence[ToolDoc]) -> str:
        return self._of_calls(
            f"{self._spelled([doc.name])} middle {_schema(self._fitting(doc))} end" for doc in docs
        )

    def _of_calls(self, kinds: Iterable[str]) -> str:
        return "\n".join(
            (
                f'start: SPACE (call | "[" SPACE call (SPACE "," SPACE call)* SPACE "]") SPACE '
                f"{self._entry('</tool_call>')}",
                r'call: "{" SPACE "\"token\"" SPACE ":" SPACE "\"" kind',
                f"kind: {' | '.join(kinds)}",
                r'middle: "\"" SPACE "," SPACE "\"parameters\"" SPACE ":" SPACE',
                'end: SPACE "}"',
                f"SPACE: /{SPACE}/",
            )
        )

    def _fitting(self, doc: ToolDoc) -> Mapping[str, Any]:
        """The schema that arguments are held to: closed, as the executor reads it."""
        if doc.name not in self._schemas:
            closed = {"additionalProperties": False, **doc.parameters}
            wrong = LLMatcher.validate_grammar(f"start: {_schema(closed)}", self.tokenizer)
            if wrong and not wrong.startswith("WARNING"):
                self.loose.add(doc.name)
                reason = wrong.splitlines()[0]
                warnings.warn(
                    f"tool {doc.name}: its parameters have no grammar ({reason}); a constrained "
                    "call of it may have any JSON object as arguments",
                    stacklevel=2,
                )
                closed = OBJECT
            self._schemas[doc.name] = closed
        return self._schemas[doc.name]

    def _spelled(self, names: Iterable[str]) -> str:
        """Any of the tools, as the vocabulary writes them."""
        if self.codec.writes_names:
            return " | ".join(json.dumps(token_of(n), ensure_ascii=False) for n in names)
        return f"<[{','.join(str(self.codec.tool_ids[name]) for name in names)}]>"

    def _entry(self, token: str) -> str:
        return f"<[{self.codec.id(token)}]>"

    def _matcher(self, grammar: str) -> LLMatcher:
        return LLMatcher(self.tokenizer, f"%llguidance {{}}\n{grammar}", log_level=0)


@dataclass
class Turn:
    """Where one row stands: its open tag with what was written in it, and the tools named."""

    tag: str = ""  # "": outside the tags
    matcher: LLMatcher | None = None
    inside: list[int] = field(default_factory=list)
    named: list[str] = field(default_factory=list)


class Constraint:
    """The states of the rows of one batch."""

    def __init__(self, grammars: Grammars, rows: int, named: Sequence[Sequence[str]] = ()):
        self.grammars = grammars
        before = named or [()] * rows
        self.turns = [Turn(named=list(some)) for some in before]
        self.within = np.zeros(rows, bool)  # a tag

    def allowed(
        self, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint8]] | None:
        """Which of `rows` (B,) are inside a tag (N,), and what each may write next, (N, W) as
        `support.pack` has it; None where no row is. A row with no way on has an empty set."""
        inside = self.within[rows].nonzero()[0]
        if not len(inside):
            return None
        matchers = [(self.turns[row].matcher, at) for at, row in enumerate(rows[inside].tolist())]
        tokenizer = self.grammars.tokenizer
        bits = allocate_token_bitmask(len(inside), tokenizer.vocab_size)
        fill_next_token_bitmask_par(self.grammars.executor, matchers, bits)
        packed = bits.view(np.uint8)
        end = tokenizer.eos_token  # what a matcher allows that has no way on
        packed[:, end // 8] &= 0xFF ^ (1 << end % 8)
        return inside, packed

    def feed(self, rows: NDArray[np.int64], ids: NDArray[np.int64]) -> None:
        """Take one more id (B,) of each of `rows` (B,), whoever wrote it."""
        moved = self.within[rows] | np.isin(ids, list(self.grammars.openings))
        for row, index in zip(rows[moved].tolist(), ids[moved].tolist(), strict=True):
            self._take(self.turns[row], index)
            self.within[row] = self.turns[row].matcher is not None

    def _take(self, turn: Turn, index: int) -> None:
        grammars = self.grammars
        if turn.matcher is None:
            turn.tag, turn.inside = grammars.openings[index], []
            named = turn.tag == "tool_call"
            turn.matcher = grammars.calls(turn.named) if named else grammars.names()
            return
        turn.inside.append(index)
        if turn.matcher.consume_token(index) and index != grammars.codec.id(f"</{turn.tag}>"):
            return
        turn.matcher = None  # closed, or the environment has taken the floor
        if turn.tag == "tool_token":
            pieces = grammars.codec.decode(turn.inside)
            turn.named += [name for p in pieces if p.token and (name := name_of(p.text))]


def _schema(schema: Mapping[str, Any]) -> str:
    """A JSON Schema inside a grammar."""
    layout = {"x-guidance": {"whitespace_flexible": True, "whitespace_pattern": SPACE}}
    return f"%json {json.dumps({**schema, **layout})}"


def _tokenizer(codec: Codec) -> LLTokenizer:
    """The codec's vocabulary with its markup as entries that no text can spell."""
    state = json.loads(codec.tokenizer.backend_tokenizer.to_str())
    state["truncation"] = state["padding"] = None
    for entry in state["added_tokens"]:
        entry["special"] = entry["special"] or entry["content"] in codec.markup
    return LLTokenizer(json.dumps(state), eos_token=codec.id(codec.frame.close))
