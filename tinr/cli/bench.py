"""`tinr bench`: the benchmarks that the docs quote."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tinr.cli.options import (
    DATA,
    REGISTRY,
    AsJson,
    Checkpoint,
    Data,
    RegistryFolder,
    table_console,
)
from tinr.files import make_folder, write_text
from tinr.records import BadInput, RunFailed

app = typer.Typer(help="Benchmarks that the docs quote.", no_args_is_help=True)


def _check_plot(plot: Path | None) -> None:
    """Raise BadInput if no plot can be written, before anything is measured."""
    if plot is not None:
        make_folder(plot.parent)
        if plot.is_dir():
            raise BadInput(f"--plot {plot}: is a folder; name a file in it")


@app.command()
def catalogue(
    tools: Annotated[int, typer.Option(help="Documents to make and import.")] = 50_000,
    seed: Annotated[int, typer.Option(help="Of the made documents.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Import, hash and compare made documents; a 5 MB OpenAPI file; 46,985 tool tokens.

    Example: OMP_NUM_THREADS=1 tinr bench catalogue --tools 50000
    """
    from tinr.studies.benchmarks.catalogue import bench_catalogue

    figures = bench_catalogue(tools, seed)
    if as_json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):28} {value:,}")


@app.command()
def serving(
    url: Annotated[str, typer.Option(help="Of a server: http://HOST:PORT/v1.")],
    model: Annotated[str, typer.Option(help="The name that it serves.")] = "",
    clients: Annotated[int, typer.Option(min=1, help="At once.")] = 64,
    requests: Annotated[int, typer.Option(min=1, help="Together.")] = 128,
    tokens: Annotated[int, typer.Option(min=1, help="Most of a reply.")] = 200,
    as_json: AsJson = False,
) -> None:
    """Many clients at once: seconds to the first token, tokens a second, requests lost.

    They ask test queries of the shipped corpora. The server may be another program's.

    Example: tinr bench serving --url http://127.0.0.1:8000/v1 --clients 64
    """
    from tinr.studies.benchmarks.serving import measure_load
    from tool_corpora.suites import test_suite

    texts = [query.text for query in test_suite("in_domain", requests)][:requests]
    result = measure_load(url, model, texts, clients, tokens)
    if as_json:
        print(json.dumps(asdict(result)))
    else:
        print(
            f"{result.requests} requests of {result.clients} clients in {result.seconds:.1f} s: "
            f"{result.tokens_a_second:.0f} tokens a second; first token {result.first_median:.1f} "
            f"s (longest {result.first_longest:.1f}), reply {result.whole_median:.1f} s (longest "
            f"{result.whole_longest:.1f}); {len(result.failures)} lost"
        )
    if result.failures:
        raise RunFailed(f"{len(result.failures)} requests failed: {result.failures[0]}")


