"""`tinr bench`: the benchmarks quoted in the docs."""

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

app = typer.Typer(help="Benchmarks quoted in the docs.", no_args_is_help=True)


def _check_plot(plot: Path | None) -> None:
    """Raise BadInput if no plot can be written, before anything is measured."""
    if plot is not None:
        make_folder(plot.parent)
        if plot.is_dir():
            raise BadInput(f"--plot {plot}: is a folder; name a file in it")


@app.command()
def catalogue(
    tools: Annotated[
        int, typer.Option(help="Number of documents to generate and import.")
    ] = 50_000,
    seed: Annotated[int, typer.Option(help="Seed of the generated documents.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Time import, hash and comparison of documents, 5 MB of OpenAPI, 46,985 tool tokens.

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
    url: Annotated[str, typer.Option(help="Address of a server: http://HOST:PORT/v1.")],
    model: Annotated[str, typer.Option(help="Name of the served model.")] = "",
    clients: Annotated[int, typer.Option(min=1, help="Concurrent clients.")] = 64,
    requests: Annotated[int, typer.Option(min=1, help="Requests in total.")] = 128,
    tokens: Annotated[int, typer.Option(min=1, help="Maximum tokens per reply.")] = 200,
    as_json: AsJson = False,
) -> None:
    """Load-test a server: seconds to the first token, tokens per second, failed requests.

    The clients send test queries of the shipped corpora. The server may be another program.

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
            f"{result.tokens_a_second:.0f} tokens per second; first token after "
            f"{result.first_median:.1f} s (longest {result.first_longest:.1f}), reply after "
            f"{result.whole_median:.1f} s (longest {result.whole_longest:.1f}); "
            f"{len(result.failures)} failed"
        )
    if result.failures:
        raise RunFailed(f"{len(result.failures)} requests failed: {result.failures[0]}")


@app.command()
def update(
    base: Annotated[str, typer.Option(help="Base, as in `tinr base --model`.")] = "smollm2",
    prompts: Annotated[int, typer.Option(min=1, help="Number of groups.")] = 2,
    group: Annotated[int, typer.Option(min=2, help="Conversations per prompt.")] = 8,
    repeats: Annotated[
        int, typer.Option(min=1, help="Runs per measurement; the median is reported.")
    ] = 3,
    as_json: AsJson = False,
) -> None:
    """Compare GRPO's update with supervised training on the same tokens; time its rollouts.

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
        f"{result.ratio:.2f}; rollouts {result.rollout_tokens_a_second:,.0f} tokens per second"
    )


@app.command()
def stream(
    checkpoint: Checkpoint = "sft@latest",
    registry: RegistryFolder = REGISTRY,
    out: Annotated[Path, typer.Option(help="Folder for catalogues and results.")] = Path(
        "runs/stream"
    ),
    data: Data = DATA,
    batches: Annotated[int, typer.Option(min=1, help="Number of batches of ten events.")] = 10,
    queries: Annotated[
        int, typer.Option(min=1, help="Queries per split for the first tools, after each batch.")
    ] = 50,
    compared: Annotated[
        int,
        typer.Option(
            min=1, help="Queries per split for the first tools, at the beginning and end."
        ),
    ] = 250,
    retrained: Annotated[
        str, typer.Option(help="Checkpoint trained on the last catalogue, for comparison.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Seed of the events.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="SVG file for a plot.")] = None,
    as_json: AsJson = False,
) -> None:
    """Update a checkpoint in batches: each adds 6 tools, removes 2, renames 1 and changes 1.

    Example: tinr bench stream --checkpoint sft@latest --plot docs/plots/stream.svg
    """
    from rich.table import Table

    from tinr.checkpoints.registry import Registry
    from tinr.studies.benchmarks.stream import StreamConfig, draw, run_stream, verdict

    _check_plot(plot)
    config = StreamConfig(
        batches=batches, queries=queries, compared=compared, seed=seed, retrained=retrained,
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
            f"{'non-inferior' if calls['not_worse'] else 'NOT SHOWN to be non-inferior'} at a "
            f"margin of 2 points (one-sided 95 % bound {calls['low']:+.1%}, n = {calls['n']})"
        )
    if shown["added"] is not None:
        print(f"added tools are named {shown['added']:+.1%} less often than after retraining")
    print(f"largest probability of a removed tool's token: {shown['removed']:.2g}")


@app.command()
def training(
    tools: Annotated[
        list[str] | None,
        typer.Option(help="Shipped corpora, catalogue folders or files; default: both corpora."),
    ] = None,
    steps: Annotated[int, typer.Option(min=5, help="Measured steps, after 5 warm-up steps.")] = 20,
    repeats: Annotated[
        int, typer.Option(min=1, help="Runs per measurement; the median is reported.")
    ] = 3,
    hidden: Annotated[
        int, typer.Option(min=64, help="Width of the model, which has 4 layers.")
    ] = 192,
    as_json: AsJson = False,
) -> None:
    """Compare useful tokens per second: our trainer, transformers' padded one, steps in between.

    Example: tinr bench training --tools toolbox --repeats 1
    """
    from rich.table import Table

    from tinr.studies.benchmarks.training import catalogue_of, measure_training

    runs = measure_training(catalogue_of(tools or ["toolbox", "fieldkit"]), steps, repeats, hidden)
    if as_json:
        print(json.dumps(asdict(runs)))
        return
    table = Table("loop", "tokens per second", "speed-up", "padding", "share of matrix rate")
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
        f"{runs.tools:,} tools, examples of {median} tokens (90 %: {p90}, maximum {longest:,}), "
        f"{runs.parameters:,} parameters, vocabulary {runs.vocabulary:,}, "
        f"{'bfloat16' if runs.bf16 else 'float32'}; matrix rate {runs.matrix_rate / 1e9:,.0f} "
        "GFLOP/s"
    )


@app.command()
def scaling(
    tools: Annotated[
        list[str] | None,
        typer.Option(help="Catalogue folders or files of 1,000 or more tools; default: generated."),
    ] = None,
    steps: Annotated[int, typer.Option(min=5, help="Measured steps, after 5 warm-up steps.")] = 10,
    repeats: Annotated[
        int, typer.Option(min=1, help="Runs per measurement; the median is reported.")
    ] = 3,
    plot: Annotated[Path | None, typer.Option(help="SVG file for a plot.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how time grows with tools, model and group: points, and exponents of power laws.

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
    table = Table("time of", "against", "sizes", "seconds", "exponent (95 %)")
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
    prompts: Annotated[int, typer.Option(min=1, help="Number of training queries.")] = 16,
    group: Annotated[int, typer.Option(min=1, help="Completions per query.")] = 8,
    repeats: Annotated[
        int, typer.Option(min=1, help="Runs per measurement; the median is reported.")
    ] = 3,
    as_json: AsJson = False,
) -> None:
    """Compare the local sampler with transformers' generate: completions per second, one turn.

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
    print(f"ours   {result.ours:8.1f} completions per second of {result.our_length:.0f} tokens")
    print(f"usual  {result.usual:8.1f} completions per second of {result.usual_length:.0f} tokens")
    print(f"ratio  {result.ratio:8.2f}")
    print(f"the same greedy completion for {result.same_greedy} of {result.prompts} prompts")


@app.command("prompt-cost")
def prompt_cost(
    tools: Annotated[
        list[int] | None, typer.Option(help="Numbers of tools; default: 10 to 46,985.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the generated documents.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="SVG file for a plot.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure prompt tokens, prefill and end-to-end time of the four documents modes.

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
    kills: Annotated[int, typer.Option(help="Number of kills.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the moments.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder to work in.")] = Path("runs/kills"),
    as_json: AsJson = False,
) -> None:
    """Kill phases at random moments; count results that are corrupt, lost, partial or different.

    Exit code 1 if there are any. Example: OMP_NUM_THREADS=1 tinr bench kills --kills 1000
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
        raise RunFailed(f"--out {out}: crash test failed; inspect this folder")


@app.command()
def search(
    checkpoint: Annotated[str, typer.Option(help="Policy: id, tag or phase@latest.")],
    registry: RegistryFolder = REGISTRY,
    trees: Annotated[int, typer.Option(help="Number of queries to search.")] = 48,
    as_json: AsJson = False,
) -> None:
    """Compare calibration's tree search with all trees in one batch and one tree at a time.

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
    tokens: Annotated[int, typer.Option(help="Minimum number of tokens to compare.")] = 1_000_000,
    seed: Annotated[int, typer.Option(help="Seed of the conversations.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Run random conversations through sampler and trainer; count the ids that differ.

    Exit code 1 if any differs. Example: OMP_NUM_THREADS=1 tinr bench roundtrip --tokens 1000000
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
        raise RunFailed(
            f"{result.errors:,} ids, masks or token sets differ between sampler and trainer"
        )
