"""Whether a checkpoint fits the run that would resume from it."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from writing_rl.errors import SettingError
from writing_rl.launch.resumption import TRACKER, check_resume, checkpoint_to_resume, steps_done
from writing_rl.launch.run_shape import RunShape
from writing_rl.models.model_shape import ModelShape

#: Adam's settings as torch saves them, for what the profile trains with.
ADAM = {"lr": 3e-7, "initial_lr": 1e-6, "weight_decay": 0.01, "betas": (0.9, 0.999), "eps": 1e-8}


def save(path: Path, content: Any) -> None:
    """Writes a file of torch's form, without tensors."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{path.stem}/data.pkl", pickle.dumps(content, protocol=2))
        archive.writestr(f"{path.stem}/data/0", b"weights")


def part(folder: Path, adam: Mapping[str, Any] = ADAM, ranks: int = 2, version: int = 2) -> Path:
    """A saved actor or critic."""
    (folder / "huggingface").mkdir(parents=True)
    for rank in range(ranks):
        save(folder / f"model_world_size_{ranks}_rank_{rank}.pt", OrderedDict())
        save(folder / f"extra_state_world_size_{ranks}_rank_{rank}.pt", {})
        save(folder / f"optim_world_size_{ranks}_rank_{rank}.pt", {"state": {}, "param_groups": [adam]})
    (folder / "fsdp_config.json").write_text(json.dumps({"FSDP_version": version, "world_size": ranks}))
    (folder / "huggingface" / "config.json").write_text(
        json.dumps({"hidden_size": 3584, "num_hidden_layers": 28})
    )
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint of PPO, 50 steps old, saved by two ranks."""
    step = tmp_path / "global_step_50"
    part(step / "actor")
    part(step / "critic", {**ADAM, "initial_lr": 1e-5})
    (step / "data.pt").touch()
    (tmp_path / TRACKER).write_text("50")
    return step


@pytest.fixture
def config(composed: Callable[..., DictConfig], tmp_path: Path) -> DictConfig:
    """A run that resumes from it, and fits."""
    return composed("gpu", "trainer.n_gpus_per_node=2", f"trainer.default_local_dir={tmp_path}")


@pytest.fixture
def checked(models: Mapping[str, ModelShape]) -> Callable[[DictConfig], list[str]]:
    """Checks a configuration for Qwen2.5-7B."""
    return lambda config: check_resume(config, RunShape.of(config), models["Qwen2.5-7B"])


Checked = Callable[[DictConfig], list[str]]


def refusal(checked: Checked, config: DictConfig) -> str:
    with pytest.raises(SettingError) as error:
        checked(config)
    assert "\n" not in str(error.value)
    return str(error.value)


# Which checkpoint


def test_the_latest_checkpoint_is_resumed(config: DictConfig, folder: Path) -> None:
    assert checkpoint_to_resume(config) == folder
    assert steps_done(config) == 50


@pytest.mark.parametrize("content", ["50\n", " 50 "])
def test_the_trackers_number_may_stand_in_white_space(config: DictConfig, folder: Path, content: str) -> None:
    (folder.parent / TRACKER).write_text(content)
    assert checkpoint_to_resume(config) == folder


def test_without_a_tracker_the_run_begins(config: DictConfig, checked: Checked) -> None:
    assert checkpoint_to_resume(config) is None
    assert steps_done(config) == 0
    assert checked(config) == []


@pytest.mark.parametrize("content", ["100", "", "fifty", "-50", "50.0", "../global_step_50"])
def test_a_tracker_that_names_nothing_there_is_refused(
    config: DictConfig, folder: Path, checked: Checked, content: str
) -> None:
    (folder.parent / TRACKER).write_text(content)
    said = refusal(checked, config)
    assert said.startswith(f"{folder.parent / TRACKER} names step '{content}', whose checkpoint ")
    assert "remove the file to start from scratch" in said


def test_a_run_from_scratch_looks_at_no_checkpoint(
    config: DictConfig, folder: Path, checked: Checked
) -> None:
    config.trainer.resume_mode = "disable"
    (folder.parent / TRACKER).write_text("100")
    assert checked(config) == []


def test_an_earlier_checkpoint_can_be_named(config: DictConfig, folder: Path) -> None:
    config.trainer.resume_mode, config.trainer.resume_from_path = "resume_path", str(folder)
    (folder.parent / TRACKER).unlink()
    assert checkpoint_to_resume(config) == folder


@pytest.mark.parametrize("name", ["global_step_9", "", "global_step_50/actor", "global_step_50_copy", None])
def test_a_named_path_that_is_no_checkpoint_is_refused(
    config: DictConfig, folder: Path, checked: Checked, name: str | None
) -> None:
    (folder.parent / "global_step_50_copy").mkdir()  # verl takes the number from the name
    path = None if name is None else str(folder.parent / name)
    config.trainer.resume_mode, config.trainer.resume_from_path = "resume_path", path
    assert refusal(checked, config) == (
        f"trainer.resume_from_path is {path and Path(path)}: name a folder global_step_N that is there"
    )


def test_another_mode_is_refused(config: DictConfig, checked: Checked) -> None:
    config.trainer.resume_mode = "latest"
    assert "choose one of auto, disable, resume_path" in refusal(checked, config)


# What does not fit


def test_a_checkpoint_that_fits_passes_without_a_word(
    config: DictConfig, folder: Path, checked: Checked
) -> None:
    assert checked(config) == []


def test_another_number_of_gpus_is_refused(config: DictConfig, folder: Path, checked: Checked) -> None:
    config.trainer.n_gpus_per_node = 4
    assert refusal(checked, config).startswith(
        f"{folder / 'actor'} was saved by 2 GPUs, and this run has 4: use 2, or take its weights: "
    )


def test_a_critic_that_was_not_saved_is_missed(config: DictConfig, folder: Path, checked: Checked) -> None:
    (folder / "critic").rename(folder / "gone")
    assert f"{folder} holds no critic, which these settings train" in refusal(checked, config)
    config.algorithm.adv_estimator = "grpo"
    assert checked(config) == []


@pytest.mark.parametrize("kind", ["model", "optim", "extra_state"])
@pytest.mark.parametrize("name", ["actor", "critic"])
def test_a_file_of_any_rank_that_is_missing_is_named(
    config: DictConfig, folder: Path, checked: Checked, name: str, kind: str
) -> None:
    file = f"{kind}_world_size_2_rank_1.pt"
    (folder / name / file).unlink()
    assert refusal(checked, config).startswith(f"{folder / name} lacks {file}: copy it again")


@pytest.mark.parametrize("size", [0, 1, 100])
def test_a_file_that_was_copied_in_part_is_named(
    config: DictConfig, folder: Path, checked: Checked, size: int
) -> None:
    file = "model_world_size_2_rank_0.pt"
    os.truncate(folder / "actor" / file, size)
    assert f"has only a part of {file}: copy it again" in refusal(checked, config)


def test_what_is_not_loaded_may_be_missing(config: DictConfig, folder: Path, checked: Checked) -> None:
    for file in (folder / "actor").glob("optim_*"):
        file.unlink()
    config.actor_rollout_ref.actor.checkpoint.load_contents = ["model", "extra"]
    assert checked(config) == []


def test_of_several_nodes_each_has_files_of_its_own(
    config: DictConfig, folder: Path, checked: Checked
) -> None:
    (folder / "actor" / "model_world_size_2_rank_1.pt").unlink()
    config.trainer.nnodes, config.trainer.n_gpus_per_node = 2, 1
    assert checked(config) == []


def test_another_kind_of_fsdp_is_refused(config: DictConfig, folder: Path, checked: Checked) -> None:
    config.actor_rollout_ref.actor.strategy = "fsdp"
    assert refusal(checked, config) == (
        f"{folder / 'actor'} was saved with fsdp2, and actor_rollout_ref.actor.strategy is fsdp: "
        "set it to fsdp2"
    )


@pytest.mark.parametrize(
    ("saved", "now", "what"),
    [(32, 0, "LoRA of rank 32"), (0, 16, "all weights"), (32, 16, "LoRA of rank 32")],
)
def test_other_adapters_are_refused(
    config: DictConfig, folder: Path, checked: Checked, saved: int, now: int, what: str
) -> None:
    config.actor_rollout_ref.model.lora_rank = now
    if saved:
        (folder / "actor" / "lora_train_meta.json").write_text(json.dumps({"r": saved, "lora_alpha": 64}))
    assert f"trains {what}: set actor_rollout_ref.model.lora_rank={saved}, or" in refusal(checked, config)


def test_a_critic_beside_adapters_has_none(config: DictConfig, folder: Path, checked: Checked) -> None:
    config.actor_rollout_ref.model.lora_rank = 32
    (folder / "actor" / "lora_train_meta.json").write_text(json.dumps({"r": 32}))
    assert checked(config) == []
    config.critic.model.lora_rank = 8
    assert "set critic.model.lora_rank=0" in refusal(checked, config)


@pytest.mark.parametrize(
    ("architecture", "said"),
    [
        ({"hidden_size": 4096}, "hidden_size 4096, and BASE_MODEL has 3584"),
        ({"num_hidden_layers": 36}, "num_hidden_layers 36, and BASE_MODEL has 28"),
        ({"text_config": {"hidden_size": 4096}}, "hidden_size 4096, and BASE_MODEL has 3584"),
    ],
)
def test_another_model_is_refused(
    config: DictConfig, folder: Path, checked: Checked, architecture: dict[str, Any], said: str
) -> None:
    (folder / "actor" / "huggingface" / "config.json").write_text(json.dumps(architecture))
    assert f"is of a model with {said}: set BASE_MODEL to the model" in refusal(checked, config)


@pytest.mark.parametrize("content", ["", "[]", "broken"])
@pytest.mark.parametrize("file", ["fsdp_config.json", "lora_train_meta.json", "huggingface/config.json"])
def test_a_file_that_says_nothing_is_left_to_verl(
    config: DictConfig, folder: Path, checked: Checked, file: str, content: str
) -> None:
    (folder / "actor" / file).write_text(content)
    assert checked(config) == []


# What goes on otherwise than the configuration says


@pytest.mark.parametrize(
    ("setting", "now", "then"),
    [
        ("actor_rollout_ref.actor.optim.lr", 5e-6, "1e-06"),
        ("actor_rollout_ref.actor.optim.weight_decay", 0.1, "0.01"),
        ("actor_rollout_ref.actor.optim.betas", [0.9, 0.95], "(0.9, 0.999)"),
        ("critic.optim.lr", 2e-5, "1e-05"),
    ],
)
def test_a_changed_setting_of_adam_has_no_effect_and_that_is_said(
    config: DictConfig, folder: Path, checked: Checked, setting: str, now: Any, then: str
) -> None:
    block, _, key = setting.rpartition(".")
    (config.critic.optim if block.startswith("critic") else config.actor_rollout_ref.actor.optim)[key] = now
    assert checked(config) == [f"{setting} is {now}, but the checkpoint goes on with {then}, as it was saved"]


def test_a_learning_rate_that_is_not_loaded_can_be_changed(
    config: DictConfig, folder: Path, checked: Checked
) -> None:
    config.actor_rollout_ref.actor.optim.lr = 5e-6
    config.actor_rollout_ref.actor.checkpoint.load_contents = ["model"]
    assert checked(config) == []


class Harmful:
    """Would write a file if it were unpickled as pickle does."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_nothing_in_a_checkpoint_is_run(
    config: DictConfig, folder: Path, checked: Checked, tmp_path: Path
) -> None:
    written = tmp_path / "written"
    content = {"state": {0: Harmful(written)}, "param_groups": [{**ADAM, "initial_lr": 9e-6}]}
    save(folder / "actor" / "optim_world_size_2_rank_0.pt", content)
    (line,) = checked(config)
    assert "goes on with 9e-06" in line
    assert not written.exists()


@pytest.mark.parametrize("content", [{}, [], {"param_groups": []}, {"param_groups": [7]}, None])
def test_an_optimizer_of_another_form_says_nothing(
    config: DictConfig, folder: Path, checked: Checked, content: Any
) -> None:
    save(folder / "actor" / "optim_world_size_2_rank_0.pt", content)
    assert checked(config) == []


def test_a_checkpoint_without_its_place_in_the_data_is_said(
    config: DictConfig, folder: Path, checked: Checked
) -> None:
    (folder / "data.pt").unlink()
    (line,) = checked(config)
    assert line == f"{folder} holds no data.pt: the training set is gone through from its beginning"


@pytest.mark.parametrize(("steps", "said"), [(51, 0), (50, 1), (49, 1), (None, 0)])
def test_a_run_that_has_all_its_steps_is_said_to_be_at_its_end(
    config: DictConfig, folder: Path, checked: Checked, steps: int | None, said: int
) -> None:
    config.trainer.total_training_steps = steps
    lines = checked(config)
    assert len(lines) == said
    assert all(line.endswith("nothing is left to train") for line in lines)
