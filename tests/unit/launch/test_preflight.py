from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from writing_rl.curriculum.index_file import write_index
from writing_rl.dataset.samples import read_samples
from writing_rl.errors import DataError, IndexFileError, SettingError, SetupError, UserError
from writing_rl.judging.settings import JudgeSettings
from writing_rl.launch import preflight
from writing_rl.settings import Settings


@pytest.fixture
def config(tmp_path: Path, shipped: DictConfig) -> DictConfig:
    """The shipped configuration's own part, with every path below a temporary folder."""
    config = shipped
    config.writing_rl.judge.model = "offline"
    config.writing_rl.index_file = str(tmp_path / "running_file" / "index.json")
    config.writing_rl.log_dir = str(tmp_path / "logs")
    config.trainer.default_local_dir = str(tmp_path / "checkpoints")
    return config


@pytest.fixture
def settings(config: DictConfig) -> Settings:
    return Settings.from_config(config.writing_rl)


def message_of(kind: type[UserError], check: Callable[..., Any], *args: Any) -> str:
    with pytest.raises(kind) as error:
        check(*args)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_the_shipped_parts_and_settings_pass(config: DictConfig, settings: Settings) -> None:
    preflight.check_parts(config)
    preflight.check_outputs(config, settings)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("reward.reward_manager.name", "naive"),
        ("trainer.v1.trainer_mode", "sync"),
        ("trainer.v1.sampler.custom_sampler.name", "ReplayBuffer"),
        ("trainer.v1.sampler.custom_sampler", None),
    ],
)
def test_a_part_that_is_not_ours_is_refused(config: DictConfig, setting: str, value: Any) -> None:
    OmegaConf.update(config, setting, value)
    message = message_of(SettingError, preflight.check_parts, config)
    assert message.startswith(setting)
    assert f"is {value}: it must be " in message


def served(model: str, path: str | None, enable: bool = True) -> tuple[DictConfig, Settings]:
    config = OmegaConf.create(
        {
            "reward": {
                "reward_model": {"enable": enable, "model_path": path, "enable_resource_pool": enable},
                "custom_reward_function": {"path": "pkg://verl.utils.reward_score.writing_rl"},
            }
        }
    )
    judge = JudgeSettings(models=(model,))
    return config, Settings("index.json", "logs", judge)


def test_a_judge_that_verl_serves_is_asked_for_in_both_places() -> None:
    preflight.check_served_judge(*served("verl", "org/judge"))
    preflight.check_served_judge(*served("offline", None, enable=False))
    check = preflight.check_served_judge
    assert "judge=verl" in message_of(SettingError, check, *served("verl", None, enable=False))
    assert "not among writing_rl.judge.model" in message_of(SettingError, check, *served("gpt", "org/judge"))
    assert "model_path to its model" in message_of(SettingError, check, *served("verl", None))


def models(policy: Path | str, judge: Path | str | None = None) -> DictConfig:
    return OmegaConf.create(
        {
            "actor_rollout_ref": {"model": {"path": str(policy)}},
            "ray_kwargs": {"ray_init": {}},
            "trainer": {"nnodes": 1},
            "critic": {"model": {"path": str(policy)}},
            "reward": {"reward_model": {"enable": judge is not None, "model_path": judge and str(judge)}},
        }
    )


def test_a_folder_without_a_checkpoint_is_named(tmp_path: Path) -> None:
    assert message_of(SettingError, preflight.fetch_models, models(tmp_path)) == (
        f"BASE_MODEL is {tmp_path}, which holds no Hugging Face checkpoint (no config.json)"
    )


@pytest.mark.parametrize("path", ["/no/such/folder", "./model", "../model", "~/no-such-model"])
def test_a_path_that_does_not_exist_is_named(path: str) -> None:
    assert message_of(SettingError, preflight.fetch_models, models(path)).startswith(
        f"BASE_MODEL is {path}, "
    )


def test_other_machines_are_given_the_name_at_the_hub_and_this_one_the_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(preflight, "local_model", lambda *_: tmp_path)
    for nodes, expected in ((1, str(tmp_path)), (2, "org/model")):
        config = models("org/model")
        config.trainer.nnodes = nodes
        assert preflight.fetch_models(config) == tmp_path
        assert config.actor_rollout_ref.model.path == config.critic.model.path == expected


def test_the_model_of_a_judge_that_verl_serves_is_needed_only_where_it_serves_one(tmp_path: Path) -> None:
    policy = tmp_path / "policy"
    policy.mkdir()
    (policy / "config.json").touch()
    config = models(policy)
    config.reward.reward_model.model_path = str(tmp_path)
    preflight.fetch_models(config)
    assert message_of(SettingError, preflight.fetch_models, models(policy, tmp_path)).startswith(
        f"reward.reward_model.model_path is {tmp_path}, which holds no Hugging Face checkpoint"
    )


