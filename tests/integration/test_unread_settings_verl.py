"""The tables of `writing_rl.launch.unread_settings` against the sources of the installed verl.

Nothing of verl is imported: what its code reads of the configuration is found in its syntax. A verl that
reads a new setting in a part that we replace, no longer has one of the tables, or begins to read one of them
in a part that runs, fails here.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import DictConfig, OmegaConf, open_dict

from writing_rl.errors import SettingError
from writing_rl.launch.compose import compose
from writing_rl.launch.unread_settings import (
    UNREAD,
    UNREAD_BY_OUR_FUNCTION,
    check_unread_settings,
    settings_of,
)

REPOSITORY = Path(__file__).parents[2]
TABLES = {**UNREAD, **UNREAD_BY_OUR_FUNCTION}

V1 = "trainer/ppo/v1/trainer_base.py"
REWARDS = "experimental/reward_loop/reward_loop.py"
SERVERS = "workers/rollout/llm_server.py"
#: File of verl -> classes and functions of it that run in a training of ours, as they are or as our bases,
#: and call the configuration `config` or `self.config`. All of the file where none is named.
RUNNING = {
    V1: ("PPOTrainer",),
    "trainer/ppo/v1/trainer_sync.py": ("PPOTrainerSync",),
    "trainer/ppo/v1/agent_loop_tq.py": ("AgentLoopWorkerTQ", "AgentLoopManagerTQ"),
    "trainer/ppo/utils.py": (
        "need_reference_policy",
        "need_teacher_policy",
        "need_reward_model",
        "need_critic",
    ),
    "trainer/ppo/reward.py": (),
    "trainer/main_ppo.py": ("run_ppo", "TaskRunnerV1"),
    "experimental/agent_loop/agent_loop.py": ("AgentLoopWorker", "AgentLoopManager"),
    "experimental/reward_loop/reward_manager/base.py": ("RewardManagerBase",),
    REWARDS: ("RewardLoopWorker", "RewardLoopManager"),
    SERVERS: ("LLMServerManager", "LLMServerClient"),
    "utils/config.py": ("validate_config",),
}
#: Functions of them that choose between a part of ours and one of verl's, or make verl's part.
CHOOSING = {
    V1: ("_build_replay_buffer", "_resolve_filter_groups_metric"),
    "trainer/ppo/reward.py": (),
}
#: What we have in place of it, besides the subclasses of `REPLACED_BASES`.
REPLACED = {
    SERVERS: ("FullyAsyncLLMServerClient",),
    "trainer/main_ppo.py": ("main",),
    "trainer/main_ppo_v0.py": (),
    "trainer/ppo/ray_trainer.py": ("RayPPOTrainer",),
}
#: Base class -> its subclasses that run.
REPLACED_BASES = {"RewardManagerBase": {"ParallelRewardManager"}, "PPOTrainer": {"PPOTrainerSync"}}
#: Parts of our own that stand where those of verl would.
OURS = ("verl/workers/reward_manager/parallel.py", "verl/writing_rl/trainer/*.py")
#: Groups of verl's configuration of which every setting is in the tables or has an effect.
GROUPS = (
    "reward",
    "trainer.v1",
    "skip",
    "algorithm.filter_groups",
    "reward_model",
    "custom_reward_function",
    "sandbox_fusion",
)
#: Settings that the tables refuse and a running part reads nevertheless -> why that is without effect.
READ_IN_VAIN = {
    "actor_rollout_ref.rollout.nnodes": "LLMServerManager: for servers without a trainer's GPUs",
    "algorithm.filter_groups.enable": "_build_replay_buffer: not handed to a custom sampler",
    "algorithm.filter_groups.max_inflight_gen_batches": "likewise",
    "algorithm.filter_groups.max_num_gen_batches": "likewise",
    "algorithm.filter_groups.metric": "likewise",
    "reward.custom_reward_function.name": "get_custom_reward_fn: refused only with our own function",
    "reward.custom_reward_function.reward_kwargs": "likewise",
    "reward.reward_manager.module.path": "resolve_reward_manager_cls: with the source importlib",
    "reward.reward_manager.source": "likewise, and then it is not our reward manager",
    "reward.sandbox_fusion.max_concurrent": "load_reward_manager: without a custom reward function",
    "reward.sandbox_fusion.memory_limit_mb": "likewise",
    "reward.sandbox_fusion.url": "likewise",
    "trainer.v1.sampler.max_off_policy_strategy": "only ReplayBufferAsync uses it",
    "trainer.v1.sampler.max_off_policy_threshold": "only ReplayBufferAsync uses it",
    "trainer.v1.sampler.sampler_kwargs": "handed to our buffer, which does not use it",
    "trainer.v1.sampler.sync_refill_failed_groups": "_build_replay_buffer: not handed to a custom sampler",
}
#: Settings that have an effect though no part of `RUNNING` names them -> a file and what reads them there.
READ_ELSEWHERE = {
    "actor_rollout_ref.actor.policy_loss": ("verl/workers/utils/losses.py", "config.policy_loss"),
    "actor_rollout_ref.rollout.response_length": (
        "verl/workers/rollout/vllm_rollout/vllm_async_server.py",
        "self.config.response_length",
    ),
    "algorithm.gdpo_reward_keys": ("verl/trainer/ppo/core_algos.py", 'config.get("gdpo_reward_keys"'),
    # As a mistake: our pre-flight refuses it where it differs from the setting that verl's V1 reads.
    "critic.ppo_max_token_len_per_gpu": (
        "writing_rl/launch/counts.py",
        '"critic.ppo_max_token_len_per_gpu"',
    ),
    "reward.reward_model.rollout": (f"verl/{REWARDS}", "self.config.reward.reward_model.rollout"),
    "skip.rollout_tq": ("verl/trainer/ppo/v1/replay_buffer.py", 'annotate_tq(role="rollout_tq"'),
    "trainer.v1.sync": (f"verl/{V1}", "self.config.trainer.v1.get(self.trainer_mode, {})"),
}


class Reads(ast.NodeVisitor):
    """Collects the settings that code reads of a configuration `config` or `self.config`.

    Follows `a.b`, `a["b"]`, `a.get("b")`, `getattr(a, "b")` and `OmegaConf.select(a, "b")`, calls that give a
    group in another form, and names that a group is assigned to. A computed key is `*`.
    """

    #: Methods of a group, which are no settings.
    METHODS = frozenset({"get", "items", "keys", "pop", "values"})
    #: Functions with a group as their first argument that return the same settings.
    FORMS = frozenset({"bool", "dict", "omega_conf_to_dataclass", "replace", "to_container"})

    def __init__(self) -> None:
        self.found: set[str] = set()
        self._groups = {"config": "", "self.config": ""}

    def visit_FunctionDef(self, node: ast.AST) -> None:
        outside = self._groups.copy()
        self.generic_visit(node)
        attributes = {name: group for name, group in self._groups.items() if name.startswith("self.")}
        self._groups = {**attributes, **outside}

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        for target in node.targets:
            self._note(target, node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.generic_visit(node)
        self._note(node.target, node.value)

    def generic_visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.expr) and not isinstance(getattr(node, "ctx", None), ast.Store):
            self.found.add(self._setting(node) or "")
        super().generic_visit(node)

    def _note(self, target: ast.expr, value: ast.expr | None) -> None:
        group = self._setting(value) if value is not None else None
        if group is not None and isinstance(target, ast.Name | ast.Attribute):
            self._groups[ast.unparse(target)] = group

    def _setting(self, node: ast.expr) -> str | None:
        """The setting that an expression is, `` for the whole configuration; None for anything else."""
        match node:
            case ast.Name() | ast.Attribute() if ast.unparse(node) in self._groups:
                return self._groups[ast.unparse(node)]
            case ast.Attribute(value=group, attr=name) if name not in self.METHODS:
                return self._within(group, name)
            case ast.Subscript(value=group, slice=key):
                return self._within(group, key)
            case ast.BoolOp(values=[group, *_]):
                return self._setting(group)
            case ast.Call(func=ast.Attribute(value=group, attr="get" | "pop"), args=[key, *_]):
                return self._within(group, key)
            case ast.Call(func=function, args=[group, key, *_]) if _name(function) in (
                "getattr",
                "hasattr",
                "select",
            ):
                return self._within(group, key)
            case ast.Call(func=function, args=[group, *_]) if _name(function) in self.FORMS:
                return self._setting(group)
        return None

    def _within(self, group: ast.expr, key: ast.expr | str) -> str | None:
        outer = self._setting(group)
        if outer is None:
            return None
        if isinstance(key, ast.expr):
            key = key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else "*"
        return f"{outer}.{key}".lstrip(".")


def _name(function: ast.expr) -> str:
    return ast.unparse(function).rpartition(".")[2]


def reads(*nodes: ast.AST) -> set[str]:
    """The settings that code reads, without the groups that it only goes through."""
    found: set[str] = set()
    for node in nodes:
        visitor = Reads()
        for _ in range(2):  # an attribute may be assigned below the method that uses it
            visitor.visit(node)
        found |= visitor.found - {""}
    return {name for name in found if not any(other.startswith(f"{name}.") for other in found)}


@functools.cache
def verl() -> Path:
    """The installed verl. Without importing it, which takes seconds."""
    spec = importlib.util.find_spec("verl")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def definitions(file: str, names: Iterable[str]) -> list[ast.AST]:
    """Classes and functions of a file of verl, each of which must be there; without names, the whole file."""
    module = parsed(verl() / file)
    named = {
        node.name: node
        for node in ast.walk(module)
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    }
    missing = set(names) - named.keys()
    assert not missing, f"verl's {file} has no {missing} any more: revise the lists of this test"
    return [named[name] for name in names] or [module]


def reads_of(parts: dict[str, tuple[str, ...]]) -> set[str]:
    return reads(*(node for file, names in parts.items() for node in definitions(file, names)))


@functools.cache
def replaced_classes() -> dict[str, ast.ClassDef]:
    """Subclasses of `REPLACED_BASES` in verl that do not run with us, by their names."""
    found: dict[str, ast.ClassDef] = {}
    for path in sorted(verl().rglob("*.py")):
        if not any(base in path.read_text(encoding="utf-8") for base in REPLACED_BASES):
            continue
        for node in ast.walk(parsed(path)):
            bases = {_name(base) for base in node.bases} if isinstance(node, ast.ClassDef) else set()
            for base in bases & REPLACED_BASES.keys():
                if node.name not in REPLACED_BASES[base]:
                    found[node.name] = node
    return found


@functools.cache
def replaced() -> frozenset[str]:
    return frozenset(reads_of(REPLACED) | reads(*replaced_classes().values()))


@functools.cache
def running() -> frozenset[str]:
    ours = [path for pattern in OURS for path in REPOSITORY.glob(pattern)]
    assert len(ours) > 5
    return frozenset(reads_of(RUNNING) | reads(*map(parsed, ours)))


@functools.cache
def verls_configuration() -> DictConfig:
    """verl's own, with nothing of ours in it."""
    with initialize_config_dir(str(verl() / "trainer" / "config"), version_base=None):
        return hydra_compose("ppo_trainer")


