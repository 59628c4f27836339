"""What is checked before a training starts; each failure is one line that names the remedy."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from writing_rl.curriculum.index_file import read_fitting_index
from writing_rl.curriculum.lock import check_free
from writing_rl.curriculum.resume import check_beginning
from writing_rl.dataset import chat_template, fit
from writing_rl.dataset.samples import Sample, read_samples, sample_keys
from writing_rl.errors import JudgeError, SettingError, SetupError
from writing_rl.judging.client.budget import Limits
from writing_rl.judging.client.prices import most_output_tokens
from writing_rl.judging.compare import Comparison, compare
from writing_rl.judging.factory import close_all, describe, make_channel, make_judges, price_lines
from writing_rl.judging.judge import ModelJudge
from writing_rl.judging.providers import provider_of
from writing_rl.judging.rules import Rules
from writing_rl.judging.settings import CacheMode, JudgeSettings
from writing_rl.judging.verdict import Outcome
from writing_rl.launch import attention
from writing_rl.launch.counts import check_counts, check_steps, total_steps
from writing_rl.launch.estimate import estimate
from writing_rl.launch.gpu_checks import check_gpus, uses_other_machines
from writing_rl.launch.gpu_trial import check_trial
from writing_rl.launch.profiles import check_fits
from writing_rl.launch.resources import check_resources
from writing_rl.launch.resumption import check_resume
from writing_rl.launch.run_shape import RunShape
from writing_rl.launch.unread_settings import check_unread_settings
from writing_rl.launch.versions import check_versions
from writing_rl.models.hub import local_model
from writing_rl.models.model_shape import read_shape
from writing_rl.runlog.spent import check_budget, read_spent, spent_file
from writing_rl.settings import Settings
from writing_rl.util.console import say
from writing_rl.util.experiment_name import check_experiment

#: Where a run names models -> what a message calls the setting.
MODELS = {
    "actor_rollout_ref.model.path": "BASE_MODEL",
    "critic.model.path": "critic.model.path",
    "reward.reward_model.model_path": "reward.reward_model.model_path",
}
#: What to do where the judge does not answer the test question, by the reason.
REMEDIES = {
    "content_filter": "use another JUDGE_MODEL, or look at {rows}",
    "firewall": "use another JUDGE_MODEL or OPENAI_BASE_URL, or look at {rows}",
    "refusal": "use another JUDGE_MODEL, or look at {rows}",
    "too_long": "use a JUDGE_MODEL that takes longer texts, lower writing_rl.judge.max_tokens, or see {rows}",
    "empty": "use another JUDGE_MODEL",
    "thinking_only": "start its server with this model's reasoning parser, or with none (docs/judges.md)",
    "http_400": "check JUDGE_MODEL and writing_rl.judge.request (docs/judges.md)",
    "http_422": "check JUDGE_MODEL and writing_rl.judge.request (docs/judges.md)",
    "http_429": "wait, or ask its provider for a higher rate",
}
#: Reasons that lie in a text: another row may do.
OF_ONE_TEXT = ("content_filter", "firewall", "refusal", "too_long")
#: Rows that a judge is asked about until it answers.
MOST_ROWS = 5
REMEDY = "check JUDGE_MODEL, OPENAI_BASE_URL and the network"
#: Seconds that a start waits for a judge that cannot be reached: it may be starting, too.
OUTAGE_S = 60.0
#: Less free space than this is no room for a checkpoint and the logs of a run.
LEAST_FREE_BYTES = 1 << 30


def check_run(config: DictConfig) -> None:
    """Checks everything about a run that can be checked without verl, cheapest first.

    Args:
        config: The resolved configuration.

    Raises:
        UserError: The first thing that is wrong.
    """
    check_experiment(str(config.trainer.experiment_name), "trainer.experiment_name (EXPERIMENT_NAME)")
    check_versions("cpu" if config.trainer.device == "cpu" else "gpu")
    check_unread_settings(config)
    settings = Settings.from_config(config.writing_rl)
    check_parts(config)
    shape = RunShape.of(config)
    gpus = check_gpus(config, shape)
    check_served_judge(config, settings)
    check_outputs(config, settings)
    train = check_data(str(config.data.train_files), "train")
    check_index_file(settings, train, str(config.data.train_files), str(config.trainer.resume_mode))
    test = check_data(str(config.data.val_files), "test")
    model = read_shape(fetch_models(config))
    check_counts(config, shape, model)
    lines = check_resume(config, shape, model)
    kept = check_prompt_lengths(
        config, {str(config.data.train_files): train, str(config.data.val_files): test}
    )
    check_steps(config, len(train), kept)
    if gpus:
        lines.append(check_fits(config, profile_name(), shape, model, gpus))
        smallest = min(gpu.total_mib for gpu in gpus) << 20
        check_trial(gpus, attention.installed())
        lines.append(attention.describe())
    else:
        smallest = 0
    lines += check_resources(config, shape, estimate(shape, model, smallest), total_steps(config, kept))
    for line in lines:
        say(f"[writing-rl] {line}")
    learnt = check_judge(settings, train, str(config.data.train_files))
    if learnt:  # the run's processes need not learn it again, and its start record holds it
        OmegaConf.update(config, "writing_rl.judge.learnt", learnt, merge=False, force_add=True)


def profile_name() -> str:
    """The profile of this run, as Hydra was told."""
    from hydra.core.hydra_config import HydraConfig

    return str(HydraConfig.get().runtime.choices.get("profile")) if HydraConfig.initialized() else "gpu"


def fetch_models(config: DictConfig) -> Path:
    """Fetches models that are names at the hub, and puts their folders in the configuration.

    Where other machines take part, the configuration keeps the names: they may not have this one's folders.

    Returns:
        The policy's folder.

    Raises:
        UserError: A model cannot be had.
    """
    folders = {}
    for setting, name in MODELS.items():
        value = OmegaConf.select(config, setting)
        if value is None or (setting.startswith("reward.") and not config.reward.reward_model.enable):
            continue
        folders[setting] = local_model(str(value), name)
        if not uses_other_machines(config):
            OmegaConf.update(config, setting, str(folders[setting]))
    return folders["actor_rollout_ref.model.path"]


def check_parts(config: DictConfig) -> None:
    """Reward manager, trainer and replay buffer are ours: otherwise an unscored rollout trains as 0."""
    parts = {
        "reward.reward_manager.name": ("parallel",),
        "reward.reward_manager.source": ("register",),
        "trainer.v1.trainer_mode": ("writing_rl", "writing_rl_rehearsal"),
        "trainer.v1.sampler.custom_sampler.name": ("ScoredReplayBuffer",),
    }
    for setting, ours in parts.items():
        if OmegaConf.select(config, setting) not in ours:
            raise SettingError(
                f"{setting} is {OmegaConf.select(config, setting)}: it must be {ours[0]}, or a rollout "
                "without a verdict would train as if it had lost"
            )


def check_served_judge(config: DictConfig, settings: Settings) -> None:
    """verl serves a judge exactly if one of the judges is served by verl."""
    named = [name for name in settings.judge.models if provider_of(name, settings.judge) == "verl"]
    serves = bool(config.reward.reward_model.enable)
    if named and not serves:
        raise SettingError(f"judge {named[0]} is served by verl only with judge=verl on the command line")
    if serves and not config.reward.reward_model.enable_resource_pool:
        raise SettingError(
            "reward.reward_model.enable_resource_pool is false: a judge that verl serves answers only from "
            "GPUs of its own, so leave it true, as judge=verl has it"
        )
    if serves and config.reward.custom_reward_function.path is None:
        raise SettingError(
            "reward.custom_reward_function.path is null: verl would take the judge for a classifier; leave "
            "it out"
        )
    if serves and not named:
        raise SettingError("judge=verl serves a judge that is not among writing_rl.judge.model: add `verl`")
    if serves:
        model = config.reward.reward_model.model_path
        if not model:
            raise SettingError("judge=verl serves a judge: set reward.reward_model.model_path to its model")


def check_outputs(config: DictConfig, settings: Settings) -> None:
    """Everything that the run writes can be written."""
    folders = {
        "writing_rl.log_dir": Path(settings.log_dir),
        "trainer.default_local_dir": Path(config.trainer.default_local_dir),
        "writing_rl.index_file": Path(settings.index_file).parent,
    }
    for setting, folder in folders.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"\0" * 4096)
                file.flush()
        except OSError as error:
            raise SetupError(f"{folder} ({setting}) cannot be written to: {error.strerror}") from None
        free = shutil.disk_usage(folder).free
        if free < LEAST_FREE_BYTES:
            raise SetupError(
                f"{folder} ({setting}) has {free / 2**20:.0f} MiB free, a run needs at least "
                f"{LEAST_FREE_BYTES / 2**20:.0f} MiB: free some, or set {setting} to another disk"
            )


def check_data(path: str, split: str) -> list[Sample]:
    """A data set can be used, and is the one for its purpose."""
    samples = read_samples(path)
    fit.check_split(samples, path, split)
    return samples


def check_index_file(settings: Settings, samples: list[Sample], path: str, resume_mode: str) -> None:
    """The index file belongs to the training data, covers it, and is the one to begin with."""
    check_free(settings.index_file)
    keys = sample_keys(samples, path)
    indexes = read_fitting_index(settings.index_file, samples, keys)
    if resume_mode == "disable":
        starts = {keys.key(sample.id, sample.index): keys.start(sample) for sample in samples}
        check_beginning(settings.index_file, settings.curriculum.existing_index, indexes, starts)


def check_prompt_lengths(config: DictConfig, sets: dict[str, list[Sample]]) -> int:
    """No prompt is longer than the limit, and the chat template takes them all.

    Returns:
        How many samples of the first set verl will train on: it may have been told to leave longer ones out.
    """
    template = chat_template.of_config(config)
    limit = int(config.data.max_prompt_length)
    if (cut := int(config.actor_rollout_ref.rollout.prompt_length)) < limit:
        raise SettingError(
            f"actor_rollout_ref.rollout.prompt_length is {cut}, less than data.max_prompt_length, {limit}: "
            "verl would cut prompts from the left; leave it out, and it is the same"
        )
    kept = []
    for path, samples in sets.items():
        lengths = list(template.count((sample.messages for sample in samples), path))
        if config.data.filter_overlong_prompts:
            kept.append(len(fit.short_enough(lengths, path, limit)))
        else:
            fit.check_prompt_lengths(lengths, path, limit)
            kept.append(len(samples))
    return kept[0]


def check_judge(
    settings: Settings, samples: Sequence[Sample], path: str = "the training set"
) -> dict[str, dict[str, Any]]:
    """Each judge answers one real question with a verdict, and there is a budget left for it.

    Args:
        settings: Of the run.
        samples: What is asked: the first one, or the next where a provider filters it.
        path: The file that they are from.

    Returns:
        What the judges' refusals taught of the parameters of requests, by the judges that taught anything.
    """
    for line in price_lines(settings.judge):
        say(f"[writing-rl] {line}", file=sys.stderr)
    spent = spent_file(settings.log_dir)
    check_budget(spent, read_spent(spent), settings.judge.limits)
    learnt: dict[str, dict[str, Any]] = {}
    for name in settings.judge.models:
        if provider_of(name, settings.judge) == "verl":
            say("[writing-rl] judge: a model that verl serves in this run")
        else:
            of_judge = asyncio.run(check_one_judge(replace(settings.judge, models=(name,)), samples, path))
            learnt |= {name: of_judge} if of_judge else {}
    return learnt


async def check_one_judge(settings: JudgeSettings, samples: Sequence[Sample], path: str) -> dict[str, Any]:
    """One judge answers one real question with a verdict. Its cost is not counted.

    Arguments and errors as those of `check_judge`.

    Returns:
        What its refusals taught of parameters.
    """
    from verl.utils.reward_score.writing_rl import TEMPLATES

    outage_s = min(settings.outage_s, OUTAGE_S)
    settings = replace(settings, limits=Limits(), cache=CacheMode.OFF, outage_s=outage_s)
    judges = make_judges(settings, TEMPLATES, make_channel(settings))
    try:
        for row, sample in enumerate(samples[:MOST_ROWS]):
            comparison = await compare(
                judges,
                Rules(ask_again=settings.ask_again, deadline_s=settings.deadline_s),
                prompt=sample.prompt,
                response=sample.references[-1],
                reference=sample.references[0],
                criteria=sample.criteria,
            )
            if comparison.reason not in OF_ONE_TEXT:
                break
            say(
                f"[writing-rl] judge: row {row} of {path} is refused by {describe(judges)} "
                f"({comparison.reason}: {comparison.detail})"
            )
    finally:
        await close_all(judges)
    if comparison.outcome is Outcome.UNSCORED:
        raise JudgeError(_unscored(describe(judges), comparison, settings, path))
    say(f"[writing-rl] judge: {describe(judges)}")
    (judge,) = judges
    return dict(judge.learnt) if isinstance(judge, ModelJudge) else {}


def _unscored(judge: str, comparison: Comparison, settings: JudgeSettings, path: str) -> str:
    """Why a judge cannot be used that gave no verdict, and what to do."""
    reason, detail = comparison.reason, comparison.detail
    if reason == "no_verdict":
        return (
            f"the judge {judge} answered a test question without a verdict ({detail}): use another "
            "JUDGE_MODEL or edit verl/utils/reward_score/judge_prompts.py"
        )
    if reason == "truncated" and comparison.calls:
        answer = comparison.calls[-1].answer
        limit = most_output_tokens(settings.request_of(settings.models[0]), settings.max_tokens)
        thought = f", {answer.thinking_tokens:,} of them for thinking" if answer.thinking_tokens else ""
        used = f" after {answer.completion_tokens:,} tokens{thought}" if answer.completion_tokens else ""
        nothing = "" if answer.text.strip() else ", before its first word"
        return (
            f"the judge {judge} was cut off{used}{nothing}, where {limit:,} are allowed: set "
            f"writing_rl.judge.max_tokens={max(8192, 4 * limit)}, or have it think less by "
            "writing_rl.judge.request (docs/judges.md)"
        )
    remedy = REMEDIES.get(reason, REMEDY).format(rows=f"the first {MOST_ROWS} rows of {path}")
    return f"the judge {judge} did not answer a test question ({reason}: {detail}): {remedy}"
