"""`tinr study`: the experiments quoted in the docs."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tinr.cli.options import DATA, AsJson, Data, OtherBase, table_console
from tinr.records import BadInput

app = typer.Typer(help="Experiments quoted in the docs.", no_args_is_help=True)


@app.command()
def arms(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="internalized, retrieved, in_prompt, names, one_direction; default: all."
        ),
    ] = None,
    preset: Annotated[str, typer.Option(help="quickstart or smoke.")] = "quickstart",
    seed: Annotated[int, typer.Option(help="Seed of data, weights and sampling.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/arms"),
    base: OtherBase = "",
    change: Annotated[
        list[str] | None,
        typer.Option(help="PHASE.KEY=VALUE, for every arm with this phase; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train internalizing and the arms it is compared with: same base, same data, one registry.

    Example: tinr study arms --seed 0 --out runs/arms0
    Example: tinr study arms internalized in_prompt --change sft.size=5000 --change align.epochs=4
    """
    from tinr.studies.arms import run_arms

    checkpoints = run_arms(names or [], preset, seed, out, base, change or [])
    if as_json:
        print(json.dumps(checkpoints))
        return
    for name, checkpoint in checkpoints.items():
        print(f"arm-{name}  {checkpoint}")
    tags = " ".join(f"arm-{name}" for name in checkpoints)
    print(f"compare them: tinr compare {tags} --registry {out / 'registry'}")


@app.command()
def calibration(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="sft, grpo, simpo, dpo, ipo, orpo, simpo_grpo, rejection; default: all."
        ),
    ] = None,
    preset: Annotated[str, typer.Option(help="quickstart or smoke.")] = "quickstart",
    seed: Annotated[int, typer.Option(help="Seed of data, weights and sampling.")] = 0,
    out: Annotated[
        Path, typer.Option(help="Folder of the run; its checkpoints are reused.")
    ] = Path("runs/calibration"),
    base: OtherBase = "",
    as_json: AsJson = False,
) -> None:
    """Train and compare calibration, sft, grpo and rejection sampling.

    Example: tinr study calibration --seed 0 --out runs/quickstart
    """

    from tinr.records import RunFailed
    from tinr.studies.calibration import run_study, show_study

    result = run_study(names or [], preset, seed, out, base)
    if as_json:
        print(json.dumps(result))
    else:
        show_study(result, table_console())
        print(out / "study.md")
    if result["failed"]:
        raise RunFailed(f"{len(result['failed'])} arms: {'; '.join(result['failed'].values())}")


