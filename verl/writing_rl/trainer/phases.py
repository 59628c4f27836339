"""A trainer that notes when each phase of a step begins and ends, for `--rehearse`.

verl's own timers (v0.9.1) tell how long a phase took, once the step is over; a rehearsal needs to know when,
to tell whose memory it saw.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from verl.trainer.ppo.v1.trainer_base import register_trainer

from writing_rl.runlog.phase_log import PHASE_FILE
from writing_rl.trainer.trainer import WritingTrainer
from writing_rl.util.jsonl import append

#: Method of verl's trainer -> the phase it is. Texts are written from `on_step_begin` until the next phase.
PHASES = {
    "_setup": "load",
    "on_init_end": "weight sync",
    "_compute_old_log_prob": "log-probabilities",
    "_compute_ref_log_prob": "log-probabilities",
    "_compute_values": "log-probabilities",
    "_update_critic": "update",
    "_update_actor": "update",
    "_save_checkpoint": "save",
    "on_step_end": "weight sync",
}


@register_trainer("writing_rl_rehearsal")
class RehearsalTrainer(WritingTrainer):
    """Trains as `WritingTrainer` does and notes the phases in a file of the log folder."""

    def note(self, phase: str, begins: bool) -> None:
        """Writes down that a phase begins or ends now."""
        path = Path(self.config.writing_rl.log_dir, PHASE_FILE)
        append(path, [{"time": time.time(), "phase": phase, "begins": begins}])

    def on_step_begin(self) -> None:
        self.note("rollout", begins=True)
        super().on_step_begin()

    def on_sample_end(self) -> None:
        super().on_sample_end()
        self.note("rollout", begins=False)


def _noted(phase: str, name: str) -> Callable[..., Any]:
    original = getattr(WritingTrainer, name)

    @functools.wraps(original)
    def noted(self: RehearsalTrainer, *arguments: Any, **options: Any) -> Any:
        self.note(phase, begins=True)
        try:
            return original(self, *arguments, **options)
        finally:
            self.note(phase, begins=False)

    return noted


for _name, _phase in PHASES.items():
    setattr(RehearsalTrainer, _name, _noted(_phase, _name))
