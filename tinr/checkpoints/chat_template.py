"""Make a checkpoint's folder usable without tinr: its chat template and its stop ids.

`chat_template` renders messages to the text whose ids were trained, as `tinr serve` reads them:
first the system message used in training (others are appended to it), then the messages up to the
user's last one as plain messages, then those after it as the reply so far, with calls in
`<tool_call>` and results in `<obs>`. `tools` are not shown: the model calls from memory (documents
mode none).

A client can pass a reply back as generated, with its tags, in `content`; or in OpenAI's form, as
`reasoning_content` and `tool_calls`. In OpenAI's form, the content of a message with calls is
ignored, as in the server. A call without its thought gets a thought that only names its tools,
because a template knows no documents. String arguments are inserted unchanged; training used
`json.dumps(arguments, ensure_ascii=False)`. Of an earlier turn, only the answer is shown, as in
training.

Templates have a limit: the tokenizer recognises an added entry wherever text spells it, and nothing
can escape it. In text of users, tools, system messages and arguments, the template therefore puts a
zero-width space inside anything that spells a tool token, a tag, a marker of the frame or a special
token. All other text has exactly the trained ids.
"""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

from transformers import GenerationConfig, PreTrainedModel

from tinr.chat.codec import TAG_TOKENS, Codec, frame_of, name_of, stop_ids
from tinr.chat.render import (
    OBSERVATION_CHARACTERS,
    SYSTEM,
    as_text,
    render_prompt,
    render_response,
    render_thought,
)
from tinr.records import Message, Role

BODY = Path(__file__).with_name("chat_template.jinja")
ZERO_WIDTH = "\u200b"
REPLY_TOKENS = 1024  # limit for plain `generate`: its default of 20 cuts every reply
IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
ROLES: tuple[Role, ...] = get_args(Role)


def chat_template(codec: Codec) -> str:
    """Return the Jinja template of a grown vocabulary, for its frame."""
    frame = codec.frame
    settings = {
        "system": SYSTEM,
        "start": "".join(frame.start),
        "open": {role: as_text(frame.begin(role)) for role in ROLES},
        "close": as_text(frame.end()),
        "joins_system": frame.joins_system,
        "marks": _marks(codec),
        "has_tool_tokens": not codec.writes_names,
        "zero_width": ZERO_WIDTH,
        "longest": OBSERVATION_CHARACTERS,
        "cuts": [
            OBSERVATION_CHARACTERS >> halvings
            for halvings in range(1, OBSERVATION_CHARACTERS.bit_length() + 1)
        ],
    }
    assignments = (
        f"{{%- set {name} = {_literal(value)} -%}}\n" for name, value in settings.items()
    )
    return "".join(assignments) + BODY.read_text("utf-8")


def turn_ends(codec: Codec) -> list[int]:
    """Return the ids that stop generation.

    They are the stops of a rollout without documents (the environment follows a call, and the user
    a response), and the tokenizer's own end-of-text id.
    """
    ends = stop_ids(codec) - {codec.id("</tool_token>")}
    eos_id: Any = codec.tokenizer.eos_token_id
    return sorted(ends if eos_id is None else ends | {eos_id})


def is_grown(tokenizer: Any) -> bool:
    """Whether a tokenizer has the tags and its frame's markers, as in every aligned checkpoint."""
    vocabulary = tokenizer.get_vocab()
    return all(token in vocabulary for token in (*TAG_TOKENS, *frame_of(tokenizer).tokens()))


def renders_alike(codec: Codec) -> bool:
    """Whether rendered text has the same ids as its pieces, tested on one conversation.

    They differ for tokenizers that put a space before the first text only, or whose markers absorb
    neighbouring spaces. For these, the template only approximates the trained ids.
    """
    query, frame = "Area of a circle, radius 2:\n\n  in  m", codec.frame
    pieces = [
        *render_prompt(query, frame, history=(Message("assistant", "Well?\n"),)),
        *render_thought([" it "]),
        *render_response("12.57 m"),
        *frame.end(),
    ]
    ids = codec.tokenizer.encode(as_text(pieces), add_special_tokens=False)
    return ids == codec.encode(pieces)[0]


@contextmanager
def usable(model: PreTrainedModel, tokenizer: Any) -> Iterator[None]:
    """Give model and tokenizer the settings to save, and restore their own afterwards.

    A grown vocabulary gets the chat template, stop ids, padding and greedy decoding, as in all our
    measurements (a base's own temperature or repetition penalty would corrupt the arguments of
    calls). An imported base keeps its settings, unless transformers refuses to save them.
    """
    original_settings = model.generation_config, tokenizer.chat_template
    if is_grown(tokenizer):
        codec = Codec(tokenizer)
        tokenizer.chat_template = chat_template(codec)
        model.generation_config = _generation(model, codec)
        if not renders_alike(codec):
            warnings.warn(
                "chat template: this tokenizer reads marked-up text differently from training; "
                "use tinr serve for the trained ids",
                stacklevel=3,
            )
    else:
        model.generation_config = savable(original_settings[0])
    try:
        yield
    finally:
        model.generation_config, tokenizer.chat_template = original_settings


def savable(config: GenerationConfig) -> GenerationConfig:
    """Return a configuration that transformers can save.

    It refuses some, such as a temperature with `do_sample: false`; these are reduced to the ids.
    """
    try:
        config.validate(strict=True)
    except ValueError:
        ids = {name: getattr(config, name) for name in IDS}
        return GenerationConfig(**ids)
    return config


def _generation(model: PreTrainedModel, codec: Codec) -> GenerationConfig:
    positions = getattr(model.config, "max_position_embeddings", None) or 2 * REPLY_TOKENS
    return GenerationConfig(
        bos_token_id=codec.tokenizer.bos_token_id,
        eos_token_id=turn_ends(codec),
        pad_token_id=codec.pad,
        max_new_tokens=min(REPLY_TOKENS, positions // 2),
        do_sample=False,
    )


def _marks(codec: Codec) -> list[str]:
    """Return the texts that a message must not spell, except tool tokens, which have a pattern."""
    added_tokens = codec.tokenizer.added_tokens_decoder.values()
    special_tokens = {token.content for token in added_tokens if token.special}
    marks = {token for token in codec.markup if name_of(token) is None} | special_tokens
    return sorted(mark for mark in marks if len(mark) > 1 and not mark.isspace())


def _literal(value: Any) -> str:
    """Write plain data for Jinja, which has `true` and escapes as in JSON."""
    return json.dumps(value, ensure_ascii=False)
