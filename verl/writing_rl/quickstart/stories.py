"""Writes prompts and, for each, five stories of increasing quality.

Quality is built in, not measured: a level says how many of the plot's six beats are told, in causal order and
with the characters the prompt names, and how many flaws are then worked in (sentences said twice, sentences
that belong elsewhere, a wrong character or thing, an end broken off). The offline judge knows none of this.
"""

import random
from dataclasses import dataclass

from writing_rl.quickstart.plots import BEATS_PER_PLOT, HELPERS, NAMES, OBJECTS, PLACES, PLOTS, STRAYS, Plot

SYSTEM_PROMPT = "You write short stories."

#: The wordings of a prompt; `{task}` is the task of its plot.
PROMPTS = (
    "Write a story of six sentences in which {task}. Let a {h} help.",
    "Tell in six sentences how {task} with the help of a {h}.",
)


@dataclass(frozen=True)
class Level:
    """What a story of this level gets right and wrong.

    Attributes:
        beats: beats told, of ``BEATS_PER_PLOT``.
        repeats: sentences said twice.
        strays: sentences that belong to no story.
        slip: the probability that one sentence is about someone and something else than asked for.
        broken_end: the probability that the last sentence breaks off.
    """

    beats: int
    repeats: int
    strays: int
    slip: float
    broken_end: float


LEVELS = (
    Level(beats=2, repeats=2, strays=1, slip=0.5, broken_end=0.6),
    Level(beats=3, repeats=1, strays=1, slip=0.3, broken_end=0.3),
    Level(beats=4, repeats=1, strays=0, slip=0.0, broken_end=0.0),
    Level(beats=5, repeats=0, strays=0, slip=0.0, broken_end=0.0),
    Level(beats=6, repeats=0, strays=0, slip=0.0, broken_end=0.0),
)


@dataclass(frozen=True)
class Subject:
    """What one prompt asks for.

    Attributes:
        plot: the kind of story.
        wording: which of the prompt's wordings asks for it.
        name: the main character.
        thing: what the story turns on.
        place: where it happens.
        helper: who helps.
    """

    plot: Plot
    wording: int
    name: str
    thing: str
    place: str
    helper: str

    @property
    def prompt(self) -> str:
        """The user's request."""
        return self.fill(PROMPTS[self.wording].replace("{task}", self.plot.task))

    def fill(self, sentence: str) -> str:
        """Puts this subject's character, thing, place and helper into a sentence."""
        return sentence.format(n=self.name, o=self.thing, p=self.place, h=self.helper)


def draw_subject(rng: random.Random) -> Subject:
    """Draws what a prompt asks for."""
    return Subject(
        plot=rng.choice(PLOTS),
        wording=rng.randrange(len(PROMPTS)),
        name=rng.choice(NAMES),
        thing=rng.choice(OBJECTS),
        place=rng.choice(PLACES),
        helper=rng.choice(HELPERS),
    )


def write_story(subject: Subject, level: Level, rng: random.Random) -> str:
    """Tells a story of the given level.

    Args:
        subject: what the prompt asks for.
        level: how well it is told.
        rng: the source of every choice.

    Returns:
        One paragraph of English sentences.
    """
    told = sorted(rng.sample(range(BEATS_PER_PLOT), level.beats))
    slipped = rng.choice(told) if rng.random() < level.slip else None
    sentences = []
    for beat in told:
        about = _confused(subject, rng) if beat == slipped else subject
        sentences.append(about.fill(rng.choice(subject.plot.beats[beat])))
    for _ in range(level.repeats):
        place = rng.randrange(len(sentences))
        sentences.insert(place + 1, sentences[place])
    for stray in rng.sample(STRAYS, level.strays):
        sentences.insert(rng.randint(1, len(sentences)), stray)
    if rng.random() < level.broken_end:
        words = sentences[-1].split()
        sentences[-1] = " ".join(words[: rng.randint(2, len(words) - 2)]).rstrip(",")
    return " ".join(sentences)


def _confused(subject: Subject, rng: random.Random) -> Subject:
    """The same plot with everyone and everything else in it."""
    return Subject(
        plot=subject.plot,
        wording=subject.wording,
        name=rng.choice([name for name in NAMES if name != subject.name]),
        thing=rng.choice([thing for thing in OBJECTS if thing != subject.thing]),
        place=rng.choice([place for place in PLACES if place != subject.place]),
        helper=rng.choice([helper for helper in HELPERS if helper != subject.helper]),
    )
