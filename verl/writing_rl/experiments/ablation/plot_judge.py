"""A judge of the quick start's stories that training never uses: it knows how they are built.

The offline judge, which gives the reward, measures texts in general: words, lengths, repetition. This one
knows the plots. It finds the beats of the plot that the prompt asks for, with the characters and things that
it names, and so tells whether a policy has learnt to tell the story or to please the measure.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left
from dataclasses import dataclass
from functools import cache

from writing_rl.quickstart.plots import HELPERS, NAMES, OBJECTS, PLACES, PLOTS
from writing_rl.quickstart.stories import PROMPTS, Subject

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class Told:
    """What a text tells of the story that was asked for.

    Attributes:
        beats: Different beats of its plot, with the right subject; at most 6.
        in_order: How many of them stand in their order.
        again: Sentences that say a beat again.
        foreign: Sentences that are no beat: of another story, about somebody else, or broken off.
    """

    beats: int
    in_order: int
    again: int
    foreign: int

    @property
    def points(self) -> float:
        """A point for each beat in its order, less one for each other sentence; from 0 to 6."""
        return max(0.0, float(self.in_order - self.again - self.foreign))


def read_story(prompt: str, text: str) -> Told:
    """Finds the beats in a text.

    Args:
        prompt: One of the quick start's prompts.
        text: The story.

    Raises:
        ValueError: The prompt is none of the quick start's.
    """
    beat_of = _beats(prompt)
    told = [beat_of.get(sentence) for sentence in _SENTENCE_END.split(text.strip()) if sentence]
    beats = [beat for beat in told if beat is not None]
    first = list(dict.fromkeys(beats))
    return Told(len(first), _longest_rise(first), len(beats) - len(first), len(told) - len(beats))


def _longest_rise(beats: list[int]) -> int:
    """The number of beats that are in their order: the longest rising subsequence."""
    ends: list[int] = []
    for beat in beats:
        place = bisect_left(ends, beat)
        ends[place : place + 1] = [beat]
    return len(ends)


@cache
def _beats(prompt: str) -> dict[str, int]:
    """Each sentence that tells a beat of a prompt's story, and which."""
    subject = _subject(prompt)
    return {
        subject.fill(wording): number
        for number, wordings in enumerate(subject.plot.beats)
        for wording in wordings
    }


def _subject(prompt: str) -> Subject:
    """What a prompt asks for."""
    words = {"n": NAMES, "o": OBJECTS, "p": PLACES, "h": HELPERS}
    groups = {key: f"(?P<{key}>{'|'.join(values)})" for key, values in words.items()}
    for plot, (number, wording) in itertools.product(PLOTS, enumerate(PROMPTS)):
        template = re.escape(wording.replace("{task}", plot.task))
        for key, group in groups.items():
            template = template.replace(re.escape(f"{{{key}}}"), group)
        if found := re.fullmatch(template, prompt):
            return Subject(plot, number, found["n"], found["o"], found["p"], found["h"])
    raise ValueError(f"no prompt of the quick start: {prompt!r}")
