from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.commands import writing_rl
from writing_rl.errors import SettingError
from writing_rl.launch.train import Plan

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def plan(*overrides: str, has_gpus: bool = False, **environment: str) -> Plan:
    return Plan.of_environment(overrides, environment, NOW, has_gpus=has_gpus)


def test_without_a_model_it_is_the_quick_start() -> None:
    made = plan("trainer.total_training_steps=1", QUICKSTART_SEED="3", has_gpus=True)
    assert made.quickstart == Path("data/quickstart-3")
    assert made.overrides == ["profile=quickstart_cpu", "trainer.total_training_steps=1"]
    assert made.variables["BASE_MODEL"] == "data/quickstart-3/base_model"
    assert made.variables["JUDGE_MODEL"] == "offline"
    assert made.variables["EXPERIMENT_NAME"] == "quickstart-20260102-030405"


@pytest.mark.parametrize(
    ("profile", "has_gpus", "expected"),
    [("", False, ["profile=cpu"]), ("", True, []), ("gpu_grpo", False, ["profile=gpu_grpo"])],
)
def test_a_machine_without_gpus_takes_the_profile_of_cpus(
    profile: str, has_gpus: bool, expected: list[str]
) -> None:
    made = plan(has_gpus=has_gpus, BASE_MODEL="m", PROFILE=profile)
    assert made.overrides == expected
    assert made.quickstart is None
    assert made.variables["DATA_DIR"] == "data"
    assert made.variables["EXPERIMENT_NAME"] == "writing-rl"


def test_empty_variables_count_as_missing() -> None:
    made = plan(BASE_MODEL="m", API_PARALLEL="", OUTPUT_DIR="", JUDGE_MODEL="")
    assert not {"API_PARALLEL", "OUTPUT_DIR"} & made.variables.keys()


def test_a_gpu_profile_without_a_model_is_refused() -> None:
    with pytest.raises(SettingError, match="PROFILE is 'gpu', and BASE_MODEL names no model"):
        plan(PROFILE="gpu")


def test_a_name_that_leads_elsewhere_is_refused() -> None:
    with pytest.raises(SettingError, match="leave out slashes"):
        plan(BASE_MODEL="m", EXPERIMENT_NAME="../x")


def test_a_dry_run_prints_a_command_without_secrets(tmp_path: Path) -> None:
    address = "writing_rl.judge.base_url=http://me:hunter22@host/v1"
    env = {"BASE_MODEL": "my model", "PATH": ""}
    done = writing_rl("train", "--dry-run", address, cwd=tmp_path, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert "BASE_MODEL='my model' " in done.stdout
    assert " -m writing_rl.launch.main profile=cpu " in done.stdout
    assert "hunter22" not in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gpu"], "'gpu' is not a Hydra override"),
        (["--smoke", "--rehearse"], "not allowed with"),
        (["--rehearse-judge-calls", "0"], "give a number of questions"),
        (["--dry-run", "--rehearse-judge-calls", "2"], "goes with --rehearse"),
    ],
)
def test_options_that_make_no_sense_are_refused(words: list[str], message: str, tmp_path: Path) -> None:
    done = writing_rl("train", *words, cwd=tmp_path, env={"PATH": ""})
    assert done.returncode == 2
    assert message in done.stderr


def test_a_secret_in_an_address_ends_before_anything_is_written(tmp_path: Path) -> None:
    address = "writing_rl.judge.base_url=http://me:hunter22@host/v1"
    done = writing_rl("train", address, cwd=tmp_path, env={"BASE_MODEL": "m", "PATH": ""})
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "hunter22" not in done.stderr
    assert list(tmp_path.iterdir()) == []
