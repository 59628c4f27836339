from __future__ import annotations

from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from writing_rl.errors import SettingError
from writing_rl.launch.unread_settings import (
    OUR_FUNCTION,
    UNREAD,
    UNREAD_BY_OUR_FUNCTION,
    Unread,
    check_unread_settings,
    settings_of,
)

TABLES = {**UNREAD, **UNREAD_BY_OUR_FUNCTION}


def config_of(**settings: Any) -> DictConfig:
    config = OmegaConf.create({})
    for name, value in settings.items():
        OmegaConf.update(config, name, value, force_add=True)
    return config


def message_of(config: DictConfig) -> str:
    with pytest.raises(SettingError) as error:
        check_unread_settings(config)
    return str(error.value)


def every_setting() -> list[tuple[str, str, Any]]:
    """Each setting that the tables name, with the key that it stands under and verl's value."""
    settings: list[tuple[str, str, Any]] = []
    for key, unread in TABLES.items():
        if isinstance(unread.default, dict):
            settings += [(key, name, default) for name, default in settings_of(key, unread.default)]
        else:
            settings.append((key, f"{key}.any" if "*" in unread.remedy else key, unread.default))
    return settings


def another(value: Any) -> Any:
    """A value that a user might set in the place of this one."""
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int | float) else f"not {value}"


def test_a_configuration_without_any_such_setting_passes() -> None:
    check_unread_settings(config_of())


def test_verls_own_values_pass() -> None:
    config = config_of()
    for _, name, default in every_setting():
        if default is not None:
            OmegaConf.update(config, name, default, force_add=True)
    check_unread_settings(config)


@pytest.mark.parametrize(("key", "name", "default"), every_setting())
def test_another_value_is_refused_with_reason_and_remedy_in_one_line(
    key: str, name: str, default: Any
) -> None:
    message = message_of(config_of(**{name: another(default)}))
    assert message.startswith(f"{name} has no effect here: {TABLES[key].why}; ")
    assert message.endswith(TABLES[key].remedy.replace("*", "any"))
    assert "\n" not in message


@pytest.mark.parametrize(("key", "name", "default"), every_setting())
def test_null_is_as_if_it_were_not_set(key: str, name: str, default: Any) -> None:
    check_unread_settings(config_of(**{name: None}))


@pytest.mark.parametrize("value", [{}, [], {"overlong_buffer_cfg": {"enable": None}}])
def test_a_group_in_which_nothing_is_set_passes(value: Any) -> None:
    check_unread_settings(config_of(**{"reward.reward_kwargs": value}))


def test_the_class_that_holds_a_group_is_no_setting() -> None:
    check_unread_settings(config_of(**{"algorithm.filter_groups": {"_target_": "verl.Any", "enable": False}}))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "reward.max_rpm",
            500,
            "reward.max_rpm has no effect here: only verl's reward manager `rate_limited` reads it; "
            "use writing_rl.judge.requests_per_minute",
        ),
        (
            "reward.reward_kwargs",
            {"overlong_buffer_cfg": {"enable": True}},
            "reward.reward_kwargs.overlong_buffer_cfg.enable has no effect here: only verl's reward manager "
            "`dapo` reads it; limit texts by data.max_response_length; a reward function of your own gets "
            "reward.custom_reward_function.reward_kwargs",
        ),
        (
            "trainer.v1.separate_async.hybrid_rollout.enable_switch",
            True,
            "trainer.v1.separate_async.hybrid_rollout.enable_switch has no effect here: only verl's "
            "asynchronous trainers read it, and Writing-RL trains synchronously; leave it out",
        ),
        (
            "skip.rollout.steps",
            [1, 2],
            "skip.rollout.steps has no effect here: only verl's legacy trainer reads it; leave it out",
        ),
        (
            "reward_model.rollout",
            {"name": "vllm"},
            "reward_model.rollout.name has no effect here: verl 0.9.1 reads it under another name only; "
            "use reward.reward_model.rollout.name",
        ),
        (
            "custom_reward_function.name",
            "score",
            "custom_reward_function.name has no effect here: verl 0.9.1 reads it under another name only; "
            "use reward.custom_reward_function.name",
        ),
        (
            "reward_model.micro_batch_size",
            8,
            "reward_model.micro_batch_size has no effect here: verl 0.9.1 has no such setting any more; "
            "leave it out",
        ),
    ],
)
def test_a_message_names_the_very_setting(name: str, value: Any, message: str) -> None:
    assert message_of(config_of(**{name: value})) == message


def test_a_setting_of_a_group_that_verl_does_not_have_is_refused() -> None:
    message = message_of(config_of(**{"trainer.v1.colocate_async": {"num_warmup_batches": 1, "other": 2}}))
    assert message.startswith("trainer.v1.colocate_async.other has no effect here: ")


def test_values_that_refer_to_others_are_compared_by_what_they_are() -> None:
    config = OmegaConf.create(
        {"steps": 4, "trainer": {"v1": {"separate_async": {"parameter_sync_step": "${steps}"}}}}
    )
    check_unread_settings(config)
    config.steps = 2
    assert message_of(config).startswith("trainer.v1.separate_async.parameter_sync_step has no effect")


@pytest.mark.parametrize("path", [None, OUR_FUNCTION])
@pytest.mark.parametrize(("name", "value"), [("name", "score"), ("reward_kwargs", {"scale": 2})])
def test_the_shipped_reward_function_takes_neither_name_nor_arguments(
    path: str | None, name: str, value: Any
) -> None:
    function = {"reward.custom_reward_function.path": path, f"reward.custom_reward_function.{name}": value}
    message = message_of(config_of(**function))
    assert message.startswith(f"reward.custom_reward_function.{name}")
    assert message.endswith("; name yours in reward.custom_reward_function.path")


@pytest.mark.parametrize("path", ["reward.py", "pkg://writing_rl.experiments.ablation.pointwise"])
def test_a_reward_function_of_ones_own_has_both(path: str) -> None:
    function = {"path": path, "name": "score", "reward_kwargs": {"scale": 2}}
    check_unread_settings(config_of(**{"reward.custom_reward_function": function}))


def test_a_group_comes_after_its_settings_that_are_told_apart() -> None:
    keys = list(UNREAD)
    for number, key in enumerate(keys):
        assert not [later for later in keys[number:] if later.startswith(f"{key}.")]


def test_every_entry_says_something() -> None:
    assert all(isinstance(unread, Unread) and unread.why and unread.remedy for unread in TABLES.values())
