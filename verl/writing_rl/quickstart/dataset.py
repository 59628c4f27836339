"""Draws the quick start's samples and stores them as the data set that the trainer reads."""

import os
import random
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from writing_rl.judging.grade import offline_grade
from writing_rl.judging.offline.measures import score_text
from writing_rl.quickstart.stories import LEVELS, SYSTEM_PROMPT, Subject, draw_subject, write_story

TRAIN_ROWS = 120
TEST_ROWS = 96
CORPUS_TEXTS = 6000

# How often each level appears in what the base model learns from: mostly weak texts, with some better ones,
# so that it knows how a story goes on and rarely tells one well.
CORPUS_LEVELS = (0.35, 0.35, 0.3, 0.0, 0.0)

# References are drawn again until each scores this much (of 10 points) above the one before.
MIN_STEP = 0.25
_MAX_DRAWS = 200


@dataclass(frozen=True)
class Sample:
    """A prompt and its references, worst first.

    Attributes:
        prompt: the user's request.
        references: one story for each of ``LEVELS``.
        draws: how many sets of references were drawn until their scores rose as built.
    """

    prompt: str
    references: tuple[str, ...]
    draws: int


@dataclass(frozen=True)
class Quickstart:
    """All texts of the quick start.

    Attributes:
        train: samples to train on.
        test: samples to validate on; none of their prompts is in ``train`` or ``corpus``.
        corpus: pairs of a prompt and a mostly weak story, for the base model.
    """

    train: tuple[Sample, ...]
    test: tuple[Sample, ...]
    corpus: tuple[tuple[str, str], ...]


def draw_quickstart(
    seed: int = 0,
    *,
    train_rows: int = TRAIN_ROWS,
    test_rows: int = TEST_ROWS,
    corpus_texts: int = CORPUS_TEXTS,
) -> Quickstart:
    """Draws all texts; the same arguments give the same texts.

    Args:
        seed: the seed of every choice.
        train_rows: samples to train on.
        test_rows: samples to validate on.
        corpus_texts: stories for the base model.

    Returns:
        The texts.
    """
    rng = random.Random(seed)
    seen: set[str] = set()
    test = tuple(_draw_sample(_new_subject(seen, rng), rng) for _ in range(test_rows))
    tested = {sample.prompt for sample in test}
    train = tuple(_draw_sample(_new_subject(seen, rng), rng) for _ in range(train_rows))
    corpus: list[tuple[str, str]] = []
    while len(corpus) < corpus_texts:
        subject = draw_subject(rng)
        if subject.prompt not in tested:
            level = rng.choices(LEVELS, CORPUS_LEVELS)[0]
            corpus.append((subject.prompt, write_story(subject, level, rng)))
    return Quickstart(train, test, tuple(corpus))


def messages(prompt: str) -> list[dict[str, str]]:
    """The chat in which a prompt reaches the model."""
    return [{"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": prompt}]


def to_rows(samples: Iterable[Sample], split: str) -> list[dict[str, Any]]:
    """Turns samples into rows of the training data's schema.

    Args:
        samples: the samples; their order gives their ids, from 0.
        split: ``train`` or ``test``.

    Returns:
        One row per sample.
    """
    return [
        {
            "data_source": "writing",
            "prompt": messages(sample.prompt),
            "ability": "write",
            "reward_model": {
                "style": "rule",
                "ground_truth": {
                    "prompt": sample.prompt,
                    "target": list(sample.references),
                    "criteria": None,
                    "id": index,
                },
            },
            "extra_info": {
                "index": index,
                "split": split,
                "scores": [offline_grade(sample.prompt, reference) for reference in sample.references],
            },
        }
        for index, sample in enumerate(samples)
    ]


def write_rows(rows: list[dict[str, Any]], path: Path) -> None:
    """Writes rows to a parquet file, which appears whole or not at all.

    Args:
        rows: rows of the training data's schema.
        path: the file to write; its folder must exist.

    Raises:
        OSError: if the file cannot be written.
    """
    import pandas as pd

    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pd.DataFrame(rows).to_parquet(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _new_subject(seen: set[str], rng: random.Random) -> Subject:
    while True:
        subject = draw_subject(rng)
        if subject.prompt not in seen:
            seen.add(subject.prompt)
            return subject


def _draw_sample(subject: Subject, rng: random.Random) -> Sample:
    """Draws references until the judge agrees with how they were built.

    Each level is better by construction; the judge, which measures something else, ranks about nine in ten
    neighbours the same way at the first draw. A reference that it puts below an easier one would only
    confuse.
    """
    for draw in range(1, _MAX_DRAWS + 1):
        references = tuple(write_story(subject, level, rng) for level in LEVELS)
        scores = [score_text(subject.prompt, reference).total for reference in references]
        if all(higher - lower >= MIN_STEP for lower, higher in pairwise(scores)):
            return Sample(subject.prompt, references, draw)
    raise RuntimeError(f"no rising references in {_MAX_DRAWS} draws for the prompt {subject.prompt!r}")
