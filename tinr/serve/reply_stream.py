"""Split a reply into the growing text of its parts: the thought, the calls, the answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tinr.chat.codec import TAGS, Codec
from tinr.chat.render import as_text

HALF_A_CHARACTER = "\ufffd"  # how the bytes of an unfinished character decode


@dataclass(frozen=True)
class Delta:
    """New text of a part of the reply (of TAGS); is_tool: it ends in a tool token."""

    part: str
    text: str
    is_tool: bool = False


@dataclass
class ReplyStream:
    """Reads the ids of a reply one by one and returns the new text of its parts.

    Whitespace around each part is dropped. stops: texts before which the answer ends; text that may
    be the start of one is held back until that is known.
    """

    codec: Codec
    stops: Sequence[str] = ()
    stopped: bool = False  # at one of the stops: the rest of the answer is dropped
    texts: dict[str, str] = field(default_factory=dict)  # part -> its text so far
    part: str = ""  # the open one
    _ids: list[int] = field(default_factory=list)  # inside it
    _said: int = 0  # characters of its text that were returned

    def feed(self, index: int) -> list[Delta]:
        """Take the next id of the reply, from the model or the environment."""
        tag = self._tags.get(index)
        if tag is None:
            self._ids.append(index)
            return self._grow(is_tool=index in self._tool_ids)
        deltas = self._grow(is_closed=True)
        self.part, self._ids, self._said = (tag if tag in TAGS else ""), [], 0
        return deltas

    def end(self) -> list[Delta]:
        """Return the text that was held back; the reply is over."""
        return self._grow(is_closed=True)

    @cached_property
    def _tags(self) -> dict[int, str]:
        tags = [f"{slash}{tag}" for tag in TAGS for slash in ("", "/")]
        return {self.codec.id(f"<{tag}>"): tag for tag in tags}

    @cached_property
    def _tool_ids(self) -> frozenset[int]:
        return frozenset(self.codec.tool_ids.values())

    def _grow(self, *, is_closed: bool = False, is_tool: bool = False) -> list[Delta]:
        if not self.part or not self._ids or self.stopped:
            return []
        text = as_text(self.codec.decode(self._ids)).lstrip()
        text = (text if is_closed else text.rstrip(HALF_A_CHARACTER)).rstrip()
        if self.part == "response":
            text = self._up_to_a_stop(text, is_closed).rstrip()
        grown = text[self._said :]
        if not grown:
            return []
        earlier = self.texts.get(self.part, "")
        if earlier and not self._said:  # the part occurs twice
            grown = f"\n{grown}"
        self._said = len(text)
        self.texts[self.part] = earlier + grown
        return [Delta(self.part, grown, is_tool)]

    def _up_to_a_stop(self, text: str, is_closed: bool) -> str:
        places = [place for stop in self.stops if (place := text.find(stop)) >= 0]
        self.stopped = bool(places)
        if places:
            return text[: min(places)]
        held = 0 if is_closed else max((_begun(stop, text) for stop in self.stops), default=0)
        return text[: len(text) - held]


def _begun(stop: str, text: str) -> int:
    """Return how many characters at the end of a text begin a stop."""
    lengths = range(min(len(stop) - 1, len(text)), 0, -1)
    return next((length for length in lengths if text.endswith(stop[:length])), 0)
