"""verl's synchronous trainer (v0.9.1, `verl/trainer/ppo/v1/trainer_sync.py`) with the curriculum."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ray
from omegaconf import DictConfig, open_dict
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from writing_rl.curriculum.index_file import read_index
from writing_rl.curriculum.owner import start_owner
from writing_rl.data.samples import read_samples, sample_keys
from writing_rl.settings import Settings
from writing_rl.trainer.replay import ScoredReplayBuffer

#: Name of the curriculum's state in a checkpoint folder `global_step_N/`.
CHECKPOINT_FILE = "reference_index.json"


@register_trainer("writing_rl")
class WritingTrainer(PPOTrainerSync):
    """Trains as verl does and, around each step, moves the curriculum on.

    A step's promotions are committed when its sampling has ended, before its checkpoint is written;
    validation leaves the curriculum alone.
    """

    def __init__(self, config: DictConfig) -> None:
        # verl compares the mode with "sync" in several places and takes any other name for an asynchronous
        # one.
        with open_dict(config):
            config.trainer.v1.trainer_mode = "sync"
        settings = Settings.from_config(config.writing_rl)
        samples = read_samples(config.data.train_files)
        keys = sample_keys(samples, config.data.train_files)
        references = {keys.key(sample.id, sample.index): len(sample.references) for sample in samples}
        indexes = read_index(settings.index_file)
        self.owner = start_owner(settings.index_file, keys, references, indexes, settings.group_rule)
        self._curriculum_metrics: dict[str, float] = {}
        super().__init__(config)

    def _build_replay_buffer(self) -> ScoredReplayBuffer:
        buffer = super()._build_replay_buffer()
        buffer.grouped = not self.use_critic and self.config.actor_rollout_ref.rollout.n > 1
        return buffer

    def on_validate_begin(self) -> None:
        ray.get(self.owner.set_validating.remote(True))
        super().on_validate_begin()

    def on_validate_end(self) -> None:
        super().on_validate_end()
        ray.get(self.owner.set_validating.remote(False))

    def on_sample_end(self) -> None:
        super().on_sample_end()
        report = ray.get(self.owner.commit.remote(self.global_steps))
        self._curriculum_metrics = report.metrics()

    def _compute_metrics(self, batch: Any, metrics: dict, *args: Any, **kwargs: Any) -> None:
        super()._compute_metrics(batch, metrics, *args, **kwargs)
        metrics.update(self._curriculum_metrics)
        # The line that people watch; verl's console logger prints everything else.
        print(
            f"[writing-rl] step {self.global_steps}/{self.total_training_steps}"
            f" | win {metrics['writing_rl/win_rate']:.2f} tie {metrics['writing_rl/tie_rate']:.2f}"
            f" | reward {metrics['critic/score/mean']:.2f}"
            f" | reference {metrics['writing_rl/reference_index/mean']:.2f}"
            f" | {metrics['response_length/mean']:.0f} tokens | {metrics['timing_s/step']:.1f} s",
            flush=True,
        )

    def _checkpoint_folder(self) -> Path:
        return Path(self.config.trainer.default_local_dir, f"global_step_{self.global_steps}")

    def _save_checkpoint(self) -> None:
        # Before verl declares the checkpoint the latest: a kill in between must not leave one without
        # curriculum.
        ray.get(self.owner.save.remote(str(self._checkpoint_folder() / CHECKPOINT_FILE)))
        super()._save_checkpoint()

    def _load_checkpoint(self) -> None:
        super()._load_checkpoint()
        if self.global_steps == 0:
            return
        folder = self.config.trainer.resume_from_path
        if self.config.trainer.resume_mode != "resume_path":
            folder = str(self._checkpoint_folder())
        state = Path(folder, CHECKPOINT_FILE)
        ray.get(self.owner.restore.remote(read_index(state)))
        print(f"The reference curriculum goes on from {state}")
