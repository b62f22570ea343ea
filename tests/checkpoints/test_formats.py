"""Exports for other programs: read back by readers that are not ours."""

import base64
import importlib.util
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType, SimpleNamespace
from typing import Any

import gguf
import pytest
import torch
from registry_parts import make_card
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from typer.testing import CliRunner

from tinr.chat.codec import Codec
from tinr.chat.parse import parse_text
from tinr.chat.render import render_calls, render_prompt
from tinr.checkpoints.export.formats import PLUGIN, export
from tinr.checkpoints.export.hub import push_folder
from tinr.checkpoints.open import save
from tinr.checkpoints.registry import Registry
from tinr.cli.main import app
from tinr.records import BadInput, Call, RunFailed

SHAPE: dict[str, Any] = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 512, "head_dim": 16,
}  # fmt: skip
AREA = Call("circle_area", {"radius": 2})


def published(registry: Registry, codec: Codec, catalogue: Any, kind: str) -> Any:
    torch.manual_seed(0)
    shape = SHAPE | {"vocab_size": len(codec.tokenizer) + 3, "initializer_range": 0.2}
    shape["tie_word_embeddings"] = kind != "untied"
    if kind == "qwen3":  # of which transformers' reader takes no other width
        shape["head_dim"] = 128
    config, make = {
        "qwen2": (Qwen2Config, Qwen2ForCausalLM), "qwen3": (Qwen3Config, Qwen3ForCausalLM)
    }.get(kind, (LlamaConfig, LlamaForCausalLM))  # fmt: skip
    model: Any = make(config(**shape))
    model = model.to(torch.bfloat16) if kind == "bfloat16" else model
    registry.publish(
        make_card("sft"), lambda folder: save(folder, model, codec.tokenizer, catalogue)
    )
    return model.eval()


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "bfloat16", "untied"])
def test_a_gguf_is_the_same_model(registry, grown, catalogue, tmp_path, kind):
    """Read by transformers, whose reader is not ours: the same logits."""
    codec = grown("qwen")
    published(registry, codec, catalogue, kind)
    card = export(registry, "sft@latest", tmp_path / "out", "gguf")
    model = AutoModelForCausalLM.from_pretrained(registry.path(card), dtype=torch.float32).eval()
    (file,) = (tmp_path / "out").iterdir()
    assert file.name == f"{card.id}.gguf"
    again = AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", gguf_file=file.name, dtype=torch.float32
    ).eval()
    ids = torch.tensor([codec.encode(render_prompt("Area of a circle?", codec.frame))[0]])
    with torch.no_grad():
        logits, expected = again(ids).logits, model(ids).logits
    assert torch.allclose(logits, expected, atol=1e-4)


def test_a_gguf_writes_tool_tokens_as_text_and_ends_after_a_call(
    registry, grown, catalogue, tmp_path
):
    codec = grown("qwen")
    published(registry, codec, catalogue, "llama")
    card = export(registry, "sft@latest", tmp_path / "out", "gguf")
    reader = gguf.GGUFReader(tmp_path / "out" / f"{card.id}.gguf")

    def value(key: str) -> Any:
        return reader.fields[f"tokenizer.{key}"].contents()

    tokens, types = value("ggml.tokens"), value("ggml.token_type")
    for text in ("<<circle_area>>", "<think>", "</tool_call>"):
        assert tokens[codec.id(text)] == text
        assert types[codec.id(text)] == gguf.TokenType.USER_DEFINED  # CONTROL would be blank
    assert types[codec.id("<|im_end|>")] == gguf.TokenType.CONTROL
    assert types[-3:] == [gguf.TokenType.UNUSED] * 3 and len(set(tokens)) == len(tokens)
    assert value("ggml.eom_token_id") == codec.id("</tool_call>")
    assert value("ggml.eot_token_id") == codec.id("</response>")
    assert value("ggml.eos_token_id") == codec.id("<|im_end|>")
    assert value("ggml.pre") == "qwen2" and "<response>" in value("chat_template")


