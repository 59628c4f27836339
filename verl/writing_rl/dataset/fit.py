"""Whether a data set fits its use: asked before a training starts, and by `writing-rl data check`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from writing_rl.dataset.samples import Sample
from writing_rl.errors import DataError
from writing_rl.util.console import say


def check_split(samples: Sequence[Sample], path: str | Path, split: str) -> None:
    """Checks that a data set is the one for its purpose.

    Args:
        samples: The data set.
        path: Its file, for messages.
        split: What it is used as, `train` or `test`.

    Raises:
        DataError: A row belongs to the other set.
    """
    for number, sample in enumerate(samples):
        if sample.split != split:
            raise DataError(
                f"{path}, row {number}: extra_info.split is '{sample.split}', "
                f"but this file is used as the {split} set"
            )


def check_prompt_lengths(lengths: Iterable[int], path: str | Path, limit: int) -> None:
    """Checks that no prompt is too long.

    Args:
        lengths: The tokens of the prompts, in the order of the file.
        path: The file, for messages.
        limit: `data.max_prompt_length`.

    Raises:
        DataError: A prompt is longer than the limit.
    """
    for number, length in enumerate(lengths):
        if length > limit:
            raise DataError(
                f"{path}, row {number}: the prompt has {length} tokens, the limit is {limit}: raise "
                "data.max_prompt_length, or leave such rows out with data.filter_overlong_prompts=true"
            )


def short_enough(lengths: Sequence[int], path: str | Path, limit: int) -> list[int]:
    """The rows that `data.filter_overlong_prompts` keeps; prints how many it leaves out, if any.

    Args:
        lengths: The tokens of the prompts, in the order of the file.
        path: The file, for messages.
        limit: `data.max_prompt_length`.

    Raises:
        DataError: None is left.
    """
    kept = [row for row, length in enumerate(lengths) if length <= limit]
    if not kept:
        raise DataError(
            f"{path}: all {len(lengths):,} prompts have more than {limit} tokens (the shortest has "
            f"{min(lengths, default=0):,}), so data.filter_overlong_prompts leaves none: raise "
            "data.max_prompt_length"
        )
    if len(kept) < len(lengths):
        say(
            f"[writing-rl] {path}: {len(lengths) - len(kept):,} of {len(lengths):,} prompts have more than "
            f"{limit} tokens and are left out (data.filter_overlong_prompts)"
        )
    return kept
