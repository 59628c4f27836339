from __future__ import annotations

import csv
import hashlib
import json
import math
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.commands import writing_rl
from writing_rl.data.selection import run_selection
from writing_rl.data.selection.files import read_policy_scores, read_scored_rows
from writing_rl.data.selection.report import Selection, notes, table
from writing_rl.data.selection.run_selection import Files, select
from writing_rl.data.selection.select import By, Candidate, Choice, Rule, choose, make_candidates, number_kept
from writing_rl.dataset.samples import read_samples
from writing_rl.errors import DataError, SettingError

NAN = math.nan

# Few values, so that many rows rank equally.
GRADES = st.integers(0, 4).map(lambda tenths: tenths / 10)


@st.composite
def candidate_lists(draw: st.DrawFn, unscored: bool = True) -> list[Candidate]:
    rows = draw(st.lists(st.tuples(GRADES, GRADES, st.sampled_from(["", "essay", "novel"])), min_size=1))
    lacking = draw(st.sets(st.integers(1, len(rows) - 1))) if unscored and len(rows) > 1 else set()
    return [
        Candidate(str(id), source, best, None if id in lacking else policy, int(id not in lacking))
        for id, (best, policy, source) in enumerate(rows)
    ]


RULES = st.one_of(
    st.builds(Rule, st.sampled_from(By), top=st.integers(1, 9), per_source=st.booleans(), seed=st.integers()),
    st.builds(
        Rule,
        st.sampled_from(By),
        share=st.floats(0, 1, exclude_min=True),
        per_source=st.booleans(),
        seed=st.integers(),
    ),
    # Below every margin that there can be, so that something is kept.
    st.builds(Rule, st.sampled_from([By.MARGIN, By.DIFFICULTY]), above=st.just(-0.5), seed=st.integers()),
)


def kept_ids(candidates: Sequence[Candidate], rule: Rule) -> list[str]:
    choices = choose(candidates, rule)
    return [one.id for one, choice in zip(candidates, choices, strict=True) if choice.kept]


@given(candidate_lists(), st.integers(1, 9), st.integers())
def test_the_top_has_the_largest_margins(candidates: list[Candidate], top: int, seed: int) -> None:
    selection = Selection(rule := Rule(top=top, seed=seed), candidates, choose(candidates, rule))
    scored = [one.margin for one in candidates if one.policy is not None]
    assert len(selection.kept) == min(top, len(scored))
    assert sorted((one.margin for one in selection.kept), reverse=True) == sorted(scored, reverse=True)[:top]


@given(candidate_lists(), st.integers(1, 9))
def test_by_difficulty_the_lowest_policy_scores_come_first(candidates: list[Candidate], top: int) -> None:
    kept = kept_ids(candidates, Rule(By.DIFFICULTY, top=top))
    scored = [one.policy for one in candidates if one.policy is not None]
    assert sorted(one.policy for one in candidates if one.id in kept) == sorted(scored)[:top]  # type: ignore[type-var]


@given(candidate_lists(), RULES, st.randoms(use_true_random=False))
def test_what_is_chosen_does_not_depend_on_the_order(
    candidates: list[Candidate], rule: Rule, shuffler: random.Random
) -> None:
    def by_id(rows: list[Candidate]) -> dict[str, Choice]:
        return dict(zip((one.id for one in rows), choose(rows, rule), strict=True))

    shuffled = list(candidates)
    shuffler.shuffle(shuffled)
    assert by_id(shuffled) == by_id(candidates)


@given(candidate_lists(), RULES)
def test_rows_without_a_policy_score_are_never_kept_and_ranks_are_whole(
    candidates: list[Candidate], rule: Rule
) -> None:
    ranks: dict[str, list[int]] = {}
    for one, choice in zip(candidates, choose(candidates, rule), strict=True):
        if one.policy is None:
            assert choice == Choice(None, False, "no policy score")
        else:
            assert choice.rank is not None
            ranks.setdefault(one.source if rule.per_source else "", []).append(choice.rank)
    for group in ranks.values():
        assert sorted(group) == list(range(1, len(group) + 1))


