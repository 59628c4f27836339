from __future__ import annotations

import hashlib
import json
import subprocess
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.commands import writing_rl
from writing_rl.data.preparation import training_set
from writing_rl.data.preparation.prepare import Preparation, prepare
from writing_rl.data.preparation.raw_prompts import read_raw_prompts
from writing_rl.data.preparation.references import Dropped, ReferenceRules, choose_references, spread
from writing_rl.data.preparation.scoring import Reference
from writing_rl.data.preparation.split import SplitRule, choose_test, same_words
from writing_rl.dataset.samples import Sample, read_samples, sample_keys
from writing_rl.dataset.system_message import SYSTEM
from writing_rl.errors import DataError, SettingError
from writing_rl.text.similarity import Grams, same_text

WEAK = "The sea is big. It is blue. The end."
FAIR = "Grey waves rolled in all morning, and nobody on the pier spoke a word."
GOOD = (
    "When the tide went out that evening, it left my grandfather's boat on the sand, and his letters in it."
)
CHINESE = "海边的清晨,老人独自修补渔网,想起了许多年前离开的儿子,和那条再也没有回来的船。"
FEW = {"test_count": 1}


def response(text: str, score: Any = None, model: Any = None) -> dict[str, Any]:
    return {"text": text, "score": score, "model": model}


def entry(prompt: str, *responses: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"prompt": prompt, "responses": list(responses), **more}


def good_entry(number: int = 0, **more: Any) -> dict[str, Any]:
    """A line that can be used; the best response is the first."""
    return entry(f"Write about sea {number}.", response(GOOD, 9, "strong"), response(WEAK, 1, "weak"), **more)


def write(path: Path, *entries: Any) -> Path:
    lines = (line if isinstance(line, str) else json.dumps(line) for line in entries)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return writing_rl("data", "prepare", *arguments)


