from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from writing_rl.curriculum.rules import Promotion
from writing_rl.errors import SettingError
from writing_rl.judging.settings import JudgeSettings
from writing_rl.judging.verdict import Rewards, Strategy
from writing_rl.settings import Settings, documentation


@pytest.fixture
def config(shipped: DictConfig) -> DictConfig:
    """The shipped configuration."""
    return shipped


def message_of(config: DictConfig) -> str:
    with pytest.raises(SettingError) as error:
        Settings.from_config(config.writing_rl)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_the_shipped_defaults(config: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_MODEL", "offline")
    assert Settings.from_config(config.writing_rl) == Settings(
        index_file="running_file/index_writing-rl.json",
        log_dir="logs/writing-rl",
        judge=JudgeSettings(models=("offline",), strategy=Strategy.DISADVANTAGE, base_url=None, parallel=64),
        rewards=Rewards(1.0, 0.5, 0.0),
        promotion=Promotion(),
    )


def test_the_environment_sets_the_judge(config: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "JUDGE_MODEL": "judge-1",
        "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
        "REWARD_STRATEGY": "position-both",
        "API_PARALLEL": "7",
        "EXPERIMENT_NAME": "mine",
    }.items():
        monkeypatch.setenv(name, value)
    settings = Settings.from_config(config.writing_rl)
    assert settings.index_file == "running_file/index_mine.json"
    assert settings.judge.models == ("judge-1",)
    assert settings.judge.base_url == "http://127.0.0.1:1/v1"
    assert settings.judge.strategy is Strategy.BOTH
    assert settings.judge.parallel == 7


def test_an_empty_endpoint_is_none(config: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_MODEL", "judge-1")
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    assert Settings.from_config(config.writing_rl).judge.base_url is None


def test_no_key_is_among_the_settings(config: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "DASHSCOPE_API_KEY", "WANDB_API_KEY"):
        monkeypatch.setenv(name, "sk-secret")
    monkeypatch.setenv("JUDGE_MODEL", "judge-1")
    assert "sk-secret" not in repr(Settings.from_config(config.writing_rl))
    assert "API_KEY" not in OmegaConf.to_yaml(config)


@pytest.mark.parametrize("model", [None, ""])
def test_no_judge_says_what_to_set(config: DictConfig, model: str | None) -> None:
    config.writing_rl.judge.model = model
    message = message_of(config)
    assert message.startswith("no judge is set: set JUDGE_MODEL")
    assert "offline" in message


def test_an_unknown_strategy_names_the_setting_and_the_choices(
    config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_MODEL", "offline")
    monkeypatch.setenv("REWARD_STRATEGY", "position-none")
    assert message_of(config) == (
        "REWARD_STRATEGY (writing_rl.judge.strategy) is 'position-none': choose one of "
        "position-disadvantage, position-advantage, position-both"
    )


PARALLEL = "API_PARALLEL (writing_rl.judge.parallel)"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("judge.parallel", "many", f"{PARALLEL} is 'many': it must be a whole number"),
        ("judge.parallel", None, f"{PARALLEL} is None: it must be a whole number"),
        ("judge.parallel", "", f"{PARALLEL} is '': it must be a whole number"),
        ("judge.parallel", 0, f"{PARALLEL} is 0: it must be at least 1"),
        ("judge.parallel", "-3", f"{PARALLEL} is '-3': it must be at least 1"),
        ("judge.deadline_s", "soon", "writing_rl.judge.deadline_s is 'soon': it must be a finite number"),
        ("judge.deadline_s", 0, "writing_rl.judge.deadline_s is 0: it must be at least 1"),
        ("judge.deadline_s", "nan", "writing_rl.judge.deadline_s is 'nan': it must be a finite number"),
        ("judge.max_retries", -1, "writing_rl.judge.max_retries is -1: it must be at least 0"),
        ("judge.temperature", -0.1, "writing_rl.judge.temperature is -0.1: it must be at least 0"),
        ("judge.temperature", "hot", "writing_rl.judge.temperature is 'hot': it must be a finite number"),
        ("judge.max_tokens", 0, "writing_rl.judge.max_tokens is 0: it must be at least 1"),
        (
            "judge.max_calls",
            0,
            "writing_rl.judge.max_calls is 0: set a number above 0, or null for no limit",
        ),
        (
            "judge.max_cost_usd",
            -1,
            "writing_rl.judge.max_cost_usd is -1: set a number above 0, or null for no limit",
        ),
        ("judge.vote", "some", "writing_rl.judge.vote is 'some': choose one of majority, mean"),
        ("judge.cache", "on", "writing_rl.judge.cache is 'on': choose one of off, read, read-write"),
        ("judge.model", "a,b,a", "JUDGE_MODEL is a,b,a: it names one judge twice"),
        (
            "curriculum.kind",
            "slow",
            "writing_rl.curriculum.kind is 'slow': choose one of dynamic, static, fixed",
        ),
        (
            "curriculum.wins_to_promote",
            0,
            "writing_rl.curriculum.wins_to_promote is 0: it must be at least 1",
        ),
        (
            "curriculum.losses_to_demote",
            0,
            "writing_rl.curriculum.losses_to_demote is 0: it must be at least 1",
        ),
        (
            "curriculum.group_rule",
            "most",
            "writing_rl.curriculum.group_rule is 'most': choose one of majority, any, all",
        ),
        (
            "curriculum.skip_finished",
            "some",
            "writing_rl.curriculum.skip_finished is 'some': it must be true or false",
        ),
        (
            "curriculum.skip_finished",
            1,
            "writing_rl.curriculum.skip_finished is 1: it must be true or false",
        ),
        (
            "curriculum.validation_reference",
            "best",
            "writing_rl.curriculum.validation_reference is 'best': choose first, middle, last or a number "
            "from 0",
        ),
    ],
)
def test_a_bad_value_is_named(config: DictConfig, key: str, value: Any, message: str) -> None:
    config.writing_rl.judge.model = "offline"
    OmegaConf.update(config.writing_rl, key, value)
    assert message_of(config) == message


@pytest.mark.parametrize("value", [2.7, float("inf"), "1e3"])
def test_a_count_that_is_no_whole_number_is_named(config: DictConfig, value: Any) -> None:
    config.writing_rl.judge.model = "offline"
    config.writing_rl.judge.parallel = value
    assert message_of(config).startswith(f"{PARALLEL} is ")


@pytest.mark.parametrize("name", ["win", "tie", "loss"])
@pytest.mark.parametrize("value", ["high", None, "nan", "inf"])
def test_a_reward_that_is_no_number_is_named(config: DictConfig, name: str, value: Any) -> None:
    config.writing_rl.judge.model = "offline"
    config.writing_rl.reward[name] = value
    assert message_of(config).startswith(f"writing_rl.reward.{name} is ")


def test_all_that_is_wrong_is_said_at_once(config: DictConfig) -> None:
    config.writing_rl.judge.update(model="offline", parallel=0, vote="some", outage_s="long")
    config.writing_rl.curriculum.kind = "slow"
    with pytest.raises(SettingError) as error:
        Settings.from_config(config.writing_rl)
    assert [line.partition(" is ")[0] for line in str(error.value).split("\n")] == [
        "writing_rl.judge.vote",
        PARALLEL,
        "writing_rl.judge.outage_s",
        "writing_rl.curriculum.kind",
    ]


def test_the_documentation_is_up_to_date(repository: Path) -> None:
    assert (repository / "docs" / "settings.md").read_text(encoding="utf-8") == documentation()


def test_every_documented_value_is_accepted(config: DictConfig) -> None:
    config.writing_rl.judge.model = "offline"
    for strategy in ("position-disadvantage", "position-advantage", "position-both"):
        config.writing_rl.judge.strategy = strategy
        assert Settings.from_config(config.writing_rl).judge.strategy.value == strategy
    for rule in ("majority", "any", "all"):
        config.writing_rl.curriculum.group_rule = rule
        assert Settings.from_config(config.writing_rl).promotion.group_rule.value == rule
    for reference in ("first", "middle", "last", 0, 4):
        config.writing_rl.curriculum.validation_reference = reference
        assert Settings.from_config(config.writing_rl).curriculum.validation_reference == reference
