"""verl's synchronous trainer (v0.9.1, `verl/trainer/ppo/v1/trainer_sync.py`) with the curriculum."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ray
import transfer_queue as tq
from omegaconf import DictConfig, open_dict
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.experimental.agent_loop import AgentLoopManager
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.checkpoint.checkpoint_manager import find_latest_ckpt_path

from verl.utils import tensordict_utils as tu
from writing_rl.curriculum.checkpoint import read_saved, write_saved
from writing_rl.curriculum.index_file import read_index
from writing_rl.curriculum.messages import REFERENCE_COLUMN, Row
from writing_rl.curriculum.owner import start_owner
from writing_rl.curriculum.resume import beginning
from writing_rl.curriculum.state import Saved
from writing_rl.dataset.outline import read_outline
from writing_rl.dataset.samples import sample_keys
from writing_rl.errors import RunComplete, RunStopped
from writing_rl.judging.circuit_breaker import Breaker
from writing_rl.judging.client.budget import Bill
from writing_rl.judging.client.slot_actor import start_slots
from writing_rl.runlog.spent import read_spent, spent_file, totals, write_spent
from writing_rl.settings import Settings
from writing_rl.trainer.replay import NothingScored, ScoredReplayBuffer
from writing_rl.trainer.sampler import rows_by_key, take_over
from writing_rl.util.console import say


@register_trainer("writing_rl")
class WritingTrainer(PPOTrainerSync):
    """Trains as verl does and, around each step, moves the curriculum on.

    The prompts of a step set out with the references that their texts are to be compared with, those of
    validation without: so a text needs to ask nobody what it is compared with. A step's promotions are
    committed when its sampling has ended, before its checkpoint is written.
    """

    global_steps: int
    train_dataloader: Any
    train_dataset: Any

    def __init__(self, config: DictConfig) -> None:
        # verl compares the mode with "sync" in several places and takes any other name for an asynchronous
        # one.
        with open_dict(config):
            config.trainer.v1.trainer_mode = "sync"
        settings = Settings.from_config(config.writing_rl)
        samples = read_outline(config.data.train_files)  # the start has checked every row
        keys = sample_keys(samples, config.data.train_files)
        references = {keys.key(sample.id, sample.index): len(sample.references) for sample in samples}
        indexes = read_index(settings.index_file)
        self._settings = settings
        self._starts = {keys.key(sample.id, sample.index): keys.start(sample) for sample in samples}
        breaker = Breaker(settings.judge.max_unscored_share, settings.judge.unscored_window)
        self.owner = start_owner(settings.index_file, keys, references, indexes, settings.promotion, breaker)
        self._spent_file = spent_file(settings.log_dir)
        spent = read_spent(self._spent_file)
        self.slots = start_slots(settings.judge.parallel, settings.judge.limits, spent)
        self._step_figures: dict[str, float] = {}
        self._keys = keys
        super().__init__(config)

    def _init_dataloader(self) -> None:
        super()._init_dataloader()
        self._sampler = take_over(self.train_dataloader, self.config.data.train_batch_size)
        self._rows = (
            rows_by_key(self.train_dataset, self._keys) if self._settings.curriculum.skip_finished else {}
        )

    def _build_replay_buffer(self) -> ScoredReplayBuffer:
        buffer = super()._build_replay_buffer()
        buffer.grouped = not self.use_critic and self.config.actor_rollout_ref.rollout.n > 1
        return buffer

    def fit(self, agent_loop_manager: AgentLoopManager) -> None:
        """Trains; see verl's `fit`.

        Raises:
            RunStopped: The run was ended on purpose. Its last complete step is saved.
            RunComplete: Its budget is spent. Likewise.
        """
        self._begin_curriculum()
        # Before the loader is asked for its state, which makes its processes draw their first batches.
        self._leave_out_finished()
        self._note_complete_step()
        try:
            super().fit(agent_loop_manager)
        except RunStopped as stopped:
            kept = self._save_complete_step()
            raise type(stopped)(f"{stopped}; {kept}") from None
        finally:
            self._note_spent()

    def on_validate_end(self) -> None:
        super().on_validate_end()
        self._note_spent()
        self._end_if_stopped()

    def _validate(self) -> dict[str, float]:
        try:
            return super()._validate()
        except NothingScored as nothing:
            tq.kv_clear(keys=nothing.batch.keys, partition_id=nothing.batch.partition_id)
            self._end_if_stopped()
            say(f"[writing-rl] validation: nothing could be scored ({nothing})")
            return {"writing_rl/validation_unscored_rate": 1.0}

    def _step_once(self, metrics: dict, timing_raw: dict, sample_batch_size: int) -> KVBatchMeta:
        self._learnt = True
        try:
            return super()._step_once(metrics, timing_raw, sample_batch_size)
        except NothingScored as nothing:
            self._learnt = False
            self.on_sample_end()
            say(f"[writing-rl] step {self.global_steps}: nothing to learn from ({nothing})")
            return nothing.batch

    def on_step_begin(self) -> None:
        ray.get(self.owner.look.remote(self.global_steps - 1))
        self._leave_out_finished()
        super().on_step_begin()

    def _next_train_batch(self, num_prompts: int | None = None) -> TensorDict:
        batch = super()._next_train_batch(num_prompts)
        rows = list(map(Row.of, tu.get(batch, "reward_model"), tu.get(batch, "extra_info")))
        references = ray.get(self.owner.assign.remote(self.global_steps, rows))
        tu.assign_non_tensor_stack(batch, REFERENCE_COLUMN, references)
        return batch

    def on_sample_end(self) -> None:
        super().on_sample_end()
        # Before the step's promotions: a step that is not finished leaves nothing behind.
        self._end_if_stopped()
        self._step_figures = ray.get(self.owner.commit.remote(self.global_steps))
        self._step_figures |= totals(self._note_spent())

    def on_step_end(self) -> None:
        super().on_step_end()
        self._note_complete_step()

    def _leave_out_finished(self) -> None:
        if self._settings.curriculum.skip_finished:
            finished = ray.get(self.owner.finished.remote())
            # verl may have taken overlong prompts out of the data set.
            self._sampler.leave_out([self._rows[key] for key in finished if key in self._rows])

    def _end_if_stopped(self) -> None:
        end = ray.get(self.owner.stopped.remote())
        if end is not None:
            raise (RunComplete if end.complete else RunStopped)(end.cause)

    def _note_spent(self) -> Bill:
        """Keeps what the judge has cost the experiment so far, and returns it.

        A run that fails leaves requests under way: the file counts them with what they may cost at most.
        """
        spent, at_most = ray.get([self.slots.spent.remote(), self.slots.spent_at_most.remote()])
        write_spent(self._spent_file, at_most)
        return spent

    def _note_complete_step(self) -> None:
        """Remembers what a checkpoint of this moment holds besides the weights."""
        self._complete_step = self.global_steps
        self._complete_data = self.train_dataloader.state_dict()

    def _save_complete_step(self) -> str:
        """Saves the last complete step, whose weights and curriculum are still those of this moment.

        Returns:
            Where the run goes on when it is started again.
        """
        self.global_steps = self._complete_step
        if self.global_steps == 0:
            return "no step was complete, so there is nothing to save"
        if find_latest_ckpt_path(self.config.trainer.default_local_dir) != str(self._checkpoint_folder()):
            # The loader itself has gone on to the step that was not finished.
            self.train_dataloader = SimpleNamespace(state_dict=lambda: self._complete_data)
            self._save_checkpoint()
        return f"step {self.global_steps} is saved: start the run again to go on from there"

    def _compute_metrics(self, batch: Any, metrics: dict, *args: Any, **kwargs: Any) -> None:
        metrics.update(self._step_figures)
        if not self._learnt:
            return  # verl's figures are means over what was learnt from
        super()._compute_metrics(batch, metrics, *args, **kwargs)
        # The line that people watch; verl's console logger prints everything else.
        say(
            f"[writing-rl] step {self.global_steps}/{self.total_training_steps}"
            f" | win {metrics['writing_rl/win_rate']:.2f} tie {metrics['writing_rl/tie_rate']:.2f}"
            f" | reward {metrics['critic/score/mean']:.2f}"
            f" | reference {metrics['writing_rl/reference_index/mean']:.2f}"
            f" | {metrics['response_length/mean']:.0f} tokens | {metrics['timing_s/step']:.1f} s"
        )

    def _checkpoint_folder(self) -> Path:
        return Path(self.config.trainer.default_local_dir, f"global_step_{self.global_steps}")

    def _save_checkpoint(self) -> None:
        # Before verl declares the checkpoint the latest: a kill in between must not leave one without
        # curriculum.
        write_saved(self._checkpoint_folder(), ray.get(self.owner.save.remote()))
        super()._save_checkpoint()

    def _load_checkpoint(self) -> None:
        super()._load_checkpoint()
        if self.global_steps == 0:
            self._resumed, self._saved = "where it began", self._beginning()
            return
        folder = self.config.trainer.resume_from_path
        if self.config.trainer.resume_mode != "resume_path":
            folder = str(self._checkpoint_folder())
        self._resumed, self._saved = str(folder), read_saved(Path(folder))

    def _beginning(self) -> Saved | None:
        resumes = self.config.trainer.resume_mode != "disable"
        settings = self._settings
        return beginning(
            settings.index_file, settings.curriculum.existing_index, self._starts, resumes=resumes
        )

    def _begin_curriculum(self) -> None:
        moved = ray.get(self.owner.begin.remote(self.global_steps, self.total_training_steps, self._saved))
        if self._saved is not None:
            elsewhere = f"; the index file had {moved} samples elsewhere" if moved else ""
            say(f"[writing-rl] the curriculum goes on from {self._resumed}{elsewhere}")