def names_of(key: str, value: Any) -> Iterator[str]:
    """The full names of a group's settings, also of those without a value."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            if name != "_target_":
                yield from names_of(f"{key}.{name}", inner)
    else:
        yield key


def is_within(name: str, keys: Iterable[str]) -> bool:
    return any(name == key or name.startswith(f"{key}.") for key in keys)


def is_read(name: str, by: Iterable[str]) -> bool:
    """Whether a setting, or one of its group, is among those that are read; a read `*` is any."""
    parts = name.split(".")
    return any(
        len(read) >= len(parts)
        and all(theirs in (ours, "*") for ours, theirs in zip(parts, read, strict=False))
        for read in (read.split(".") for read in by)
    )


def unclassified(names: Iterable[str]) -> list[str]:
    """Those that are neither refused nor read by a part that runs."""
    return sorted(
        name
        for name in names
        if not is_within(name, TABLES)
        and not is_within(name, READ_ELSEWHERE)
        and not is_read(name, running())
    )


def message_of(config: DictConfig) -> str:
    with pytest.raises(SettingError) as error:
        check_unread_settings(config)
    return str(error.value)


def test_the_scan_finds_every_way_to_read_a_setting() -> None:
    code = """
class Part:
    def __init__(self, config):
        self.config = config
        buffer = config.reward.get("kwargs", {}).get("buffer", None)
        self.limit = buffer
        if config is None:
            config = Config({"reward": {}})
        self.timeout = config.reward.timeout
        sandbox = config.get("sandbox") or {}
        sandbox["url"]

    def run(self):
        settings: Settings = omega_conf_to_dataclass(self.config.trainer.mode)
        settings.steps
        self.config.trainer.v1.get(self.mode, {}).get("step", 1)
        OmegaConf.select(self.config.profiler, "tool.name")
        getattr(self.config.data, "key")
        self.config.trainer.written = self.limit.length
        config = self.config.model
        config.path
        other.setting

    def after(self, config):
        config.whole
