"""The phases, each a recipe: resolve the parent, load, build, train, gate, publish."""

from typing import Any


def defaults() -> dict[str, dict[str, Any]]:
    """Return each phase's default configuration, also the base's; a report marks what differs."""
    # slow; importing one phase must not import the others
    from phases import align, calibrate, grpo, reject, sft, update
    from phases.base import BaseConfig
    from tinr.config import as_dict

    kinds = {"base": BaseConfig, "align": align.AlignConfig, "sft": sft.SftConfig}
    kinds |= {"grpo": grpo.GrpoConfig, "calibrate": calibrate.CalibrateConfig}
    kinds |= {"reject": reject.RejectConfig, "update": update.UpdateConfig}
    return {phase: as_dict(kind()) for phase, kind in kinds.items()}
