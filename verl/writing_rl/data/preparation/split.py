"""Which prompts are for training and which for testing. Pure functions.

A prompt's place is a hash of its text and the seed, and depends on no other prompt: with a share, prompts
that are added move none of the others.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from writing_rl.errors import DataError, SettingError

_NO_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class SplitRule:
    """How the test set is chosen.

    Attributes:
        seed: Another seed gives another test set.
        test_share: Each prompt's probability to be in the test set; neither set is ever empty.
        test_count: Instead of the share: how many prompts are for testing, or a few more where the last of
            them has others of the same words.
    """

    seed: int = 0
    test_share: float = 0.1
    test_count: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.test_share < 1:
            raise SettingError(f"--test-share is {self.test_share}: it must be between 0 and 1")
        if self.test_count is not None and self.test_count < 1:
            raise SettingError(f"--test-count is {self.test_count}: it must be at least 1")


def same_words(prompt: str) -> str:
    """What prompts have in common that differ only in white space, case, punctuation and width."""
    words = _NO_WORD.sub("", unicodedata.normalize("NFKC", prompt).casefold())
    return words or " ".join(prompt.split())


def place(key: str, seed: int) -> float:
    """A number from 0 to 1 for a text, evenly distributed."""
    digest = hashlib.sha256(f"{seed}\n{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def choose_test(prompts: Iterable[str], rule: SplitRule) -> list[bool]:
    """Tells for each prompt whether it is for testing; prompts with the same words stay together.

    Raises:
        DataError: There are too few prompts for two sets.
    """
    keys = [same_words(prompt) for prompt in prompts]
    sizes = Counter(keys)
    places = {key: place(key, rule.seed) for key in sizes}
    ordered = sorted(places, key=lambda key: (places[key], key))
    if rule.test_count is None:
        number = sum(1 for value in places.values() if value < rule.test_share)
        number = max(1, min(number, len(ordered) - 1))  # both sets have a prompt
    else:
        number = taken = 0
        while taken < rule.test_count and number < len(ordered):
            taken += sizes[ordered[number]]
            number += 1
    if number >= len(ordered):
        wanted = (
            f"--test-share {rule.test_share}"
            if rule.test_count is None
            else f"--test-count {rule.test_count}"
        )
        raise DataError(
            f"{len(keys)} prompts are left, {len(ordered)} of them different: with {wanted} none would be "
            "left to train on"
        )
    test = set(ordered[:number])
    return [key in test for key in keys]
