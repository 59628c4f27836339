"""Addresses of judges that hold a secret, or cannot be one, are refused everywhere and written nowhere."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from verl.utils.reward_score.writing_rl import compute_score
from writing_rl.data.writers import parse_writers
from writing_rl.errors import SettingError
from writing_rl.judging.address import check_address
from writing_rl.judging.providers.dashscope_sdk import DashScopeChat
from writing_rl.judging.settings import JudgeSettings
from writing_rl.launch import main
from writing_rl.launch.compose import check_addresses, compose
from writing_rl.runlog.start_record import read_starts, write_start
from writing_rl.settings import Settings

SECRET = "s3cr3t"
WITH_SECRETS = (
    f"http://me:{SECRET}@host/v1",
    f"https://{SECRET}@host/v1",
    f"http://me:{SECRET}/slash@host/v1",
    f"http://me:12/{SECRET}@host:80/v1",
    f"https://host/v1?api_key={SECRET}",
    f"https://host/v1?api-version=2024-06-01&key={SECRET}",
    f"https://host/v1?a=b;token={SECRET}",
    f"https://host/v1?api%5Fkey={SECRET}",
    f"https://host/v1?code={SECRET}",
    f"https://host/v1?sv=2024&sig={SECRET}",
    f"https://host/v1#access_token={SECRET}",
    f"https://host/v1?x=sk-proj-{SECRET}12345678",
)


def refused(line: str) -> None:
    """Checks a line about an address with a secret."""
    assert "OPENAI_API_KEY" in line
    assert SECRET not in line
    assert line.strip().isprintable()


@pytest.mark.parametrize("address", WITH_SECRETS)
def test_a_secret_in_an_address_is_refused(address: str) -> None:
    with pytest.raises(SettingError, match="OPENAI_BASE_URL holds") as caught:
        check_address(address, "OPENAI_BASE_URL")
    refused(str(caught.value))


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost:8000/v1",
        "https://me.openai.azure.com/openai/deployments/x?api-version=2024-06-01",
        "https://host/v1?region=eu&author=me&max_tokens=5",
        "HTTP://[fd00::1]:8000/v1",
        "https://host/a%40b/v1/",
        "https://例え.example/v1",
    ],
)
def test_other_addresses_are_taken(address: str) -> None:
    assert check_address(address, "OPENAI_BASE_URL") == address
    assert JudgeSettings(models=("m",), base_url=address).base_url == address


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://host/v1\r", "Windows"),
        ("http://host/v1\n", "control characters"),
        (" http://host/v1", "white space"),
        ("http://ho\x1b[2Jst/v1", "control characters"),
        ("http://ho\u0085st/v1", "control characters"),
        ("host:8000/v1", "http://"),
        ("localhost", "http://"),
        ("ftp://host", "http://"),
        ("http:/host", "http://"),
        ("http://", "no address"),
        ("http://:8000/v1", "no address"),
        ("http://host:port/v1", "no address"),
        ("http://host:99999/v1", "no address"),
        ("http://[fd00::1/v1", "no address"),
    ],
)
def test_what_is_no_address_is_one_line(address: str, why: str) -> None:
    with pytest.raises(SettingError, match="OPENAI_BASE_URL") as caught:
        check_address(address, "OPENAI_BASE_URL")
    assert why in str(caught.value)
    assert str(caught.value).isprintable()


# --- everywhere


@pytest.fixture
def files(tmp_path: Path) -> Mapping[str, list[str | Path]]:
    """Commands with what they need."""
    prompts, pairs, labelled, answers = (
        tmp_path / name for name in ("prompts.jsonl", "pairs.jsonl", "labelled.jsonl", "answers.jsonl")
    )
    prompts.write_text('{"prompt": "Write."}\n')
    pair = {"id": 1, "prompt": "Write.", "response_a": "One.", "response_b": "Two."}
    pairs.write_text(json.dumps(pair) + "\n")
    labelled.write_text(json.dumps({**pair, "label": "A"}) + "\n")
    answers.write_text(
        json.dumps({"prompt": "Write.", "responses": [{"text": "One."}, {"text": "Two."}]}) + "\n"
    )
    out = tmp_path / "out"
    return {
        "judge pairs": [pairs, "--output", out, "--judge", "m"],
        "data generate": [prompts, "--models", "m", "--output", out],
        "judge calibrate": [labelled, "--output", out, "--judge", "m"],
        "data prepare": [answers, "--out", out, "--scores", "grade", "--judge", "m"],
        "chat": ["--model", "a", "--against", "b", "--prompt", "Write.", "--judge", "m", "--output", out],
    }


@pytest.mark.parametrize("address", WITH_SECRETS[::4])
@pytest.mark.parametrize("place", ["environment", "option"])
@pytest.mark.parametrize(
    "command", ["judge pairs", "data generate", "judge calibrate", "data prepare", "chat"]
)
def test_every_command_refuses_it_and_writes_nothing(
    files: Mapping[str, list[str | Path]],
    command: str,
    place: str,
    address: str,
    run_cli: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    before = sorted(tmp_path.rglob("*"))
    options: list[str] = []
    if place == "environment":
        monkeypatch.setenv("OPENAI_BASE_URL", address)
    else:
        options = ["--base-url", address]
    done = run_cli(*command.split(), *files[command], *options)
    assert done.code != 0
    refused(done.err)
    assert done.out == ""
    assert ("OPENAI_BASE_URL" if place == "environment" else "--base-url") in done.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("address", WITH_SECRETS)
def test_a_writer_s_address_is_checked(address: str) -> None:
    with pytest.raises(SettingError, match="the address of m") as caught:
        parse_writers(f"m@{address.replace('http', 'HTTP', 1)}")
    refused(str(caught.value))
    with pytest.raises(SettingError) as caught:
        parse_writers(f"@{WITH_SECRETS[0]}")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("address", WITH_SECRETS)
def test_a_training_refuses_it_before_anything_is_composed(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for override in (f"writing_rl.judge.base_url={address}", f"++writing_rl.judge.base_url='{address}'"):
        monkeypatch.setattr(sys, "argv", ["main", "profile=cpu", override])
        with pytest.raises(SystemExit) as ended:
            main.main()
        refused(str(ended.value.code))
        with pytest.raises(SettingError):
            compose([override])
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    with pytest.raises(SettingError, match="OPENAI_BASE_URL"):
        check_addresses(["profile=cpu"])


def test_other_ways_to_an_address_are_left_to_the_configuration() -> None:
    check_addresses(["writing_rl.judge.base_url=null", "writing_rl.judge.base_url=${oc.env:X,null}", "x"])


def test_the_configuration_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPERIMENT_NAME", "x")
    block = compose(["profile=cpu"]).writing_rl
    for name, value in (("model", "m"), ("base_url", WITH_SECRETS[0])):
        block.judge[name] = value
    block.index_file = block.log_dir = "x"
    with pytest.raises(SettingError, match="base_url") as caught:
        Settings.from_config(block)
    refused(str(caught.value))


async def test_compute_score_alone_refuses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_MODEL", "m")
    monkeypatch.setenv("OPENAI_BASE_URL", WITH_SECRETS[0])
    with pytest.raises(SettingError, match="OPENAI_BASE_URL") as caught:
        await compute_score("writing", "A text.", {"prompt": "Write.", "target": ["Another."], "id": 1})
    refused(str(caught.value))


def test_the_address_of_dashscope_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "key")
    monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", WITH_SECRETS[0])
    with pytest.raises(SettingError, match=r"DASHSCOPE_HTTP_BASE_URL .*DASHSCOPE_API_KEY") as caught:
        DashScopeChat("qwen-plus", JudgeSettings(models=("qwen-plus",)))
    assert SECRET not in str(caught.value)


# --- and is shown nowhere


@pytest.mark.parametrize("address", WITH_SECRETS[:6])
def test_a_dry_run_does_not_show_it(address: str, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("BASE_MODEL", "model"), ("JUDGE_MODEL", "m"), ("WRITING_RL_PYTHON", "python")):
        monkeypatch.setenv(name, value)
    command = ["bash", "scripts/train_writing_rl.sh", "--dry-run", f"writing_rl.judge.base_url={address}"]
    done = subprocess.run(
        [*command, "data.prompt_key=prompt"], cwd=repository, capture_output=True, text=True, check=True
    )
    assert SECRET not in done.stdout + done.stderr
    assert "host" in done.stdout
    assert "data.prompt_key=prompt" in done.stdout


def test_a_start_record_holds_no_secret_of_any_address(tmp_path: Path) -> None:
    azure = "https://x.openai.azure.com/openai?api-version=2024-06-01"
    config = {"writing_rl": {"judge": {"base_url": azure}}, "other": {"mirror": WITH_SECRETS[0], "n": 1}}
    write_start(tmp_path, config, "20260101-000000")
    (record,) = read_starts(tmp_path)
    assert record["settings"] == {
        "writing_rl.judge.base_url": azure,
        "other.mirror": "http://(hidden)@host/v1",
        "other.n": 1,
    }
