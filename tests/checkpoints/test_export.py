"""An exported folder works with transformers alone: it renders what was trained, and it stops.

A failure here is a model that anybody but us prompts in words it never saw, or that never ends.
"""

import copy
import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from registry_parts import make_card
from tokenizers import processors
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from tinr.catalogue.load import Catalogue
from tinr.catalogue.retrieval import DocumentsConfig, Library
from tinr.chat.codec import Codec, Piece, grow_tokenizer
from tinr.chat.render import (
    SYSTEM,
    as_text,
    cut,
    render_calls,
    render_environment,
    render_observations,
    render_prompt,
    render_response,
)
from tinr.checkpoints.chat_template import chat_template, is_grown, turn_ends, usable
from tinr.checkpoints.import_model import import_base
from tinr.checkpoints.model import grow
from tinr.checkpoints.open import save
from tinr.checkpoints.registry import Registry
from tinr.data.traces import compose, render_plan, render_turns
from tinr.records import Call, Message
from tinr.serve.conversation import Reader
from tinr.serve.schema import read_request

FRAMES = ("tinr", "chatml", "llama3", "granite", "gemma")
QUERY = "Area of a circle of radius 2, then find Rome?"
AREA, CITY = Call("circle_area", {"radius": 2.5}), Call("city.find", {"name": "Réo", "tags": []})
LONG = 'x"\n' * 300  # of which an observation shows the beginning