def test_llama_cpp_reads_and_writes_it(registry, grown, catalogue, tmp_path):
    """The same greedy reply. Needs the package xllamacpp, which brings llama.cpp compiled."""
    xllamacpp = pytest.importorskip("xllamacpp", reason="no llama.cpp: pip install xllamacpp")
    from tinr.rollout.generate import generate

    codec = grown("qwen")
    model = published(registry, codec, catalogue, "llama")
    card = export(registry, "sft@latest", tmp_path / "out", "gguf")
    settings = xllamacpp.CommonParams()
    settings.model.path = str(tmp_path / "out" / f"{card.id}.gguf")
    settings.n_ctx, settings.warmup = 512, False
    settings.cache_type_k = settings.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    server = xllamacpp.Server(settings)
    ids = codec.encode(render_prompt("Area of a circle?", codec.frame))[0]
    (row,) = generate(model, [ids], lambda n, i: None, frozenset(), max_tokens=16, pad=codec.pad)
    asked = {"prompt": ids, "max_tokens": 16, "temperature": 0, "ignore_eos": True, "logprobs": 1}
    reply = server.handle_completions(asked)
    written = [one["id"] for one in reply["choices"][0]["logprobs"]["content"]]
    assert written == row.ids


def test_what_has_no_gguf_is_said_and_leaves_nothing(registry, grown, catalogue, tmp_path):
    codec = grown("tiny")  # no byte-level BPE
    published(registry, codec, catalogue, "llama")
    with pytest.raises(BadInput, match="no name in GGUF here; export --to hf"):
        export(registry, "sft@latest", tmp_path / "out", "gguf")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    for form in ("hf", "gguf", "vllm"):
        with pytest.raises(BadInput, match="not an empty folder"):
            export(registry, "sft@latest", tmp_path / "full", form)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "registry"]


# -- vLLM -----------------------------------------------------------------------------


@pytest.fixture
def plugin(registry, grown, catalogue, tmp_path, monkeypatch) -> Any:
    """The exported parser, on stand-ins for the parts of vLLM that it imports."""
    published(registry, grown("qwen"), catalogue, "llama")
    export(registry, "sft@latest", tmp_path / "out", "vllm")
    assert (tmp_path / "out" / "config.json").is_file()
    names: dict[str, type] = {}

    class Parser:
        def __init__(self, tokenizer: Any, tools: Any = None):
            self.prev_tool_call_arr, self.streamed_args_for_tool = [], []

        def adjust_request(self, request: Any) -> Any:
            return request

    class Manager:
        @staticmethod
        def register_module(name: str) -> Any:
            return lambda cls: names.setdefault(name, cls)

    parts = {
        "vllm": {},
        "vllm.tool_parsers": {"ToolParserManager": Manager},
        "vllm.tool_parsers.abstract_tool_parser": {
            "ToolParser": Parser, "DeltaMessage": SimpleNamespace,
            "ExtractedToolCallInformation": SimpleNamespace},
        "vllm.entrypoints": {}, "vllm.entrypoints.generate": {},
        "vllm.entrypoints.generate.base": {"protocol": SimpleNamespace(
            DeltaFunctionCall=SimpleNamespace, DeltaToolCall=SimpleNamespace,
            FunctionCall=SimpleNamespace, ToolCall=SimpleNamespace)},
    }  # fmt: skip
    for name, content in parts.items():
        module = ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("plugin", tmp_path / "out" / PLUGIN)
    assert spec and spec.loader
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    return lambda: names["tinr"](None)


BOTH = [AREA, Call("city.find", {"name": "Réo </response>"})]
REPLIES = {
    "a call": "<think><<circle_area>> it</think><tool_token>\n<<circle_area>>\n</tool_token>"
    + "".join(piece.text for piece in render_calls([AREA])),
    "two": "".join(piece.text for piece in render_calls(BOTH)),
    "no end": "".join(piece.text for piece in render_calls(BOTH)[:-1]),
    "an answer": "<think>No tool.</think><response>It is 12.57 < 13.</response>",
    "half an answer": "<response>It is </resp",
    "broken": '<tool_call>{"token": 3}</tool_call>',
    "a tag in an argument": '<tool_call>{"token": "<<city.find>>", "parameters": {"name": '
    '"what is <tool_call> or <response>x?"}}</tool_call>',
    "a key twice": '<tool_call>{"token": "a", "token": "b", "parameters": {}}</tool_call>',
    "more keys": '<tool_call>{"token": "a", "parameters": {}, "x": 1}</tool_call>',
    "no number": '<tool_call>{"token": "a", "parameters": {"x": NaN}}</tool_call>',
    "deep": "<tool_call>" + "[" * 100_000,
    "nothing": "hello",
}


