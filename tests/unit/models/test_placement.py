"""Which GPU a server gets, how much of its memory, and what it needs."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.models.placement import MOST, OUTSIDE_MIB, SPLITS, WORK_MIB, Need, NoRoom, Placement, place
from writing_rl.models.server_memory import CACHE_MIB, gpus_each, need_of, option, utilization
from writing_rl.util.gpus import Gpu

#: MiB of an 80 GB GPU as `nvidia-smi` shows it when nothing runs there.
TOTAL, FREE = 81559, 81000


def gpu(index: int, free: int = FREE, total: int = TOTAL) -> Gpu:
    return Gpu(index, f"GPU-{index}", "NVIDIA H100 80GB HBM3", total, free, "570.1", (9, 0))


def places(placed: Sequence[Placement]) -> list[list[int]]:
    """The numbers of each server's GPUs."""
    return [[gpu.index for gpu in placement.gpus] for placement in placed]


def fractions(placed: Sequence[Placement]) -> list[float]:
    return [placement.utilization or 0 for placement in placed]


# Where servers go


def test_the_only_server_gets_the_gpu_with_the_most_free_memory() -> None:
    (placement,) = place([gpu(0, 20000), gpu(1, 70000), gpu(2, 60000)], [Need("m", 15000, 2000)])
    assert placement.gpus[0].index == 1
    assert placement.utilization == pytest.approx((70000 - OUTSIDE_MIB) / TOTAL, abs=1e-4)
    assert placement.tensor_parallel is None
    assert placement.variables == {"CUDA_VISIBLE_DEVICES": "GPU-1"}
    assert placement.arguments == ["--gpu-memory-utilization", f"{placement.utilization:g}"]
    assert placement.describe() == "GPU 1"


def test_on_an_empty_gpu_a_server_gets_what_vllm_takes_by_itself() -> None:
    assert fractions(place([gpu(0)], [Need("m", 15000)])) == [MOST]


def test_each_server_gets_a_gpu_of_its_own_and_the_larger_one_the_freer() -> None:
    placed = place([gpu(0, 50000), gpu(1)], [Need("small", 1000), Need("large", 15000)])
    assert places(placed) == [[0], [1]]


def test_two_servers_divide_the_only_gpu_in_proportion_to_their_needs() -> None:
    assert fractions(place([gpu(0)], [Need("a", 15000), Need("b", 15000)])) == [MOST / 2, MOST / 2]
    small, large = fractions(place([gpu(0)], [Need("a", 3000), Need("b", 33000)]))
    assert large / small == pytest.approx((33000 + WORK_MIB) / (3000 + WORK_MIB), rel=0.01)
    assert small + large == pytest.approx(MOST, abs=1e-3)


def test_what_others_use_of_the_gpu_is_not_divided() -> None:
    both = sum(fractions(place([gpu(0, 45000)], [Need("a", 15000), Need("b", 15000)])))
    assert both * TOTAL == pytest.approx(45000 - 2 * OUTSIDE_MIB, abs=20)


def test_servers_share_where_the_other_gpu_is_full() -> None:
    assert places(place([gpu(0, 3000), gpu(1)], [Need("a", 15000), Need("b", 15000)])) == [[1], [1]]


def test_a_model_too_large_for_one_gpu_is_split() -> None:
    placed = place([gpu(n) for n in range(8)], [Need("a", 134000, 8000), Need("b", 15000)])
    assert places(placed) == [[0, 1], [2]]
    assert placed[0].arguments[-2:] == ["--tensor-parallel-size", "2"]
    assert placed[0].variables == {"CUDA_VISIBLE_DEVICES": "GPU-0,GPU-1"}
    assert placed[0].describe() == "GPUs 0, 1"
    assert "--tensor-parallel-size" not in placed[1].arguments


def test_a_split_model_takes_of_each_gpu_what_the_smallest_has() -> None:
    (placement,) = place([gpu(0, 30000, 40000), gpu(1, 40000, 40000)], [Need("a", 45000)])
    assert places([placement]) == [[0, 1]]
    assert 0 < (placement.utilization or 0) <= (30000 - OUTSIDE_MIB) / 40000