def read_rows(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet

    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    return rows


def prepared(tmp_path: Path, *entries: Any, **settings: Any) -> dict[str, dict[str, Any]]:
    """The rows of both files, by their prompts."""
    split = SplitRule(**settings.pop("split", FEW))
    given_file = write(tmp_path / "in.jsonl", *entries)
    prepare(Preparation([given_file], tmp_path / "out", split=split, **settings))
    rows = [row for name in ("train", "test") for row in read_rows(tmp_path / "out" / f"{name}.parquet")]
    return {row["reward_model"]["ground_truth"]["prompt"]: row for row in rows}


def targets(row: dict[str, Any]) -> list[str]:
    texts: list[str] = row["reward_model"]["ground_truth"]["target"]
    return texts


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


# The whole way


def test_a_training_set_is_what_the_trainer_reads(tmp_path: Path) -> None:
    entries = [good_entry(number) for number in range(30)]
    entries[3]["criteria"] = "Judge the style."
    data = write(tmp_path / "in.jsonl", *entries)
    out = tmp_path / "data set"
    done = run(data, "--out", out, "--test-count", "5")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Read: 30 prompts in 30 lines" in done.stdout
    assert "25 prompts" in done.stdout
    assert "worst reference 1, best 9" in done.stdout
    assert f"writing-rl index create --data '{out}/train.parquet'" in done.stdout
    assert left(out) == ["prepare.json", "test.parquet", "train.parquet"]

    samples: dict[str, list[Sample]] = {}
    for split, number in (("train", 25), ("test", 5)):
        samples[split] = read_samples(out / f"{split}.parquet")
        assert len(samples[split]) == number
        assert not sample_keys(samples[split], "").by_index
        for sample in samples[split]:
            assert (sample.split, sample.references, sample.index) == (split, (WEAK, GOOD), sample.id)
            assert sample.prompt == f"Write about sea {sample.id}."
            assert sample.criteria == ("Judge the style." if sample.id == 3 else None)
            assert list(sample.messages) == [
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": sample.prompt},
            ]
    assert sorted(sample.id for split in samples.values() for sample in split) == list(range(30))

    record = json.loads((out / "prepare.json").read_text(encoding="utf-8"))
    assert record["inputs"] == [{"path": str(data), "sha256": hashlib.sha256(data.read_bytes()).hexdigest()}]
    assert record["settings"]["test_count"] == 5
    assert record["counts"]["train"] == 25
    assert {"python", "numpy", "pyarrow", "writing_rl"} <= record["versions"].keys()


def test_the_model_order_gives_the_scores(tmp_path: Path) -> None:
    data = write(tmp_path / "in.jsonl", good_entry(0, source="here"), good_entry(1))
    done = run(data, "--out", tmp_path / "out", "--model-order", "weak, strong", "--system", "")
    assert done.returncode == 0, done.stderr
    rows = [row for name in ("train", "test") for row in read_rows(tmp_path / f"out/{name}.parquet")]
    (row,) = (row for row in rows if row["extra_info"]["index"] == 0)
    assert row["extra_info"]["scores"] == [0.0, 1.0]
    assert row["extra_info"]["models"] == ["weak", "strong"]
    assert row["extra_info"]["source"] == "here"
    assert [message["role"] for message in row["prompt"]] == ["user"]


def test_a_prompt_has_its_own_system_message_or_none(tmp_path: Path) -> None:
    rows = prepared(
        tmp_path, good_entry(0, system="You are a poet."), good_entry(1, system=""), good_entry(2)
    )
    systems = [rows[f"Write about sea {number}."]["prompt"][0]["content"] for number in range(3)]
    assert systems == ["You are a poet.", "Write about sea 1.", SYSTEM]


def test_lines_with_the_same_prompt_are_joined(tmp_path: Path) -> None:
    rows = prepared(
        tmp_path,
        entry("Write about  the SEA.\n", response(WEAK, 1)),
        good_entry(1),
        entry("write about the sea.", response(FAIR, 3), source="second", criteria="Style."),
        entry("Write about the sea.", response(GOOD, 2), source="third"),
    )
    row = rows["Write about  the SEA.\n"]
    assert targets(row) == [WEAK, GOOD, FAIR]
    assert row["extra_info"]["source"] == "second"
    assert row["reward_model"]["ground_truth"]["criteria"] == "Style."
    counts = json.loads((tmp_path / "out/prepare.json").read_text())["counts"]
    assert (counts["prompts"], counts["joined_lines"], counts["conflicting_lines"]) == (2, 2, 1)


def test_what_is_no_text_is_left_out_and_counted(tmp_path: Path) -> None:
    entries = [
        entry("One", response(" \n", 5), response(GOOD, 2), response(WEAK, 1)),
        entry("Two", response("<think>never ends", 5), response(GOOD, 2), response(FAIR, 1)),
        entry("Three", response("<think>Hm.</think>\n" + GOOD, 2), response(FAIR, 1)),
        entry("Four", response(GOOD, 1)),
        entry("Five"),
    ]
    rows = prepared(tmp_path, *entries)
    assert {prompt: targets(row) for prompt, row in rows.items()} == {
        "One": [WEAK, GOOD],
        "Two": [FAIR, GOOD],
        "Three": [FAIR, GOOD],
    }
    counts = json.loads((tmp_path / "out/prepare.json").read_text())["counts"]
    assert (counts["empty_responses"], counts["prompts_with_too_few_references"]) == (2, 2)


def test_the_same_input_gives_the_same_files(tmp_path: Path) -> None:
    data = write(tmp_path / "in.jsonl", *map(good_entry, range(20)))
    contents = []
    for name in ("one", "two"):
        prepare(Preparation([data], tmp_path / name))
        contents.append([path.read_bytes() for path in sorted((tmp_path / name).iterdir())])
    assert contents[0] == contents[1]


def test_a_file_can_be_larger_than_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_set, "BATCH", 2)
    entries = [good_entry(number) for number in range(7)]
    entries[-1]["criteria"] = "Style."
    assert len(prepared(tmp_path, *entries)) == 7