"""
    assert reads(ast.parse(code)) == {
        "data.key",
        "model.path",
        "profiler.tool.name",
        "reward.kwargs.buffer.length",
        "reward.timeout",
        "sandbox.url",
        "trainer.mode.steps",
        "trainer.v1.*.step",
        "whole",
    }


def test_the_parts_that_we_replace_are_found() -> None:
    assert replaced_classes().keys() >= {
        "DAPORewardManager",
        "NaiveRewardManager",
        "PPOTrainerColocateAsync",
        "PPOTrainerSeparateAsync",
        "RateLimitedRewardManager",
    }
    assert replaced() >= {
        "reward.max_rpm",
        "reward.reward_kwargs.overlong_buffer_cfg.penalty_factor",
        "trainer.use_v1",
        "trainer.v1.separate_async.hybrid_rollout.switch_cost_window_size",
    }


def test_every_setting_of_a_part_that_we_replace_is_refused_or_has_an_effect() -> None:
    assert unclassified(replaced()) == []


def test_every_setting_by_which_verl_chooses_a_part_is_refused_or_listed() -> None:
    # Their readers run, but a part of verl's that does not may be what they read it for.
    effective = {
        "data.gen_batch_size",
        "data.train_batch_size",
        "reward.custom_reward_function.path",
        "reward.reward_manager.name",
        "reward.reward_model.enable",
        "reward.reward_model.enable_resource_pool",
        "trainer.v1.*",
        "trainer.v1.sampler.custom_sampler.name",
        "trainer.v1.sampler.custom_sampler.path",
    }
    found = reads_of(CHOOSING)
    assert effective <= found
    assert [name for name in sorted(found - effective) if not is_within(name, TABLES)] == []


@pytest.mark.parametrize("group", GROUPS)
def test_every_setting_of_a_group_is_refused_or_has_an_effect(group: str) -> None:
    names = list(names_of(group, OmegaConf.to_container(OmegaConf.select(verls_configuration(), group))))
    assert names != [group]
    assert unclassified(names) == []


def test_what_has_an_effect_elsewhere_is_read_there() -> None:
    for name, (file, text) in READ_ELSEWHERE.items():
        path = verl().parent / file if file.startswith("verl/") else REPOSITORY / "verl" / file
        assert text in path.read_text(encoding="utf-8"), f"{name} is no longer read in {file}"


def test_nothing_that_runs_reads_what_is_refused_but_in_vain() -> None:
    assert {name for name in running() if is_within(name, TABLES)} == READ_IN_VAIN.keys()


@pytest.mark.parametrize("key", TABLES)
def test_verl_still_has_the_setting_and_the_default(key: str) -> None:
    unset = object()
    value = OmegaConf.select(verls_configuration(), key, default=unset)
    if value is unset:
        old = {REWARDS: ("migrate_legacy_reward_impl",)}
        assert is_read(key, replaced() | running() | reads_of(old))
        value = None
    assert dict(settings_of(key, value)) == dict(settings_of(key, TABLES[key].default))


def test_verls_own_configuration_passes() -> None:
    check_unread_settings(verls_configuration())


OLD_GROUPS = ("reward_model", "custom_reward_function", "sandbox_fusion")


@functools.cache
def old_names() -> list[str]:
    config = verls_configuration()
    return [name for group in OLD_GROUPS for name in names_of(group, OmegaConf.to_container(config[group]))]


def test_an_old_name_is_refused_with_the_name_that_verl_takes_it_for() -> None:
    # verl's own translation, cut out of its module.
    (function,) = definitions(REWARDS, ["migrate_legacy_reward_impl"])
    scope: dict[str, Any] = {"open_dict": open_dict}
    exec(compile(ast.unparse(function), REWARDS, "exec"), scope)
    assert len(old_names()) > 30
    for old in old_names():
        config = verls_configuration().copy()
        OmegaConf.update(config, old, "moved")
        message = message_of(config)
        assert message.startswith(f"{old} has no effect here: ")
        if old.startswith("reward_model.reward_loop_"):  # verl moves these three together
            config.reward_model.reward_loop_source = config.reward_model.reward_loop_source or "importlib"
        plain = OmegaConf.to_container(scope["migrate_legacy_reward_impl"](config))
        assert isinstance(plain, dict)
        new = [name for key in plain for name, value in settings_of(key, plain[key]) if value == "moved"]
        if not new:
            assert message.endswith("verl 0.9.1 has no such setting any more; leave it out")
        elif not is_within(new[0], UNREAD):
            assert message.endswith(f"; use {new[0]}")


def test_settings_that_remedies_name_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASE_MODEL", "model")
    config, unset = compose(["profile=cpu"]), object()
    named = {
        name
        for unread in TABLES.values()
        for name in re.findall(r"[a-z_0-9]+(?:\.[a-z_0-9]+)+", unread.remedy.replace(".*", ""))
    }
    assert len(named) > 10
    lacking = {name for name in named if OmegaConf.select(config, name, default=unset) is unset}
    assert lacking == {"reward.custom_reward_function.reward_kwargs"}


PROFILES = sorted(path.stem for path in (REPOSITORY / "verl/writing_rl/config/profile").glob("*.yaml"))


@pytest.mark.parametrize("profile", PROFILES)
def test_a_shipped_profile_passes(profile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASE_MODEL", "model")
    check_unread_settings(compose([f"profile={profile}", "judge=verl"]))


def test_the_trainer_has_the_mode_whose_group_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASE_MODEL", "model")
    assert f"trainer.v1.{compose(['profile=cpu']).trainer.v1.trainer_mode}" in UNREAD
