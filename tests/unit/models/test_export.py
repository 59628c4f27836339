"""Exporting checkpoints, with a small script in the place of verl's merger."""

from __future__ import annotations

import json
import struct
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import pytest

from writing_rl.errors import SettingError, SetupError
from writing_rl.models import export as module
from writing_rl.models import serve
from writing_rl.models.export import as_writer, base_model_of, export, find_checkpoint, next_steps
from writing_rl.models.inspect_folder import Contents, inspect
from writing_rl.models.placement import NoRoom, Placement
from writing_rl.runlog.start_record import write_start
from writing_rl.util.gpus import Gpu

#: What stands for verl's merger: it copies a finished model, and fails as the environment says.
MERGER = textwrap.dedent("""\
    import os, shutil, signal, sys

    assert sys.argv[1:4] == ["merge", "--backend", "fsdp"], sys.argv
    actor, target = sys.argv[5], sys.argv[7]
    assert os.path.isfile(os.path.join(actor, "fsdp_config.json"))
    shutil.copytree(os.environ["FAKE_MODEL"], target)
    for name in os.environ.get("FAKE_LACKS", "").split():
        os.remove(os.path.join(target, name))
    if os.environ.get("FAKE_KILLED"):
        os.kill(os.getpid(), signal.SIGKILL)
    sys.exit(os.environ.get("FAKE_ERROR") or 0)
    """)


def write_weights(path: Path, dtype: str = "BF16", tail: bytes = b"") -> None:
    """A file of safetensors with one tensor of two by three."""
    size = 6 * {"BF16": 2, "F32": 4}[dtype]
    tensor = {"dtype": dtype, "shape": [2, 3], "data_offsets": [0, size]}
    header = json.dumps({"__metadata__": {"format": "pt"}, "weight": tensor}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(size) + tail)


def write_model(folder: Path, weights: str = "model.safetensors") -> Path:
    from tokenizers import Tokenizer, models

    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "qwen2"}')
    Tokenizer(models.WordLevel({"[UNK]": 0, "sea": 1, "ship": 2}, unk_token="[UNK]")).save(
        str(folder / "tokenizer.json")
    )
    tokenizer = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": "{{ messages }}"}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    write_weights(folder / weights)
    return folder


def write_checkpoint(checkpoints: Path, experiment: str, *steps: int, shards: int = 2) -> None:
    for step in steps:
        actor = checkpoints / experiment / f"global_step_{step}" / "actor"
        (actor / "huggingface").mkdir(parents=True)
        (actor / "huggingface" / "config.json").write_text("{}")
        (actor / "fsdp_config.json").write_text(json.dumps({"FSDP_version": 2, "world_size": shards}))
        for rank in range(shards):
            (actor / f"model_world_size_{shards}_rank_{rank}.pt").touch()
    (checkpoints / experiment / "latest_checkpointed_iteration.txt").write_text(str(max(steps)))


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two experiments; this is the current folder."""
    monkeypatch.chdir(tmp_path)
    write_checkpoint(tmp_path / "checkpoints", "my-writer", 9, 10, 100)
    write_checkpoint(tmp_path / "checkpoints", "other", 5)
    return Path("checkpoints")


@pytest.fixture
def merger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The script in the merger's place; returns the folder of its logs."""
    (tmp_path / "merger.py").write_text(MERGER)
    monkeypatch.setattr(module, "MERGER", (sys.executable, str(tmp_path / "merger.py")))
    monkeypatch.setenv("FAKE_MODEL", str(write_model(tmp_path / "finished")))
    (logs := tmp_path / "merger-logs").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(logs))
    return logs


# Finding a checkpoint


def test_the_latest_step_is_that_of_verl_not_the_last_folder(checkpoints: Path) -> None:
    assert find_checkpoint(checkpoints, "my-writer").step == 100
    (checkpoints / "my-writer" / "latest_checkpointed_iteration.txt").write_text("10\n")
    found = find_checkpoint(checkpoints, "my-writer")
    assert (found.experiment, found.step, len(found.shards)) == ("my-writer", 10, 2)
    assert found.actor == checkpoints / "my-writer" / "global_step_10" / "actor"
    assert found.default_out == Path("models/my-writer-step-10")
    assert find_checkpoint(checkpoints, "my-writer", 9).step == 9


def fails(checkpoints: Path, experiment: str = "my-writer", step: int | None = None) -> str:
    with pytest.raises(SettingError) as error:
        find_checkpoint(checkpoints, experiment, step)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_missing_is_named_with_what_is_there(checkpoints: Path) -> None:
    (checkpoints / "just-begun").mkdir()
    assert fails(checkpoints, "none") == ("checkpoints holds no experiment 'none'; it holds my-writer, other")
    assert "no experiment ''; it holds my-writer, other" in fails(checkpoints, "")
    assert fails(Path("nowhere")) == "nowhere holds no experiment 'my-writer'; it holds none"
    assert fails(checkpoints, "just-begun") == (
        "checkpoints/just-begun holds no checkpoint of a policy yet; it holds none"
    )
    assert fails(checkpoints, step=11) == (
        "checkpoints/my-writer has no checkpoint of step 11; it has 9, 10, 100"
    )


def test_of_many_steps_the_first_and_last_are_listed(checkpoints: Path) -> None:
    write_checkpoint(checkpoints, "long", *range(10, 400, 10))
    assert "it has 10, 20, 30, 40, 50, 60, …, 340, 350, 360, 370, 380, 390" in fails(checkpoints, "long", 1)


def test_a_step_whose_policy_was_removed_is_not_there(checkpoints: Path) -> None:
    (checkpoints / "my-writer" / "global_step_1").mkdir()
    assert fails(checkpoints, step=1).endswith("it has 9, 10, 100")