# Bad input and files that are in the way


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[1]", "is no JSON object: write one JSON object a line"),
        ({"responses": []}, "'prompt' is missing"),
        (entry(" \n"), "'prompt' is empty"),
        ({"prompt": 3, "responses": []}, "'prompt' is 3, it must be a text"),
        ({"prompt": "Write."}, "'responses' is missing"),
        ({"prompt": "Write.", "responses": {}}, "'responses' is {}, it must be a list"),
        ({"prompt": "Write.", "responses": ["text"]}, "response 1 is 'text', it must be an object"),
        (entry("Write.", {"score": 1}), "response 1: 'text' is missing"),
        (entry("Write.", response(WEAK, 1), response(None, 1)), "response 2: 'text' is None"),  # type: ignore[arg-type]
        (entry("Write.", response(WEAK, "9")), "'score' is '9', it must be a finite number"),
        (entry("Write.", response(WEAK, True)), "'score' is True"),
        (entry("Write.", response(WEAK, float("nan"))), "'score' is nan"),
        (entry("Write.", response(WEAK, 10**400)), "'score' is 1000"),
        (entry("Write.", response(WEAK, 1, 7)), "'model' is 7, it must be a text"),
        (entry("Write.", criteria=["a"]), "'criteria' is ['a'], it must be a text"),
        (entry("Write \ud83d"), "'prompt' holds half of a character"),
        (entry("Write.", response(WEAK, None, "weak")), "a response of weak has no 'score'"),
        (entry("Write.", response(WEAK)), "rank the models that wrote them with --model-order"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_written(line: Any, message: str, tmp_path: Path) -> None:
    data = write(tmp_path / "in.jsonl", good_entry(), "", line)
    with pytest.raises(DataError) as error:
        prepare(Preparation([data], tmp_path / "out"))
    assert f"{data}, line 3" in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert left(tmp_path) == ["in.jsonl"]


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    data = tmp_path / "in.jsonl"
    data.write_bytes(b'{"prompt": "caf\xe9", "responses": []}\n')
    with pytest.raises(DataError, match=r"line 1 is no JSON: .*codec"):
        read_raw_prompts([data])


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    data = tmp_path / "in.jsonl"
    data.write_bytes(b"\xef\xbb\xbf" + json.dumps(good_entry()).encode() + b"\r\n")
    assert len(read_raw_prompts([data]).prompts) == 1


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = run(tmp_path / "absent.jsonl", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr == f"Error: {tmp_path / 'absent.jsonl'} cannot be read: No such file or directory\n"
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ("weak", r"line 1: the model 'strong' is not in --model-order"),
        ("weak,weak", "name each model once"),
        ("weak,", "name each model once"),
    ],
)
def test_a_model_order_that_cannot_rank_is_an_error(order: str, message: str, tmp_path: Path) -> None:
    data = write(tmp_path / "in.jsonl", good_entry())
    with pytest.raises((DataError, SettingError), match=message):
        prepare(Preparation([data], tmp_path / "out", model_order=order.split(",")))
    assert left(tmp_path) == ["in.jsonl"]


def test_a_response_without_a_model_cannot_be_ranked(tmp_path: Path) -> None:
    data = write(tmp_path / "in.jsonl", entry("Write.", response(WEAK, 1)))
    with pytest.raises(DataError, match="line 1: a response has no 'model'"):
        prepare(Preparation([data], tmp_path / "out", model_order=["weak"]))


def test_too_little_is_an_error_that_says_what_was_left_out(tmp_path: Path) -> None:
    data = write(tmp_path / "in.jsonl", entry("Write.", response(GOOD, 1), response(GOOD, 2)))
    with pytest.raises(DataError, match=r"no prompt is left of 1: .*--min-references.* 1 near-duplicates"):
        prepare(Preparation([data], tmp_path / "out"))
    data = write(tmp_path / "in.jsonl", good_entry())
    with pytest.raises(DataError, match="none would be left to train on"):
        prepare(Preparation([data], tmp_path / "out"))
    assert left(tmp_path) == ["in.jsonl"]


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (ReferenceRules, {"near_duplicate": 0}),
        (ReferenceRules, {"near_duplicate": float("nan")}),
        (ReferenceRules, {"tie_margin": -1}),
        (ReferenceRules, {"tie_margin": float("inf")}),
        (ReferenceRules, {"min_references": 0}),
        (ReferenceRules, {"max_references": 1}),
        (ReferenceRules, {"max_references": 3, "min_references": 4}),
        (SplitRule, {"test_share": 1}),
        (SplitRule, {"test_count": 0}),
    ],
)
def test_an_impossible_setting_is_named(kind: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=f"^--{next(iter(settings)).replace('_', '-')} is "):
        kind(**settings)


