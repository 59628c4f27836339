"""How good the policy's texts on held-out prompts are, by judges that training did not use."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from writing_rl.dataset.samples import Sample, read_samples
from writing_rl.errors import DataError
from writing_rl.experiments.ablation.arms import Trial
from writing_rl.experiments.ablation.plot_judge import Told, read_story
from writing_rl.experiments.ablation.run import quickstart_folder
from writing_rl.judging.offline.measures import score_text
from writing_rl.text.thinking import judged_text
from writing_rl.util.folders import output_folder


@dataclass(frozen=True)
class HeldOut:
    """A text on a held-out prompt.

    Attributes:
        seed: Of the training, whose prompts are its own.
        id: The sample in the test set.
        reward: The training's own measure of the text: the offline judge's, from 0 to 10.
        against_best: 1, 0.5 or 0: a win, a tie or a loss against the best reference, by the offline judge
            without its margin for ties.
        told: What the plot judge finds in it.
        words: Length.
    """

    seed: int
    id: int
    reward: float
    against_best: float
    told: Told
    words: int


def held_out(trial: Trial, step: int) -> list[HeldOut]:
    """Judges what the policy wrote in the validation of a step.

    Raises:
        DataError: The transcript of the run does not hold it.
    """
    samples = {sample.id: sample for sample in read_samples(quickstart_folder(trial.seed) / "test.parquet")}
    texts: dict[int, str] = {}
    for entry in transcript(trial):
        if entry["step"] == step and not entry["training"]:
            texts[entry["id"]] = entry["response"]  # of several starts, the last
    if texts.keys() != samples.keys():
        raise DataError(
            f"logs/{trial.experiment}/judge holds {len(texts)} texts of the validation of step {step}, not "
            f"{len(samples)}: train it again"
        )
    return [_judged(trial, samples[id], judged_text(text)) for id, text in sorted(texts.items())]


def _judged(trial: Trial, sample: Sample, text: str) -> HeldOut:
    mine, best = (score_text(sample.prompt, each).total for each in (text, sample.references[-1]))
    return HeldOut(
        trial.seed,
        sample.id,
        reward=mine,
        against_best=0.5 * ((mine > best) + (mine >= best)),
        told=read_story(sample.prompt, text),
        words=len(text.split()),
    )


def transcript(trial: Trial) -> Iterator[Mapping[str, Any]]:
    """The comparisons of a training; a line that a kill has torn is left out."""
    for path in sorted((output_folder("logs") / trial.experiment / "judge").glob("comparisons-*.jsonl")):
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    yield json.loads(line)
