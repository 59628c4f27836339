"""The size of a model, read from the headers of its files."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from writing_rl.errors import SettingError
from writing_rl.models.model_shape import INDEX, read_config, read_shape

CONFIG = {
    "vocab_size": 10,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
}
EMBEDDINGS = {"model.embed_tokens.weight": (10, 8)}
OUTPUT = {"lm_head.weight": (10, 8)}
LAYERS = {
    f"model.layers.{layer}.{name}.weight": size
    for layer in range(2)
    for name, size in {"self_attn.q_proj": (8, 8), "mlp.up_proj": (20, 8), "input_layernorm": (8,)}.items()
}
UNTIED = {**EMBEDDINGS, **LAYERS, **OUTPUT}
IN_LAYERS = 2 * (8 * 8 + 20 * 8 + 8)


def write(path: Path, tensors: dict[str, tuple[int, ...]], dtype: Any = np.float16) -> Path:
    path.parent.mkdir(exist_ok=True)
    save_file({name: np.zeros(size, dtype) for name, size in tensors.items()}, path)
    return path


def checkpoint(
    folder: Path, config: Any, tensors: dict[str, tuple[int, ...]], dtype: Any = np.float16
) -> Path:
    write(folder / "model.safetensors", tensors, dtype)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def message(folder: Path) -> str:
    with pytest.raises(SettingError) as error:
        read_shape(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


# What is read


def test_a_model_is_as_large_as_its_tensors(tmp_path: Path) -> None:
    shape = read_shape(checkpoint(tmp_path, CONFIG, UNTIED))
    assert shape.parameters == 2 * 80 + IN_LAYERS
    assert shape.bytes == 2 * shape.parameters
    assert shape.largest == 20 * 8
    assert (shape.vocabulary, shape.hidden, shape.layers, shape.heads) == (10, 8, 2, 4)
    assert (shape.key_value_heads, shape.head_size, shape.positions, shape.tied) == (2, 2, 64, False)


@pytest.mark.parametrize(
    ("said", "tensors", "tied", "outputs"),
    [
        (True, {**EMBEDDINGS, **LAYERS}, True, 1),
        (True, UNTIED, True, 1),  # the output layer is in the file all the same
        (False, UNTIED, False, 2),
        (None, {**EMBEDDINGS, **LAYERS}, True, 1),  # the architecture's default is not in its configuration
        (None, UNTIED, False, 2),
    ],
)
def test_shared_weights_are_counted_once(
    tmp_path: Path, said: bool | None, tensors: dict[str, tuple[int, ...]], tied: bool, outputs: int
) -> None:
    config = {key: value for key, value in CONFIG.items() if key != "tie_word_embeddings"}
    shape = read_shape(
        checkpoint(tmp_path, config if said is None else {**config, "tie_word_embeddings": said}, tensors)
    )
    assert shape.tied is tied
    assert shape.parameters == outputs * 80 + IN_LAYERS


@pytest.mark.parametrize(
    ("outer", "inner", "tied"), [(True, False, True), (None, True, True), (None, None, False)]
)
def test_a_model_that_also_sees_keeps_its_text_part_apart(
    tmp_path: Path, outer: bool | None, inner: bool | None, tied: bool
) -> None:
    text = {**CONFIG, "tie_word_embeddings": inner}
    config = {"model_type": "seeing", "text_config": text, "tie_word_embeddings": outer}
    config = {key: value for key, value in config.items() if value is not None}
    tensors = {f"language_model.{name}": size for name, size in UNTIED.items()}
    shape = read_shape(checkpoint(tmp_path, config, tensors))
    assert (shape.hidden, shape.tied) == (8, tied)
    assert shape.parameters == (1 if tied else 2) * 80 + IN_LAYERS


@pytest.mark.parametrize(
    ("changed", "key_value_heads", "head_size"),
    [({"num_key_value_heads": None}, 4, 2), ({"head_dim": 16}, 2, 16), ({"head_dim": None}, 2, 2)],
)
def test_what_a_configuration_leaves_out_follows_from_the_rest(
    tmp_path: Path, changed: dict[str, Any], key_value_heads: int, head_size: int
) -> None:
    shape = read_shape(checkpoint(tmp_path, {**CONFIG, **changed}, UNTIED))
    assert (shape.key_value_heads, shape.head_size) == (key_value_heads, head_size)


def test_a_configuration_may_know_no_longest_text(tmp_path: Path) -> None:
    config = {key: value for key, value in CONFIG.items() if key != "max_position_embeddings"}
    assert read_shape(checkpoint(tmp_path, config, UNTIED)).positions == 0


def test_adapters_lie_on_the_matrices_of_the_layers(tmp_path: Path) -> None:
    shape = read_shape(checkpoint(tmp_path, CONFIG, UNTIED))
    assert shape.lora_parameters(3) == 2 * 3 * (8 + 8 + 20 + 8)
    assert shape.lora_parameters(0) == 0


def test_the_cache_holds_keys_and_values_of_all_layers(tmp_path: Path) -> None:
    shape = read_shape(checkpoint(tmp_path, CONFIG, UNTIED))
    assert shape.cache_bytes() == 2 * 2 * 2 * 2 * 2
    assert shape.cache_bytes(width=1) == 16


@pytest.mark.parametrize(("dtype", "width"), [(np.float32, 4), (np.float64, 8), (np.int8, 1), (np.uint16, 2)])
def test_bytes_go_by_the_type_of_the_values(tmp_path: Path, dtype: Any, width: int) -> None:
    shape = read_shape(checkpoint(tmp_path, CONFIG, UNTIED, dtype))
    assert shape.bytes == width * shape.parameters


def test_metadata_is_no_tensor(tmp_path: Path) -> None:
    checkpoint(tmp_path, CONFIG, UNTIED)
    save_file({"w": np.zeros(3)}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert read_shape(tmp_path).parameters == 3


# Several files


def sharded(folder: Path) -> Path:
    checkpoint(folder, CONFIG, UNTIED)
    (folder / "model.safetensors").unlink()
    write(folder / "model-1.safetensors", {**EMBEDDINGS, **OUTPUT})
    write(folder / "model-2.safetensors", LAYERS)
    return folder


def index(folder: Path, weight_map: Any) -> Path:
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    return folder


def test_files_without_an_index_are_all_read(tmp_path: Path) -> None:
    assert read_shape(sharded(tmp_path)).parameters == 2 * 80 + IN_LAYERS


def test_of_weights_that_are_there_twice_the_indexed_ones_count(tmp_path: Path) -> None:
    write(sharded(tmp_path) / "consolidated.safetensors", UNTIED)
    index(tmp_path, {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-2.safetensors"})
    assert read_shape(tmp_path).parameters == 2 * 80 + IN_LAYERS


def test_a_whole_file_counts_beside_its_copy(tmp_path: Path) -> None:
    checkpoint(tmp_path, CONFIG, UNTIED)
    write(tmp_path / "consolidated.safetensors", UNTIED)
    assert read_shape(tmp_path).parameters == 2 * 80 + IN_LAYERS


def test_an_indexed_file_that_is_missing_is_named(tmp_path: Path) -> None:
    index(sharded(tmp_path), {"a": "model-1.safetensors", "b": "model-3.safetensors"})
    assert message(tmp_path) == (
        f"{tmp_path / 'model-3.safetensors'} is not a whole safetensors file (No such file or directory): "
        "fetch or copy it again"
    )


@pytest.mark.parametrize("weight_map", [{}, [], None])
def test_an_index_without_files_is_named(tmp_path: Path, weight_map: Any) -> None:
    assert "names no files" in message(index(sharded(tmp_path), weight_map))


# What is wrong with it


def test_a_folder_without_weights_is_named(tmp_path: Path) -> None:
    checkpoint(tmp_path, CONFIG, UNTIED)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    assert message(tmp_path).startswith(f"{tmp_path} holds no *.safetensors: convert the checkpoint")


def as_header(header: Any) -> bytes:
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(content)) + content


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (-1, "it is cut off"),
        (100, "Unterminated string"),
        (5, "unpack requires a buffer of 8 bytes"),
        (b"", "unpack requires a buffer of 8 bytes"),
        (b"<!doctype html>", "its header is too long"),
        (as_header(b"{no json"), "Expecting property name"),
        (as_header(b"\xff\xff"), "codec can't decode"),
        (as_header([1]), "TypeError"),
        (as_header({"w": 7}), "TypeError"),
        (as_header({"w": {"dtype": "F32", "shape": [1]}}), "KeyError: 'data_offsets'"),
        (as_header({"w": {"dtype": "F32", "shape": [1], "data_offsets": []}}), "IndexError"),
        (as_header({"w": {"dtype": "F32", "shape": 1, "data_offsets": [0, 0]}}), "TypeError"),
        (as_header({"w": {"shape": [1], "data_offsets": [0, 0]}}), "KeyError: 'dtype'"),
    ],
)
def test_a_broken_file_is_named_with_the_reason(tmp_path: Path, content: bytes | int, reason: str) -> None:
    path = checkpoint(tmp_path, CONFIG, UNTIED) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:content] if isinstance(content, int) else content)
    said = message(tmp_path)
    assert said.startswith(f"{path} is not a whole safetensors file (")
    assert reason in said


@pytest.mark.parametrize("content", ["", "{", "[1]", "7", "\ufeff{}"])
def test_a_configuration_that_is_no_object_is_named(tmp_path: Path, content: str) -> None:
    checkpoint(tmp_path, CONFIG, UNTIED)
    (tmp_path / "config.json").write_text(content)
    assert message(tmp_path).startswith(f"{tmp_path / 'config.json'} ")


def test_a_missing_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"config.json cannot be read \(No such file or directory\)"):
        read_config(tmp_path)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"num_attention_heads": 0, "num_key_value_heads": 1}, "ZeroDivisionError"),
        ({"hidden_size": "wide"}, "invalid literal"),
        ({"hidden_size": None}, "TypeError"),
        ({"text_config": 7}, "AttributeError"),
        ({"text_config": {"hidden_size": 8}}, "KeyError: 'num_attention_heads'"),
    ],
)
def test_a_configuration_of_another_kind_of_model_is_named(
    tmp_path: Path, changed: dict[str, Any], reason: str
) -> None:
    config = {**CONFIG, **changed}
    config.pop("tie_word_embeddings")
    said = message(checkpoint(tmp_path, config, UNTIED))
    assert said.startswith(f"{tmp_path / 'config.json'} describes no causal language model (")
    assert reason in said