def test_of_gpus_of_two_sizes_a_split_model_gets_what_it_needs_of_each() -> None:
    uneven = [gpu(0, 20000, 80000), gpu(1, 24000, 24000)]
    with pytest.raises(NoRoom):  # the fraction that the first one has would be too little of the second
        place(uneven, [Need("a", 26000)])
    (placement,) = place([*uneven, gpu(2, 24000, 24000)], [Need("a", 26000)])
    assert places([placement]) == [[1, 2]]


def test_a_model_of_unknown_size_shares_with_nobody() -> None:
    assert places(place([gpu(0, 50000), gpu(1)], [Need("hub", None), Need("b", 15000)])) == [[0], [1]]
    with pytest.raises(
        NoRoom, match=r"b \(about 16\.6 GiB\) do not fit .* hub|hub \(of unknown size\) and b"
    ):
        place([gpu(0)], [Need("hub", None), Need("b", 15000)])


def test_a_model_whose_weights_fit_is_left_to_vllm_on_a_gpu_of_its_own() -> None:
    long = Need("long", 15000, 90000)
    assert places(place([gpu(0)], [long])) == [[0]]
    assert places(place([gpu(0), gpu(1)], [long])) == [[0, 1]]  # split, its longest text fits
    with pytest.raises(NoRoom):
        place([gpu(0)], [long, Need("b", 1000)])


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        (
            [Need("models/a", 90000)],
            "models/a does not fit into the free memory of the GPUs (0: 19.5 GiB): it needs at least "
            "87.9 GiB in all; end what else uses them, or name a smaller model",
        ),
        (
            [Need("a", 15000), Need("b", None)],
            "a (about 16.6 GiB) and b (of unknown size) do not fit into the free memory of the GPUs "
            "(0: 19.5 GiB) at the same time: end what else uses them, shorten the texts with "
            "--vllm-args='--max-model-len N', or divide the memory yourself with "
            "--vllm-args='--gpu-memory-utilization 0.4'",
        ),
    ],
)
def test_where_there_is_no_room_the_remedy_is_named(needs: list[Need], said: str) -> None:
    with pytest.raises(NoRoom) as error:
        place([gpu(0, 20000)], needs)
    assert str(error.value) == said


def test_the_users_own_fraction_counts_whatever_is_free() -> None:
    needs = [Need("a", 15000), Need("b", 15000)]
    for gpus, where in (([gpu(0, 5000)], [[0], [0]]), ([gpu(0), gpu(1)], [[0], [1]])):
        placed = place(gpus, needs, utilization=0.4)
        assert places(placed) == where
        assert [placement.arguments for placement in placed] == [[], []]
    (placement,) = place([gpu(0), gpu(1)], [Need("a", 40000)], utilization=0.4)
    assert placement.arguments == ["--tensor-parallel-size", "2"]
    assert places(place([gpu(0), gpu(1)], [Need("hub", None)], utilization=0.4)) == [[0]]
    assert places(place([gpu(0)], [Need("a", 99999)], utilization=0.4)) == [[0]]


def test_the_users_own_number_of_gpus_counts() -> None:
    placed = place([gpu(n) for n in range(4)], [Need("a", 15000), Need("b", 15000)], gpus_each=2)
    assert places(placed) == [[0, 1], [2, 3]]
    assert [placement.tensor_parallel for placement in placed] == [None, None]
    shared = place([gpu(0), gpu(1)], [Need("a", 15000), Need("b", 15000)], gpus_each=2)
    assert places(shared) == [[0, 1], [0, 1]]
    assert fractions(shared) == [MOST / 2, MOST / 2]
    with pytest.raises(NoRoom, match=r"4 GPU\(s\) are needed for each model, and 2 may be used"):
        place([gpu(0), gpu(1)], [Need("a", 15000)], gpus_each=4)


@st.composite
def machines(draw: st.DrawFn) -> list[Gpu]:
    sizes = draw(st.lists(st.integers(8192, 200_000), min_size=1, max_size=8))
    return [gpu(n, draw(st.integers(0, total)), total) for n, total in enumerate(sizes)]


NEEDS = st.lists(
    st.builds(Need, st.just("m"), st.none() | st.integers(1, 400_000), st.integers(0, 50_000)),
    min_size=1,
    max_size=4,
)