def test_the_script_says_it_in_one_line(tmp_path: Path) -> None:
    data = write(tmp_path / "in.jsonl", good_entry())
    done = run(data, "--out", tmp_path / "out", "--max-references", "1")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: --max-references is 1: ")
    assert done.stderr.count("\n") == 1
    assert left(tmp_path) == ["in.jsonl"]


@pytest.mark.parametrize("name", ["train.parquet", "test.parquet", "prepare.json"])
def test_an_existing_set_is_overwritten_only_by_force(name: str, tmp_path: Path) -> None:
    data = write(tmp_path / "in.jsonl", good_entry(0), good_entry(1))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("precious")
    with pytest.raises(SettingError, match=rf"{name} exists already: .*--force"):
        prepare(Preparation([data], tmp_path / "out"))
    assert (tmp_path / "out" / name).read_text() == "precious"
    assert left(tmp_path / "out") == [name]
    prepare(Preparation([data], tmp_path / "out", force=True))
    assert (tmp_path / "out" / name).read_bytes() != b"precious"


def test_a_failure_while_writing_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write(tmp_path / "in.jsonl", good_entry(0), good_entry(1))
    prepare(Preparation([data], tmp_path / "out"))
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def full(*arguments: Any) -> dict[str, Any]:
        if arguments[1] == "test":
            raise OSError(28, "No space left on device")
        return {}

    monkeypatch.setattr(training_set, "to_row", full)
    with pytest.raises(OSError, match="No space left"):
        prepare(Preparation([data], tmp_path / "out", force=True))
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


# Ordering and dropping

references = st.lists(
    st.builds(
        Reference,
        st.text("abc 海", min_size=1, max_size=30),
        st.integers(-3, 3).map(lambda tenths: tenths / 10),
        st.none(),
    ),
    max_size=8,
)


@given(references, st.sampled_from([0.5, 0.9, 1.0]), st.sampled_from([0.0, 0.1, 0.25]))
def test_references_rise_differ_and_hold_the_best(
    responses: list[Reference], near: float, margin: float
) -> None:
    dropped = Dropped()
    chosen = choose_references(responses, ReferenceRules(near, margin), dropped)
    assert len(responses) == len(chosen) + dropped.near_duplicates + dropped.ties
    assert not Counter(chosen) - Counter(responses)
    for worse, better in pairwise(chosen):
        assert better.score - worse.score > margin
    for number, one in enumerate(chosen):
        assert all(Grams(one.text).similarity(Grams(other.text)) < near for other in chosen[:number])
    if responses:
        best = max(reference.score for reference in responses)
        # Of equally good ones the first.
        assert chosen[-1] == next(reference for reference in responses if reference.score == best)
    for reference in set(responses) - set(chosen):  # each dropped one has a reason that is kept
        assert any(
            0 <= kept.score - reference.score <= margin + 1e-9
            or (
                kept.score >= reference.score
                and Grams(kept.text).similarity(Grams(reference.text)) >= near - 1e-9
            )
            for kept in chosen
        )


@given(st.integers(0, 40), st.integers(2, 12))
def test_a_spread_is_even_and_holds_both_ends(number: int, wanted: int) -> None:
    given_references = [Reference(str(score), score, None) for score in range(number)]
    kept = [int(reference.score) for reference in spread(given_references, wanted)]
    assert len(kept) == min(number, wanted)
    assert spread(given_references, None) == given_references
    if number:
        assert (kept[0], kept[-1]) == (0, number - 1)
        gaps = [after - before for before, after in pairwise(kept)]
        assert all(gap > 0 for gap in gaps)
        assert not gaps or max(gaps) - min(gaps) <= 1


def test_close_scores_are_thinned_and_not_lost() -> None:
    texts = [f"{word} " * 9 for word in ("sea", "boat", "gull", "net", "storm")]
    responses = [Reference(text, score / 10, None) for score, text in enumerate(texts)]
    dropped = Dropped()
    chosen = choose_references(responses, ReferenceRules(tie_margin=0.1), dropped)
    assert [reference.score for reference in chosen] == [0.0, 0.2, 0.4]
    assert dropped == Dropped(ties=2)


