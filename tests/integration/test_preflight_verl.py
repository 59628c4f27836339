from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from writing_rl.curriculum.index_file import write_index
from writing_rl.dataset.samples import Sample
from writing_rl.errors import JudgeError, SetupError
from writing_rl.judging.settings import JudgeSettings
from writing_rl.launch import preflight
from writing_rl.settings import Settings
from writing_rl.trainer.registries import check_registries

SAMPLE = Sample(0, 0, "train", ({"role": "user", "content": "Write."},), "Write.", ("low", "high"), None)


def settings(model: str, url: str | None = None) -> Settings:
    judge = JudgeSettings(models=(model,), base_url=url, max_retries=0, deadline_s=20.0)
    return Settings("index.json", "logs", judge)


def test_the_offline_judge_passes(capsys: pytest.CaptureFixture[str]) -> None:
    preflight.check_judge(settings("offline"), [SAMPLE])
    assert capsys.readouterr().out.startswith("[writing-rl] judge: the offline judge")


def test_a_judge_with_a_verdict_passes_and_was_asked_with_the_shipped_template(
    judge_server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    preflight.check_judge(settings("judge-1", judge_server.url), [SAMPLE])
    assert capsys.readouterr().out == "[writing-rl] judge: judge-1 at 127.0.0.1\n"
    (request,) = judge_server.requests
    assert "You are an experienced editor." in request["messages"][0]["content"]


def test_a_judge_without_a_verdict_is_refused(judge_server: Any, reply: Any) -> None:
    judge_server.replies = [reply("Assistant B is clearly better.")]
    with pytest.raises(JudgeError) as error:
        preflight.check_judge(settings("judge-1", judge_server.url), [SAMPLE])
    message = str(error.value)
    assert "without a verdict" in message
    assert "Assistant B is clearly better." in message
    assert "\n" not in message


def test_a_wrong_key_names_its_variable_and_not_itself(
    judge_server: Any, reply: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    judge_server.replies = [reply(status=401)]
    with pytest.raises(JudgeError, match="OPENAI_API_KEY") as error:
        preflight.check_judge(settings("judge-1", judge_server.url), [SAMPLE])
    assert "sk-wrong" not in str(error.value)
    assert judge_server.keys == ["Bearer sk-wrong"]


def test_a_judge_that_nobody_serves_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "OUTAGE_S", 0.5)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        with pytest.raises(JudgeError, match="OPENAI_BASE_URL"):
            preflight.check_judge(settings("judge-1", url), [SAMPLE])


def test_verl_has_loaded_our_plugin() -> None:
    check_registries()


def test_a_plugin_that_was_not_loaded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from verl.experimental.reward_loop.reward_manager.registry import REWARD_MANAGER

    monkeypatch.delitem(REWARD_MANAGER, "parallel")
    with pytest.raises(SetupError, match=r"\(parallel is not registered\)"):
        check_registries()


@pytest.fixture
def start(
    tmp_path: Path, model: Path, make_row: Callable[..., Any], write_parquet: Callable[..., Path]
) -> Callable[..., str]:
    """Starts a training that is whole but for what a test breaks; returns the last line of its error."""
    write_parquet(tmp_path / "data" / "train.parquet", [make_row(number) for number in range(2)])
    write_parquet(tmp_path / "data" / "test.parquet", [make_row(0, split="test")])
    write_index(tmp_path / "running_file" / "index_test.json", {"0": 0, "1": 0})

    def start(*overrides: str, **variables: str) -> str:
        environment = {
            **os.environ,
            "BASE_MODEL": str(model),
            "DATA_DIR": "data",
            "EXPERIMENT_NAME": "test",
            "JUDGE_MODEL": "offline",
            **variables,
        }
        result = subprocess.run(
            [sys.executable, "-m", "writing_rl.launch.main", "profile=cpu", *overrides],
            cwd=tmp_path,
            env={name: value for name, value in environment.items() if value},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 1, result.stdout + result.stderr
        assert "Traceback" not in result.stdout + result.stderr
        last = result.stderr.splitlines()[-1]
        assert last.startswith("Error: ")
        return last.removeprefix("Error: ")

    return start


def test_no_judge_with_a_model_of_ones_own(start: Callable[..., str]) -> None:
    assert start(JUDGE_MODEL="").startswith("no judge is set: set JUDGE_MODEL ")


def test_an_unknown_strategy(start: Callable[..., str]) -> None:
    assert start(REWARD_STRATEGY="position-none").startswith(
        "REWARD_STRATEGY (writing_rl.judge.strategy) is 'position-none': choose one of "
    )


def test_no_model(start: Callable[..., str]) -> None:
    assert "BASE_MODEL" in start(BASE_MODEL="")


def test_a_setting_under_its_old_name(start: Callable[..., str]) -> None:
    message = start("++custom_reward_function.path=reward.py")
    assert message.startswith("custom_reward_function.path has no effect here: ")


def test_a_missing_data_set(start: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "data" / "train.parquet").unlink()
    assert start().startswith(f"{tmp_path / 'data' / 'train.parquet'} does not exist")


def test_a_prompt_that_is_too_long(start: Callable[..., str], tmp_path: Path) -> None:
    assert start("data.max_prompt_length=7").startswith(
        f"{tmp_path / 'data' / 'train.parquet'}, row 0: the prompt has 8 tokens, the limit is 7: "
    )


def test_a_broken_index_file(start: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "running_file" / "index_test.json"
    path.write_text('{"0": 0,')
    assert start().startswith(f"{path} is not JSON (")


def test_an_index_past_the_last_reference(start: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "running_file" / "index_test.json"
    path.write_text('{"0": 0, "1": 3}')
    assert start().startswith(f"{path}, id 1: the index is 3, ")


def test_a_model_that_the_hub_does_not_give(start: Callable[..., str]) -> None:
    message = start(BASE_MODEL="organization/no-such-model", HF_HUB_OFFLINE="1")
    assert "organization/no-such-model" in message
