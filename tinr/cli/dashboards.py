"""`tinr dashboards`: create the dashboard of a wandb project."""

import json
from typing import Annotated

import typer

from tinr.cli.options import AsJson
from tinr.records import BadInput


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(dashboards)


def dashboards(
    entity: Annotated[
        str, typer.Option(envvar="WANDB_ENTITY", help="User or team that owns the project.")
    ] = "",
    project: Annotated[
        str, typer.Option(envvar="WANDB_PROJECT", help="Project that the runs were synced to.")
    ] = "tinr",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the layout as JSON; needs no account.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Create the dashboard of a wandb project: training, rewards, gates, conversations, lineage.

    Example: tinr dashboards --entity my-team --project tinr
    """
    from tinr.cli.panels import create, panels

    if dry_run:
        layout = {"entity": entity, "project": project, "panels": panels()}
        print(json.dumps(layout, indent=2))
        return
    if not entity:
        raise BadInput("--entity: missing; name the user or team that owns the project")
    url = create(entity, project)
    print(json.dumps({"url": url}) if as_json else url)
