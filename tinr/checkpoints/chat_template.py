"""What makes a checkpoint's folder usable with nothing of ours: its chat template and its stops.

`chat_template` renders messages to the text whose ids were trained, as `tinr serve` reads them:
the system message that was trained (others go behind it), what was said before the last message
of the user as plain messages, and what follows it as the reply so far, with calls in
`<tool_call>` and results in `<obs>`. `tools` are not shown: the model calls from memory
(documents mode none).

A reply goes back as it was written, tags and all, in `content`; or in OpenAI's form, as
`reasoning_content` and `tool_calls`, whose messages' content is passed over as the server does.
In that form a call without its thought gets one that only names its tools, for a template knows
no documents; arguments that are a text are taken as they stand, and were trained as
`json.dumps(arguments, ensure_ascii=False)` writes them. Of an earlier turn only what was
answered is shown, as in training.

A limit of templates: an added entry is recognised wherever text spells it, and nothing can
escape it. So in what is said by users, tools, system messages and arguments a zero-width space
stands inside whatever spells a tool token, a tag, a marker of the frame or a special token. All
other text has the very ids that were trained.
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
REPLY_TOKENS = 1024  # at most, by plain `generate`: its own limit of 20 cuts every reply
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

    They are the stops of a rollout without documents (after a call comes the environment, after
    a response the user), and the tokenizer's own end-of-text id.
    """
    ends = stop_ids(codec) - {codec.id("</tool_token>")}
    eos_id: Any = codec.tokenizer.eos_token_id
    return sorted(ends if eos_id is None else ends | {eos_id})


def is_grown(tokenizer: Any) -> bool:
    """Whether a tokenizer has the tags and its frame's markers, as in every aligned checkpoint."""
    vocabulary = tokenizer.get_vocab()
    return all(token in vocabulary for token in (*TAG_TOKENS, *frame_of(tokenizer).tokens()))


def renders_alike(codec: Codec) -> bool:
    """Whether rendered text has the same ids as its pieces, on one conversation.

    They differ for tokenizers that put a blank before the first text only, or whose markers
    swallow neighbouring blanks. For these the template only approximates the trained ids.
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
    """Give model and tokenizer the settings of the saved folder, and restore them at the end.

    A grown vocabulary gets the chat template, stop ids, padding and greedy decoding, as in all
    our measurements (a base's own temperature or repetition penalty would spoil the arguments
    of calls). An imported base keeps its settings, unless transformers refuses to save them.
    """
    original_settings = model.generation_config, tokenizer.chat_template
    if is_grown(tokenizer):
        codec = Codec(tokenizer)
        tokenizer.chat_template = chat_template(codec)
        model.generation_config = _generation(model, codec)
        if not renders_alike(codec):
            warnings.warn(
                "chat template: this tokenizer reads marked-up text otherwise than it was "
                "trained here; tinr serve gives the ids that were",
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

    It refuses some, such as a temperature with `do_sample: false`; of these only the ids stay.
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
    """Return the texts that a message must not spell, other than tool tokens, which have a form."""
    added_tokens = codec.tokenizer.added_tokens_decoder.values()
    special_tokens = {token.content for token in added_tokens if token.special}
    marks = {token for token in codec.markup if name_of(token) is None} | special_tokens
    return sorted(mark for mark in marks if len(mark) > 1 and not mark.isspace())


def _literal(value: Any) -> str:
    """Write plain data for Jinja: `true` and escapes are as in JSON."""
    return json.dumps(value, ensure_ascii=False)