@given(candidate_lists(unscored=False), st.sampled_from(By), st.integers(1, 9), st.floats(0.01, 1))
def test_per_source_is_the_choice_within_each_source(
    candidates: list[Candidate], by: By, top: int, share: float
) -> None:
    for limit in ({"top": top}, {"share": share}):
        together = set(kept_ids(candidates, Rule(by, **limit, per_source=True)))  # type: ignore[arg-type]
        apart: set[str] = set()
        for source in {one.source for one in candidates}:
            part = [one for one in candidates if one.source == source]
            apart |= set(kept_ids(part, Rule(by, **limit)))  # type: ignore[arg-type]
        assert together == apart


@given(candidate_lists(), st.integers(-5, 5).map(lambda tenths: tenths / 10), st.booleans())
def test_a_threshold_keeps_all_margins_above_it(
    candidates: list[Candidate], above: float, per_source: bool
) -> None:
    # In tenths, as a person reckons: 0.4 - 0.1 is not above 0.3.
    expected = [
        one.id
        for one in candidates
        if one.policy is not None and round(10 * one.best) - round(10 * one.policy) > round(10 * above)
    ]
    rule = Rule(above=above, per_source=per_source)
    if expected:
        assert kept_ids(candidates, rule) == expected
    else:
        with pytest.raises(DataError, match=r"no margin is above .*, the largest is .*: lower the threshold"):
            choose(candidates, rule)


@pytest.mark.parametrize(
    ("share", "rows", "number"),
    [(0.5, 5, 3), (0.1, 30, 3), (0.1, 3, 1), (1, 7, 7), (1e-9, 9, 1), (0.29, 100, 29)],
)
def test_a_share_is_the_nearest_whole_number_and_at_least_one(share: float, rows: int, number: int) -> None:
    assert number_kept(Rule(share=share), rows) == number


def test_ties_and_chance_go_by_the_seed() -> None:
    equal = [Candidate(str(id), "", 1.0, 0.5, 1) for id in range(100)]
    for by in By:
        first, again, other = (kept_ids(equal, Rule(by, top=10, seed=seed)) for seed in (0, 0, 1))
        assert first == again != other
        # Not the first rows of the file, and a larger choice holds the smaller one.
        assert first != [str(id) for id in range(10)]
        assert set(first) < set(kept_ids(equal, Rule(by, top=20)))


def test_responses_are_averaged_and_rounding_makes_no_difference() -> None:
    policy = {"1": [0.1, 0.2, 0.3], "2": [0.7], "9": [1.0]}
    candidates = make_candidates(["1", "2", "3"], ["a", "", ""], [[0.1, 0.5, 0.4], [0.9], [1.0]], policy)
    assert candidates[:2] == [Candidate("1", "a", 0.5, 0.2, 3), Candidate("2", "", 0.9, 0.7, 1)]
    assert [one.margin for one in candidates[:2]] == [0.3, 0.2]
    assert (candidates[2].policy, candidates[2].responses) == (None, 0)
    assert math.isnan(candidates[2].margin)


def test_a_rule_has_one_limit() -> None:
    for limits in ({}, {"top": 1, "share": 0.5}):
        with pytest.raises(ValueError, match="exactly one"):
            Rule(**limits)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="exclude each other"):
        Rule(By.RANDOM, above=0)


def test_notes_name_what_makes_a_selection_doubtful() -> None:
    def notes_of(pairs: Sequence[tuple[float, float]], rule: Rule, unknown: int = 0) -> str:
        rows = [Candidate(str(id), "", best, policy, 1) for id, (best, policy) in enumerate(pairs)]
        return "\n".join(notes(Selection(rule, rows, choose(rows, rule)), unknown))

    assert notes_of([(5, 4), (4, 4.5), (9, 5)], Rule(top=2)) == ""
    assert "1 of the kept rows have no margin" in notes_of([(5, 4), (4, 4.5)], Rule(share=1))
    assert "only 2 scored rows" in notes_of([(5, 4), (4, 3)], Rule(top=3))
    assert "1,234 ids" in notes_of([(5, 4), (4, 4)], Rule(top=1), 1234)
    assert "8 to 9, the policy 0.5 to 0.7: check" in notes_of([(8, 0.5), (9, 0.7)], Rule(top=1))


