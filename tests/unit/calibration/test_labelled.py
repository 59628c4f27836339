from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.calibration.labelled import (
    LabelledPair,
    agreement_with_others,
    majority,
    read_labelled,
    sample,
)
from writing_rl.errors import DataError
from writing_rl.judging.pairs import Pair
from writing_rl.judging.verdict import Verdict

A, B, TIE = Verdict.A, Verdict.B, Verdict.TIE
VOTES = st.lists(st.sampled_from(list(Verdict)), min_size=2, max_size=7)


def line(**more: Any) -> dict[str, Any]:
    """A good line without its label."""
    return {"prompt": "Write.", "response_a": "One.", "response_b": "Two.", **more}


def pandalm(**more: Any) -> dict[str, Any]:
    good = {"instruction": "Write.", "input": "", "response1": "One.", "response2": "Two."}
    return {**good, "annotators": [1, 2, 1], **more}


def read(folder: Path, *entries: Any) -> list[LabelledPair]:
    path = folder / "labelled.jsonl"
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    return read_labelled(path)


def test_a_label_of_one_person(tmp_path: Path) -> None:
    (found,) = read(tmp_path, line(id="x", criteria="Short.", label="B"))
    assert found == LabelledPair(Pair("x", "Write.", "One.", "Two.", "Short."), (B,), B)


def test_labels_of_several_people(tmp_path: Path) -> None:
    found = read(tmp_path, line(labels=["A", "B", "A"]), line(labels=["A", "B"], label="A"))
    assert [(one.pair.id, one.votes, one.label) for one in found] == [(1, (A, B, A), A), (2, (A, B), A)]


@pytest.mark.parametrize(
    ("entry", "prompt", "label"),
    [
        (pandalm(), "Write.", A),
        (pandalm(input="About foxes.", annotators=[2, 2, 0]), "Write.\n\nAbout foxes.", B),
        (pandalm(input=" ", annotators=[0, 1, 2]), "Write.", TIE),
    ],
)
def test_pandalm_is_read_as_it_is(tmp_path: Path, entry: Any, prompt: str, label: Verdict) -> None:
    (found,) = read(tmp_path, entry)
    assert (found.pair.prompt, found.label, len(found.votes)) == (prompt, label, 3)
    assert (found.pair.response_a, found.pair.response_b) == ("One.", "Two.")


def test_pandalms_answers_that_are_no_text_are_words(tmp_path: Path) -> None:
    (found,) = read(tmp_path, pandalm(response1=True))
    assert found.pair.response_a == "True"


def test_the_id_is_the_lines_number_where_there_is_none(tmp_path: Path) -> None:
    path = tmp_path / "labelled.jsonl"
    path.write_text(f"{json.dumps(line(label='A'))}\n\n{json.dumps(line(label='B'))}")
    assert [one.pair.id for one in read_labelled(path)] == [1, 3]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (line(), "line 1 has no label: give it"),
        (line(label="D"), "line 1: 'label' holds 'D', it must be one of A, B, C"),
        (line(label=["A"]), "line 1: 'label' holds ['A']"),
        (line(labels="AB"), "line 1: 'labels' is 'AB', it must be a list"),
        (line(labels=[]), "line 1: 'labels' is []"),
        (line(labels=["A", None]), "line 1: 'labels' holds None"),
        (line(label="A", response_b=3), "line 1: 'response_b' is 3, it must be a text"),
        ({"prompt": "p", "response_a": "a", "label": "A"}, "line 1 lacks 'response_b'"),
        (line(label="A", id=1.5), "line 1: 'id' is 1.5"),
        (line(label="A", id=True), "line 1: 'id' is True"),
        (line(label="A", criteria=[]), "line 1: 'criteria' is []"),
        (pandalm(annotators=[1, 3]), "line 1: 'annotators' holds 3, it must be one of 0, 1, 2"),
        (pandalm(annotators=[True]), "line 1: 'annotators' holds True"),
        (pandalm(response2=None), "line 1: 'response2' is None"),
        ([1], "line 1 is no JSON object"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, entry: Any, message: str) -> None:
    with pytest.raises(DataError) as error:
        read(tmp_path, entry)
    assert message in str(error.value)
    assert "labelled.jsonl" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "line 1 is no JSON"),
        (b"\xff\n", "is no JSON"),
        (b"\n", "holds no pairs"),
        (b'{"prompt": "__import__(\'os\')", "label": "A"}', "lacks 'response_a'"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "labelled.jsonl").write_bytes(content)
    with pytest.raises(DataError, match="labelled.jsonl.*" + message):
        read_labelled(tmp_path / "labelled.jsonl")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl cannot be read: No such file"):
        read_labelled(tmp_path / "none.jsonl")


def test_an_id_that_was_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 2: the id 2 was there before"):
        read(tmp_path, line(label="A", id=2), line(label="A"))


@pytest.mark.parametrize(
    ("a", "b", "needed", "lengths"),
    [
        ("One.", "Two words.", True, (4, 10)),
        ("<think>So.</think> One.", "Two.", True, (4, 4)),
        ("", "Two.", False, (0, 4)),
        ("One.", "<think>never closed", False, (4, 0)),
    ],
)
def test_an_empty_text_needs_no_judge(a: str, b: str, needed: bool, lengths: tuple[int, int]) -> None:
    labelled = LabelledPair(Pair(1, "p", a, b), (A,), A)
    assert (labelled.needs_judge, labelled.lengths) == (needed, lengths)


@pytest.mark.parametrize(
    ("votes", "label"),
    [([A], A), ([A, B], TIE), ([A, A, B], A), ([A, B, TIE], TIE), ([A, A, B, TIE], A), ([TIE, TIE, B], TIE)],
)
def test_the_most_frequent_label_counts_and_a_tie_where_none_leads(
    votes: list[Verdict], label: Verdict
) -> None:
    assert majority(votes) is label


@given(VOTES)
def test_the_majority_of_the_others_is_a_share_of_one(votes: list[Verdict]) -> None:
    found = list(agreement_with_others(votes))
    assert [vote for vote, _ in found] == votes
    assert all(sum(others.values()) == pytest.approx(1) for _, others in found)


@given(st.lists(st.sampled_from(list(Verdict)), min_size=2, max_size=3))
def test_with_two_or_three_people_it_is_the_agreement_of_pairs_of_people(votes: list[Verdict]) -> None:
    pairs = [votes[i] is votes[j] for i in range(len(votes)) for j in range(len(votes)) if i != j]
    found = [others.get(vote, 0.0) for vote, others in agreement_with_others(votes)]
    assert sum(found) / len(found) == pytest.approx(sum(pairs) / len(pairs))


def test_a_larger_sample_holds_the_smaller_one() -> None:
    labelled = [LabelledPair(Pair(number, "p", "a", "b"), (A,), A) for number in range(50)]
    few, many = sample(labelled, 10, 3), sample(labelled, 20, 3)
    assert many[:10] == few
    assert len({one.pair.id for one in many}) == 20
    assert sample(labelled, 10, 4) != few
    assert len(sample(labelled, 99, 3)) == 50
    assert [one.pair.id for one in labelled] == list(range(50))
