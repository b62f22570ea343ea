"""What the preflight tests share: a small model's shape."""

from transformers import LlamaConfig

from tinr.planning.preflight.shape import Growth, Shape, shape_of

GROWTH = Growth(tags=10, frame=5, tools=85, rows_before=900, rows=1000, own=100)


def small(**changes) -> Shape:
    """Hidden 64, 2 layers, 1,000 rows of which 100 are new, one table."""
    settings = {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True,
    }  # fmt: skip
    return shape_of(LlamaConfig(**settings | changes), GROWTH, "small")