def test_the_table_shows_the_largest_sources() -> None:
    rows = [Candidate(str(id), f"s{id % 30:02}", 5, 4, 1) for id in range(90)]
    rows += [Candidate("90", "", 5, 4, 1), Candidate("91", "", 5, None, 0)]
    lines = table(Selection(rule := Rule(top=10), rows, choose(rows, rule))).splitlines()
    assert lines[1].split() == ["kept", "10", "1.000", "4.000", "5.000"]
    assert lines[3].split() == ["no", "policy", "score", "1", "-", "-", "5.000"]
    assert lines[-1] == "... and 11 more sources, which the JSON file holds"
    assert len({len(line) for line in lines[:-1]}) == 1


# --- files -------------------------------------------------------------------------------------------------


def make_scored_row(id: int, scores: Any, source: str | None = None, **extra: Any) -> dict[str, Any]:
    return {
        "data_source": "writing",
        "prompt": [{"role": "user", "content": f"Write {id}."}],
        "ability": "write",
        "reward_model": {
            "style": "rule",
            "ground_truth": {"prompt": f"Write {id}.", "target": ["low", "hĩgh"], "criteria": None, "id": id},
        },
        "extra_info": {"index": id, "split": "train", "scores": scores, "source": source, **extra},
        "notes": {"tags": [], "weight": id / 3},  # a column that is nobody's
    }


