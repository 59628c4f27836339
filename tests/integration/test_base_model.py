"""The quick start's base model: an ordinary checkpoint, the same for the same seed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from writing_rl.quickstart.base_model import train_base_model
from writing_rl.quickstart.dataset import draw_quickstart, messages

STEPS = 6


@pytest.fixture(scope="module")
def corpus() -> list[tuple[str, str]]:
    return list(draw_quickstart(seed=3, train_rows=2, test_rows=2, corpus_texts=150).corpus)


@pytest.fixture(scope="module")
def checkpoint(corpus: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "base_model"
    report = train_base_model(corpus, folder, seed=5, steps=STEPS)
    assert report.parameters > 100_000
    assert report.tokens > 150 * 20
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return AutoModelForCausalLM.from_pretrained(folder).state_dict()


def test_transformers_loads_it_and_it_writes_a_whole_turn(
    checkpoint: Path, corpus: list[tuple[str, str]]
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    chat = tokenizer.apply_chat_template(
        messages(corpus[0][0]), add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    written = model.generate(**chat, max_new_tokens=8, do_sample=False)
    assert written.shape[1] <= chat["input_ids"].shape[1] + 8
    assert tokenizer.eos_token_id != tokenizer.pad_token_id


def test_the_tokenizer_gives_every_text_back(checkpoint: Path, corpus: list[tuple[str, str]]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    for text in ["Ein Weg — ça va? 再见 🙂 <|im_end", *(story for _, story in corpus[:20])]:
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_the_seed_decides_the_weights(
    checkpoint: Path, corpus: list[tuple[str, str]], tmp_path: Path
) -> None:
    for seed in (5, 6):
        train_base_model(corpus, tmp_path / str(seed), seed=seed, steps=STEPS)
    first, same, other = weights(checkpoint), weights(tmp_path / "5"), weights(tmp_path / "6")
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_training_lowers_the_loss(corpus: list[tuple[str, str]], tmp_path: Path) -> None:
    short = train_base_model(corpus, tmp_path / "short", seed=5, steps=1)
    longer = train_base_model(corpus, tmp_path / "longer", seed=5, steps=60)
    assert longer.loss < short.loss - 2


def test_a_model_that_cannot_be_saved_leaves_the_earlier_one(
    checkpoint: Path, corpus: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = weights(checkpoint)

    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("transformers.PreTrainedTokenizerFast.save_pretrained", no_space)
    with pytest.raises(OSError, match="No space"):
        train_base_model(corpus, checkpoint, seed=6, steps=1)
    assert [path.name for path in checkpoint.parent.iterdir()] == ["base_model"]
    assert all(torch.equal(before[name], tensor) for name, tensor in weights(checkpoint).items())


def test_nothing_to_learn_from_is_an_error(corpus: list[tuple[str, str]], tmp_path: Path) -> None:
    for texts, steps in (([], STEPS), (corpus, 0)):
        with pytest.raises(ValueError, match="needs a corpus"):
            train_base_model(texts, tmp_path / "none", steps=steps)
