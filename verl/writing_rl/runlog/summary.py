"""The summary at the end of a run, from the figures that it logged."""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

from writing_rl.runlog.metrics_file import read_figures
from writing_rl.util.console import say

REWARD = "critic/score/mean"
REFERENCE = "writing_rl/reference_index/mean"


def read_metrics(log_dir: Path) -> list[dict[str, Any]]:
    """The figures of every step of an experiment, over all its starts; the last run of a step counts.

    Args:
        log_dir: The experiment's log folder.

    Returns:
        One mapping a step, in the order of the steps; `step` is among its keys.
    """
    steps, _ = read_figures(log_dir / "metrics")
    return [{"step": step, **figures} for step, figures in steps.items()]


def validation_key(metrics: dict[str, Any]) -> str | None:
    """The name of validation's win rate in one step's figures; it carries the data source and n."""
    return next((key for key in metrics if key.startswith("val-aux/") and "/win/mean@" in key), None)


def summarize(steps: list[dict[str, Any]], judge: str) -> str:
    """The summary as text.

    Args:
        steps: What `read_metrics` gives.
        judge: The judge's model name.
    """
    training = [step for step in steps if REWARD in step]
    if not training:
        return "No training step was finished."
    validation = [step[key] for step in steps if (key := validation_key(step)) is not None]
    window = max(1, min(5, len(training) // 2))

    def change(name: str, start: float, end: float) -> str:
        return f"  {name:<52} {start:>7.3f} -> {end:>7.3f}"

    def ends(key: str) -> tuple[float, float]:
        values = [float(step[key]) for step in training]
        return statistics.fmean(values[:window]), statistics.fmean(values[-window:])

    lines = [
        f"{len(training)} training steps, "
        f"{statistics.median(s['timing_s/step'] for s in training):.1f} s each (median)"
    ]
    lines.append(f"  {'':<52} {'start':>7}    {'end':>7}")
    if len(validation) > 1:
        lines.append(
            change("validation: win rate against the fixed reference", validation[0], validation[-1])
        )
    first_reference = float(training[0][REFERENCE])
    lines.append(change("training: mean reference index", first_reference, float(training[-1][REFERENCE])))
    lines.append(change(f"training: mean reward (first and last {window} steps)", *ends(REWARD)))
    lines.append(change(f"training: win rate (first and last {window} steps)", *ends("writing_rl/win_rate")))
    unscored = statistics.fmean(float(step["writing_rl/unscored_rate"]) for step in training)
    lines.append(f"  {'unscored comparisons':<52} {unscored:>7.1%}")
    if judge == "offline":
        lines.append("Judged by the offline judge, which measures texts and is no LLM judge.")
    else:
        lines.append(f"Judged by {judge}.")
    return "\n".join(lines)


def main() -> None:
    """Command line: `python -m writing_rl.runlog.summary --log_dir logs/NAME --judge MODEL`."""
    parser = argparse.ArgumentParser(description="Prints the summary of an experiment.")
    parser.add_argument("--log_dir", type=Path, required=True, help="log folder of the experiment, logs/NAME")
    parser.add_argument("--judge", required=True, help="model name of the judge")
    arguments = parser.parse_args()
    steps = read_metrics(arguments.log_dir)
    if not steps:
        sys.exit(f"Error: {arguments.log_dir} holds no figures of a run")
    say(summarize(steps, arguments.judge))


if __name__ == "__main__":
    main()
