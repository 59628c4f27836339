"""What a server of vLLM needs of a GPU's memory, by the files of its model and vLLM's options."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from writing_rl.errors import SettingError
from writing_rl.models.model_shape import read_config
from writing_rl.models.placement import Need

MIB = 1 << 20
#: MiB for keys and values where a configuration does not say what they take.
CACHE_MIB = 4096
#: Options with which weights take other room on a GPU than in their files.
RESIZING = ("--quantization", "-q", "--cpu-offload-gb", "--load-format")
#: Options that split a model, or repeat it, over GPUs; the numbers are multiplied.
SPREADING = (
    ("--tensor-parallel-size", "-tp"),
    ("--pipeline-parallel-size", "-pp"),
    ("--data-parallel-size", "-dp"),
)
#: A file of weights for each format, the one that vLLM prefers first, and what lists several of them.
_WEIGHTS = (("*.safetensors", "model.safetensors.index.json"), ("*.bin", "pytorch_model.bin.index.json"))
_THOUSANDS = {"": 1, "k": 1000, "K": 1024}


def need_of(checkpoint: str, arguments: Sequence[str] = ()) -> Need:
    """What a server needs for a model.

    Args:
        checkpoint: A folder in Hugging Face's format, or a name at the hub.
        arguments: More of `vllm serve`'s options.

    Returns:
        The need; of unknown size where the weights are not on this disk or in no form that is known.
    """
    folder = _folder(checkpoint)
    size = weights_bytes(folder) if folder and option(arguments, *RESIZING) is None else None
    if folder is None or size is None:
        return Need(checkpoint, None)
    try:
        config = read_config(folder)
    except SettingError:  # vLLM says what is wrong with it
        return Need(checkpoint, None)
    if _is_halved(config, arguments):
        size //= 2
    return Need(checkpoint, math.ceil(size / MIB), _cache_mib(config, option(arguments, "--max-model-len")))


def option(arguments: Sequence[str], *names: str) -> str | None:
    """The value of one of vLLM's options as vLLM reads them; None where it is not given.

    Args:
        arguments: The options.
        names: Its names. As for vLLM, `_` and `-` are the same in a long one, and the last value counts.
    """
    value = None
    for number, argument in enumerate(arguments):
        name, equals, said = argument.partition("=")
        if name.startswith("--"):
            name = name.replace("_", "-")
        if name in names:
            value = said if equals else next(iter(arguments[number + 1 :]), "")
    return value


def gpus_each(arguments: Sequence[str]) -> int | None:
    """How many GPUs the user's own options want for a server; None where they say nothing."""
    said = [value for names in SPREADING if (value := option(arguments, *names)) is not None]
    sizes = [int(value) for value in said if value.isdecimal() and int(value) > 0]
    return math.prod(sizes) if sizes else None


def utilization(arguments: Sequence[str]) -> float | None:
    """The fraction of a GPU's memory that the user's options give a server; None where they say nothing."""
    said = option(arguments, "--gpu-memory-utilization")
    if said is None:
        return None
    with contextlib.suppress(ValueError):
        if 0 < (value := float(said)) <= 1:
            return value
    return 0.0  # vLLM refuses what the user says


def weights_bytes(folder: Path) -> int | None:
    """Bytes of the weights of a checkpoint on disk; None where they are not all there."""
    for pattern, index in _WEIGHTS:
        # A folder may hold the weights twice, such as Mistral's; an index names those that are loaded.
        files = _listed(folder / index) or sorted(folder.glob(pattern))
        if files:
            try:
                return sum(path.stat().st_size for path in files)
            except OSError:
                return None
    return None


def _folder(checkpoint: str) -> Path | None:
    """The folder of a checkpoint: itself, or that of a name of the hub that has been fetched before."""
    if (folder := Path(checkpoint)).is_dir():
        return folder
    # Imported late: only names of the hub need it.
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(checkpoint, local_files_only=True))
    except (OSError, ValueError):  # not there, or no such name
        return None


def _listed(index: Path) -> list[Path]:
    """The files that an index of weights names; none where there is no index."""
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        return sorted(index.parent / name for name in names)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _text_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a configuration says of the language model, which models that also see keep in a part of it."""
    part = config.get("text_config")
    return part if isinstance(part, dict) else config


def _is_halved(config: Mapping[str, Any], arguments: Sequence[str]) -> bool:
    """Whether the weights are in 32 bits, of which vLLM makes 16 unless it is told not to."""
    text = _text_part(config)
    dtypes = [part.get(name) for part in (config, text) for name in ("dtype", "torch_dtype")]
    return "float32" in dtypes and option(arguments, "--dtype") not in ("float32", "float")


def _cache_mib(config: Mapping[str, Any], longest: str | None) -> int:
    """MiB of keys and values of one text of the greatest length, without which vLLM does not start.

    A token takes 2 (key and value) x layers x heads of keys and values x size of a head x 2 bytes (16 bits).
    Of Qwen2.5-7B that is 2 x 28 x 4 x 128 x 2 = 56 KiB, and 1.75 GiB for its 32,768 tokens.

    Args:
        config: The model's configuration.
        longest: The user's `--max-model-len`, if any.
    """
    text = _text_part(config)
    try:
        layers, heads = int(text["num_hidden_layers"]), int(text["num_attention_heads"])
        if text.get("layer_types"):  # the others keep a window or a state, whose size does not grow
            layers = sum(kind == "full_attention" for kind in text["layer_types"])
        values = (
            2
            * int(text.get("num_key_value_heads") or heads)
            * int(text.get("head_dim") or text["hidden_size"] // heads)
        )
        if text.get("kv_lora_rank"):  # DeepSeek's latent attention, the same for all heads
            values = int(text["kv_lora_rank"]) + int(text.get("qk_rope_head_dim") or 0)
        tokens = _tokens(longest) or int(text["max_position_embeddings"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError, AttributeError):
        return CACHE_MIB
    return math.ceil(2 * layers * values * tokens / MIB)


def _tokens(said: str | None) -> int | None:
    """A number of tokens as vLLM reads it (`8192`, `8k`, `8K`); None where it is none."""
    found = re.fullmatch(r"(\d+)([kK]?)", said or "")
    return int(found[1]) * _THOUSANDS[found[2]] or None if found else None
