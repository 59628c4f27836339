"""`WritingDataset` as verl makes it: by `data.custom_cls`, from a table with columns of all kinds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from omegaconf import DictConfig, OmegaConf
from transformers import AutoTokenizer
from verl.trainer.ppo.utils import create_rl_dataset
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

from verl.utils import tensordict_utils
from writing_rl.dataset.samples import COLUMNS
from writing_rl.errors import DataError
from writing_rl.launch.compose import compose
from writing_rl.trainer.dataset import WritingDataset

ROWS = 8
#: What verl's data set adds to the columns.
MADE_BY_VERL = ("raw_prompt", "dummy_tensor", "index", "tools_kwargs", "interaction_kwargs")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package `datasets` keeps what it reads."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def tokenizer(model: Path) -> Any:
    return AutoTokenizer.from_pretrained(model)


@pytest.fixture(scope="module")
def config() -> DictConfig:
    settings = ["profile=cpu", "actor_rollout_ref.model.path=model", "trainer.n_gpus_per_node=1"]
    data: DictConfig = compose(settings).data
    return data


@pytest.fixture
def table(tmp_path: Path, make_row: Callable[..., Any], write_parquet: Callable[..., Path]) -> Path:
    """A training set with columns that verl would take for its own, or could not read."""
    rows = []
    for number in range(ROWS):
        row = make_row(number, prompt="Write." if number else "Write a long story about the sea.")
        row["extra_info"]["mine"] = {"read": ["by", "my", "own", "function"], "not here": None}
        row["prompt"][1]["name"] = "x"
        rows.append({**row, "uid": "mine", "agent_name": "another", "global_steps": float("nan"), "index": 7})
    path = write_parquet(tmp_path / "train.parquet", rows)
    kinds = {
        "images": pyarrow.array([[{"bytes": b"no picture"}]] * ROWS),
        "map": pyarrow.array([[("a", "b")]] * ROWS, pyarrow.map_(pyarrow.string(), pyarrow.string())),
        "multi_modal_data": pyarrow.array([{"image": [[1.5]]}] * ROWS),
        "raw_prompt": pyarrow.array(["no chat"] * ROWS),
        "__index_level_0__": pyarrow.array(range(ROWS)),
    }
    table = pyarrow.parquet.read_table(path)
    for name, column in kinds.items():
        table = table.append_column(name, column)
    pyarrow.parquet.write_table(table, path)
    return path


def with_settings(config: DictConfig, settings: dict[str, Any]) -> DictConfig:
    merged = OmegaConf.create(OmegaConf.to_container(config))
    assert isinstance(merged, DictConfig)
    merged.update(settings)
    return merged


def made(
    path: Path, config: DictConfig, tokenizer: Any, max_samples: int = -1, **settings: Any
) -> WritingDataset:
    merged = with_settings(config, settings)
    rows = create_rl_dataset(str(path), merged, tokenizer, None, max_samples=max_samples)
    assert isinstance(rows, WritingDataset)
    return rows


def test_only_known_columns_reach_the_rollout(table: Path, config: DictConfig, tokenizer: Any) -> None:
    rows = made(table, config, tokenizer)
    row = rows[1]
    assert set(row) == {*COLUMNS, *MADE_BY_VERL}
    assert row["index"] == 1
    assert row["extra_info"]["mine"]["read"] == ["by", "my", "own", "function"]
    assert row["raw_prompt"] == [
        {"role": "system", "content": "You write."},
        {"role": "user", "content": "Write."},
    ]
    batches = [collate_fn([rows[number] for number in part]) for part in (range(4), range(4, 8))]
    both = tensordict_utils.concat_tensordict([tensordict_utils.get_tensordict(batch) for batch in batches])
    assert len(both) == ROWS


@pytest.mark.parametrize(("most", "shuffle"), [(-1, True), (3, True), (3, False), (99, True)])
def test_rows_and_their_order_are_those_of_verl(
    tmp_path: Path,
    make_row: Callable[..., Any],
    write_parquet: Callable[..., Path],
    config: DictConfig,
    tokenizer: Any,
    most: int,
    shuffle: bool,
) -> None:
    path = write_parquet(tmp_path / "train.parquet", [make_row(number) for number in range(ROWS)])
    settings = {"seed": 3, "shuffle": shuffle}
    theirs = RLHFDataset([str(path)], tokenizer, with_settings(config, settings), max_samples=most)
    ours = made(path, config, tokenizer, most, **settings)
    assert len(ours) == len(theirs)
    for number in range(len(ours)):
        mine, other = ours[number], theirs[number]
        del other["ability"], mine["dummy_tensor"], other["dummy_tensor"]
        assert mine == other


def test_long_prompts_are_left_out_with_a_word_and_never_all(
    table: Path, config: DictConfig, tokenizer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"filter_overlong_prompts": True}
    lengths = [
        len(tokenizer.apply_chat_template(row["raw_prompt"], add_generation_prompt=True, return_dict=False))
        for row in made(table, config, tokenizer)
    ]
    limit = lengths[1]
    assert max(lengths) > limit
    rows = made(table, config, tokenizer, **settings, max_prompt_length=limit)
    assert len(rows) == ROWS - 1
    assert f"1 of {ROWS} prompts have more than {limit} tokens and are left out" in capsys.readouterr().out
    with pytest.raises(DataError, match=r"data.filter_overlong_prompts leaves none"):
        made(table, config, tokenizer, **settings, max_prompt_length=limit - 1)


def test_a_template_that_refuses_a_prompt_is_no_long_prompt(
    table: Path, config: DictConfig, tokenizer: Any
) -> None:
    tokenizer.chat_template = "{{ raise_exception('System role not supported') }}"
    with pytest.raises(DataError, match="row 0: the tokenizer's chat template does not take the prompt"):
        made(table, config, tokenizer, filter_overlong_prompts=True)


def test_what_a_template_is_told_counts(table: Path, config: DictConfig, tokenizer: Any) -> None:
    tokenizer.chat_template += "{% if enable_thinking is false %}{{ 'think ' * 50 }}{% endif %}"
    settings = {"filter_overlong_prompts": True, "max_prompt_length": 40}
    assert len(made(table, config, tokenizer, **settings)) > 0
    with pytest.raises(DataError, match="leaves none"):
        made(table, config, tokenizer, **settings, apply_chat_template_kwargs={"enable_thinking": False})
