"""Making the reference index file of an experiment: what `writing-rl index create` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from writing_rl.curriculum.index_file import check_index, read_index, write_index
from writing_rl.dataset.samples import read_samples, sample_keys
from writing_rl.errors import IndexFileError


@dataclass(frozen=True)
class Starts:
    """What a new index file holds, and what an existing one is checked against.

    Attributes:
        indexes: The starting index of each sample, by key.
        references: How many references each sample has, by key; None where that is not known.
    """

    indexes: Mapping[str, int]
    references: Mapping[str, int] | None

    @classmethod
    def from_data(cls, path: str | Path) -> Starts:
        """The samples of a training set.

        Raises:
            DataError: The set cannot be used.
        """
        samples = read_samples(path)
        keys = sample_keys(samples, path)
        named = {keys.key(sample.id, sample.index): sample for sample in samples}
        return cls(
            indexes={key: keys.start(sample) for key, sample in named.items()},
            references={key: len(sample.references) for key, sample in named.items()},
        )

    @classmethod
    def from_number(cls, samples: int) -> Starts:
        """Samples 0 to `samples` - 1, each at its first reference, as the original's script makes them."""
        return cls(indexes={str(key): 0 for key in range(samples)}, references=None)


def create_index_file(path: Path, starts: Starts, *, reset: bool) -> str:
    """Makes, completes or resets an index file.

    Args:
        path: The index file.
        starts: The samples that it must cover.
        reset: Whether to start over an existing file.

    Returns:
        What was done, in one line.

    Raises:
        IndexFileError: The existing file cannot be used, does not belong to the data, or cannot be written.
    """
    if not path.exists() or reset:
        lost = f" (was: {_describe(path)})" if path.exists() else ""
        write_index(path, starts.indexes)
        return f"{path}: {'reset' if lost else 'made'} for {len(starts.indexes)} samples{lost}"
    existing = read_index(path)
    if starts.references is not None:
        check_index(path, existing, starts.references)
    missing = {key: index for key, index in starts.indexes.items() if key not in existing}
    if missing:
        write_index(path, {**existing, **missing})
        return f"{path}: kept {len(existing)} samples and added {len(missing)} missing ones"
    return f"{path}: kept, it covers all {len(starts.indexes)} samples"


def describe_loss(path: Path) -> str:
    """What `--reset` would lose, in one line."""
    return f"{path} holds {_describe(path)}"


def _describe(path: Path) -> str:
    try:
        indexes = read_index(path)
    except IndexFileError:  # an unreadable file may well be the reason for starting over
        return "an unreadable index"
    counts = Counter(indexes.values())
    spread = ", ".join(f"{counts[index]} at {index}" for index in sorted(counts))
    return f"{len(indexes)} samples: {spread}" if indexes else "no samples"
