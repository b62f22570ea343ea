"""Write replies as result files of BFCL's own package, so that its command scores them.

    pip install bfcl-eval==2026.3.23
    BFCL_PROJECT_ROOT=ROOT bfcl evaluate --model Qwen/Qwen3-0.6B-FC --test-category single_turn \\
        --partial-eval

`write_results` fills ROOT/result. The package scores only registered models, so we use the name of
one whose calls it reads as JSON, unchanged. `--partial-eval` scores only the queries in the files.
Scores are in ROOT/score/MODEL/*/BFCL_v4_CATEGORY_score.json.
Source: bfcl-eval 2026.3.23, constants/eval_config.py and model_handler/local_inference/qwen_fc.py.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tinr.catalogue.load import file_of, read_jsonl, write_jsonl
from tinr.records import BadInput, Call, Query, Reply, ToolDoc
from tinr.rollout.scoring.bfcl_rules import kind_of
from tinr.rollout.scoring.bfcl_values import WORDS, language_of, text_of

MODEL = "Qwen/Qwen3-0.6B-FC"  # read as <tool_call>\n{JSON}\n</tool_call>, dots in names kept
PREFIX = "BFCL_v4"
CATEGORIES = (
    "simple_python simple_java simple_javascript multiple parallel parallel_multiple irrelevance "
    "live_simple live_multiple live_parallel live_parallel_multiple live_irrelevance live_relevance"
).split()
# query id -> tool's name in BFCL -> parameter -> its type and that of its items, in BFCL's words
SourceTypes = Mapping[str, Mapping[str, Mapping[str, tuple[str, str]]]]


def write_results(
    root: Path,
    replies: Iterable[tuple[Query, Reply]],
    documents: Mapping[str, ToolDoc],
    source_names: Mapping[str, str],
    types: SourceTypes | None = None,
    model: str = MODEL,
) -> list[Path]:
    """Write a result file for each category of the replies; return the paths.

    source_names: `Suite.source_names`. types: `source_types`; without them a Java long is written
    as an integer and an ArrayList as an array. Raise BadInput for a query that is not from BFCL
    or occurs twice.
    """
    rows: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for query, reply in replies:
        category = category_of(query.id)
        if query.id in rows[category]:
            raise BadInput(f"query {query.id!r} has two replies; give one")
        query_types = (types or {}).get(query.id, {})
        text = result_text(reply, category, documents, source_names, query_types)
        rows[category][query.id] = {"id": query.id, "result": text}
    paths = []
    for category, lines in rows.items():
        group = "live" if category.startswith("live_") else "non_live"
        folder = root / "result" / model.replace("/", "_") / group
        paths.append(folder / f"{PREFIX}_{category}_result.json")
        write_jsonl(paths[-1], lines.values())
    return paths


def category_of(identifier: str) -> str:
    """The category in a query's id: live_simple_3-1-0 -> live_simple; BadInput for any other id."""
    category = identifier.rsplit("_", 1)[0]
    if category not in CATEGORIES:
        raise BadInput(
            f"query {identifier!r} is in no single-turn category of BFCL; give a bfcl suite"
        )
    return category


def result_text(
    reply: Reply,
    category: str,
    documents: Mapping[str, ToolDoc],
    source_names: Mapping[str, str],
    types: Mapping[str, Mapping[str, tuple[str, str]]],
) -> str:
    """A reply's calls in the package's form; if there are none, its response."""
    if not reply.calls:
        return (reply.response or "").replace("<tool_call>", "tool_call")
    lines = []
    for call in reply.calls:
        name = source_names.get(call.name, call.name)
        document = documents.get(call.name)
        arguments = _source_arguments(call, category, document, types.get(name, {}))
        call_text = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
        lines.append(f"<tool_call>\n{call_text}\n</tool_call>")
    return "\n".join(lines)


def _source_arguments(
    call: Call, category: str, document: ToolDoc | None, types: Mapping[str, tuple[str, str]]
) -> dict[str, Any]:
    """The arguments of a call; in Java and JavaScript each is source text."""
    language = language_of(category)
    if language == "python":
        return dict(call.arguments)
    properties = document.parameters.get("properties", {}) if document else {}
    words = WORDS[language]
    texts = {}
    for name, value in call.arguments.items():
        schema = properties.get(name, {})
        items = schema.get("items", {}) if isinstance(schema, Mapping) else {}
        schema_words = tuple(words.get(kind_of(s), ("any",))[0] for s in (schema, items))
        type_word, item_word = types.get(name, schema_words)
        texts[name] = text_of(value, language, type_word, item_word)
    return texts


def source_types(raw: Path) -> dict[str, dict[str, dict[str, tuple[str, str]]]]:
    """The type names in BFCL's own files (a folder of `BFCL_v4_*.json`).

    Only for Java and JavaScript, which write a long and an integer in different ways.
    """
    types: dict[str, dict[str, dict[str, tuple[str, str]]]] = {}
    for category in ("simple_java", "simple_javascript"):
        path = file_of(raw, f"{PREFIX}_{category}.json")
        for place, row in read_jsonl(path):
            try:
                types[str(row["id"])] = {
                    tool["name"]: {
                        name: (schema["type"], (schema.get("items") or {}).get("type", "any"))
                        for name, schema in tool["parameters"]["properties"].items()
                    }
                    for tool in row["function"]
                }
            except (LookupError, TypeError, AttributeError) as error:
                raise BadInput(
                    f"{place}: not a BFCL question ({error!r}); give BFCL's own file"
                ) from error
    return types


def read_scores(root: Path, model: str = MODEL) -> dict[str, tuple[float, set[str]]]:
    """Category -> accuracy and the ids of wrong replies, from the files of `bfcl evaluate`."""
    scores: dict[str, tuple[float, set[str]]] = {}
    for path in sorted((root / "score" / model.replace("/", "_")).rglob(f"{PREFIX}_*_score.json")):
        (_, head), *wrong_rows = read_jsonl(path)
        category = path.name.removeprefix(f"{PREFIX}_").removesuffix("_score.json")
        scores[category] = (float(head["accuracy"]), {str(row["id"]) for _, row in wrong_rows})
    return scores
