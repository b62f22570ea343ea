"""What a run will cost, before anything is spent; and what would make it fit.

No weights are loaded: a model is built from its configuration without storage, the
examples of one epoch are tokenised by the phase itself.

    shape    parameters, growth and dimensions of a model
    zero     what a DeepSpeed configuration shards and moves
    memory   bytes a rank holds, by formulas
    work     what a phase reads: examples, batches, conversations
    machine  memory, speed and disk of where it would run
    remedy   the nearest change that fits
    report   the figures as data, each with how it was worked out
    plan     a phase's configuration in, a report out
"""

from tinr.preflight.plan import preflight
from tinr.preflight.report import Line, Refusal, Report

__all__ = ["Line", "Refusal", "Report", "preflight"]