@pytest.mark.parametrize("said", [None, "", "ten", "11", "-1"])
def test_without_a_latest_step_one_must_be_named(checkpoints: Path, said: str | None) -> None:
    path = checkpoints / "my-writer" / "latest_checkpointed_iteration.txt"
    path.unlink()
    if said is not None:
        path.write_text(said)
    message = fails(checkpoints)
    assert str(path) in message
    assert "--step; it has 9, 10, 100" in message
    assert find_checkpoint(checkpoints, "my-writer", 10).step == 10


def test_a_checkpoint_that_is_not_whole_is_refused(checkpoints: Path) -> None:
    actor = checkpoints / "my-writer" / "global_step_100" / "actor"
    (actor / "model_world_size_2_rank_1.pt").unlink()
    assert fails(checkpoints) == (
        f"{actor} lacks 1 of 2 shards, first model_world_size_2_rank_1.pt; it holds fsdp_config.json, "
        "huggingface, model_world_size_2_rank_0.pt"
    )
    (actor / "model_world_size_2_rank_1.pt").touch()
    (actor / "huggingface" / "config.json").unlink()
    assert f"{actor} lacks huggingface/config.json; it holds" in fails(checkpoints)
    for broken in ("", "[]", '{"world_size": null}', "{}"):
        (actor / "fsdp_config.json").write_text(broken)
        assert "its fsdp_config.json is missing or broken; it holds" in fails(checkpoints)


def test_the_base_model_is_that_of_the_last_start(checkpoints: Path, tmp_path: Path) -> None:
    assert base_model_of(checkpoints, "my-writer") is None
    for number, name in enumerate(("org/first", "org/second")):
        settings = {"actor_rollout_ref": {"model": {"path": name}}}
        write_start(tmp_path / "logs" / "my-writer", settings, f"2026010{number}-000000")
    assert base_model_of(checkpoints, "my-writer") == "org/second"


def test_a_base_model_is_named_as_scripts_want_it(checkpoints: Path, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    assert as_writer(str(tmp_path / "base")) == "base"
    assert as_writer("base") == "base"
    assert as_writer("/somewhere/else") == "/somewhere/else"
    assert as_writer("Qwen/Qwen3-8B") == "vllm:Qwen/Qwen3-8B"


@pytest.mark.parametrize("force", [False, True])
def test_what_was_not_exported_is_never_replaced(checkpoints: Path, merger: Path, force: bool) -> None:
    for out in (Path("checkpoints"), Path("merger.py")):
        with pytest.raises(SettingError, match=f"{out} exists already and was not exported by this script"):
            export(find_checkpoint(checkpoints, "my-writer"), out, force=force)


# Looking into a folder


def test_weights_in_several_files_are_all_there(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", "model-00001-of-00002.safetensors")
    write_weights(folder / "model-00002-of-00002.safetensors", "F32")
    files = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": files}))
    (folder / "lora_adapter").mkdir()
    contents = inspect(folder)
    assert (contents.parameters, contents.has_adapter) == (12, True)
    assert "what was trained is in lora_adapter/" in contents.describe(folder)
    (folder / files["b"]).unlink()
    with pytest.raises(SetupError, match="lacks model-00002-of-00002"):
        inspect(folder)
    index.write_text("[]")
    with pytest.raises(SetupError, match=r"index\.json is broken"):
        inspect(folder)


@pytest.mark.parametrize("content", [b"", b"{}", bytes(8), b"\xff" * 100, struct.pack("<Q", 2) + b"[]"])
def test_what_is_no_file_of_weights_is_said(tmp_path: Path, content: bytes) -> None:
    folder = write_model(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(SetupError, match=r"model\.safetensors is no file of safetensors"):
        inspect(folder)


def test_torn_weights_are_said(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:-1])
    with pytest.raises(SetupError, match=r"model\.safetensors is torn"):
        inspect(folder)


def test_next_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    contents = Contents(10, 5, "bfloat16", 3, has_chat_template=False, has_adapter=False)
    assert "no chat template" in contents.describe(Path("m"))
    monkeypatch.setattr(module, "version", lambda _: "0.28.0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # whatever this machine has
    assert next_steps(Path("my models/x"), contents, "Qwen/Qwen3-8B").split("\n") == [
        *("Next:", "  vllm serve 'my models/x'"),
        "  writing-rl chat --model 'my models/x' --against vllm:Qwen/Qwen3-8B",
    ]
    monkeypatch.setattr(module, "version", lambda _: "0.28.0+cpu")
    assert "serve m --dtype float32 --enforce-eager\n" in next_steps(Path("m"), contents, None)
    adapted = Contents(10, 5, "bfloat16", 3, has_chat_template=True, has_adapter=True)
    assert next_steps(Path("models/m"), adapted, None).endswith("--lora-modules m=models/m/lora_adapter")


def test_next_steps_name_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    contents = Contents(10, 5, "bfloat16", 3, has_chat_template=True, has_adapter=False)
    monkeypatch.setattr(module, "version", lambda _: "0.24.0")
    gpus = tuple(Gpu(n, f"GPU-{n}", "NVIDIA L4", 23034, 22500, "570.1", (8, 9)) for n in (0, 1))
    monkeypatch.setattr(serve, "placements", lambda _: [Placement(gpus, 0.9, 2)])
    command = (
        "CUDA_VISIBLE_DEVICES=GPU-0,GPU-1 vllm serve m --gpu-memory-utilization 0.9 --tensor-parallel-size 2"
    )
    assert next_steps(Path("m"), contents, None).split("\n")[1] == f"  {command}"

    def full(_: Any) -> list[Placement | None]:
        raise NoRoom("no room")

    monkeypatch.setattr(serve, "placements", full)
    assert next_steps(Path("m"), contents, None).split("\n")[1] == "  vllm serve m"