def write(folder: Path, rows: Sequence[dict[str, Any]], policy: Sequence[tuple[Any, Any]]) -> Files:
    files = Files(folder / "all.parquet", folder / "policy.jsonl", folder / "out" / "kept.parquet")
    table = pyarrow.Table.from_pylist(list(rows)).replace_schema_metadata({"mine": "yes"})
    pyarrow.parquet.write_table(table, files.data, row_group_size=3)
    files.policy.write_text("".join(json.dumps({"id": id, "score": score}) + "\n" for id, score in policy))
    return files


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Eight rows, whose margins are 1 to 8 in an order that is no order; row 5 has two responses."""
    margins = [3, 8, 1, 6, 2, 7, 5, 4]
    rows = [
        make_scored_row(id, [1.0, 10.0], "novel" if id % 2 else "essay")
        for id in range(10, 10 + len(margins))
    ]
    policy: list[tuple[Any, Any]] = [(id, 10 - margin) for id, margin in enumerate(margins, start=10)]
    policy[5:6] = [(15, 2.5), ("15", 3.5)]
    return write(tmp_path, rows, policy)


def run(files: Files, *arguments: str) -> subprocess.CompletedProcess[str]:
    given = (files.data, "--policy", files.policy, "--output", files.out)
    return writing_rl("data", "select", *given, *arguments, cwd=files.data.parent)


def test_the_script_writes_the_rows_as_they_were_and_a_report(files: Files) -> None:
    done = run(files, "--top", "3")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""

    before, after = pyarrow.parquet.read_table(files.data), pyarrow.parquet.read_table(files.out)
    assert after.schema.equals(before.schema, check_metadata=True)
    assert after.equals(before.take([1, 3, 5]))  # margins 8, 6 and 7, in the order of the file
    assert [sample.id for sample in read_samples(files.out)] == [11, 13, 15]

    report = files.report
    assert sorted(path.name for path in files.out.parent.iterdir()) == [
        "kept.parquet",
        *(f"kept.selection.{kind}" for kind in ("csv", "json", "png")),
    ]
    with open(report["csv"], encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["margin"] for line in lines] == ["3.0", "8.0", "1.0", "6.0", "2.0", "7.0", "5.0", "4.0"]
    assert [line["rank"] for line in lines] == ["6", "1", "8", "3", "7", "2", "4", "5"]
    assert lines[5] == {
        "id": "15",
        "source": "novel",
        "best_score": "10.0",
        "policy_score": "3.0",
        "samples_k": "2",
        "margin": "7.0",
        "rank": "2",
        "kept": "true",
        "why": "among the first 3 of 8",
    }
    assert report["png"].read_bytes().startswith(b"\x89PNG")
    said = json.loads(report["json"].read_text())
    assert said["settings"]["top"] == 3
    assert said["counts"]["kept"] == 3
    assert said["means"]["kept"] == {"rows": 3, "margin": 7.0, "policy_score": 3.0, "best_score": 10.0}
    for name, path in (("data", files.data), ("policy", files.policy)):
        assert said["inputs"][name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert said["output"]["sha256"] == hashlib.sha256(files.out.read_bytes()).hexdigest()

    kept, left_out = (line.split() for line in done.stdout.splitlines()[3:5])
    assert kept == ["kept", "3", "7.000", "3.000", "10.000"]
    assert left_out == ["left", "out", "5", "3.000", "7.000", "10.000"]
    assert "essay: left out" in done.stdout
    assert f"DATA_DIR={files.out.with_suffix('')}" in done.stdout

    # Nothing is replaced unless asked for, and the same is made again.
    content = {path: path.read_bytes() for path in files.out.parent.iterdir()}
    again = run(files, "--top", "4")
    assert again.returncode == 1
    assert (
        again.stderr
        == f"Error: {files.out} exists already: name another --output, or replace it with --force\n"
    )
    assert run(files, "--top", "3", "--force").returncode == 0
    assert {path: path.read_bytes() for path in files.out.parent.iterdir()} == content


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "one of the arguments --top --share --above is required"),
        (("--top", "1", "--share", "0.5"), "not allowed with"),
        (("--top", "0"), "0 is below 1"),
        (("--share", "0"), "0 is not above 0 and at most 1"),
        (("--share", "nan"), "nan is not above 0"),
        (("--above", "inf"), "inf is not a finite number"),
        (("--above", "1", "--by", "random"), "--by random ignores margins"),
        (("--above", "8"), "Error: no margin is above 8, the largest is 8: lower the threshold"),
    ],
)
def test_the_script_refuses_what_makes_no_sense(
    files: Files, arguments: tuple[str, ...], message: str
) -> None:
    done = run(files, *arguments)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not files.out.parent.exists()


def test_rows_of_each_source(files: Files) -> None:
    said = select(files, Rule(share=0.25, per_source=True), skip_unscored=False, force=False)
    assert "essay: kept" in said
    assert [sample.id for sample in read_samples(files.out)] == [11, 16]


def test_rows_without_a_policy_score(tmp_path: Path) -> None:
    rows = [make_scored_row(id, [1.0, 2.0]) for id in range(4)]
    files = write(tmp_path, rows, [(0, 1), (2, 0), (7, 1)])
    with pytest.raises(
        DataError, match=r"no score for sample 1, and for 2 of 4 rows in all: .*--skip-unscored"
    ):
        select(files, Rule(top=1), skip_unscored=False, force=False)
    said = select(files, Rule(top=1), skip_unscored=True, force=False)
    assert "no policy score     2" in said
    assert "1 ids with a policy score are in no row" in said
    assert [sample.id for sample in read_samples(files.out)] == [2]
    with pytest.raises(DataError, match=r"has no extra_info\.source: add it, or leave out --per-source"):
        select(files, Rule(top=1, per_source=True), skip_unscored=True, force=True)
    files.policy.write_text('{"id": 9, "score": 1}')
    with pytest.raises(DataError, match="no row has a policy score"):
        select(files, Rule(top=1), skip_unscored=True, force=True)


def test_ids_that_repeat_give_way_to_the_index(tmp_path: Path) -> None:
    rows = [make_scored_row(0, [1.0, 2.0]) for _ in range(3)]
    for index, row in enumerate(rows):
        row["extra_info"]["index"] = index
    files = write(tmp_path, rows, [(0, 1), (1, 0), (2, 2)])
    select(files, Rule(top=1), skip_unscored=False, force=False)
    assert [sample.index for sample in read_samples(files.out)] == [1]


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (None, r"extra_info\.scores is missing: make the set with writing-rl data prepare"),
        ([1.0], r"extra_info\.scores is 1 scores, it must be a score of each of the 2 references"),
        ([1.0, NAN], r"extra_info\.scores\[1\] is nan, it must be a finite number"),
        ([None, 1.0], r"extra_info\.scores\[0\] is None, it must be a finite number"),
    ],
)
def test_scores_that_cannot_be_used(tmp_path: Path, scores: Any, message: str) -> None:
    files = write(tmp_path, [make_scored_row(0, [1.0, 2.0]), make_scored_row(1, scores)], [(0, 1)])
    with pytest.raises(DataError, match=rf"all\.parquet, row 1: {message}"):
        read_scored_rows(files.data)


def test_a_set_without_scores_names_the_remedy(tmp_path: Path) -> None:
    row = make_scored_row(0, [1.0, 2.0])
    del row["extra_info"]["scores"], row["extra_info"]["source"]
    files = write(tmp_path, [row], [(0, 1)])
    with pytest.raises(
        DataError, match=r"has no extra_info\.scores: make the set with writing-rl data prepare"
    ):
        read_scored_rows(files.data)


def test_a_fixed_reference_and_whole_numbers_will_do(tmp_path: Path) -> None:
    row = make_scored_row(0, [3])
    row["reward_model"]["ground_truth"]["target"] = "alone"
    del row["extra_info"]["source"]
    rows = read_scored_rows(write(tmp_path, [row], []).data)
    assert (rows.ids, rows.sources, rows.scores) == (["0"], [""], [[3.0]])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 is no JSON"),
        ("[1]", "line 2 is no JSON object"),
        ('{"score": 1}', "line 2 lacks 'id'"),
        ('{"id": 1}', "line 2 lacks 'score'"),
        ('{"id": "a1", "score": 1}', "line 2: 'id' is 'a1', it must be a whole number"),
        ('{"id": true, "score": 1}', "line 2: 'id' is True"),
        ('{"id": 1.5, "score": 1}', r"line 2: 'id' is 1\.5"),
        ('{"id": 1, "score": NaN}', "line 2: 'score' is nan, it must be a finite number"),
        ('{"id": 1, "score": "7"}', "line 2: 'score' is '7'"),
        ('{"id": 1, "score": null}', "line 2: 'score' is None"),
        ('{"id": 1, "score": false}', "line 2: 'score' is False"),
        (f'{{"id": 1, "score": 1{"0" * 400}}}', "line 2: 'score' is 10"),
    ],
)
def test_policy_lines_that_cannot_be_used(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "policy.jsonl"
    path.write_text(f'{{"id": 0, "score": 1}}\n{line}\n')
    with pytest.raises(DataError, match=message):
        read_policy_scores(path)


def test_files_that_are_missing_or_empty(tmp_path: Path, files: Files) -> None:
    rule = Rule(top=1)
    for gone in ("data", "policy"):
        broken = Files(**{**vars(files), gone: tmp_path / "none"})
        with pytest.raises(DataError, match="none cannot be read: No such file"):
            select(broken, rule, skip_unscored=False, force=False)
    files.policy.write_text("\n")
    with pytest.raises(DataError, match="holds no scores"):
        select(files, rule, skip_unscored=False, force=False)


def test_inputs_are_never_replaced(tmp_path: Path, files: Files) -> None:
    link = tmp_path / "link.parquet"
    link.symlink_to(files.data)
    hard = tmp_path / "hard.parquet"
    hard.hardlink_to(files.data)
    taken = Files(files.data, tmp_path / "x.selection.json", tmp_path / "x.parquet")
    taken.policy.write_bytes(files.policy.read_bytes())
    same = [Files(files.data, files.policy, out) for out in (files.data, link, hard)]
    for one in (*same, taken):
        before = one.data.read_bytes(), one.policy.read_bytes()
        with pytest.raises(SettingError, match="would replace the input"):
            select(one, Rule(top=1), skip_unscored=False, force=True)
        assert (one.data.read_bytes(), one.policy.read_bytes()) == before
    with pytest.raises(SettingError, match=r"ends in \.parquet"):
        select(
            Files(files.data, files.policy, tmp_path / "x.csv"), Rule(top=1), skip_unscored=False, force=True
        )


@pytest.mark.parametrize("change", ["damaged", "other scores", "fewer rows"])
def test_data_that_changes_in_the_meantime_is_noticed(
    files: Files, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    def choose_slowly(candidates: Sequence[Candidate], rule: Rule) -> list[Choice]:
        if change == "damaged":
            files.data.write_bytes(files.data.read_bytes() + b" ")
        else:
            rows = [make_scored_row(id, [2.0, 3.0]) for id in range(8 if change == "other scores" else 7)]
            write(files.data.parent, rows, [])
        return choose(candidates, rule)

    monkeypatch.setattr(run_selection, "choose", choose_slowly)
    with pytest.raises(DataError, match="was written to in the meantime"):
        select(files, Rule(top=1), skip_unscored=False, force=False)
    assert not files.out.parent.exists()
