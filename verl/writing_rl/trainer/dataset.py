"""verl's data set (v0.9.1, `verl/utils/dataset/rl_dataset.py`) with nothing in it but what a run knows.

verl hands every column of a table on to the rollout: one called `agent_name` chooses another agent loop,
`uid` and `global_steps` stand where verl's own would, and a type that the package `datasets` does not know
ends the run. Where verl leaves overlong prompts out, a template's error counts as an overlong prompt, and a
set may end up empty.
"""

from __future__ import annotations

from typing import Any

import datasets
import numpy
import pyarrow
from verl.utils.dataset.rl_dataset import RLHFDataset

from writing_rl.dataset.chat_template import ChatTemplate
from writing_rl.dataset.fit import short_enough
from writing_rl.dataset.parquet_rows import read_schema
from writing_rl.dataset.samples import COLUMNS, plain_messages
from writing_rl.util.console import say


class WritingDataset(RLHFDataset):
    """The rows of a data set without columns that no run knows; what `extra_info` holds stays.

    Attributes:
        dataframe: The rows, as verl calls them.
    """

    dataframe: datasets.Dataset

    def _read_files_and_tokenize(self) -> None:
        rows = datasets.concatenate_datasets([_known_columns(str(path)) for path in self.data_files])
        say(f"dataset len: {len(rows)}")
        if 0 < self.max_samples < len(rows):
            chosen = numpy.arange(len(rows))
            if self.shuffle:
                generator = numpy.random.default_rng(self.seed)
                chosen = generator.choice(chosen, self.max_samples, replace=False)
            rows = rows.select(chosen[: self.max_samples].tolist())
        self.dataframe = self.maybe_filter_out_long_prompts(rows)

    def maybe_filter_out_long_prompts(self, dataframe: datasets.Dataset) -> datasets.Dataset:
        """Leaves prompts out that are too long, where that is wanted.

        Raises:
            DataError: A prompt cannot be rendered, or none is short enough.
        """
        if not self.filter_overlong_prompts:
            return dataframe
        path = ", ".join(map(str, self.original_data_files))
        # verl's processor of a model that also sees pictures has the template that counts.
        custom = getattr(self.processor, "chat_template", None)
        template = ChatTemplate.make(self.tokenizer, self.apply_chat_template_kwargs, custom)
        chats = (plain_messages(messages) for messages in dataframe[self.prompt_key])
        lengths = list(template.count(chats, path))
        return dataframe.select(short_enough(lengths, path, self.max_prompt_length))

    def __getitem__(self, item: int) -> dict[str, Any]:
        row: dict[str, Any] = super().__getitem__(item)
        row["raw_prompt"] = plain_messages(row["raw_prompt"])
        return row


def _known_columns(path: str) -> datasets.Dataset:
    """The rows of a parquet file; only the types of known columns are looked at."""
    schema = read_schema(path)
    known = pyarrow.schema([schema.field(column) for column in COLUMNS])
    features = datasets.Features.from_arrow_schema(known)
    columns = list(COLUMNS)
    return datasets.load_dataset(
        "parquet", data_files=path, columns=columns, features=features, split="train"
    )