@app.command()
def update(
    base: Annotated[str, typer.Option(help="What `tinr base --model` takes.")] = "smollm2",
    prompts: Annotated[int, typer.Option(min=1, help="Groups.")] = 2,
    group: Annotated[int, typer.Option(min=2, help="Conversations of one prompt.")] = 8,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each; the median counts.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Seconds of GRPO's update against supervised training of the same tokens; rollouts.

    Example: tinr bench update --repeats 1
    """
    from tinr.catalogue.load import Catalogue
    from tinr.chat.codec import Codec
    from tinr.checkpoints.model import grow, load
    from tinr.studies.benchmarks.update import measure_update

    model, tokenizer = load(base)
    grow(model, tokenizer, Catalogue(()))
    result = measure_update(model, Codec(tokenizer), prompts, group, repeats=repeats)
    if as_json:
        print(json.dumps(asdict(result) | {"ratio": result.ratio}))
        return
    print(
        f"{result.conversations} conversations of {result.tokens:,} tokens: update "
        f"{result.update_seconds:.1f} s, supervised {result.supervised_seconds:.1f} s, ratio "
        f"{result.ratio:.2f}; rollouts {result.rollout_tokens_a_second:,.0f} tokens a second"
    )


@app.command()
def stream(
    checkpoint: Checkpoint = "sft@latest",
    registry: RegistryFolder = REGISTRY,
    out: Annotated[Path, typer.Option(help="Folder of catalogues and rows.")] = Path("runs/stream"),
    data: Data = DATA,
    batches: Annotated[int, typer.Option(min=1, help="Batches of ten events.")] = 10,
    queries: Annotated[
        int, typer.Option(min=1, help="Of the first tools, a split, after each batch.")
    ] = 50,
    compared: Annotated[
        int, typer.Option(min=1, help="The same at the beginning and at the end.")
    ] = 250,
    retrained: Annotated[
        str, typer.Option(help="Checkpoint trained on the last catalogue, to compare with.")
    ] = "",
    adapters: Annotated[
        bool, typer.Option("--adapters", help="Updates with LoRA in the layers.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the events.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="File for a plot, SVG.")] = None,
    as_json: AsJson = False,
) -> None:
    """Update a checkpoint batch after batch: 6 tools come, 2 go, one is renamed, one changes.

    Example: tinr bench stream --checkpoint sft@latest --plot docs/plots/stream.svg
    """
    from rich.table import Table

    from tinr.checkpoints.registry import Registry
    from tinr.studies.benchmarks.stream import StreamConfig, draw, run_stream, verdict

    _check_plot(plot)
    config = StreamConfig(
        batches=batches, queries=queries, compared=compared, adapters=adapters, seed=seed,
        retrained=retrained,
    )  # fmt: skip
    rows = run_stream(Registry(registry), checkpoint, out, data, config)
    if plot is not None:
        write_text(plot, draw(rows))
    shown = verdict(rows)
    if as_json:
        print(json.dumps({"rows": rows, "verdict": shown}))
        return
    names = ("document_to_token", "token_to_schema", "first_name_em", "first_call_em",
             "added_name_em", "added_call_em")  # fmt: skip
    table = Table("batch", "tools", *(name.replace("_", " ") for name in names), "seconds")
    for row in rows:
        rates = [f"{row[name]['value']:.1%}" if name in row else "-" for name in names]
        table.add_row(str(row["batch"]), str(row["tools"]), *rates, f"{row['seconds']:.0f}")
    table_console().print(table)
    calls = shown["calls"]
    if calls["difference"] is not None:
        print(
            f"calls of the first tools: {calls['difference']:+.1%} from beginning to end, "
            f"{'not worse' if calls['not_worse'] else 'NOT SHOWN to be not worse'} by 2 points "
            f"(one-sided 95 % bound {calls['low']:+.1%}, n = {calls['n']})"
        )
    if shown["added"] is not None:
        print(f"added tools are named {shown['added']:+.1%} less often than by the retrained one")
    print(f"largest probability of a removed tool's token: {shown['removed']:.2g}")


@app.command()
def training(
    tools: Annotated[
        list[str] | None,
        typer.Option(help="Shipped corpora, catalogue folders or files; default: both corpora."),
    ] = None,
    steps: Annotated[int, typer.Option(min=5, help="Steps that are counted, after 5.")] = 20,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each; the median counts.")] = 3,
    hidden: Annotated[int, typer.Option(min=64, help="Width of the model, 4 layers.")] = 192,
    as_json: AsJson = False,
) -> None:
    """Useful tokens a second of our trainer, of transformers' padded one, and what lies between.

    Example: tinr bench training --tools toolbox --repeats 1
    """
    from rich.table import Table

    from tinr.studies.benchmarks.training import catalogue_of, measure_training

    runs = measure_training(catalogue_of(tools or ["toolbox", "fieldkit"]), steps, repeats, hidden)
    if as_json:
        print(json.dumps(asdict(runs)))
        return
    table = Table("loop", "tokens a second", "times the first", "padding", "of the matrix rate")
    for speed in runs.speeds:
        table.add_row(
            speed.name,
            f"{speed.tokens_a_second:,.0f}",
            f"{speed.tokens_a_second / runs.speeds[0].tokens_a_second:.2f}",
            f"{speed.padding:.0%}",
            f"{speed.operations_a_second / runs.matrix_rate:.0%}",
        )
    table_console().print(table)
    median, p90, longest = runs.lengths
    print(
        f"{runs.tools:,} tools, examples of {median} tokens (90 %: {p90}, longest {longest:,}), "
        f"{runs.parameters:,} parameters, vocabulary {runs.vocabulary:,}, "
        f"{'bfloat16' if runs.bf16 else 'float32'}; matrix rate {runs.matrix_rate / 1e9:,.0f} "
        "GFLOP/s"
    )


@app.command()
def scaling(
    tools: Annotated[
        list[str] | None,
        typer.Option(help="Catalogue folders or files, of 1,000 tools or more; default: made."),
    ] = None,
    steps: Annotated[int, typer.Option(min=5, help="Steps that are counted, after 5.")] = 10,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each; the median counts.")] = 3,
    plot: Annotated[Path | None, typer.Option(help="File for a plot, SVG.")] = None,
    as_json: AsJson = False,
) -> None:
    """How time grows with tools, model and group: points, and exponents of power laws.

    Example: tinr bench scaling --tools my_tools/tools.jsonl --plot scaling.svg
    """
    from random import Random

    from rich.table import Table

    from tinr.catalogue.load import Catalogue
    from tinr.studies.benchmarks.catalogue import made_documents
    from tinr.studies.benchmarks.scaling import TOOLS, measure_scaling, plot_laws
    from tinr.studies.benchmarks.training import catalogue_of

    _check_plot(plot)
    catalogue = None if tools else Catalogue(tuple(made_documents(max(TOOLS), Random(0))))
    laws = measure_scaling(catalogue or catalogue_of(tools or []), steps, repeats)
    if plot is not None:
        plot_laws(laws, plot)
    if as_json:
        print(json.dumps([asdict(law) for law in laws]))
        return
    table = Table("time of", "by", "sizes", "seconds", "exponent (95 %)")
    for law in laws:
        table.add_row(
            law.what,
            law.of,
            ", ".join(f"{size:,}" for size in law.sizes),
            ", ".join(f"{seconds:.3g}" for seconds in law.seconds),
            f"{law.exponent:.2f} ({law.low:.2f} to {law.high:.2f})",
        )
    table_console().print(table)


@app.command()
def rollouts(
    checkpoint: Annotated[
        str, typer.Option(help="Policy: id, tag or phase@latest.")
    ] = "sft@latest",
    registry: RegistryFolder = REGISTRY,
    prompts: Annotated[int, typer.Option(min=1, help="Training queries.")] = 16,
    group: Annotated[int, typer.Option(min=1, help="Completions of each.")] = 8,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each; the median counts.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Completions a second of the local sampler and of transformers' generate, one turn each.

    Example: tinr bench rollouts --checkpoint sft@latest --registry runs/quickstart/registry
    """
    from tinr.checkpoints.open import open_checkpoint
    from tinr.checkpoints.registry import Registry
    from tinr.studies.benchmarks.rollouts import measure_rollouts
    from tool_corpora.suites import training_queries

    _, model, codec, _ = open_checkpoint(Registry(registry), checkpoint)
    queries = training_queries(prompts, 0, "sft")
    result = measure_rollouts(model, codec, queries, group, repeats=repeats)
    if as_json:
        print(json.dumps(asdict(result) | {"ratio": result.ratio}))
        return
    print(f"ours   {result.ours:8.1f} completions a second of {result.our_length:.0f} tokens")
    print(f"usual  {result.usual:8.1f} completions a second of {result.usual_length:.0f} tokens")
    print(f"ratio  {result.ratio:8.2f}")
    print(f"the same greedy completion for {result.same_greedy} of {result.prompts} prompts")


@app.command("prompt-cost")
def prompt_cost(
    tools: Annotated[
        list[int] | None, typer.Option(help="Numbers of tools; default: 10 to 46,985.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the made documents.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="File for a plot, SVG.")] = None,
    as_json: AsJson = False,
) -> None:
    """Prompt tokens, prefill and end-to-end time of the four documents modes.

    Example: tinr bench prompt-cost --tools 10 --tools 1000 --plot cost.svg
    """
    from rich.table import Table

    from tinr.studies.benchmarks.prompt_cost import TOOLS, measure_costs, plot_costs

    if tools and min(tools) < 1:
        raise BadInput(f"--tools {min(tools)}: give 1 or more")
    _check_plot(plot)
    costs = measure_costs(tools or TOOLS, seed)
    if plot is not None:
        plot_costs(costs, plot)
    if as_json:
        print(json.dumps([asdict(cost) for cost in costs]))
        return
    table = Table("tools", "documents", "prompt tokens", "prefill ms", "end to end ms")
    for cost in costs:
        times = (cost.prefill_seconds, cost.end_to_end_seconds)
        cells = ("not run" if time is None else f"{1000 * time:,.1f}" for time in times)
        table.add_row(f"{cost.tools:,}", cost.mode, f"{cost.prompt_tokens:,}", *cells)
    table_console().print(table)


@app.command()
def kills(
    kills: Annotated[int, typer.Option(help="How often a phase is killed.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the moments.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder to work in.")] = Path("runs/kills"),
    as_json: AsJson = False,
) -> None:
    """Kill phases at random moments; count what is corrupt, lost, half visible or different.

    Exit code 1 where anything is. Example: OMP_NUM_THREADS=1 tinr bench kills --kills 1000
    """
    from tqdm import tqdm

    from tinr.studies.benchmarks.kills import drill

    if kills < 1:
        raise BadInput(f"--kills {kills}: give 1 or more")
    if out.exists() and any(out.iterdir()):
        raise BadInput(f"--out {out}: is not empty; name a new folder")
    tqdm.monitor_interval = 0  # its thread would interfere with a fork
    with tqdm(total=kills, unit="kill", ncols=90) as bar:
        count = drill(kills, seed, out, lambda state: bar.update(state.kills - bar.n))
    if as_json:
        print(json.dumps(count.as_dict()))
    else:
        for name, value in count.as_dict().items():
            print(f"{name.replace('_', ' '):22} {value:,}")
    if not count.clean:
        raise RunFailed(f"--out {out}: not everything survived; what is left lies there")


@app.command()
def search(
    checkpoint: Annotated[str, typer.Option(help="Policy: id, tag or phase@latest.")],
    registry: RegistryFolder = REGISTRY,
    trees: Annotated[int, typer.Option(help="Queries that are searched.")] = 48,
    as_json: AsJson = False,
) -> None:
    """Calibration's tree search: all trees in one batch against one tree at a time.

    Example: tinr bench search --checkpoint sft@latest --registry runs/quickstart/registry
    """
    from tinr.studies.benchmarks.search import bench_search

    if trees < 1:
        raise BadInput(f"--trees {trees}: give 1 or more")
    figures = bench_search(registry, checkpoint, trees)
    if as_json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):28} {value:,}")


@app.command()
def roundtrip(
    tokens: Annotated[int, typer.Option(help="The least that is compared.")] = 1_000_000,
    seed: Annotated[int, typer.Option(help="Of the conversations.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Random conversations through the sampler and the trainer; count every id that differs.

    Exit code 1 where any does. Example: OMP_NUM_THREADS=1 tinr bench roundtrip --tokens 1000000
    """
    from tinr.studies.benchmarks import roundtrip as trip

    if tokens < 1:
        raise BadInput(f"--tokens {tokens}: give 1 or more")
    result = trip.roundtrip(tokens, seed)
    if as_json:
        print(json.dumps(result.as_dict()))
    else:
        for name, value in result.as_dict().items():
            print(f"{name:22} {value:,}")
    if result.errors:
        raise RunFailed(f"{result.errors:,} ids, masks or sets were not trained as sampled")
