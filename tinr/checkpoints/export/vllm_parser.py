# pyright: reportMissingImports=false
"""A vLLM tool parser for models that tinr trained. It needs vLLM and nothing else.

    vllm serve FOLDER --enable-auto-tool-choice --tool-call-parser tinr \
        --tool-parser-plugin FOLDER/tinr_tool_parser.py

A reply is `<think>...</think>`, then tool tokens and `<tool_call>` with the calls, or `<response>`
with the answer. vLLM asks a parser only for requests with `tools`; the names suffice, the chat
template does not show them.
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
except ImportError:  # before vLLM 0.30
    from vllm.entrypoints.openai import protocol

CALL, ANSWER, ANSWER_END = "<tool_call>", "<response>", "</response>"


def calls_in(text: str) -> list[tuple[str, str]]:
    """Return the name and the arguments (JSON) of each call in the last `<tool_call>`.

    Empty while its JSON is not complete, and for what is no call.
    """
    _, tag, rest = text.rpartition(CALL)
    if not tag:
        return []
    try:
        value, _ = json.JSONDecoder().raw_decode(rest.lstrip())
    except (ValueError, RecursionError):
        return []
    calls = []
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, dict):
            continue
        name = item.get("token", item.get("name"))
        arguments = item.get("parameters", item.get("arguments"))
        if isinstance(name, str) and name and isinstance(arguments, dict):
            marked = re.fullmatch(r"<<([^\s<>]+)>>", name)
            text_of = json.dumps(arguments, ensure_ascii=False)
            calls.append((marked[1] if marked else name, text_of))
    return calls


def answer_in(text: str) -> str:
    """Return what `<response>` holds so far, without a beginning of its end tag."""
    _, tag, rest = text.rpartition(ANSWER)
    if not tag:
        return ""
    answer, end, _ = rest.partition(ANSWER_END)
    if not end:
        held = max(n for n in range(len(ANSWER_END)) if answer.endswith(ANSWER_END[:n]))
        answer = answer[: len(answer) - held]
    return answer


@ToolParserManager.register_module("tinr")
class TinrToolParser(ToolParser):
    """Reads calls and answers; the thought is left out of the content."""

    supports_required_and_named = False  # the model has a form of its own for calls

    def __init__(self, tokenizer: Any, *rest: Any, **more: Any):
        super().__init__(tokenizer, *rest, **more)
        self._sent = 0  # characters of the answer
        self._sent_calls = 0

    def adjust_request(self, request: Any) -> Any:
        """Keep the tags in the text, the last one too."""
        request = super().adjust_request(request)
        request.skip_special_tokens = False
        request.include_stop_str_in_output = True
        return request

    def extract_tool_calls(self, model_output: str, request: Any) -> ExtractedToolCallInformation:
        """Read a whole reply."""
        calls = [
            protocol.ToolCall(
                type="function", function=protocol.FunctionCall(name=name, arguments=arguments)
            )
            for name, arguments in calls_in(model_output)
        ]
        return ExtractedToolCallInformation(
            tools_called=bool(calls),
            tool_calls=calls,
            content=answer_in(model_output).strip() or None,
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
        """Say what the answer has grown by; a call when its JSON is complete."""
        answer = answer_in(current_text)
        if len(answer) > self._sent:
            grown, self._sent = answer[self._sent :], len(answer)
            return DeltaMessage(content=grown)
        calls = calls_in(current_text)
        if len(calls) > self._sent_calls:
            first, self._sent_calls = self._sent_calls, len(calls)
            # vLLM compares these at the end with what was sent
            self.prev_tool_call_arr = [{"name": n, "arguments": a} for n, a in calls]
            self.streamed_args_for_tool = [arguments for _, arguments in calls]
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
            return DeltaMessage(tool_calls=deltas)
        return None
