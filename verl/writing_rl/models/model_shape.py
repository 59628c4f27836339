"""What a checkpoint's own files say of its size, read without loading a weight."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from writing_rl.errors import SettingError

#: Bytes of a value by its name in a safetensors header; all others take one.
WIDTHS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("BF16", "F16", "I16", "U16"), 2),
}
#: A header is JSON of some kilobytes; a file that claims more is not what it says.
LARGEST_HEADER = 100 << 20
#: What lists the files of a checkpoint that has several.
INDEX = "model.safetensors.index.json"
OUTPUT = "lm_head.weight"


@dataclass(frozen=True)
class ModelShape:
    """The size of a causal language model.

    Attributes:
        parameters: Weights in all, each counted once.
        tied: Whether the output layer shares the weights of the embeddings.
        vocabulary: Entries of the output layer.
        hidden: Width of a layer.
        layers: Layers.
        heads: Attention heads.
        key_value_heads: Heads of keys and values.
        head_size: Width of a head.
        positions: Tokens of the longest text that it was made for; 0 where it does not say.
        bytes: Of its weights on disk.
        largest: Weights of the largest single tensor.
        matrices: (rows, columns) of each matrix inside the layers, which LoRA adapts.
    """

    parameters: int
    tied: bool
    vocabulary: int
    hidden: int
    layers: int
    heads: int
    key_value_heads: int
    head_size: int
    positions: int
    bytes: int
    largest: int
    matrices: tuple[tuple[int, int], ...] = ()

    def lora_parameters(self, rank: int) -> int:
        """Weights of LoRA adapters of this rank on every linear layer."""
        return sum(rank * (rows + columns) for rows, columns in self.matrices)

    def cache_bytes(self, width: int = 2) -> int:
        """Bytes of keys and values for one token, of `width` bytes each."""
        return 2 * self.layers * self.key_value_heads * self.head_size * width


class Tensor(NamedTuple):
    """A tensor of a checkpoint."""

    name: str
    shape: tuple[int, ...]
    width: int


def read_shape(folder: Path) -> ModelShape:
    """Reads a checkpoint folder in Hugging Face's format.

    Raises:
        SettingError: A file is missing or broken; the message names it.
    """
    config = read_config(folder)
    tensors = list(_tensors(folder))
    # The output layer of a tied model is left out of most files, and stands in some.
    is_output = [tensor.name.endswith(OUTPUT) for tensor in tensors]
    try:
        text = config.get("text_config") or config
        tied = config.get("tie_word_embeddings", text.get("tie_word_embeddings"))
        tied = not any(is_output) if tied is None else bool(tied)
        counted = [tensor for tensor, output in zip(tensors, is_output, strict=True) if not (tied and output)]
        heads = int(text["num_attention_heads"])
        hidden = int(text["hidden_size"])
        return ModelShape(
            parameters=sum(math.prod(tensor.shape) for tensor in counted),
            tied=tied,
            vocabulary=int(text["vocab_size"]),
            hidden=hidden,
            layers=int(text["num_hidden_layers"]),
            heads=heads,
            key_value_heads=int(text.get("num_key_value_heads") or heads),
            head_size=int(text.get("head_dim") or hidden // heads),
            positions=int(text.get("max_position_embeddings") or 0),
            bytes=sum(tensor.width * math.prod(tensor.shape) for tensor in tensors),
            largest=max((math.prod(tensor.shape) for tensor in counted), default=0),
            matrices=tuple(
                (tensor.shape[0], tensor.shape[1])
                for tensor in counted
                if ".layers." in tensor.name and len(tensor.shape) == 2
            ),
        )
    except (LookupError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        raise SettingError(
            f"{folder / 'config.json'} describes no causal language model ({_of(error)})"
        ) from None


def read_config(folder: Path) -> Mapping[str, Any]:
    """The model's `config.json`.

    Raises:
        SettingError: It is missing or broken.
    """
    return _read_object(folder / "config.json")


def _read_object(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingError(
            f"{path} cannot be read ({_of(error)}): name a whole Hugging Face checkpoint"
        ) from None
    if not isinstance(content, dict):
        raise SettingError(f"{path} is not a JSON object: name a whole Hugging Face checkpoint")
    return content


def _tensors(folder: Path) -> Iterator[Tensor]:
    for path in _files(folder):
        yield from _header(path)


def _files(folder: Path) -> list[Path]:
    """The files of the weights, as transformers chooses them; some folders hold the weights twice."""
    whole, index = folder / "model.safetensors", folder / INDEX
    if whole.is_file():
        return [whole]
    if index.is_file():
        named = _read_object(index).get("weight_map")
        if not isinstance(named, dict) or not named:
            raise SettingError(f"{index} names no files: name a whole Hugging Face checkpoint")
        return sorted({folder / str(name) for name in named.values()})
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise SettingError(
            f"{folder} holds no *.safetensors: convert the checkpoint (save_pretrained of transformers "
            "does), or fetch the rest of it"
        )
    return files


def _header(path: Path) -> list[Tensor]:
    """Reads the header of a safetensors file: eight bytes of length, then JSON."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > LARGEST_HEADER:
                raise ValueError("its header is too long")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        ends = [int(tensor["data_offsets"][1]) for tensor in header.values()]
        if path.stat().st_size < 8 + length + max(ends, default=0):
            raise ValueError("it is cut off")
        return [
            Tensor(name, tuple(map(int, tensor["shape"])), WIDTHS.get(tensor["dtype"], 1))
            for name, tensor in header.items()
        ]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, struct.error) as error:
        raise SettingError(
            f"{path} is not a whole safetensors file ({_of(error)}): fetch or copy it again"
        ) from None


def _of(error: Exception) -> str:
    """An error in a line, without the path that the message names already."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
