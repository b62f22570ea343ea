"""`tinr traces`: queries with reference calls, and the thoughts that lead to them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from tinr.cli.options import AsJson, show_problems
from tinr.records import BadInput, GateFailed

app = typer.Typer(help="Import queries; build and check reasoning traces.", no_args_is_help=True)
Catalogues = Annotated[
    list[str], typer.Option(help="Catalogue folder, or a shipped corpus; repeatable.")
]


@app.command("import")
def import_(
    sources: Annotated[list[str], typer.Argument(help="Files or folders of queries with calls.")],
    catalogue: Annotated[Path, typer.Option(help="The imported catalogue they speak of.")],
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("queries.jsonl"),
    as_json: AsJson = False,
) -> None:
    """Bring queries with reference calls into one form: BFCL, ACEBench, API-Bank, chat logs, ...

    What did not arrive is listed with its reason, in full beside OUT.

    Example: tinr traces import chats.json --catalogue tools/ --out tools/queries.jsonl
    """
    from tinr.catalogue.importing.queries.read_queries import import_queries
    from tinr.catalogue.importing.read import REPORT, files_of
    from tinr.catalogue.load import write_jsonl
    from tinr.files import not_over

    lost = out.with_name(f"{out.stem}.{REPORT}")
    read = [file for source in sources for file in files_of(source)]
    for written in (out, lost):
        not_over(written, [*sources, *read])
    lines, problems = import_queries(sources, catalogue)
    write_jsonl(out, lines)
    write_jsonl(lost, map(vars, problems))
    if as_json:
        print(json.dumps({"queries": len(lines), "problems": list(map(str, problems))}))
        return
    show_problems("not imported", problems)
    print(f"{len(lines)} queries in {out}, {len(problems)} not imported; every one in {lost}")


@app.command()
def build(
    queries: Annotated[Path, typer.Option(help="Queries with reference calls.")],
    catalogue: Catalogues,
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("traces.jsonl"),
    endpoint: Annotated[
        str, typer.Option(help="OpenAI-compatible base URL of a teacher; none: composed thoughts.")
    ] = "",
    model: Annotated[str, typer.Option(help="The teacher's model.")] = "",
    thoughts: Annotated[
        Path | None, typer.Option(help="Traces with thoughts of an earlier data set, to be judged.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="A teacher's setting, as key=value; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Give queries the thoughts that lead to their calls: a teacher's, given ones, or composed.

    Example: tinr traces build --queries q.jsonl --catalogue tools/ \\
    --endpoint http://localhost:8000/v1 --model qwen --set price_out=0.6
    """
    from tinr.catalogue.load import load_catalogue, query_line, read_queries, write_jsonl
    from tinr.config_files import load_config, override
    from tinr.data import teacher
    from tinr.data.thoughts import composed, judge_all
    from tinr.files import not_over

    not_over(out, [queries, *([thoughts] if thoughts else [])])
    known = load_catalogue(catalogue)
    asked = read_queries(queries, known)
    if endpoint and thoughts:
        raise BadInput("--endpoint and --thoughts: give one of them")
    if not endpoint and (model or setting):
        given = "--model" if model else "--set"
        raise BadInput(f"{given} is of a teacher; give its --endpoint, or leave it out")
    if endpoint:
        if not model:
            raise BadInput("--endpoint needs --model; say which model the teacher is")
        given = [override("endpoint", endpoint), override("model", model)]
        settings = [*given, *(setting or [])]
        config = load_config(teacher.TeacherConfig, None, settings)
        journal = out.with_name(out.name + ".journal")
        lines, spent, reasons = teacher.build_traces(asked, known, config, journal)
        told: dict[str, Any] = {
            **vars(spent),
            "reasons": dict(reasons),
            "price": round(spent.price(config), 4),
        }
        if spent.failed and not spent.answered and not lines:
            raise BadInput(
                f"{endpoint}: none of {spent.requests} requests was answered; check the address "
                f"and the server ({out} is as it was)"
            )
        # a teacher is asked for calls; where none are expected there is nothing to judge it by
        without = [query for query in asked if not query.calls]
        lines += [query_line(composed(query, known)) for query in without]
        told["composed_without_calls"] = len(without)
    elif thoughts:
        lines, reasons = judge_all(thoughts, asked, known)
        told = {"reasons": reasons}
    else:
        lines, told = [query_line(composed(query, known)) for query in asked], {}
    write_jsonl(out, lines)
    told = {"queries": len(asked), "traces": len(lines), **told}
    if as_json:
        print(json.dumps(told, ensure_ascii=False))
        return
    for reason, count in sorted(told.pop("reasons", {}).items(), key=lambda item: -item[1]):
        print(f"{count:6}  {reason}")
    print(f"{out}: " + ", ".join(f"{name} {value}" for name, value in told.items()))


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="Traces, or queries.")],
    catalogue: Catalogues,
    unseen: Annotated[
        Path | None, typer.Option(help="File of tool names, one a line, that must not be called.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Length, coverage, duplicates, and leaks of unseen tools (exit code 1).

    Example: tinr traces check traces.jsonl --catalogue tools/ --unseen unseen.txt
    """
    from tinr.catalogue.load import load_catalogue, read_queries
    from tinr.data import thoughts

    known = load_catalogue(catalogue)
    kept_out: list[str] = []
    if unseen is not None:
        if not unseen.is_file():
            raise BadInput(f"{unseen}: no such file; give one with a tool name on each line")
        kept_out = unseen.read_text("utf-8").split("\n")
        strange = [name for name in kept_out if name and name not in known.by_name]
        if strange:
            raise BadInput(f"{unseen}: {strange[0]!r} is not in the catalogue; correct the name")
    found = thoughts.check(read_queries(file, known), known, kept_out)
    if as_json:
        print(json.dumps(asdict(found), ensure_ascii=False))
    else:
        median, most_of, most = found.words
        print(
            f"{found.traces} traces, words of a thought: "
            f"median {median}, 95 % {most_of}, most {most}"
        )
        print(f"{found.tools} tools called, {len(found.uncovered)} of the catalogue never")
        for first, second in found.duplicates[:10]:
            print(f"the same query twice: {first}, {second}")
        for reason, count in sorted(found.reasons.items(), key=lambda item: -item[1]):
            print(f"{count} thoughts would not pass: {reason}")
    if found.leaks:
        raise GateFailed(
            f"{file}: {len(found.leaks)} unseen tools are called, such as {found.leaks[0]!r}; "
            "take these traces out"
        )
