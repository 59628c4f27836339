"""Whether a data set fits its use: asked before a training starts, and by `scripts/check_data.py`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from writing_rl.curriculum.index_file import check_index, read_index
from writing_rl.data.samples import Sample, SampleKeys
from writing_rl.errors import DataError, IndexFileError, SettingError

#: Texts that are given to the tokenizer at once: it works on them in parallel.
TEXTS_AT_ONCE = 256


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


def read_fitting_index(path: str | Path, samples: Sequence[Sample], keys: SampleKeys) -> dict[str, int]:
    """Reads an index file that belongs to a training set and covers it.

    Args:
        path: The index file.
        samples: The training set.
        keys: Which number names its samples.

    Returns:
        The index of each sample, by key.

    Raises:
        IndexFileError: The file cannot be used, does not belong to the data, or lacks samples.
    """
    references = {keys.key(sample.id, sample.index): len(sample.references) for sample in samples}
    indexes = read_index(path)
    check_index(path, indexes, references)
    missing = [key for key in references if key not in indexes]
    if missing:
        raise IndexFileError(
            f"{path} lacks {len(missing)} of {len(references)} samples, the first is id "
            f"{missing[0]}: complete it with scripts/create_index_file.py"
        )
    return indexes


def load_tokenizer(path: str, setting: str, *, trust_remote_code: bool = False) -> Any:
    """Loads a tokenizer.

    Args:
        path: A checkpoint folder or a name on the hub.
        setting: Where the path comes from, for messages.
        trust_remote_code: Whether code of the checkpoint may be run.

    Raises:
        SettingError: There is none.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        raise SettingError(
            f"{setting} is {path}, whose tokenizer cannot be loaded: {str(error).splitlines()[0]}"
        ) from None


def chat_text(tokenizer: Any, sample: Sample) -> str:
    """The text that the policy goes on from."""
    chat: Any = [dict(message) for message in sample.messages]
    text: str = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    return text


def count_tokens(tokenizer: Any, texts: Iterable[str]) -> Iterator[int]:
    """Counts the tokens of each text; special ones are not added."""
    remaining = iter(texts)
    while batch := list(islice(remaining, TEXTS_AT_ONCE)):
        yield from map(len, tokenizer(batch, add_special_tokens=False)["input_ids"])


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