def chatml(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """ChatML whose own end is not the turn's, as Qwen's and SmolLM's bases have it."""
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.eos_token = "<|endoftext|>"
    assert "<|im_end|>" in tokenizer.get_vocab()
    return tokenizer


def family(
    tokenizer: PreTrainedTokenizerFast, begin: str, markers: Sequence[str]
) -> PreTrainedTokenizerFast:
    """A family's markers, and the mark that it puts before every text, if it has one."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state["added_tokens"] = [t for t in state["added_tokens"] if t["content"] == "<|endoftext|>"]
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer.from_str(json.dumps(state)),
        bos_token=begin or None, eos_token="<|endoftext|>", pad_token="<|endoftext|>",
        additional_special_tokens=list(markers),
    )  # fmt: skip
    if begin:
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", special_tokens=[(begin, tokenizer.get_vocab()[begin])]
        )
    return tokenizer


FAMILIES = {
    "llama3": ("<|begin|>", ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")),
    "granite": ("", ("<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>")),
    "gemma": ("<bos>", ("<start_of_turn>", "<end_of_turn>")),
}


@pytest.fixture(scope="module")
def plain(tiny_tokenizer, qwen_tokenizer) -> Callable[[str], PreTrainedTokenizerFast]:
    """`plain(frame)`: a fresh tokenizer that is not grown, but for our own."""
    made = {name: family(qwen_tokenizer, *FAMILIES[name]) for name in FAMILIES}
    made["chatml"] = chatml(qwen_tokenizer)
    return lambda frame: copy.deepcopy(made.get(frame, tiny_tokenizer))


@pytest.fixture(scope="module")
def made(plain, catalogue) -> Callable[[str], Codec]:
    """`made(frame)`: a codec that knows the tools, its tokenizer with the template."""

    def make(frame: str) -> Codec:
        tokenizer = plain(frame)
        grow_tokenizer(tokenizer, catalogue.names)
        codec = Codec(tokenizer)
        tokenizer.chat_template = chat_template(codec)
        opening = {"tinr": "<|{", "chatml": "<|im", "gemma": "<start_of"}.get(frame, "<|start")
        assert codec.frame.open.startswith(opening)
        assert bool(codec.start) == (frame in ("llama3", "gemma"))
        return codec

    return make


@pytest.fixture(scope="module", params=FRAMES)
def known(request: pytest.FixtureRequest, made) -> Codec:
    return made(request.param)


@pytest.fixture(scope="module")
def every(made) -> list[Codec]:
    return [made(frame) for frame in FRAMES]


def tiny_model(vocabulary: int) -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
        )
    )  # fmt: skip


def rendered(codec: Codec, messages: Sequence[dict[str, Any]], begin: bool = True) -> list[int]:
    """The template's ids; with `begin` up to where the assistant speaks."""
    given = codec.tokenizer.apply_chat_template(
        list(messages), add_generation_prompt=begin, tools=None, return_dict=True
    )
    return given["input_ids"]


def ids_of(codec: Codec, pieces: Sequence[Piece]) -> list[int]:
    return codec.encode(pieces)[0]


def called(*calls: Call, as_json: bool = True, first: int = 0) -> list[dict[str, Any]]:
    """Calls in OpenAI's form."""
    return [
        {"id": f"c{n}", "type": "function", "function": {
            "name": call.name,
            "arguments": json.dumps(call.arguments, ensure_ascii=False)
            if as_json else dict(call.arguments),
        }}
        for n, call in enumerate(calls, first)
    ]  # fmt: skip


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def thought_of(catalogue: Catalogue, *names: str) -> str:
    """The composed thought as the text that a client is given."""
    parts = compose([catalogue.by_name[name] for name in names])
    return "".join(part if isinstance(part, str) else f"<<{part.tool}>>" for part in parts)


# what is rendered


def test_a_prompt_is_the_one_that_was_taught(known):
    before = (Message("user", " hi"), Message("assistant", "Hello\n\n"), Message("tool", "3"))
    sent = [{"role": one.role, "content": one.content} for one in before]
    query = "a << b >> c {{ x }}\n  {% y %} 'z' \"\\n\" <b>é</b> "
    assert rendered(known, [user(query)]) == ids_of(known, render_prompt(query, known.frame))
    assert rendered(known, [*sent, user(query)]) == ids_of(
        known, render_prompt(query, known.frame, history=before)
    )


@pytest.mark.parametrize("as_json", [True, False])
def test_a_reply_in_openais_form_is_the_trace_that_was_taught(known, catalogue, as_json):
    """Several turns, parallel calls whose results come in another order, a long result."""
    docs = [catalogue.by_name[call.name] for call in (AREA, CITY)]
    trace = [
        *render_prompt(QUERY, known.frame),
        *render_plan(docs),
        *render_turns([(AREA,), (CITY, AREA)], ["19.63", cut(LONG), "[]"], "Done.", known.frame),
    ]
    sent = [
        user(QUERY),
        {"role": "assistant", "content": None, "tool_calls": called(AREA, as_json=as_json),
         "reasoning_content": thought_of(catalogue, AREA.name, CITY.name)},
        {"role": "tool", "tool_call_id": "c0", "content": "19.63"},
        {"role": "assistant", "tool_calls": called(CITY, AREA, as_json=as_json, first=1)},
        {"role": "tool", "tool_call_id": "c2", "content": "[]"},
        {"role": "tool", "tool_call_id": "c1", "content": LONG},
        {"role": "assistant", "content": "Done."},
    ]  # fmt: skip
    assert rendered(known, sent, begin=False) == ids_of(known, trace)
    ended = render_turns([(AREA,), (CITY, AREA)], ["19.63"], None, known.frame)
    begun = [*render_prompt(QUERY, known.frame), *render_plan(docs), *ended]
    assert rendered(known, sent[:4], begin=False) == ids_of(known, begun)


def test_a_reply_goes_back_as_it_was_written(known, catalogue):
    """Its text in content, whether or not who served it left the stop in it."""
    calling = [*render_plan([catalogue.by_name[AREA.name]]), *render_calls([AREA])]
    heard = render_environment(render_observations(["19.63"]), known.frame)
    expected = ids_of(known, [*render_prompt(QUERY, known.frame), *calling, *heard])
    for text in (as_text(calling), as_text(calling).removesuffix("</tool_call>")):
        sent = [user(QUERY), {"role": "assistant", "content": text}]
        assert rendered(known, [*sent, {"role": "tool", "content": "19.63"}]) == expected


SAID = {"role": "assistant", "content": "It is 12."}
CALLED = {"role": "assistant", "content": "Let me see.", "tool_calls": called(AREA)}
HEARD = {"role": "tool", "tool_call_id": "c0", "content": LONG}
CONVERSATIONS = {
    "lone": [user("Hi")],
    "rules": [{"role": "system", "content": "Be brief.\n"}, user("Hi")],
    "own rules": [{"role": "system", "content": SYSTEM}, user("Hi")],
    "developer": [user("Hi"), SAID, {"role": "developer", "content": "Now."}, user("And?")],
    "parts": [user("a"), SAID, {"role": "user", "content": [{"type": "text", "text": "b"},
                                                             {"type": "text", "text": " c"}]}],
    "empty": [user(""), {"role": "assistant", "content": ""}, user("")],
    "called before": [user("Hi"), CALLED, HEARD, SAID, user("And?")],
    "called": [user("Hi"), SAID, user("And?"), CALLED, HEARD],
    "called twice": [
        user("Hi"), CALLED, HEARD, {"role": "assistant", "tool_calls": called(CITY, AREA)},
        {"role": "tool", "tool_call_id": "c1", "content": "one"},
        {"role": "tool", "tool_call_id": "c0", "content": "two"},
    ],
    "no ids": [
        user("Hi"),
        {"role": "assistant", "tool_calls": [
            {"function": call["function"]} for call in called(CITY, AREA)]},
        {"role": "tool", "content": "one"}, {"role": "tool", "content": ""},
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_template_reads_messages_as_the_server_does(known, catalogue, name):
    messages: list[Any] = copy.deepcopy(CONVERSATIONS[name])
    reader = Reader(known, Library(catalogue, DocumentsConfig()), "none")
    read = reader.read(read_request(json.dumps({"messages": messages}).encode()))
    asked = max(n for n, one in enumerate(messages) if one["role"] == "user")
    calling = [one for one in messages[asked:] if "tool_calls" in one]
    names = [call["function"]["name"] for one in calling for call in one["tool_calls"]]
    for one in calling[:1]:  # which the server composes: it has the documents
        one["reasoning_content"] = thought_of(catalogue, *dict.fromkeys(names))
    assert rendered(known, messages) == list(read.prompt)


def test_a_call_without_its_thought_gets_one_that_names_its_tools(known):
    sent = [user("Hi"), {"role": "assistant", "tool_calls": called(CITY, AREA)}]
    text = known.tokenizer.apply_chat_template(sent, tokenize=False)
    names = "<<city.find>>\n<<circle_area>>"
    assert f"<think>{names}</think><tool_token>\n{names}\n</tool_token><tool_call>[" in text


def test_of_an_earlier_turn_the_answer_is_shown(known, catalogue):
    """However it was sent: as the model wrote it, or bare."""
    calling = as_text([*render_plan([catalogue.by_name[AREA.name]]), *render_calls([AREA])])
    written = [{"role": "assistant", "content": calling}, {"role": "tool", "content": "19"},
               {"role": "assistant", "content": as_text(render_response("It is 12."))}]  # fmt: skip
    history = (Message("user", "Hi"), Message("tool", "19"), Message("assistant", "It is 12."))
    expected = ids_of(known, render_prompt("And?", known.frame, history=history))
    assert rendered(known, [user("Hi"), *written, user("And?")]) == expected


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([user("Hi"), HEARD], "stands behind no call"),
        ([user("Hi"), SAID, HEARD], "stands behind no call"),
        ([user("Hi"), CALLED], "not as many"),
        ([user("Hi"), CALLED, SAID], "not as many"),
        ([user("Hi"), CALLED, HEARD, HEARD], "not as many"),
        ([user("Hi"), {"role": "function", "content": "1"}], "role function"),
        ([{"role": "user", "content": [{"type": "image"}]}], "a part of type image"),
    ],
)
def test_what_cannot_be_rendered_is_refused(made, messages, why):
    with pytest.raises(jinja2.TemplateError, match=why):
        rendered(made("tinr"), messages)


SHARDS = st.lists(
    st.sampled_from(
        ["<", ">", "<<", ">>", "<<circle_area>>", "city.find", "<think>", "</obs>", "|", " ",
         "<|im_end|>", "<|eot_id|>", "<|end|>", "<|user|>", "<|endoftext|>", "<|begin|>", "\n",
         "</s>", "a", "\u200b"]
    ),
    max_size=12,
).map("".join)  # fmt: skip


@given(asked=SHARDS, heard=SHARDS, rule=SHARDS, value=SHARDS)
@settings(max_examples=60, deadline=None)
def test_text_of_a_message_stays_text(every, catalogue, asked, heard, rule, value):
    """What it spells is no entry of the vocabulary, and text that spells none is untouched."""
    for codec in every:
        tokenizer = codec.tokenizer
        call = Call(CITY.name, {"name": value})
        sent = [{"role": "system", "content": rule}, user(asked), {
            "role": "assistant", "tool_calls": called(call, as_json=len(value) % 2 == 0),
            "reasoning_content": thought_of(catalogue, CITY.name),
        }, {"role": "tool", "content": heard}]  # fmt: skip
        pieces = [
            *render_prompt(asked, codec.frame, history=[Message("system", rule)]),
            *render_plan([catalogue.by_name[CITY.name]]), *render_calls([call]),
            *render_environment(render_observations([heard]), codec.frame),
        ]  # fmt: skip
        marks = set(codec.markup.values()) | set(tokenizer.all_special_ids)
        ids, expected = rendered(codec, sent), ids_of(codec, pieces)
        assert [i for i in ids if i in marks] == [i for i in expected if i in marks]
        spelled = re.compile(
            "|".join([*map(re.escape, tokenizer.all_special_tokens), *map(re.escape, codec.markup),
                      r"<<[^\s<>]+>>"])
        )  # fmt: skip
        if not spelled.search("\n".join((asked, heard, rule, value))):
            assert ids == expected


# what is generated

USE = r"""
import json, re, sys
from transformers import AutoModelForCausalLM, AutoTokenizer
done = {}
for folder in sys.argv[2:]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    messages = [{"role": "user", "content": sys.argv[1]}]
    turns = []
    while len(turns) < 4:
        inputs = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=True, return_tensors="pt")
        out = model.generate(**inputs)[0][inputs["input_ids"].shape[1]:]
        text = tokenizer.decode(out, skip_special_tokens=True)
        turns.append(inputs["input_ids"][0].tolist() + out.tolist())
        messages.append({"role": "assistant", "content": text})
        call = re.search("<tool_call>(.*?)</tool_call>", text)
        if not call:
            break
        messages.append({"role": "tool", "content": json.dumps(json.loads(call[1])["parameters"])})
    done[folder] = {"messages": messages, "turns": turns}
assert not any(name.split(".")[0] in ("tinr", "phases") for name in sys.modules)
print(json.dumps(done))
"""


def overfit(model: LlamaForCausalLM, ids: Sequence[int]) -> None:
    """Until what it writes greedily is this."""
    batch = torch.tensor([ids])
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(150):
        loss = model(input_ids=batch, labels=batch).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.02


@pytest.fixture(scope="module")
def exported(plain, catalogue, tmp_path_factory) -> dict[str, tuple[Path, Codec, list[Piece]]]:
    """Frame -> an exported folder, its codec, and the conversation that its model has learned."""
    work = tmp_path_factory.mktemp("exported")
    folders = {}
    for frame in FRAMES:
        tokenizer = plain(frame)
        model = tiny_model(len(tokenizer))
        grow(model, tokenizer, catalogue)
        codec = Codec(tokenizer)
        heard = [json.dumps(dict(AREA.arguments))]
        pieces = [
            *render_prompt(QUERY, codec.frame),
            *render_plan([catalogue.by_name[AREA.name]]),
            *render_turns([(AREA,)], heard, "It is 19.63.", codec.frame),
        ]
        overfit(model, ids_of(codec, pieces))
        registry = Registry(work / frame / "registry")
        registry.publish(
            make_card("align"), lambda folder, m=model, t=tokenizer: save(folder, m, t, catalogue)
        )
        registry.export("align@latest", work / frame / "out")
        folders[frame] = (work / frame / "out", codec, pieces)
    return folders


@pytest.mark.slow
def test_generate_calls_stops_and_answers_with_nothing_of_ours(exported, catalogue):
    out = {frame: str(folder) for frame, (folder, _, _) in exported.items()}
    ran = subprocess.run(
        [sys.executable, "-c", USE, QUERY, *out.values()],
        check=True, cwd="/", capture_output=True, text=True,
    )  # fmt: skip
    used = json.loads(ran.stdout.splitlines()[-1])
    calling = as_text([*render_plan([catalogue.by_name[AREA.name]]), *render_calls([AREA])])
    for frame, (_, codec, pieces) in exported.items():
        done = used[out[frame]]
        _, call, heard, said = done["messages"]
        assert call["content"] == calling and heard["content"] == '{"radius": 2.5}'
        assert said["content"] == "<response>It is 19.63.</response>"
        learned = ids_of(codec, pieces)
        first, second = done["turns"]  # the very ids that were taught, up to either stop
        stops = [codec.id("</tool_call>"), codec.id("</response>")]
        assert [first[-1], second[-1]] == stops
        assert first == learned[: len(first)] and second == learned[: len(second)]


@pytest.mark.parametrize("frame", FRAMES)
def test_the_folder_says_where_a_turn_ends(exported, frame):
    folder, codec, _ = exported[frame]
    read = GenerationConfig.from_pretrained(folder)
    assert read.eos_token_id == turn_ends(codec)
    tokens = set(codec.tokenizer.convert_ids_to_tokens(turn_ends(codec)))
    assert tokens == {
        "</tool_call>", "</response>", codec.frame.close, str(codec.tokenizer.eos_token)
    }  # fmt: skip
    assert read.pad_token_id == codec.pad and not read.do_sample
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.chat_template == chat_template(codec)


# what is saved


def write_base(folder: Path, tokenizer: Any, **generation: Any) -> None:
    tiny_model(len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    path = folder / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | generation))


