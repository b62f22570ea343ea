"""`tinr preflight`: the figures are the run's own, and what it suggests fits when followed."""

import copy
import json
import re
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM
from typer.testing import CliRunner

from tests.preflight_parts import small
from tests.registry_parts import make_card
from tinr.catalogue.load import write_jsonl
from tinr.checkpoints.model import grow, load
from tinr.checkpoints.open import save
from tinr.checkpoints.registry import Registry
from tinr.cli.main import app
from tinr.command import guarded
from tinr.planning.preflight import plan
from tinr.planning.preflight.memory import Load, Pass, Setup, memory_of
from tinr.planning.preflight.remedy import nearest, sorted_changes
from tinr.planning.preflight.shape import Shape
from tinr.planning.preflight.work import Cut
from tinr.planning.preflight.zero import NAMED, zero_of
from tinr.training.loop import ZERO


def cuts() -> list[Cut]:
    """Batches of 64, 32 and 16 rows of 256."""
    return [
        Cut(Load(((Pass(rows, 256, 40 * rows),),)), 64 // rows, (f"rows={rows}",), 256)
        for rows in (64, 32, 16)
    ]


def wide() -> Shape:
    """Large enough that weights, batches and moments weigh alike."""
    return small(hidden_size=512, intermediate_size=1536, num_hidden_layers=8)


@pytest.mark.parametrize("ranks", [1, 4])
def test_the_nearest_change_fits_and_no_lesser_one_does(ranks):
    """From ample memory to next to none, each step of the order is named once in its turn."""
    shape, setup = wide(), Setup(ranks=ranks)
    peak = memory_of(shape, setup, cuts()[0].load).peak
    tried = sorted_changes(setup, cuts(), "training", None)
    named: list[str] = []
    for share in (0.99, 0.6, 0.3, 0.2, 0.15, 0.1, 0.05, 0.03, 0.02, 0.01):
        limit = share * peak
        words = nearest(
            shape, setup, cuts(), lambda m, limit=limit: m.peak <= limit, "training", None
        )
        fitting = [w for s, cut, w in tried if memory_of(shape, s, cut.load).peak <= limit]
        assert words == (fitting[0] if fitting else None)
        named += [word for word in words or () if word not in named]
    assert named[0] == "rows=32"
    assert "training.gradient_checkpointing=true" in named
    assert any(word.startswith("training.deepspeed=zero") for word in named)
    assert not [word for word in named if word == "training.deepspeed=zero1"] or ranks > 1


def test_harm_is_in_the_stated_order():
    tried = [words for _, _, words in sorted_changes(Setup(4), cuts(), "training", None)]
    firsts = ["rows=32", "training.gradient_checkpointing=true", "training.deepspeed=zero1",
              "training.deepspeed=zero2_offload", "trainable.what=lora",
              "trainable.what=rows"]  # fmt: skip
    places = [next(n for n, words in enumerate(tried) if word in words) for word in firsts]
    places.append(next(n for n, words in enumerate(tried) if any("--ranks" in w for w in words)))
    assert places == sorted(places) and tried[0] == ()


def test_more_ranks_are_more_nodes_where_there_are_several():
    setup = Setup(4, NAMED["zero3"], nodes=2)
    tried = [c for c in sorted_changes(setup, cuts(), "training", "zero3") if c[0].ranks == 8]
    assert tried
    for changed, _, words in tried:
        assert changed.nodes == 4 and words[-2:] == ("--ranks 8", "--nodes 4")


def test_a_machine_without_an_accelerator_is_offered_no_deepspeed():
    tried = sorted_changes(Setup(accelerator=False), cuts(), "training", None)
    assert not [words for _, _, words in tried if "deepspeed" in " ".join(words)]


@pytest.fixture(scope="module")
def place(tmp_path_factory, qwen_tokenizer, catalogue) -> Path:
    """A base without its weights, tools, queries, and a registry with an sft checkpoint."""
    folder = tmp_path_factory.mktemp("preflight")
    torch.manual_seed(0)
    tokenizer = copy.deepcopy(qwen_tokenizer)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=1,
            num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=False,
            max_position_embeddings=1024,
        )
    )  # fmt: skip
    model.save_pretrained(folder / "whole")
    tokenizer.save_pretrained(folder / "whole")
    model.config.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    write_jsonl(folder / "tools" / "tools.jsonl", (vars(doc) for doc in catalogue.tools))
    (folder / "queries.jsonl").write_text(
        json.dumps({"id": "1", "query": "Area of a circle of 2 m?", "answer": "12.57",
                    "calls": [{"name": "circle_area", "arguments": {"radius": 2}}]}) + "\n"
    )  # fmt: skip
    grow(model, tokenizer, catalogue)
    registry = Registry(folder / "registry")
    card = registry.publish(
        make_card("sft", catalogue_hash=catalogue.hash),
        lambda at: save(at, model, tokenizer, catalogue),
    )
    (registry.path(card) / "model.safetensors").unlink()  # nothing may want it
    for phase in ("align", "sft", "grpo"):
        (folder / f"{phase}.yaml").write_text("mix: {memorise: 1, recall: 1, schema: 1}\n")
    return folder


