"""Looking into a folder with a model in Hugging Face's format, without loading the model."""

from __future__ import annotations

import json
import math
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from writing_rl.errors import SetupError

#: Number formats of safetensors, as torch calls them.
_DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}
#: What holds a tokenizer's vocabulary, by its kind.
_TOKENIZERS = ("tokenizer.json", "vocab.json", "vocab.txt", "*.model", "*.tiktoken")


@dataclass(frozen=True)
class Contents:
    """What a folder with a model holds.

    Attributes:
        size: Bytes of its weights.
        parameters: How many there are.
        dtype: The number format of most of them.
        vocabulary: Entries of the tokenizer.
        has_chat_template: Whether the tokenizer knows how a chat is written.
        has_adapter: Whether a LoRA adapter stands beside the weights, which are then those of the base model.
    """

    size: int
    parameters: int
    dtype: str
    vocabulary: int
    has_chat_template: bool
    has_adapter: bool

    def describe(self, folder: Path) -> str:
        """What is there, for a terminal."""
        lines = [
            f"{folder}: {self.size / 1e6:,.1f} MB, {self.parameters:,} parameters in {self.dtype}, "
            f"a tokenizer of {self.vocabulary:,} entries"
        ]
        if not self.has_chat_template:
            lines.append("Note: the tokenizer has no chat template; vLLM needs one: --chat-template FILE")
        if self.has_adapter:
            lines.append("Note: these are the base model's weights; what was trained is in lora_adapter/")
        return "\n".join(lines)


def inspect(folder: Path) -> Contents:
    """Makes sure that a folder holds configuration, weights and tokenizer.

    Args:
        folder: The folder.

    Raises:
        SetupError: Something is missing, torn, or cannot be loaded.
    """
    files = sorted(folder.glob("*.safetensors"))
    listed = _listed_files(folder / "model.safetensors.index.json")
    if missing := listed - {path.name for path in files}:
        raise SetupError(f"the exported model lacks {sorted(missing)[0]}")
    tensors = [tensor for path in files for tensor in _tensors(path)]
    formats: Counter[str] = Counter()
    for tensor in tensors:
        formats[tensor["dtype"]] += math.prod(tensor["shape"])
    if not formats:
        raise SetupError("the exported model has no weights")
    most = formats.most_common(1)[0][0]
    # Looked for by name as well: for some models transformers makes up an empty tokenizer.
    if not any(path for pattern in _TOKENIZERS for path in folder.glob(pattern)):
        raise SetupError("the exported model has no tokenizer")
    tokenizer = _load(folder)
    return Contents(
        size=sum(path.stat().st_size for path in files),
        parameters=formats.total(),
        dtype=_DTYPES.get(most, most),
        vocabulary=len(tokenizer),
        has_chat_template=bool(getattr(tokenizer, "chat_template", None)),
        has_adapter=(folder / "lora_adapter").is_dir(),
    )


def _load(folder: Path) -> Any:
    """The tokenizer; the configuration is loaded as well, to see that it can be."""
    # Imported late: it takes seconds.
    from transformers import AutoConfig, AutoTokenizer

    try:
        AutoConfig.from_pretrained(folder, local_files_only=True)
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # whatever transformers makes of a broken file
        first = next(iter(str(error).splitlines()), "")
        raise SetupError(
            f"the exported model's configuration or tokenizer cannot be loaded: {type(error).__name__}: "
            f"{first[:200]}"
        ) from None


def _listed_files(index: Path) -> set[str]:
    """The files of a large model's weights."""
    if not index.is_file():
        return set()
    try:
        return set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError, TypeError):
        raise SetupError(f"the exported model's {index.name} is broken") from None


def _tensors(path: Path) -> list[Mapping[str, Any]]:
    """What a file of safetensors says of its tensors, in its first bytes.

    Raises:
        SetupError: It is torn, or something else.
    """
    try:
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length)) if length <= path.stat().st_size else {}
        tensors = [tensor for name, tensor in header.items() if name != "__metadata__"]
        whole = 8 + length + max(tensor["data_offsets"][1] for tensor in tensors)
    except (struct.error, ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise SetupError(f"the exported model's {path.name} is no file of safetensors") from None
    if path.stat().st_size != whole:
        raise SetupError(f"the exported model's {path.name} is torn")
    return tensors
