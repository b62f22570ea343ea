"""The phases, each a recipe: resolve the parent, load, build, train, gate, publish."""

from typing import Any


def defaults() -> dict[str, dict[str, Any]]:
    """Phase -> its configuration with nothing set, the base's too: a report marks what differs."""
    # slow; who imports one needs no other
    from phases import align, calibrate, grpo, reject, sft, update
    from phases.base import BaseConfig
    from tinr.config import as_dict

    kinds = {"base": BaseConfig, "align": align.AlignConfig, "sft": sft.SftConfig}
    kinds |= {"grpo": grpo.GrpoConfig, "calibrate": calibrate.CalibrateConfig}
    kinds |= {"reject": reject.RejectConfig, "update": update.UpdateConfig}
    return {phase: as_dict(kind()) for phase, kind in kinds.items()}