ALIGN = ("base={}/base", "catalogue=[{}/tools]", "registry={}/registry", "epochs=1", "replay=0")
LATER = ("parent=sft@latest", "queries={}/queries.jsonl", "registry={}/registry")


def run(place: Path, phase: str, *words: str, code: int = 0, capsys=None) -> str:
    """`tinr preflight` in this process on the phase's file; its exit code is asserted."""
    given = [w.format(place) for w in (ALIGN if phase == "align" else LATER)]
    out: list[str] = []

    def program() -> None:
        done = CliRunner().invoke(
            app, ["preflight", str(place / f"{phase}.yaml"), *given, *words]
        )  # fmt: skip
        out.append(done.output)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception

    assert guarded(program) == code
    said = capsys.readouterr().err if capsys else ""
    assert "Traceback" not in said
    return said if code else out[0]


def figures(text: str) -> dict[tuple[str, str], float]:
    """Part and name -> value, of the JSON."""
    return {(line["part"], line["name"]): line["value"] for line in json.loads(text)["lines"]}


def test_figures_of_align_are_those_of_the_run(place, catalogue):
    from phases import align
    from tinr.config_files import load_config

    text = run(place, "align", "--json", "--flops", "1")
    found = figures(text)
    model, tokenizer = load(place / "whole")
    assert found["parameters", "parameters before"] == model.num_parameters()
    assert found["vocabulary", "new entries"] == grow(model, tokenizer, catalogue)
    assert found["parameters", "parameters"] == model.num_parameters()
    assert found["vocabulary", "rows"] == model.get_input_embeddings().weight.shape[0]
    given = [w.format(place) for w in ALIGN] + [f"base={place}/whole", "min_recall={}",
                                                f"run={place}/run"]  # fmt: skip
    card = align.run(load_config(align.AlignConfig, place / "align.yaml", given))
    assert found["data", "steps"] == card.data_position["steps"]
    assert found["data", "tokens in all"] == card.tokens
    assert json.loads(text)["fits"] is True


@pytest.mark.parametrize("phase", ["sft", "grpo"])
def test_the_later_phases_need_only_their_parents_card(place, phase):
    found = figures(run(place, phase, "--json", "--flops", "1"))
    assert found["vocabulary", "new entries"] == 0
    assert found["data", "tokens"] > 0 and found["time", "at most about"] > 0
    assert (found["memory of a rank", "cache"] > 0) == (phase == "grpo")


def test_the_table_says_how_each_figure_came_about(place):
    shown = run(place, "align", "--flops", "1")
    assert "dropped" in shown and "separate" in shown


def peak_of(place: Path, phase: str, *words: str) -> float:
    """GiB at the peak on an accelerator."""
    found = figures(run(place, phase, "--json", "--flops", "1", "--memory", "80", *words))
    return found["memory of a rank", "peak"] / 2**30


@pytest.mark.parametrize("phase", ["align", "sft", "grpo"])
@pytest.mark.parametrize("share", [0.9, 0.5, 0.3])
def test_what_is_suggested_fits_when_it_is_followed(place, phase, share, capsys):
    limit = ("--memory", str(share * peak_of(place, phase)), "--flops", "1")
    said = run(place, phase, *limit, code=1, capsys=capsys)
    assert said.count("\n") == 1 and "a rank needs" in said
    change = re.search(r"the nearest change that fits: (.*)", said)
    assert change, said
    run(place, phase, *limit, *change[1].split())


def test_offloading_needs_a_host_that_holds_it(place, capsys):
    words = ("training.deepspeed=zero2_offload", "--memory", "1", "--flops", "1")
    said = run(place, "align", *words, "--host-memory", "1e-4", code=1, capsys=capsys)
    assert "the host needs" in said and "a rank needs" not in said
    run(place, "align", *words, "--host-memory", "1")


def test_nothing_fits_nowhere(place, capsys):
    said = run(place, "align", "--memory", "1e-6", "--flops", "1", code=1, capsys=capsys)
    assert "no change of the settings would fit" in said


def test_a_context_that_is_too_short_is_refused(place, tmp_path, capsys):
    config = json.loads((place / "base" / "config.json").read_text())
    (tmp_path / "base").mkdir()
    for file in (place / "base").iterdir():
        (tmp_path / "base" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "base" / "config.json").write_text(
        json.dumps(config | {"max_position_embeddings": 100})
    )
    words = (f"base={tmp_path}/base", "--flops", "1")
    said = run(place, "align", *words, code=1, capsys=capsys)
    assert "longer than the context of 100" in said and "training.max_tokens=100" in said
    assert "are dropped" in run(place, "align", *words, "training.max_tokens=100")


