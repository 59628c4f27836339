"""Which settings a report shows, and how. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from writing_rl.util.redact import clean, redact


def shown(value: Any, root: Path) -> str:
    """A setting's value as people write it; paths are relative to the repository."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(shown(one, root) for one in value)
    text = str(value)
    return clean(redact(text.removeprefix(f"{root}/") if text.startswith("/") else text))


#: What a person asks for first, by the heading that it stands under: a label and the keys that hold it.
SHOWN: Mapping[str, Sequence[tuple[str, str]]] = {
    "Training": (
        ("model", "actor_rollout_ref.model.path"),
        ("training set", "data.train_files"),
        ("advantage estimator", "algorithm.adv_estimator"),
        ("prompts in a step", "data.train_batch_size"),
        ("rollouts of a prompt", "actor_rollout_ref.rollout.n"),
        ("longest prompt, tokens", "data.max_prompt_length"),
        ("longest answer, tokens", "data.max_response_length"),
        ("learning rate", "actor_rollout_ref.actor.optim.lr"),
        ("mini-batch", "actor_rollout_ref.actor.ppo_mini_batch_size"),
        ("clip ratio", "actor_rollout_ref.actor.clip_ratio"),
        ("KL in the reward", "algorithm.use_kl_in_reward"),
        ("its coefficient", "algorithm.kl_ctrl.kl_coef"),
        ("KL in the loss", "actor_rollout_ref.actor.use_kl_loss"),
        ("its coefficient in the loss", "actor_rollout_ref.actor.kl_loss_coef"),
        ("entropy coefficient", "actor_rollout_ref.actor.entropy_coeff"),
        ("temperature", "actor_rollout_ref.rollout.temperature"),
        ("steps", "trainer.total_training_steps"),
        ("checkpoint every", "trainer.save_freq"),
        ("validation every", "trainer.test_freq"),
        ("nodes", "trainer.nnodes"),
        ("GPUs or ranks of a node", "trainer.n_gpus_per_node"),
        ("device", "trainer.device"),
    ),
    "Judge": (
        ("model", "writing_rl.judge.model"),
        ("endpoint", "writing_rl.judge.base_url"),
        ("strategy", "writing_rl.judge.strategy"),
        ("several judges decide by", "writing_rl.judge.vote"),
        ("asked again without a verdict", "writing_rl.judge.ask_again"),
        ("temperature", "writing_rl.judge.temperature"),
        ("requests in flight", "writing_rl.judge.parallel"),
        ("budget, USD", "writing_rl.judge.max_cost_usd"),
        ("budget, calls", "writing_rl.judge.max_calls"),
        ("cache", "writing_rl.judge.cache"),
    ),
    "Curriculum and reward": (
        ("schedule", "writing_rl.curriculum.kind"),
        ("a group wins by", "writing_rl.curriculum.group_rule"),
        ("steps won to move up", "writing_rl.curriculum.wins_to_promote"),
        ("steps lost to move down", "writing_rl.curriculum.losses_to_demote"),
        ("finished samples left out", "writing_rl.curriculum.skip_finished"),
        ("validation compares with", "writing_rl.curriculum.validation_reference"),
        ("reward of a win", "writing_rl.reward.win"),
        ("reward of a tie", "writing_rl.reward.tie"),
        ("reward of a loss", "writing_rl.reward.loss"),
    ),
}


def chosen(settings: Mapping[str, Any], root: Path) -> dict[str, list[tuple[str, str]]]:
    """The settings of `SHOWN` that are known, label and value by heading."""
    return {
        heading: rows
        for heading, keys in SHOWN.items()
        if (rows := [(label, shown(settings[key], root)) for label, key in keys if key in settings])
    }


#: Settings that differ between any two experiments and say nothing of how they train.
_NAMES = ("experiment_name", "index_file", "log_dir", "default_local_dir", "py_executable", "cache_file")


def differing(all_settings: Sequence[Mapping[str, Any]], root: Path) -> Iterable[tuple[str, list[str]]]:
    """The settings that are not the same in all runs: the key, and the value in each."""
    for key in sorted(set().union(*all_settings)):
        values = [shown(settings[key], root) if key in settings else "–" for settings in all_settings]
        if len(set(values)) > 1 and not key.endswith(_NAMES):
            yield key, values
