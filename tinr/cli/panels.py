"""The dashboard of a wandb project as code, with the same panels as the HTML report.

`panels` is plain data and needs neither an account nor a network; `create` sends it.
"""

import netrc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from tinr.evaluation.report.curves import DRAWN
from tinr.records import BadInput
from tinr.run_log import GATE_PARTS, GATES, STEP, gate_metric

NAME = "tinr"  # name of the view
SECTIONS = {  # by prefix of the metric
    "train": "Training",
    "preference": "Training",
    "reward": "Rewards",
    "rollout": "Rollouts",
}
ALTERNATIVE = "or read report.html of the run (tinr report --run DIR), which shows the same"


def panels() -> list[dict[str, Any]]:
    """Return {"section", "title", "kind", "names"} of every panel, in the order of the page.

    kind: lines (metrics by step, with "unit"), bars (last values of metrics), table (of a run).
    """
    charts = list(_lines())
    order = list(SECTIONS.values())
    return [
        *sorted(charts, key=lambda panel: order.index(panel["section"])),
        *(_bars(gate) for gate in GATES),
        _table("Conversations", "conversations"),
        _table("Lineage", "lineage"),
    ]


def _lines() -> Iterator[dict[str, Any]]:
    """Yield the charts of the HTML report."""
    for chart in DRAWN:
        names = list(chart.names.values())
        section = SECTIONS[names[0].partition("/")[0]]
        yield {
            "section": section,
            "title": chart.title,
            "kind": "lines",
            "names": names,
            "unit": chart.unit,
        }


def _bars(gate: str) -> dict[str, Any]:
    names = [gate_metric(gate, part) for part in GATE_PARTS]
    return {"section": "Gates", "title": gate.replace("_", " "), "kind": "bars", "names": names}


def _table(section: str, name: str) -> dict[str, Any]:
    return {"section": section, "title": name, "kind": "table", "names": [name]}


def create(entity: str, project: str) -> str:
    """Save the dashboard as a new view of the project and return its address.

    BadInput without the package, without a key, or if wandb refuses.
    """
    if not has_key():
        raise BadInput(
            f"wandb: not logged in; set WANDB_API_KEY or run `wandb login`, {ALTERNATIVE}"
        )
    dashboard = workspace(entity, project)
    try:
        return dashboard.save().url
    except Exception as error:  # wandb, its client and its service each raise their own errors
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise BadInput(
            f"wandb: {entity}/{project} was not changed ({reason}); check entity, project and "
            f"network, {ALTERNATIVE}"
        ) from error


def workspace(entity: str, project: str) -> Any:
    """Return the panels as a workspace of `wandb_workspaces`; nothing is sent."""
    try:
        import wandb_workspaces.workspaces as ws
    except ImportError as error:
        raise BadInput(
            f"wandb-workspaces is not installed ({error}); pip install 'tinr[dashboards]', "
            f"{ALTERNATIVE}"
        ) from error
    sections: dict[str, list[Any]] = {}
    for panel in panels():
        sections.setdefault(panel["section"], []).append(_wandb_panel(panel))
    return ws.Workspace(
        entity=entity,
        project=project,
        name=NAME,
        sections=[
            ws.Section(name=name, panels=section_panels, is_open=True)
            for name, section_panels in sections.items()
        ],
    )


def _wandb_panel(panel: dict[str, Any]) -> Any:
    """Convert a panel into an object of wandb."""
    import wandb_workspaces.reports.v2 as wr

    title, names = panel["title"], panel["names"]
    if panel["kind"] == "lines":
        return wr.LinePlot(title=title, x=STEP, y=names, title_x="step", title_y=panel["unit"])
    if panel["kind"] == "bars":
        return wr.BarPlot(title=title, metrics=names, range_x=(0, 1))
    return wr.WeavePanelSummaryTable(table_name=names[0], layout=wr.Layout(w=24, h=12))


def has_key() -> bool:
    """Whether wandb would find a key, in environment variables or netrc. It never prompts.

    BadInput if wandb cannot read its own settings.
    """
    import wandb

    try:
        settings = wandb.setup().settings
    except Exception as error:  # of several types: wandb checks each setting itself
        reason = " ".join(str(error).split())[:200]
        raise BadInput(
            f"wandb rejects its settings ({reason}); correct its variables, {ALTERNATIVE}"
        ) from error
    if settings.api_key or settings.identity_token_file:
        return True
    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    try:
        return (
            netrc.netrc(path).authenticators(urlparse(settings.base_url).hostname or "") is not None
        )
    except (OSError, netrc.NetrcParseError):
        return False
