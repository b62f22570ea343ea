"""A SentencePiece tokenizer for a base from scratch, as a transformers fast tokenizer."""

import io
import tempfile
from pathlib import Path
from random import Random

import sentencepiece
from transformers import PreTrainedTokenizerFast

from tinr.catalogue.english import train_sentences
from tinr.chat.codec import FRAMES, TAG_TOKENS, grow_tokenizer
from tinr.data.base_tasks import make_task

TASK_LINES = 6000  # tasks that its statistics come from


def train_tokenizer(vocabulary: int, seed: int) -> PreTrainedTokenizerFast:
    """Train byte-pair pieces on English and generic tasks; `vocabulary` entries plus tags.

    Blanks are separate pieces, so a word has the same pieces after a blank as inside JSON quotes;
    a small model learns to copy several times sooner that way (see docs/notebook.md). Digits are
    single pieces; unknown characters fall back to bytes.
    """
    rng = Random(seed)
    tasks = [
        piece.text
        for _ in range(TASK_LINES)
        for piece in make_task(rng, FRAMES["tinr"])
        if not piece.token
    ]
    lines = [line for text in [*train_sentences(), *tasks] for line in text.split("\n") if line]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(lines),
        model_writer=model,
        vocab_size=vocabulary,
        model_type="bpe",
        byte_fallback=True,
        split_digits=True,
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        pad_id=0,
        unk_id=1,
        bos_id=2,
        eos_id=3,
        user_defined_symbols=["▁"],
        minloglevel=2,
    )
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tokenizer.model").write_bytes(model.getvalue())
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.pad_token, tokenizer.eos_token = "<pad>", FRAMES["tinr"].close
    grow_tokenizer(tokenizer, [])
    assert all(token in tokenizer.get_vocab() for token in TAG_TOKENS)
    return tokenizer
