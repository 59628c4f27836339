"""The smoke run: a profile with a tiny model and the offline judge, from the first step to an exported model.

Two steps, a checkpoint between them from which the second one resumes, and an export; on a machine without a
GPU the same shape on the CPU. It ends with a table of what was exercised, to paste where help is asked for.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path

from omegaconf import DictConfig

from writing_rl.errors import RunFailure, SettingError
from writing_rl.launch import attention
from writing_rl.launch.compose import compose
from writing_rl.launch.profiles import choose, names
from writing_rl.launch.trial_run import TrialFolder, train
from writing_rl.models.model_shape import ModelShape
from writing_rl.runlog.start_record import versions
from writing_rl.util.console import error_line, exit_with_message, say
from writing_rl.util.folders import output_folder
from writing_rl.util.gpus import describe, visible_gpus

#: Ranks on the CPU: as few as show how the profile shards and serves.
CPU_RANKS = {
    "original": 2,
    "gpu": 2,
    "gpu_grpo": 2,
    "gpu_lora": 1,
    "gpu_small": 1,
    "cpu": 1,
    "quickstart_cpu": 1,
}
#: Qwen2.5-7B.
SEVEN_BILLION = ModelShape(
    parameters=7_615_616_512,
    tied=False,
    vocabulary=152_064,
    hidden=3_584,
    layers=28,
    heads=28,
    key_value_heads=4,
    head_size=128,
    positions=32_768,
    bytes=15_231_233_024,
    largest=152_064 * 3_584,
)
#: verl's figure of how far the probabilities of vLLM and FSDP are apart, of the tokens that were written.
DIFFERENCE = "training/rollout_probs_diff_mean"
#: Log-probabilities of vLLM and FSDP may differ by this much in the mean before the weights' way is in doubt:
#: bfloat16 gives some thousandths for a model that is not trained.
LARGEST_DIFFERENCE = 0.05


def smoke(profile: str, overrides: list[str], out: Path) -> str:
    """Runs it.

    Args:
        profile: The profile's name.
        overrides: Hydra overrides of the user.
        out: A folder for what it makes; logs stay, the rest is removed when all went well.

    Returns:
        The table.

    Raises:
        UserError: Something that a person can mend stands in the way.
        RunFailure: It failed; the message says where.
    """
    started = time.monotonic()
    gpus = visible_gpus()
    settings = [f"profile={profile}", "trial=smoke"]
    if not gpus:
        settings += ["machine=cpu", f"trainer.n_gpus_per_node={CPU_RANKS.get(profile, 1)}"]
    settings += overrides
    out.mkdir(parents=True)
    folder = TrialFolder(out)
    variables = {**make_material(out), "EXPERIMENT_NAME": "smoke", "JUDGE_MODEL": "offline"}
    folder.make_index(out / "data" / "train.parquet")
    seconds = []
    for step in (1, 2):
        say(f"step {step} of 2{', resumed from its checkpoint' if step == 2 else ''}")
        steps = [*settings, f"trainer.total_training_steps={step}"]
        seconds.append(train(f"step-{step}", folder, steps, variables))
    say("export")
    exported = _export(folder)
    config = compose(_for_compose(settings, variables))
    figures = folder.figures()
    saved = _size(folder.checkpoints / "global_step_2")
    rows = {
        "profile": f"{profile}, {describe(gpus) if gpus else 'CPU'}",
        **exercised(config, figures, on_cpu=not gpus),
        "steps": ", ".join(f"{figures[step]['timing_s/step']:.0f} s" for step in (1, 2))
        + f" (starts and all: {seconds[0]:.0f} s, {seconds[1]:.0f} s)",
        "checkpoint": f"{saved / 1e6:.1f} MB, step 2 resumed from step 1",
        "export": exported,
        "versions": ", ".join(f"{name} {number}" for name, number in _versions().items()),
        "total": f"{time.monotonic() - started:.0f} s",
    }
    for made in (folder.checkpoints, out / "model", out / "exported", out / "data"):
        shutil.rmtree(made)
    return table(rows)


def exercised(
    config: DictConfig, figures: Mapping[int, Mapping[str, float]], *, on_cpu: bool
) -> dict[str, str]:
    """What a training has used of verl and vLLM, by its settings and figures.

    Args:
        config: The composed configuration.
        figures: Of each step.
        on_cpu: Whether it ran without a GPU.

    Raises:
        RunFailure: vLLM wrote with other weights than were trained, or nothing tells whether it did.
    """
    rollout, actor, model = (config.actor_rollout_ref[key] for key in ("rollout", "actor", "model"))
    seen = [step[DIFFERENCE] for step in figures.values() if DIFFERENCE in step]
    if not seen:
        raise RunFailure(
            f"verl has left no figure {DIFFERENCE}, which tells whether vLLM has the trained weights"
        )
    difference = max(seen)
    if difference > LARGEST_DIFFERENCE:
        raise RunFailure(
            f"vLLM's probabilities differ from FSDP's by {difference:.3f} in the mean: its weights are not "
            "those that were trained"
        )
    sleeps = rollout.free_cache_engine and rollout.get("enable_sleep_mode", True)
    return {
        "algorithm": f"{config.algorithm.adv_estimator}, {rollout.n} texts a prompt"
        + (", critic" if config.algorithm.adv_estimator == "gae" else "")
        + (", KL loss" if actor.use_kl_loss else ""),
        "attention": "sdpa" if on_cpu else attention.describe().removeprefix("attention: ").split(":")[0],
        "FSDP": f"{actor.strategy}, {config.trainer.n_gpus_per_node} ranks"
        + (", offload" if actor.fsdp_config.param_offload else ""),
        "vLLM": f"tensor parallel {rollout.tensor_model_parallel_size}, sleep mode "
        + ("on" if sleeps else "off (not on a CPU)" if on_cpu else "off"),
        "weight sync": f"probabilities of vLLM and FSDP differ by {difference:.1e} in the mean",
        "LoRA": f"rank {model.lora_rank}" if model.lora_rank else "not in this profile",
    }


def default_profile() -> str:
    """The profile that a model of 7 billion parameters would get here; on a CPU the one with most parts."""
    gpus = visible_gpus()
    if not gpus:
        return "gpu"
    try:
        return choose(gpus, SEVEN_BILLION, ["actor_rollout_ref.model.path=none"]).name
    except SettingError:
        return "gpu_small"


def table(rows: Mapping[str, str]) -> str:
    """Rows of two columns, in Markdown."""
    rows = {"smoke run": "passed", **rows}
    width = max(map(len, rows))
    lines = [f"| {name:<{width}} | {value} |" for name, value in rows.items()]
    return "\n".join([lines[0], f"|{'-' * (width + 2)}|---|", *lines[1:]])


def make_material(out: Path) -> dict[str, str]:
    """Makes a data set and a tiny model in a folder; returns the variables that name them."""
    # Seconds of imports, which a mistake on the command line does not wait for.
    from writing_rl.quickstart.dataset import draw_quickstart, to_rows, write_rows
    from writing_rl.quickstart.tiny_model import make_tiny_model

    texts = draw_quickstart(seed=0, train_rows=16, test_rows=4, corpus_texts=200)
    (out / "data").mkdir()
    for split, samples in (("train", texts.train), ("test", texts.test)):
        write_rows(to_rows(samples, split), out / "data" / f"{split}.parquet")
    make_tiny_model(texts, out / "model")
    return {"BASE_MODEL": str(out / "model"), "DATA_DIR": str(out / "data")}


def _export(folder: TrialFolder) -> str:
    from writing_rl.models.export import export, find_checkpoint

    checkpoint = find_checkpoint(folder.path, folder.checkpoints.name)
    contents = export(checkpoint, folder.path / "exported")
    return "a folder that transformers loads" + (", with its adapter" if contents.has_adapter else "")


def _for_compose(settings: Iterable[str], variables: Mapping[str, str]) -> list[str]:
    return [*settings, f"actor_rollout_ref.model.path='{variables['BASE_MODEL']}'"]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _versions() -> dict[str, str]:
    found = versions(("verl", "vllm", "torch", "transformers"))
    gpus = visible_gpus()
    return {"Python": platform.python_version(), **found, **({"driver": gpus[0].driver} if gpus else {})}


def main() -> None:
    """Command line: `python -m writing_rl.launch.smoke --profile NAME [Hydra overrides]`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--profile", help="the profile to try (default: the one for a 7B model on these GPUs)"
    )
    parser.add_argument("--out", type=Path, help="folder for its logs (default: logs/smoke-PROFILE-TIME)")
    parser.add_argument("overrides", nargs="*", help="Hydra overrides")
    arguments = parser.parse_args()
    profile = arguments.profile or default_profile()
    time_of_start = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
    out = (arguments.out or output_folder("logs") / f"smoke-{profile}-{time_of_start}").absolute()
    with exit_with_message(out):
        if profile not in names():
            raise SettingError(f"PROFILE is '{profile}': choose one of {', '.join(names())}")
        say(f"Smoke run of profile {profile} in {out}")
        try:
            say(smoke(profile, arguments.overrides, out))
        except RunFailure as failure:
            sys.exit(error_line(failure))


if __name__ == "__main__":
    main()