@pytest.mark.parametrize(
    ("setting", "is_file"),
    [("writing_rl.log_dir", False), ("trainer.default_local_dir", False), ("writing_rl.index_file", True)],
)
def test_an_output_that_cannot_be_written_is_named(
    config: DictConfig, tmp_path: Path, setting: str, is_file: bool
) -> None:
    (tmp_path / "a_file").touch()
    folder = tmp_path / "a_file" / "folder"
    OmegaConf.update(config, setting, str(folder / "index.json" if is_file else folder))
    settings = Settings.from_config(config.writing_rl)
    message = message_of(SetupError, preflight.check_outputs, config, settings)
    assert message == f"{folder} ({setting}) cannot be written to: Not a directory"


def test_a_full_disk_is_named(
    config: DictConfig, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5 * 2**20))
    message = message_of(SetupError, preflight.check_outputs, config, settings)
    assert message == (
        f"{settings.log_dir} (writing_rl.log_dir) has 5 MiB free, a run needs at least 1024 MiB: free "
        "some, or set writing_rl.log_dir to another disk"
    )


MakeRow = Callable[..., dict[str, Any]]
WriteParquet = Callable[[Path, list[dict[str, Any]]], Path]


@pytest.mark.parametrize(("split", "other"), [("train", "test"), ("test", "train")])
def test_a_set_used_for_the_other_purpose_is_named(
    tmp_path: Path, make_row: MakeRow, write_parquet: WriteParquet, split: str, other: str
) -> None:
    path = str(write_parquet(tmp_path / "set.parquet", [make_row(0, split=split), make_row(1, split=other)]))
    assert message_of(DataError, preflight.check_data, path, split) == (
        f"{path}, row 1: extra_info.split is '{other}', but this file is used as the {split} set"
    )


def test_a_good_set_passes(tmp_path: Path, make_row: MakeRow, write_parquet: WriteParquet) -> None:
    path = write_parquet(tmp_path / "set.parquet", [make_row(0), make_row(1)])
    assert preflight.check_data(str(path), "train") == read_samples(path)


@pytest.fixture
def check_indexes(
    tmp_path: Path, settings: Settings, make_row: MakeRow, write_parquet: WriteParquet
) -> Callable[[dict[str, int] | None], None]:
    """Checks an index file of a given content against three samples of three references each."""
    path = write_parquet(tmp_path / "train.parquet", [make_row(number) for number in (3, 5, 8)])

    def check(indexes: dict[str, int] | None, resume_mode: str = "auto") -> None:
        if indexes is not None:
            write_index(settings.index_file, indexes)
        preflight.check_index_file(settings, read_samples(path), str(path), resume_mode)

    return check


def test_an_index_file_that_covers_the_data_passes(check_indexes: Callable[..., None]) -> None:
    check_indexes({"3": 0, "5": 2, "8": 1})
    check_indexes({"3": 0, "5": 0, "8": 0}, "disable")


def test_not_resuming_with_an_index_file_that_has_moved_on_asks(check_indexes: Callable[..., None]) -> None:
    message = message_of(SettingError, check_indexes, {"3": 0, "5": 2, "8": 1}, "disable")
    assert (
        "2 of 3 samples have moved on: set writing_rl.curriculum.existing_index to keep or to reset"
        in message
    )


@pytest.mark.parametrize(
    ("indexes", "complaint"),
    [
        (None, " does not exist: make it with writing-rl index create"),
        (
            {"3": 0},
            " lacks 2 of 3 samples, the first is id 5: complete it with writing-rl index create",
        ),
        (
            {"3": 0, "5": 0, "8": 0, "9": 0},
            ", id 9: the training data has no such sample; is this its index file?",
        ),
        (
            {"3": 0, "5": 3, "8": 0},
            ", id 5: the index is 3, but the sample has 3 reference(s), so the highest is 2",
        ),
    ],
)
def test_an_index_file_that_does_not_fit_is_named(
    settings: Settings,
    check_indexes: Callable[..., None],
    indexes: dict[str, int] | None,
    complaint: str,
) -> None:
    assert message_of(IndexFileError, check_indexes, indexes) == settings.index_file + complaint


def test_data_without_a_key_is_named_before_the_index_file(
    tmp_path: Path, settings: Settings, make_row: MakeRow, write_parquet: WriteParquet
) -> None:
    path = write_parquet(tmp_path / "train.parquet", [make_row(1), make_row(1)])
    message = message_of(
        DataError, preflight.check_index_file, settings, read_samples(path), str(path), "auto"
    )
    assert message.startswith(f"{path}, rows 0 and 1 have the same ")