def test_a_near_duplicate_of_a_tie_that_went_may_stay() -> None:
    responses = [Reference(GOOD, 9, None), Reference(FAIR, 9, None), Reference(FAIR + "!", 2, None)]
    chosen = choose_references(responses, ReferenceRules(), Dropped())
    assert [reference.text for reference in chosen] == [FAIR + "!", GOOD]


# Similarity


def slow_similarity(one: str, other: str) -> float:
    ours, theirs = (
        Counter(text[start : start + 5] for start in range(len(text) - 4))
        for text in (same_text(text).ljust(5, "\0") for text in (one, other))
    )
    return (ours & theirs).total() / (ours | theirs).total()


@given(st.text("ab \n海山𝄞", max_size=60), st.text("ab \n海山𝄞", max_size=60), st.integers(1, 100))
def test_similarity_is_what_counting_gives(one: str, other: str, percent: int) -> None:
    similarity = slow_similarity(one, other)
    ours, theirs = Grams(one), Grams(other)
    assert ours.similarity(theirs) == pytest.approx(similarity)
    assert ours.reaches(theirs, percent / 100) == (similarity >= percent / 100 - 1e-9)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (GOOD * 3, GOOD.upper() * 3 + "\n", True),
        (GOOD * 3, GOOD * 2 + GOOD.replace("evening", "morning"), True),
        (CHINESE * 3, CHINESE * 2 + CHINESE.replace("渔网", "木船"), True),
        (GOOD, GOOD * 2, False),  # said twice
        (GOOD, FAIR, False),
        (CHINESE, CHINESE[::-1], False),
        ("是", "否", False),
    ],
)
def test_near_duplicates_in_any_language(one: str, other: str, same: bool) -> None:
    assert Grams(one).reaches(Grams(other), 0.9) is same


# Splitting

prompts = st.lists(st.text("abcdefgh .,!海A", min_size=1, max_size=12), min_size=2, max_size=40)


@given(prompts, prompts, st.integers(0, 3))
def test_added_prompts_move_no_other(first: list[str], added: list[str], seed: int) -> None:
    # With prompts on both sides, so that the rule that neither is empty decides nothing.
    fixed = [f"fixed {number}" for number in range(30)]
    for rule in (SplitRule(seed, 0.3), SplitRule(seed, 0.5)):
        before = choose_test([*fixed, *first], rule)
        assert choose_test([*fixed, *first, *added], rule)[: len(before)] == before
    count = SplitRule(seed, test_count=10)
    before = choose_test([*fixed, *first], count)
    after = choose_test([*fixed, *first, *added], count)
    # With a count, added prompts take places in the test set, and bring none of the others into it.
    assert all(was or not is_now for was, is_now in zip(before, after, strict=False))


@given(prompts, st.integers(0, 3), st.integers(1, 10))
def test_nothing_leaks_and_counts_are_kept(texts: list[str], seed: int, count: int) -> None:
    keys = [same_words(text) for text in texts]
    for rule in (SplitRule(seed, 0.3), SplitRule(seed, test_count=count)):
        try:
            test = choose_test(texts, rule)
        except DataError:
            assert len(set(keys)) <= (count if rule.test_count else 1)
            continue
        sides: dict[str, set[bool]] = {}
        for key, side in zip(keys, test, strict=True):
            sides.setdefault(key, set()).add(side)
        assert all(len(side) == 1 for side in sides.values())
        assert 0 < sum(test) < len(texts)
        if rule.test_count is not None:
            assert count <= sum(test) < count + max(Counter(keys).values())


def test_prompts_of_the_same_words_stay_together() -> None:
    assert (
        len({same_words(prompt) for prompt in ("Write: a story!", "write a STORY", "Ｗrite a\nstory。")}) == 1
    )
    assert same_words("???") != same_words("!!!")


def test_the_share_is_kept_and_seeds_differ() -> None:
    texts = [f"Write about {number}." for number in range(5000)]
    splits = [choose_test(texts, SplitRule(seed)) for seed in range(2)]
    assert all(400 < sum(split) < 600 for split in splits)
    assert splits[0] != splits[1]


@pytest.mark.parametrize("share", [1e-6, 1 - 1e-6])
def test_neither_set_is_ever_empty(share: float) -> None:
    assert sum(choose_test(["one", "two"], SplitRule(test_share=share))) == 1
