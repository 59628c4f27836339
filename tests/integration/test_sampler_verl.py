"""`LeavingOut` in verl's own loader, and the trainer that tells it what to leave out."""

from __future__ import annotations

import io
import itertools
from collections.abc import Collection, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
import torch
from omegaconf import DictConfig, OmegaConf
from torchdata.stateful_dataloader import StatefulDataLoader
from transformers import AutoTokenizer
from verl.trainer.ppo.utils import create_rl_sampler

from writing_rl.dataset.samples import SampleKeys
from writing_rl.launch.compose import VARIABLE, compose
from writing_rl.trainer.sampler import LeavingOut, take_over
from writing_rl.trainer.trainer import WritingTrainer


def loader_of(
    rows: int, size: int, *, shuffle: bool = True, seed: int | None = 1, workers: int = 0
) -> StatefulDataLoader:
    """A loader as verl's `_init_dataloader` makes it."""
    data = list(range(rows))
    sampler = create_rl_sampler(OmegaConf.create({"shuffle": shuffle, "seed": seed}), data)
    return StatefulDataLoader(
        dataset=data,
        batch_size=size,
        num_workers=workers,
        drop_last=True,
        collate_fn=list,
        sampler=sampler,
    )


def ours(*args: Any, **kwargs: Any) -> tuple[StatefulDataLoader, LeavingOut]:
    loader = loader_of(*args, **kwargs)
    return loader, take_over(loader, loader.batch_size)


def batches(loader: StatefulDataLoader) -> Iterator[list[int]]:
    """Batches of epoch after epoch, drawn as verl's trainer draws them."""
    while True:
        yield from loader