def test_flags_that_transformers_refuses_to_save_are_left_out(tmp_path, plain, registry):
    """They were taken in, and the first save of a phase was a traceback."""
    flags = {"temperature": 0.9, "top_p": 0.6, "do_sample": False, "eos_token_id": 7}
    write_base(tmp_path / "base", plain("chatml"), **flags)
    place = registry.path(import_base(str(tmp_path / "base"), registry))
    model = AutoModelForCausalLM.from_pretrained(place)
    model.generation_config.pad_token_id = 3  # as a trainer does
    model.save_pretrained(tmp_path / "again")
    read = GenerationConfig.from_pretrained(tmp_path / "again")
    assert read.eos_token_id == 7 and read.temperature is None and read.top_p is None


def test_a_base_that_was_not_grown_keeps_its_own(tmp_path, plain, registry):
    tokenizer = plain("chatml")
    tokenizer.chat_template = "{{ messages }}"
    write_base(tmp_path / "base", tokenizer, temperature=0.9, do_sample=True)
    place = registry.path(import_base(str(tmp_path / "base"), registry))
    assert not is_grown(tokenizer)
    assert AutoTokenizer.from_pretrained(place).chat_template == "{{ messages }}"
    assert GenerationConfig.from_pretrained(place).temperature == 0.9


def test_training_goes_on_with_what_it_had(made):
    codec = made("chatml")
    codec.tokenizer.chat_template = "mine"
    model = tiny_model(len(codec.tokenizer))
    before = model.generation_config
    with pytest.raises(RuntimeError, match="full"), usable(model, codec.tokenizer):
        assert model.generation_config.eos_token_id == turn_ends(codec)
        raise RuntimeError("full")
    assert model.generation_config is before and codec.tokenizer.chat_template == "mine"


def test_a_tokenizer_that_reads_text_otherwise_is_warned_of(made):
    """Markers that take in the blanks beside them: no template can give the trained ids."""
    codec = made("tinr")
    state = json.loads(codec.tokenizer.backend_tokenizer.to_str())
    for entry in state["added_tokens"]:
        entry["rstrip"] = entry["content"] == "<|user|>" or entry["content"] == "<think>"
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=codec.tokenizer.backend_tokenizer.from_str(json.dumps(state)),
        pad_token="<pad>", eos_token="<|end|>",
    )  # fmt: skip
    model = tiny_model(len(tokenizer))
    warned = pytest.warns(UserWarning, match="reads marked-up text differently")
    with warned, usable(model, tokenizer):
        pass