def test_a_conversation_beyond_the_context_is_refused(place, capsys):
    """What is advised fits, and one token more does not: in preflight as in the run."""
    said = run(place, "grpo", "policy.max_tokens=1024", "--flops", "1", code=1, capsys=capsys)
    change = re.search(r"policy.max_tokens=(\d+)", said)
    assert change and 0 < int(change[1]) < 1024
    run(place, "grpo", change[0], "--flops", "1")
    more = f"policy.max_tokens={int(change[1]) + 1}"
    run(place, "grpo", more, "--flops", "1", code=1, capsys=capsys)


def test_a_reference_beside_the_policy_is_counted_whatever_moves(place):
    words = ("grpo", "trainable.what=rows", "--json", "--flops", "1")
    alone, beside = (
        figures(run(place, *words, f"policy.beta={beta}"))["memory of a rank", "weights"]
        for beta in (0, 0.1)
    )
    assert beside == 2 * alone


@pytest.mark.parametrize("setting", ["policy.top_p=0.9", "policy.constrained=true"])
def test_the_policys_logits_are_never_counted_whole(place, setting):
    """Nor where less than the vocabulary is sampled: 32 bytes for each entry of all rows."""
    words = ("grpo", "policy.max_tokens=100", "policy.replay_weight=0", "--json", "--flops", "1")
    found, plain = (figures(run(place, *words, *more)) for more in ((setting,), ()))
    tokens = len(AutoTokenizer.from_pretrained(place / "base")) + 3  # less than it grows to
    key = ("memory of a rank", "logits")
    assert found[key] == plain[key] < 16 * 32 * 100 * tokens


def test_a_full_disk_is_refused(place, monkeypatch, capsys):
    found = figures(run(place, "align", "training.checkpoint_steps=5", "--json", "--flops", "1"))
    kept, needed = (found["disk", name] for name in ("step checkpoints", "needed"))
    # 3 x (4 + 8) bytes of each parameter
    assert kept == 36 * found["parameters", "parameters"]
    monkeypatch.setattr(plan, "free_disk", lambda folder: needed - kept)
    said = run(place, "align", "training.checkpoint_steps=5", "--flops", "1", code=1, capsys=capsys)
    assert "training.checkpoint_steps=0" in said
    run(place, "align", "training.checkpoint_steps=0", "--flops", "1")


BAD = {
    "no such base": (("base=no/such-base",), "no model can be found"),
    "no such catalogue": (("catalogue=[nosuch]",), "no such catalogue"),
    "ranks": (("--ranks", "0"), "--ranks 0"),
    "nodes": (("--ranks", "8", "--nodes", "3"), "cannot be split evenly"),
    "no node": (("--nodes", "0"), "--nodes 0"),
    "memory": (("--memory", "-3"), "--memory"),
    "flops": (("--flops", "0"), "--flops"),
    "batch": (("training.batch_tokens=50",), "the longest example has"),
    "all too long": (("training.max_tokens=3",), "every example is longer"),
    "no epoch": (("epochs=0",), "epochs=0"),
    "deepspeed": (("training.deepspeed=zero7",), "zero2_offload"),
    "unknown key": (("epoch=1",), "epochs"),
    "phase": (("--phase", "pretrain"), "give --phase align or sft or grpo"),
    "targets": (("trainable.what=lora", "trainable.targets=[query]"), "q_proj"),
    "no such parent": (("base=", "parent=align@latest"), "no registry there"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_use_is_one_line_and_code_2(case, place, tmp_path, capsys, monkeypatch):
    words, says = BAD[case]
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    if case == "no such parent":
        words = (*words, f"registry={tmp_path}/registry")
    said = run(place, "align", *words, code=2, capsys=capsys)
    assert says in said and said.count("\n") == 1


def test_a_file_that_is_missing_or_names_no_phase(place, tmp_path, capsys):
    assert guarded(lambda: CliRunner().invoke(
        app, ["preflight", str(tmp_path / "align.yaml")], catch_exceptions=False)) == 2  # fmt: skip
    assert "no such configuration" in capsys.readouterr().err
    (tmp_path / "mine.yaml").write_text("epochs: 1\n")
    assert guarded(lambda: CliRunner().invoke(
        app, ["preflight", str(tmp_path / "mine.yaml")], catch_exceptions=False)) == 2  # fmt: skip
    assert "the file name is not a phase" in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMED)
def test_a_named_configuration_is_the_shipped_file(name):
    """What is estimated is what DeepSpeed will be told."""
    told = zero_of(str(ZERO / f"{name}.json"))
    assert told is not None
    assert (told.stage, told.offload_optimiser, told.offload_weights) == (
        NAMED[name].stage, NAMED[name].offload_optimiser, NAMED[name].offload_weights,
    )  # fmt: skip