def written(state: dict[str, Any]) -> dict[str, Any]:
    """A loader's state after verl has written it to `data.pt` and read it again."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def take(number: int, drawn: Iterator[list[int]]) -> list[list[int]]:
    return list(itertools.islice(drawn, number))


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("seed", [None, 7])
@pytest.mark.parametrize(("rows", "size"), [(20, 5), (23, 5), (5, 5)])
def test_with_nothing_left_out_batches_are_those_of_verls_sampler(
    rows: int, size: int, seed: int | None, shuffle: bool
) -> None:
    loader, sampler = ours(rows, size, seed=seed, shuffle=shuffle)
    theirs = loader_of(rows, size, seed=seed, shuffle=shuffle)
    assert len(loader) == len(theirs)
    assert len(sampler) == len(theirs.sampler)
    assert take(15, batches(loader)) == take(15, batches(theirs))


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(
    ("done", "workers"),  # 4 is the end of an epoch
    [*((done, 0) for done in range(10)), (2, 2), (4, 2)],
)
def test_with_nothing_left_out_a_resume_is_that_of_verls_sampler(
    done: int, workers: int, shuffle: bool
) -> None:
    orders = []
    for make in (loader_of, lambda *args, **kwargs: ours(*args, **kwargs)[0]):
        loader = make(23, 5, shuffle=shuffle, workers=workers)
        take(done, batches(loader))
        resumed = make(23, 5, shuffle=shuffle, workers=workers)
        resumed.load_state_dict(written(loader.state_dict()))
        orders.append(take(12, batches(resumed)))
    assert orders[0] == orders[1]


@pytest.mark.parametrize("done", range(1, 6))
def test_a_checkpoint_of_verls_sampler_is_taken_over(done: int) -> None:
    theirs = loader_of(23, 5)
    drawn = batches(theirs)
    take(done, drawn)
    loader, _ = ours(23, 5)
    loader.load_state_dict(written(theirs.state_dict()))
    assert take(12, batches(loader)) == take(12, drawn)


#: What is left out after how many batches; three epochs of 4 batches.
CHANGES: dict[int, Collection[int]] = {1: {3}, 2: {3, 4, 5, 6, 7, 8, 9}, 5: {3, *range(5, 17)}, 9: {3, 20}}


def train(loader: StatefulDataLoader, sampler: LeavingOut, steps: range) -> Iterator[tuple[list[int], dict]]:
    """Draws a batch, leaves out more, and only then asks for the state, as a step of the trainer does."""
    drawn = batches(loader)
    for step in steps:
        batch = next(drawn)
        if step in CHANGES:
            sampler.leave_out(CHANGES[step])
        yield batch, loader.state_dict()


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("done", range(1, 12))
def test_a_resumed_run_goes_on_as_if_it_had_not_been_interrupted(done: int, shuffle: bool) -> None:
    whole = [batch for batch, _ in train(*ours(23, 5, shuffle=shuffle), range(1, 13))]
    for step, batch in enumerate(whole, start=1):
        out = next((CHANGES[change] for change in reversed(CHANGES) if change < step), ())
        assert not set(batch) & set(out)
        assert len(set(batch)) == 5

    loader, sampler = ours(23, 5, shuffle=shuffle)
    states = [written(state) for _, state in train(loader, sampler, range(1, done + 1))]
    left_out = sampler.left_out
    loader, sampler = ours(23, 5, shuffle=shuffle)
    loader.load_state_dict(states[-1])
    sampler.leave_out(left_out)
    assert [batch for batch, _ in train(loader, sampler, range(done + 1, 13))] == whole[done:]


def test_with_processes_of_the_loader_what_was_drawn_ahead_still_comes() -> None:
    loader, sampler = ours(40, 4, workers=2)
    theirs = take(10, batches(loader_of(40, 4, workers=2)))
    drawn = batches(loader)
    assert take(2, drawn) == theirs[:2]
    out = set(itertools.chain(*theirs[2:]))
    sampler.leave_out(out - set(theirs[2]))
    assert take(4, drawn) == theirs[2:6]  # two batches for each process
    state = written(loader.state_dict())
    after = take(3, drawn)
    assert not set(itertools.chain(*after)) & sampler.left_out

    resumed, again = ours(40, 4, workers=2)
    resumed.load_state_dict(state)
    again.leave_out(sampler.left_out)
    assert take(3, batches(resumed)) == after


@pytest.fixture
def config(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: Path, write_parquet, make_row
) -> DictConfig:
    """The configuration of a run whose second of six prompts is too long."""
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name, value in {
        "BASE_MODEL": str(model),
        "JUDGE_MODEL": "offline",
        "DATA_DIR": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    rows = [make_row(10 + number, prompt="word " * (200 if number == 1 else 3)) for number in range(6)]
    write_parquet(tmp_path / "train.parquet", rows)
    write_parquet(tmp_path / "test.parquet", [make_row(0, split="test")])
    return compose(
        [
            "profile=cpu",
            "data.train_batch_size=2",
            "data.filter_overlong_prompts=true",
            "data.max_prompt_length=50",
        ]
    )


class Owner:
    """An owner whose calls are answered at once."""

    def __init__(self) -> None:
        self.answer: list[str] = []
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def remote(*args: Any) -> list[str]:
            self.calls.append(name)
            return self.answer

        return SimpleNamespace(remote=remote)


def make_trainer(config: DictConfig, monkeypatch: pytest.MonkeyPatch, skip: bool) -> WritingTrainer:
    """A trainer that has made its loaders, and has nothing else."""
    monkeypatch.setattr(ray, "get", lambda answer: answer)
    trainer = WritingTrainer.__new__(WritingTrainer)
    trainer.config, trainer.trainer_mode, trainer.parameter_sync_step = config, "sync", 1
    trainer.tokenizer = AutoTokenizer.from_pretrained(config.actor_rollout_ref.model.path)
    trainer.processor, trainer.global_steps, trainer.owner = None, 0, Owner()
    trainer._keys, trainer._saved = SampleKeys(by_index=False), None
    trainer._settings = SimpleNamespace(curriculum=SimpleNamespace(skip_finished=skip))
    trainer._init_dataloader()
    return trainer


def ids(trainer: WritingTrainer) -> set[int]:
    return {row["ground_truth"]["id"] for batch in trainer.train_dataloader for row in batch["reward_model"]}


def test_the_trainer_leaves_finished_samples_out(config: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer(config, monkeypatch, skip=True)
    steps = trainer.total_training_steps
    assert len(trainer.train_dataset) == 5
    trainer.owner.answer = ["12", "11", "15"]  # 11 is too long to be in verl's data set
    trainer._leave_out_finished()
    assert ids(trainer) == {10, 13, 14}
    assert (len(trainer.train_dataloader), trainer.total_training_steps) == (2, steps)
    trainer.owner.answer = []
    trainer._leave_out_finished()
    assert ids(trainer) <= {10, 12, 13, 14, 15}


def test_the_trainer_leaves_them_out_before_the_loader_draws(
    config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(config, monkeypatch, skip=True)
    trainer.owner.answer = ["12", "13", "14"]
    monkeypatch.setattr("writing_rl.trainer.trainer.PPOTrainerSync.fit", lambda *_: None)
    monkeypatch.setattr(trainer, "_note_spent", lambda: None)
    monkeypatch.setattr(trainer, "_note_complete_step", lambda: trainer.owner.calls.append("state"))
    trainer.fit(None)
    assert trainer.owner.calls == ["begin", "finished", "state"]
    assert ids(trainer) == {10, 15}
    trainer.owner.calls.clear()
    trainer.owner.answer = ["10"]
    trainer.on_step_begin()
    assert trainer.owner.calls == ["look", "finished"]
    assert 10 not in ids(trainer)


def test_without_the_setting_the_owner_is_not_asked(
    config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(config, monkeypatch, skip=False)
    trainer._leave_out_finished()
    assert trainer.owner.calls == []
    assert trainer._sampler.left_out == frozenset()