@given(machines(), NEEDS, st.none() | st.integers(1, 8))
def test_every_server_is_placed_within_what_is_free_or_none_is(
    gpus: list[Gpu], needs: list[Need], each: int | None
) -> None:
    try:
        placed = place(gpus, needs, gpus_each=each)
    except NoRoom:
        with pytest.raises(NoRoom):
            place(gpus, needs, gpus_each=each)
        return
    assert placed == place(gpus, needs, gpus_each=each)
    assert len(placed) == len(needs)
    for one in gpus:
        here = [placement for placement in placed if one in placement.gpus]
        taken = sum((placement.utilization or 0) * one.total_mib for placement in here)
        assert taken + len(here) * OUTSIDE_MIB <= one.free_mib or not here
        assert taken <= MOST * one.total_mib + 1e-6
    for placement, need in zip(placed, needs, strict=True):
        count = len(placement.gpus)
        assert count == (each or count)
        assert each or count in SPLITS
        assert placement.tensor_parallel == (count if count > 1 and not each else None)
        assert len(set(placement.gpus)) == count
        assert placement.utilization
        for one in placement.gpus:
            rounding = one.total_mib / 10_000 + 1e-6
            assert placement.utilization * one.total_mib >= need.least(count) - rounding
            neighbours = [other for other in placed if one in other.gpus and other is not placement]
            assert not (need.weights_mib is None and neighbours)


@given(st.lists(st.integers(20_000, 200_000), min_size=2, max_size=8, unique=True), st.data())
def test_no_gpu_is_shared_while_another_would_do(sizes: list[int], data: st.DataObject) -> None:
    gpus = [gpu(n, size, size) for n, size in enumerate(sizes)]
    needs = data.draw(
        st.lists(st.builds(Need, st.just("m"), st.integers(1, 10_000)), min_size=2, max_size=len(sizes))
    )
    where = list(itertools.chain(*places(place(gpus, needs))))
    assert len(set(where)) == len(needs)
    assert sorted(sizes)[-len(needs) :] == sorted(sizes[n] for n in where)


# What servers need


