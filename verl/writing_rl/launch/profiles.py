"""Choosing the profile of a run, where the user has named none: by GPUs, their memory and the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig

from writing_rl.errors import SettingError, SetupError
from writing_rl.launch.compose import compose
from writing_rl.launch.counts import GPUS, fitting_gpus
from writing_rl.launch.estimate import estimate
from writing_rl.launch.run_shape import RunShape
from writing_rl.models.model_shape import ModelShape
from writing_rl.util.gpus import VISIBLE, Gpu, describe

FOLDER = Path(__file__).parents[1] / "config" / "profile"
#: Fewest GPUs, best first: PPO with a critic as in the paper, then GRPO, then adapters.
CHOICES = {"gpu": 8, "gpu_grpo": 1, "gpu_lora": 1, "gpu_small": 1}
#: A GPU's memory is a little less than its name says, and the estimate a little off: beyond this share of it
#: an update is refused.
USABLE = 0.97


@dataclass(frozen=True)
class Choice:
    """A profile and why it was chosen.

    Attributes:
        name: The profile.
        reason: In a line, for the user.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class Misfit:
    """Why a run does not fit into its GPUs.

    Attributes:
        why: What the profile does, such as `takes about 90 GiB of each GPU`.
        remedy: What helps beside another profile, a smaller model or more GPUs.
    """

    why: str
    remedy: str


def names() -> list[str]:
    """All profiles."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def choose(gpus: Sequence[Gpu], model: ModelShape, overrides: Sequence[str] = ()) -> Choice:
    """Chooses the first profile of `CHOICES` that fits.

    Args:
        gpus: The visible GPUs.
        model: The size of the model.
        overrides: The user's own settings, which count.

    Raises:
        SettingError: None fits, or a setting is wrong.
    """
    shapes, refused = {}, []
    for name, fewest in CHOICES.items():
        shape = shapes[name] = _shape(name, len(gpus), overrides)
        misfit = _misfit(shape, model, gpus)
        if shape.gpus < fewest:
            refused.append(f"{name} is for {fewest} GPUs")
        elif misfit:
            refused.append(f"{name} {misfit.why}")
        elif fitting_gpus(shape) != shape.gpus:
            refused.append(f"{name} cannot share its texts evenly by {shape.gpus} GPUs")
        else:
            takes = _gib(estimate(shape, model, _smallest(gpus)).update)
            reason = f"profile {name}: {_machine(gpus, model)}, about {takes} GiB a GPU"
            return Choice(name, reason + (f" ({'; '.join(refused)})" if refused else ""))
    remedy = "use a smaller BASE_MODEL or more GPUs, or name a PROFILE and lower data.max_response_length"
    for name, whole in shapes.items():
        count = fitting_gpus(whole)
        fewer = replace(whole, gpus=count, gpus_per_node=count // whole.nodes)
        if CHOICES[name] <= count and not _misfit(fewer, model, gpus):
            remedy = f"use {count} of the GPUs ({VISIBLE}), which profile {name} fits"
            break
    raise SettingError(f"no profile fits {_machine(gpus, model)}: {'; '.join(refused)}: {remedy}")


def check_fits(config: DictConfig, name: str, shape: RunShape, model: ModelShape, gpus: Sequence[Gpu]) -> str:
    """Checks that a configuration fits into the memory of its GPUs.

    Args:
        config: The resolved configuration.
        name: Its profile, for messages.
        shape: Its numbers.
        model: The size of the model.
        gpus: The visible GPUs.

    Returns:
        What it takes, in a line.

    Raises:
        SettingError: It does not fit; the message names a profile that does, where one does.
        SetupError: It would, but another process holds the memory.
    """
    takes, there = estimate(shape, model, _smallest(gpus)), _smallest(gpus)
    misfit = _misfit(shape, model, gpus)
    if misfit is None:
        for gpu in gpus:
            if gpu.free_mib << 20 < takes.update:
                raise SetupError(
                    f"GPU {gpu.index} has {_gib(gpu.free_mib << 20)} of {_gib(there)} GiB free, and an "
                    f"update takes about {_gib(takes.update)}: end what runs there (nvidia-smi shows it), or "
                    f"choose other GPUs in {VISIBLE}"
                )
        return (
            f"GPU memory: about {_gib(takes.update)} of {_gib(there)} GiB a GPU while the policy is updated "
            "(an estimate)"
        )
    try:
        other = choose(gpus, model, _own_overrides()).name
    except SettingError:
        other = ""
    remedy = (
        f"set PROFILE={other}" if other not in ("", name) else f"{misfit.remedy}, or use a smaller BASE_MODEL"
    )
    raise SettingError(f"profile {name} {misfit.why}, and there are {_machine(gpus, model)}: {remedy}")


def _misfit(shape: RunShape, model: ModelShape, gpus: Sequence[Gpu]) -> Misfit | None:
    there = _smallest(gpus)
    takes, share = estimate(shape, model, there), shape.utilization * there
    if takes.update > USABLE * there:
        return Misfit(
            f"takes about {_gib(takes.update)} GiB of each GPU while the policy is updated",
            "lower data.max_response_length and PPO_MAX_TOKEN_LEN_PER_GPU"
            + (", set actor_rollout_ref.rollout.free_cache_engine=true" if shape.keeps_cache else ""),
        )
    if takes.rollout > there:
        return Misfit(
            f"takes about {_gib(takes.rollout)} GiB of each GPU while texts are written",
            "lower actor_rollout_ref.rollout.gpu_memory_utilization, or offload the trained models",
        )
    if takes.rollout_floor > share:
        return Misfit(
            f"gives vLLM {_gib(share)} GiB of each GPU for about {_gib(takes.rollout_floor)} of weights and "
            "one text",
            "raise actor_rollout_ref.rollout.tensor_model_parallel_size or gpu_memory_utilization",
        )
    return None


def _shape(name: str, gpus: int, overrides: Sequence[str]) -> RunShape:
    try:
        return RunShape.of(compose([f"profile={name}", f"{GPUS}={gpus}", *overrides]))
    except HydraException as error:
        raise SettingError(" ".join(str(error).split())) from None


def _own_overrides() -> list[str]:
    """The user's own settings, where this is a run that Hydra started."""
    if not HydraConfig.initialized():
        return []
    return [text for text in HydraConfig.get().overrides.task if not text.startswith("profile=")]


def _smallest(gpus: Sequence[Gpu]) -> int:
    return min(gpu.total_mib for gpu in gpus) << 20


def _machine(gpus: Sequence[Gpu], model: ModelShape) -> str:
    size = f"{model.parameters / 1e9:.1f} billion parameters"
    return f"{describe(list(gpus))} with {_gib(_smallest(gpus))} GiB, {size}"


def _gib(count: float) -> str:
    return f"{count / 2**30:.0f}"
