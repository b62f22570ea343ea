"""The cost of importing catalogues. One core is enough."""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from tinr.catalogue.english import common_words
from tinr.catalogue.importing.import_tools import import_tools, write_catalogue
from tinr.catalogue.load import load_catalogue
from tinr.catalogue.similar import near_duplicates
from tinr.catalogue.words import CONSONANTS, VOWELS
from tinr.chat.codec import Codec, Piece, grow_tokenizer, token_of
from tinr.checkpoints.card import peak_rss_gib
from tinr.data.base_tokenizer import train_tokenizer
from tinr.records import ToolDoc

OPENAPI_BYTES = 5 * 2**20
TOKENS = 46_985  # number of tool tokens in ToolGen (arXiv 2410.03439)
TWINS = 0.02  # share of the synthetic documents that copy another one under a new name


def bench_catalogue(tools: int = 50_000, seed: int = 0) -> dict[str, Any]:
    """Seconds of import, near-duplicates, hash, a 5 MB OpenAPI file and 46,985 tool tokens.

    The documents are synthetic: 8 to 40 words each, half of them common, half of an invented
    vocabulary in which few words are frequent, as in real catalogues.
    """
    rng = Random(seed)
    figures: dict[str, Any] = {"tools": tools}

    def run_timed(name: str, work: Callable[[], Any]) -> Any:
        start_time = time.perf_counter()
        result = work()
        figures[name] = round(time.perf_counter() - start_time, 2)
        return result

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "tools.json").write_text(json.dumps(_tools(tools, rng)))
        tools_import = run_timed("import_seconds", lambda: import_tools([str(root / "tools.json")]))
        run_timed("write_seconds", lambda: write_catalogue(tools_import, root / "out"))
        catalogue = run_timed("load_and_check_seconds", lambda: load_catalogue(root / "out"))
        run_timed("hash_seconds", lambda: catalogue.hash)
        pairs = run_timed("near_duplicate_seconds", lambda: near_duplicates(catalogue.tools))
        figures["near_duplicates"] = len(pairs)
        figures["arrived"] = len(catalogue.tools)
        figures["peak_gib"] = peak_rss_gib()
        (root / "api.json").write_text(_openapi(rng))
        api = run_timed("openapi_json_5mb_seconds", lambda: import_tools([str(root / "api.json")]))
        figures["openapi_operations"] = len(api.lines)
    names = list(dict.fromkeys(f"{_word(rng)}.{_word(rng)}_{n}" for n in range(TOKENS)))
    tokenizer = train_tokenizer(1024, seed)
    run_timed("tokens_seconds", lambda: grow_tokenizer(tokenizer, names))
    codec = Codec(tokenizer)
    messages = [[Piece("x "), Piece(token_of(name), token=True), Piece(" y")] for name in names]
    mismatches = sum(
        codec.decode(codec.encode(message)[0])[1] != message[1] for message in messages
    )
    figures |= {"tokens": len(names), "tokens_not_round_tripping": mismatches}
    return figures


def _word(rng: Random) -> str:
    return "".join(rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(rng.randint(2, 4)))


def made_documents(count: int, rng: Random) -> list[ToolDoc]:
    """Generate `count` synthetic documents, each with its own name."""
    kinds = {"int": "integer", "float": "number", "string": "string"}
    docs: list[ToolDoc] = []
    for tool in _tools(count, rng):
        properties = {
            name: spec | {"type": kinds[spec["type"]]}
            for name, spec in tool["parameters"]["properties"].items()
        }
        parameters = {"type": "object", "properties": properties, "required": [*properties]}
        docs.append(ToolDoc(tool["name"], tool["description"], parameters, source="made"))
    return docs


def _tools(count: int, rng: Random) -> list[dict[str, Any]]:
    rare_words = [_word(rng) for _ in range(20_000)]

    def text(words: int) -> str:
        text_words = (
            rng.choice(common_words())
            if rng.random() < 0.5
            else rare_words[int(rng.paretovariate(0.5)) % 20_000]
            for _ in range(words)
        )
        return " ".join(text_words)

    tools: list[dict[str, Any]] = []
    for number in range(count):
        if tools and rng.random() < TWINS:
            tools.append({**rng.choice(tools), "name": f"{_word(rng)}_{number}"})
            continue
        properties = {
            f"{_word(rng)}": {
                "type": rng.choice(("string", "int", "float")),
                "description": text(5),
            }
            for _ in range(rng.randint(0, 5))
        }
        tools.append(
            {
                "name": f"{rng.choice(rare_words)}_{_word(rng)}_{number}",
                "description": text(rng.randint(8, 40)),
                "parameters": {"type": "dict", "properties": properties},
            }
        )
    return tools


def _openapi(rng: Random) -> str:
    """An OpenAPI document of about 5 MB whose operations share schemas by reference."""
    schemas = {
        f"S{n}": {
            "type": "object",
            "properties": {
                _word(rng): {"type": "string", "description": _word(rng)} for _ in range(8)
            }
            | ({"inner": {"$ref": f"#/components/schemas/S{n - 1}"}} if n % 5 else {}),
        }
        for n in range(500)
    }
    paths: dict[str, Any] = {}
    size, number = 0, 0
    while size < OPENAPI_BYTES:
        operation = {
            "summary": " ".join(rng.choice(common_words()) for _ in range(12)),
            "parameters": [
                {
                    "name": _word(rng),
                    "in": "query",
                    "schema": {"type": "integer"},
                    "description": "d",
                }
                for _ in range(5)
            ],
            "requestBody": {
                "content": {
                    "application/json": {
                        "schema": {"$ref": f"#/components/schemas/S{number % 500}"}
                    }
                }
            },
        }
        paths[f"/{_word(rng)}/{number}"] = {"post": operation}
        size += len(json.dumps(operation)) + 30
        number += 1
    head = {"openapi": "3.0.3", "info": {"title": "Large", "version": "1"}}
    return json.dumps(head | {"paths": paths, "components": {"schemas": schemas}})
