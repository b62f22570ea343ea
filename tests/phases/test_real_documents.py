"""The pipeline on real documents: tools of a public benchmark go into a tiny model."""

import json
from pathlib import Path

import pytest

from phases.align import AlignConfig, run
from phases.base import BaseConfig, build_base
from tinr.catalogue.load import document_from, load_catalogue, write_jsonl
from tinr.config import OptimiserConfig, TrainingConfig
from tinr.data.alignment_examples import PairMix
from tinr.records import BadInput

DATA = Path(__file__).parents[3] / "shared" / "data" / "bfcl" / "tools.jsonl"
TOOLS = 80

pytestmark = [
    pytest.mark.shared,
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_file(), reason="no shared/data/bfcl beside the repository"),
]


def real_documents() -> tuple[list[dict], list[str]]:
    """The first valid documents, and why others before them were refused."""
    taken, refused = [], []
    for number, line in enumerate(DATA.read_text(encoding="utf-8").splitlines(), 1):
        document = json.loads(line)
        try:
            document_from(document, f"tools.jsonl:{number}")
        except BadInput as error:
            refused.append(str(error))
            continue
        taken.append(document)
        if len(taken) == TOOLS:
            break
    return taken, refused


def test_real_tools_are_aligned(tmp_path):
    """Recall in both directions over documents that nobody wrote for us."""
    taken, refused = real_documents()
    print(f"{len(taken)} taken, {len(refused)} refused: {refused[:3]}")
    assert len(taken) == TOOLS
    write_jsonl(tmp_path / "tools" / "tools.jsonl", taken)
    registry = str(tmp_path / "registry")
    training = TrainingConfig(
        OptimiserConfig(name="muon", learning_rate=0.01), batch_tokens=4096, row_tokens=256
    )
    base = build_base(
        BaseConfig(
            registry=registry,
            run=str(tmp_path),
            tokens=150_000,
            hidden=128,
            layers=2,
            heads=2,
            training=training,
        )
    )
    card = run(
        AlignConfig(
            parent=base.id,
            registry=registry,
            run=str(tmp_path),
            training=training,
            replay=0.0,
            catalogue=(str(tmp_path / "tools"),),
            epochs=20,
            mix=PairMix.only(memorise=2, schema=2),
            min_recall={"document_to_token": 0.95, "token_to_schema": 0.8},
        )
    )
    found = {name: gate["value"] for name, gate in card.gates.items()}
    print(f"recall over {TOOLS} real tools: {found}")
    assert card.catalogue_hash == load_catalogue(tmp_path / "tools").hash
    assert found["document_to_token"] >= 0.95 and found["token_to_schema"] >= 0.8