@pytest.mark.parametrize("case", REPLIES)
def test_the_plugin_reads_what_our_parser_reads(plugin, case):
    text = REPLIES[case]
    ours = parse_text(text)
    read = plugin().extract_tool_calls(text, None)
    calls = [(c.function.name, json.loads(c.function.arguments)) for c in read.tool_calls]
    assert calls == [(call.name, dict(call.arguments)) for call in ours.calls]
    assert read.tools_called == bool(read.tool_calls or read.content)
    if case != "half an answer":  # of which our parser keeps what may be half a tag
        assert read.content == ours.response


@pytest.mark.parametrize("case", REPLIES)
def test_the_plugins_stream_says_the_same(plugin, case):
    text, parser = REPLIES[case][:3000], plugin()
    content, calls = "", []
    for end in range(1, len(text) + 1):
        delta = parser.extract_tool_calls_streaming(
            text[: end - 1], text[:end], text[end - 1 : end], [], [], [], None
        )
        content += getattr(delta, "content", None) or ""
        calls += getattr(delta, "tool_calls", None) or []
    whole = plugin().extract_tool_calls(text, None)
    assert content.strip() == (whole.content or "")
    assert [c.index for c in calls] == [*range(len(whole.tool_calls))]
    for streamed, call in zip(calls, whole.tool_calls, strict=True):
        assert vars(streamed.function) == vars(call.function)


def test_the_plugin_keeps_the_tags_in_the_text(plugin):
    request = plugin().adjust_request(SimpleNamespace())
    assert request.skip_special_tokens is False and request.include_stop_str_in_output is True


# -- the hub --------------------------------------------------------------------------


class Hub(ThreadingHTTPServer):
    """A stand-in for a model hub: as much of its API as the official client uses to upload."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.files: dict[str, bytes] = {}
        self.created: list[dict[str, Any]] = []
        self.status = 200
        threading.Thread(target=self.serve_forever, daemon=True).start()


class HubHandler(BaseHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        hub: Any = self.server
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        address = f"http://127.0.0.1:{hub.server_port}/me/model"
        if self.path.endswith("/repos/create"):
            hub.created.append(json.loads(body))
            self._answer({"url": address, "name": "me/model"})
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            modes = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files
            ]
            self._answer({"files": modes})
        elif "/commit/" in self.path:
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    file = entry["value"]
                    hub.files[file["path"]] = base64.b64decode(file["content"])
            commit = {"commitUrl": f"{address}/commit/1", "commitOid": "1", "success": True}
            self._answer(commit)
        else:
            self._answer({})

    def _answer(self, value: Any) -> None:
        hub: Any = self.server
        content = json.dumps(value).encode()
        self.send_response(hub.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def hub(monkeypatch) -> Iterator[Hub]:
    from huggingface_hub import constants

    server = Hub()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield server
    server.shutdown()


def test_a_folder_is_pushed_by_the_official_client(hub, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "weights.bin").write_bytes(b"\x00\x01")
    url = push_folder(tmp_path, "me/model", "sft-1 of tinr")
    assert url.endswith("/commit/1") and hub.created[0]["visibility"] == "private"
    assert hub.files == {"config.json": b"{}", "sub/weights.bin": b"\x00\x01"}


def test_why_nothing_was_pushed_is_one_line(hub, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BadInput, match="write OWNER/NAME"):
        push_folder(tmp_path, "not a/name/at all", "x")
    hub.status = 401
    with pytest.raises(BadInput, match=r"not permitted \(401\); log in") as refused:
        push_folder(tmp_path, "me/model", "x")
    hub.status = 500
    with pytest.raises(RunFailed, match="push it again with: hf upload") as failed:
        push_folder(tmp_path, "me/model", "x")
    assert "\n" not in f"{refused.value}{failed.value}"


def test_the_command_says_how_to_serve_and_the_old_name_warns(registry, grown, catalogue, tmp_path):
    published(registry, grown("qwen"), catalogue, "llama")
    shelf = ["--registry", str(registry.root)]
    out = tmp_path / "new"
    done = CliRunner().invoke(app, ["export", "sft@latest", str(out), "--to", "vllm", *shelf])
    assert done.exit_code == 0 and "--tool-call-parser tinr" in done.stdout
    old = CliRunner().invoke(
        app, ["registry", "export", "sft@latest", str(tmp_path / "old"), *shelf]
    )
    assert old.exit_code == 0 and "is now tinr export" in old.stderr
    assert (tmp_path / "old" / "config.json").is_file()
