"""The table and the plot of the study on real tools."""

import json

import pytest
from typer.testing import CliRunner

from tinr.cli.main import app
from tinr.evaluation.bfcl_export import MODEL
from tinr.evaluation.standing import COMPARED
from tinr.evaluation.verdicts import read_verdicts
from tinr.records import BadInput
from tinr.studies.real.official import OfficialScore, official_scores
from tinr.studies.real.table import arm_results, markdown, plot


def write(folder, arm, tools, seed, seen, unseen, **facts):
    """A cell's file: for each split a sign per question, 1 if its call is right."""
    common = {
        "tools": tools, "settings": {}, "documents": "none",
        "cost": {"prompt_tokens": 50.0 * seed, "generated_tokens": 90, "seconds": 0.5},
        "training": {"base": {"tokens": 0, "seconds": 7}, "align": {"tokens": 300, "seconds": 60},
                     "sft": {"tokens": 700, "seconds": 140}},
    }  # fmt: skip
    lines = [{"arm": arm, "seed": seed, **common, **facts}]
    for split, signs in (("seen", seen), ("unseen", unseen)):
        ids = [f"{split}{n}" for n in range(len(signs))]
        columns = dict.fromkeys(COMPARED, signs) | {"abstain_acc": "-" * len(signs)}
        columns |= {"name_em": "1" * len(signs)}
        lines.append({"split": split, "ids": ids, "marks": ids, "calls": [1] * len(signs),
                      "phrasings": [[one] for one in ids], **columns})  # fmt: skip
    path = folder / f"{arm}-{tools}-{seed}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return read_verdicts(path)


@pytest.fixture
def files(tmp_path):
    return [
        write(tmp_path, "internalized", 64, 1, "1110", "10"),
        write(tmp_path, "internalized", 64, 2, "1111", "10"),
        write(tmp_path, "bm25", 64, 1, "1000", "00"),
        write(tmp_path, "internalized", 200, 1, "1100", "10"),
    ]


def test_cells_are_pooled_by_tools_and_arm(files):
    results = arm_results(files)
    assert [(r.tools, r.arm, r.seeds) for r in results] == [
        (64, "internalized", 2), (64, "bm25", 1), (200, "internalized", 1),
    ]  # fmt: skip
    first = results[0]
    assert first.rates["seen", "call_em"].value == 7 / 8
    assert first.rates["calls", "call_em"].value == pytest.approx((3 + 1 + 4 + 1) / 12)
    assert first.costs == {"prompt_tokens": 75, "generated_tokens": 90, "seconds": 0.5,
                           "tokens": 1000, "training_seconds": 200}  # fmt: skip


def test_the_table_has_a_line_for_each_arm(files):
    lines = markdown(arm_results(files)).splitlines()
    assert len(lines) == 2 + 3 and len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith("| 64 | internalized | 2 | 100.0 / 87.5 | 100.0 / 50.0 | 75.0 (")
    assert lines[2].endswith("| 75 | 90 | 0.50 | 1,000 | 200 |")


def test_the_plot_has_every_arm_and_every_size(files):
    svg = plot(arm_results(files))
    assert all(f">{text}<" in svg for text in ("internalized", "bm25", "64", "200"))


def test_the_command_prints_the_table_and_writes_the_plot(files, tmp_path):
    words = [*(str(file.path) for file in files), "--plot", str(tmp_path / "plot.svg")]
    done = CliRunner().invoke(app, ["study", "real-table", *words], catch_exceptions=False)
    assert done.output == markdown(arm_results(files))
    assert (tmp_path / "plot.svg").read_text() == plot(arm_results(files))


def test_a_file_of_another_command_is_refused(tmp_path):
    file = write(tmp_path, "sft", 64, 1, "1", "1")
    other = read_verdicts(file.path)
    object.__setattr__(other, "facts", {"tools": 64})
    with pytest.raises(BadInput, match="no cell of `tinr study real`"):
        arm_results([other])


def test_a_cell_that_is_given_twice_is_refused(files):
    with pytest.raises(BadInput, match="the same cell as"):
        arm_results([*files, read_verdicts(files[0].path)])


def test_official_scores_stand_beside_ours(tmp_path):
    write(tmp_path, "internalized", 64, 1, "110", "1")
    cell = "internalized-64-1"
    for category, wrong in (("simple_python", ["seen1"]), ("live_multiple", ["seen2"])):
        folder = tmp_path / "bfcl" / cell / "score" / MODEL.replace("/", "_") / "non_live"
        lines = [{"accuracy": 0.5}, *({"id": name} for name in wrong)]
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"BFCL_v4_{category}_score.json"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert official_scores(tmp_path, tmp_path) == [OfficialScore(cell, 4, 2, 3, ("seen1",))]
    words = ["study", "real-official", "--out", str(tmp_path), "--results", str(tmp_path)]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert "seen1" in done.output and cell in done.output


def test_without_official_scores_it_says_what_to_run(tmp_path):
    with pytest.raises(BadInput, match=r"run scripts/real_tools\.sh"):
        official_scores(tmp_path, tmp_path)