def checkpoint(folder: Path, files: dict[str, int], **config: Any) -> Path:
    """A folder with weights of these sizes in bytes, of which nothing is on the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    for name, size in files.items():
        with open(folder / name, "wb") as file:
            file.truncate(size)
    return folder


#: Qwen2.5-7B-Instruct.
QWEN = {
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "hidden_size": 3584,
    "max_position_embeddings": 32768,
    "torch_dtype": "bfloat16",
}
GIB = 1 << 30
ONE = {"model.safetensors": 15 * GIB}


def test_a_checkpoint_needs_its_weights_and_one_text_of_the_greatest_length(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, ONE, **QWEN)
    assert need_of(str(folder)) == Need(str(folder), 15 * 1024, 1792)  # 56 KiB a token
    assert need_of(str(folder), ["--max-model-len", "8192"]).cache_mib == 448
    assert need_of(str(folder), ["--max_model_len=16K"]).cache_mib == 896
    assert need_of(str(folder), ["--max-model-len", "8k"]).cache_mib == math.ceil(8000 * 56 / 1024)
    assert need_of(str(folder), ["--max-model-len", "auto"]).cache_mib == 1792


@pytest.mark.parametrize(
    ("config", "cache_mib"),
    [
        ({"text_config": QWEN}, 1792),
        ({**QWEN, "num_key_value_heads": None}, 7 * 1792),
        ({**QWEN, "head_dim": 256}, 2 * 1792),
        ({**QWEN, "layer_types": ["full_attention"] * 7 + ["linear_attention"] * 21}, 1792 // 4),
        ({**QWEN, "kv_lora_rank": 448, "qk_rope_head_dim": 64}, 896),
        ({}, CACHE_MIB),
        ({"text_config": 7}, CACHE_MIB),
        ({**QWEN, "num_hidden_layers": "many"}, CACHE_MIB),
        ({**QWEN, "num_attention_heads": 0, "num_key_value_heads": 4}, CACHE_MIB),
    ],
)
def test_keys_and_values_are_counted_as_the_model_keeps_them(
    tmp_path: Path, config: dict[str, Any], cache_mib: int
) -> None:
    assert need_of(str(checkpoint(tmp_path, ONE, **config))).cache_mib == cache_mib


@pytest.mark.parametrize(
    ("files", "weights_mib"),
    [
        ({"model-1.safetensors": 5 * GIB, "model-2.safetensors": GIB, "pytorch_model.bin": GIB}, 6144),
        ({"pytorch_model-1.bin": GIB, "pytorch_model-2.bin": GIB}, 2048),
        ({"model.safetensors": 1}, 1),
        ({"model.gguf": GIB}, None),
        ({}, None),
    ],
)
def test_weights_are_what_their_files_hold(
    tmp_path: Path, files: dict[str, int], weights_mib: int | None
) -> None:
    assert need_of(str(checkpoint(tmp_path, files, **QWEN))).weights_mib == weights_mib


def test_of_weights_that_are_there_twice_the_indexed_ones_count(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, {"model-1.safetensors": GIB, "consolidated.safetensors": GIB}, **QWEN)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-1.safetensors"}}))
    assert need_of(str(folder)).weights_mib == 1024
    index.write_text("broken")
    assert need_of(str(folder)).weights_mib == 2048
    index.write_text(json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}))
    assert need_of(str(folder)).weights_mib is None  # half of it has been fetched


def test_of_32_bits_vllm_makes_16_unless_it_is_told_not_to(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, ONE, **{**QWEN, "torch_dtype": "float32"})
    assert need_of(str(folder)).weights_mib == 7.5 * 1024
    assert need_of(str(folder), ["--dtype", "float32"]).weights_mib == 15 * 1024
    nested = checkpoint(tmp_path, ONE, text_config={**QWEN, "dtype": "float32"})
    assert need_of(str(nested)).weights_mib == 7.5 * 1024


@pytest.mark.parametrize("argument", ["--quantization=fp8", "-q", "--cpu-offload-gb", "--load_format"])
def test_options_that_change_the_weights_leave_their_size_unknown(tmp_path: Path, argument: str) -> None:
    assert need_of(str(checkpoint(tmp_path, ONE, **QWEN)), [argument, "x"]).weights_mib is None


def test_a_folder_that_vllm_cannot_read_is_left_to_vllm(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, ONE)
    (folder / "config.json").write_text("broken")
    assert need_of(str(folder)) == Need(str(folder), None)


def test_a_name_of_the_hub_is_looked_for_on_the_disk_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    folder = checkpoint(tmp_path / "cache", ONE, **QWEN)

    def fetched(name: str, *, local_files_only: bool) -> str:
        assert local_files_only
        if name != "Qwen/Qwen2.5-7B-Instruct":
            raise huggingface_hub.errors.LocalEntryNotFoundError(name)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetched)
    assert need_of("Qwen/Qwen2.5-7B-Instruct").weights_mib == 15 * 1024
    assert need_of("Qwen/Qwen3-8B") == Need("Qwen/Qwen3-8B", None)
    monkeypatch.undo()
    assert need_of("no such: name") == Need("no such: name", None)


# What the user's own options say


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["--gpu-memory-utilization", "0.4"], "0.4"),
        (["--gpu-memory-utilization=0.4"], "0.4"),
        (["--gpu_memory_utilization", "0.4"], "0.4"),
        (["--gpu_memory_utilization=0.3", "--gpu-memory-utilization", "0.4"], "0.4"),
        (["--gpu-memory-utilization"], ""),
        (["--seed", "0.4"], None),
        ([], None),
    ],
)
def test_options_are_read_as_vllm_reads_them(arguments: list[str], value: str | None) -> None:
    assert option(arguments, "--gpu-memory-utilization") == value
    assert utilization(arguments) == ({"0.4": 0.4, "": 0.0}[value] if value is not None else None)


@pytest.mark.parametrize("said", ["nan", "-1", "7", "half"])
def test_a_fraction_that_vllm_refuses_is_left_to_vllm(said: str) -> None:
    assert utilization(["--gpu-memory-utilization", said]) == 0.0
    assert places(place([gpu(0)], [Need("a", 15000)], utilization=0.0)) == [[0]]


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ([], None),
        (["-tp", "2"], 2),
        (["-tp=4"], 4),
        (["--tensor_parallel_size", "2", "--pipeline-parallel-size=2", "-dp", "2"], 8),
        (["--tensor-parallel-size", "two"], None),
        (["-tp", "0"], None),
    ],
)
def test_the_gpus_that_the_user_wants_are_counted(arguments: list[str], count: int | None) -> None:
    assert gpus_each(arguments) == count