@app.command("in-tool")
def in_tool(
    preset: Annotated[str, typer.Option(help="cpu, full (an accelerator) or smoke.")] = "cpu",
    out: Annotated[Path, typer.Option(help="Folder of the study.")] = Path("runs/in_tool"),
    seeds: Annotated[
        int | None, typer.Option(help="Models per point; default: the preset's.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Sufficient recall; default: 0.95.")
    ] = None,
    dependence: Annotated[
        float | None,
        typer.Option(help="How often a last name determines an attribute, 0 to 1; default: 0."),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Time limit; default: the preset's. Rerun to continue.")
    ] = None,
    retention: Annotated[
        bool,
        typer.Option(
            "--retention", help="Instead, measure how either way affects a base's skills."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Find the smallest models that know their facts, or know how to look them up.

    Example: tinr study in-tool --preset cpu --out runs/in_tool
    Example: tinr study in-tool --retention --preset cpu --out runs/in_tool
    """
    if retention:
        for name, value in (("seeds", seeds), ("threshold", threshold), ("dependence", dependence),
                            ("minutes", minutes)):  # fmt: skip
            if value is not None:
                raise BadInput(f"--{name} has no meaning with --retention; leave it out")
        from tinr.studies.in_tool.retention import run_retention

        rows = run_retention(preset, out)
        print(json.dumps(rows) if as_json else (out / "retention.md").read_text("utf-8"))
        return
    from tinr.studies.in_tool.study import run_study

    result = run_study(
        preset, out, seeds, 0.95 if threshold is None else threshold, dependence or 0.0, minutes
    )
    print(json.dumps(result) if as_json else (out / "table.md").read_text("utf-8"), end="")
    if as_json:
        print()


@app.command()
def capacity(
    catalogue: Annotated[
        list[str] | None,
        typer.Option(
            help="Folder or shipped corpus; repeatable. Default: both corpora, enough for smoke; "
            "cpu needs 400 documents of at most 240 characters, full 2,400 of at most 600."
        ),
    ] = None,
    preset: Annotated[str, typer.Option(help="cpu, full (an accelerator) or smoke.")] = "cpu",
    out: Annotated[Path, typer.Option(help="Folder of the study.")] = Path("runs/capacity"),
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Start nothing new after this; default: the preset's. Rerun to continue."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Align real documents at several loads, fit recall against load, and validate the fit.

    Writes OUT/calibration.json for `tinr capacity --calibration`. Copy it to
    tinr/planning/capacity/calibration.json to make it the default of every command.

    Example: tinr study capacity --catalogue path/to/catalogue --preset cpu
    """
    from tinr.studies.capacity.study import run_study

    result = run_study(preset, catalogue or ["toolbox", "fieldkit"], out, minutes)
    print(json.dumps(result) if as_json else (out / "table.md").read_text("utf-8"), end="")
    if as_json:
        print()


@app.command()
def real(
    tools: Annotated[int, typer.Option(help="Number of tools, those with the most questions.")],
    seed: Annotated[int, typer.Option(help="Seed of weights and data; the tools stay the same.")],
    arm: Annotated[
        list[str] | None,
        typer.Option(
            help="internalized, on_select, in_prompt, bm25, dense, base; repeatable; default: all "
            "but dense."
        ),
    ] = None,
    offered: Annotated[
        bool,
        typer.Option(
            "--offered", help="Replies may name only the functions given with the question."
        ),
    ] = False,
    suite: Annotated[
        str, typer.Option(help="bfcl, tinr, another named set, or a folder in their format.")
    ] = "bfcl",
    data: Data = DATA,
    retriever: Annotated[
        str, typer.Option(help="For the arm dense: a sentence-transformers model.")
    ] = "",
    out: Annotated[Path, typer.Option(help="Folder of the study.")] = Path("runs/real"),
    results: Annotated[
        Path | None, typer.Option(help="Folder for the verdicts; default: OUT/results.")
    ] = None,
    base: OtherBase = "smollm2",
    preset: Annotated[str, typer.Option(help="quickstart or smoke.")] = "quickstart",
    change: Annotated[
        list[str] | None, typer.Option(help="PHASE.KEY=VALUE, for every arm; repeatable.")
    ] = None,
) -> None:
    """Compare internalizing with other arms on real tools and questions.

    Each cell (arm, tools, seed) writes one small file of verdicts, and is skipped if that file
    exists. `tinr compare` pools such files.

    Example: tinr study real --tools 64 --seed 1 --arm internalized
    """
    from tinr.evaluation.suites import read_suite
    from tinr.studies.real.arms import ARMS, DENSE
    from tinr.studies.real.study import Cell, Place, check, run_cell

    place = Place(out, results or out / "results", base, retriever, preset, change or [])
    arms = arm or [name for name in ARMS if name != DENSE or retriever]
    cells = [Cell(Path(suite).name, tools, seed, name, offered) for name in arms]
    for cell in cells:
        check(cell, place)
    questions = read_suite(suite, data)
    for cell in cells:
        print(run_cell(cell, questions, place), flush=True)


@app.command("real-table")
def real_table(
    files: Annotated[list[Path], typer.Argument(help="Verdict files from `tinr study real`.")],
    plot: Annotated[
        Path | None, typer.Option(help="SVG file: right calls against the number of tools.")
    ] = None,
) -> None:
    """Print the cells of `tinr study real` as one Markdown table: rates and costs per arm.

    Example: tinr study real-table docs/results/bfcl-*.jsonl --plot docs/plots/real_tools.svg
    """
    from tinr.evaluation.verdicts import read_verdicts
    from tinr.files import write_text
    from tinr.studies.real.table import arm_results, markdown
    from tinr.studies.real.table import plot as plotted

    results = arm_results([read_verdicts(path) for path in files])
    print(markdown(results), end="")
    if plot is not None:
        write_text(plot, plotted(results))


@app.command("real-official")
def real_official(
    out: Annotated[Path, typer.Option(help="Folder of the study.")] = Path("runs/real"),
    results: Annotated[
        Path | None, typer.Option(help="Folder of the verdicts; default: OUT/results.")
    ] = None,
) -> None:
    """Print BFCL's own scores of the cells beside ours.

    Example: tinr study real-official --results docs/results
    """
    from tinr.studies.real.official import official_scores

    table = Table("cell", "n", "BFCL's scorer", "call_em_lenient", "differing questions")
    for score in official_scores(out, results or out / "results"):
        names = ", ".join(score.differing) or "-"
        table.add_row(score.cell, str(score.n), str(score.official), str(score.ours), names)
    table_console().print(table)
