# pyright: reportMissingImports=false
"""A vLLM tool parser for models that tinr trained. It needs vLLM and nothing else.

    vllm serve FOLDER --enable-auto-tool-choice --tool-call-parser tinr \
        --tool-parser-plugin FOLDER/tinr_tool_parser.py

A reply is `<think>...</think>`, then tool tokens and `<tool_call>` with the calls, or `<response>`
with the answer. vLLM uses a parser only for requests with `tools`. Their names suffice, because the
chat template does not show them.
"""

import json
import re
import uuid
from collections.abc import Sequence
from typing import Any

from vllm.tool_parsers import ToolParserManager
from vllm.tool_parsers.abstract_tool_parser import (
    DeltaMessage,
    ExtractedToolCallInformation,
    ToolParser,
)

try:
    from vllm.entrypoints.generate.base import protocol

    KEEPS_RAW_TEXT = True  # vLLM uses what a parser reads only if tools_called is true
except ImportError:  # before vLLM 0.30
    from vllm.entrypoints.openai import protocol

    KEEPS_RAW_TEXT = False

CALL_END, ANSWER_END = "</tool_call>", "</response>"
OPENING = re.compile("<(tool_call|response)>")
KEYS = ({"token", "parameters"}, {"name", "parameters"}, {"name", "arguments"})


def read(text: str) -> tuple[list[tuple[str, str]], str]:
    """Return the calls (name, arguments as JSON) of the last `<tool_call>`, and the answer so far.

    A tag inside a call's JSON opens nothing. A call with incomplete JSON, or of another form, is
    dropped. The end of the answer is held back while it may be the start of the end tag.
    """
    calls: list[tuple[str, str]] = []
    answer, position = "", 0
    while (opening := OPENING.search(text, position)) is not None:
        position = opening.end()
        if opening[1] == "response":
            answer, end, _ = text[position:].partition(ANSWER_END)
            position += len(answer)
            if not end:
                held = max(n for n in range(len(ANSWER_END)) if answer.endswith(ANSWER_END[:n]))
                answer = answer[: len(answer) - held]
            continue
        while text[position : position + 1].isspace():
            position += 1
        try:
            value, position = _strict().raw_decode(text, position)
        except (ValueError, RecursionError):
            calls = []
            end = text.find(CALL_END, position)
            if end < 0:  # it is still being written
                break
            position = end
            continue
        calls = [call for item in _items(value) if (call := _call(item)) is not None]
    return calls, answer


def _strict() -> json.JSONDecoder:
    return json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("duplicate key")
    return dict(pairs)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _call(item: Any) -> tuple[str, str] | None:
    if not isinstance(item, dict) or set(item) not in KEYS:
        return None
    name = item.get("token", item.get("name"))
    arguments = item.get("parameters", item.get("arguments"))
    if not isinstance(name, str) or not name or not isinstance(arguments, dict):
        return None
    marked = re.fullmatch(r"<<([^\s<>]+)>>", name)
    return marked[1] if marked else name, json.dumps(arguments, ensure_ascii=False)


@ToolParserManager.register_module("tinr")
class TinrToolParser(ToolParser):
    """Reads calls and answers; the content does not include the thought."""

    supports_required_and_named = False  # the model has its own form of calls

    def __init__(self, tokenizer: Any, *rest: Any, **more: Any):
        super().__init__(tokenizer, *rest, **more)
        self._sent = 0  # characters of the answer
        self._sent_calls = 0

    def adjust_request(self, request: Any) -> Any:
        """Keep the tags in the text, including the last one."""
        request = super().adjust_request(request)
        request.skip_special_tokens = False
        request.include_stop_str_in_output = True
        return request

    def extract_tool_calls(self, model_output: str, request: Any) -> ExtractedToolCallInformation:
        """Read a whole reply."""
        written, answer = read(model_output)
        calls = [
            protocol.ToolCall(
                type="function", function=protocol.FunctionCall(name=name, arguments=arguments)
            )
            for name, arguments in written
        ]
        return ExtractedToolCallInformation(
            tools_called=bool(calls) or (KEEPS_RAW_TEXT and bool(answer)),
            tool_calls=calls,
            content=answer.strip() or None,
        )

    def extract_tool_calls_streaming(
        self,
        previous_text: str,
        current_text: str,
        delta_text: str,
        previous_token_ids: Sequence[int],
        current_token_ids: Sequence[int],
        delta_token_ids: Sequence[int],
        request: Any,
    ) -> DeltaMessage | None:
        """Return the new text of the answer, and each call when its JSON is complete."""
        calls, answer = read(current_text)
        grown, self._sent = answer[self._sent :], max(self._sent, len(answer))
        first, self._sent_calls = self._sent_calls, max(self._sent_calls, len(calls))
        deltas = [
            protocol.DeltaToolCall(
                index=index,
                type="function",
                id=f"call-{uuid.uuid4().hex}",
                function=protocol.DeltaFunctionCall(name=name, arguments=arguments),
            )
            for index, (name, arguments) in enumerate(calls)
            if index >= first
        ]
        if deltas:  # at the end, vLLM compares these with what was sent
            self.prev_tool_call_arr = [{"name": n, "arguments": a} for n, a in calls]
            self.streamed_args_for_tool = [arguments for _, arguments in calls]
        more: dict[str, Any] = {"content": grown} if grown else {}
        more |= {"tool_calls": deltas} if deltas else {}
        return DeltaMessage(**more) if more else None
