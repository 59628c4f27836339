from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.data.preparation.confirmation import Confirmed, confirmed_references
from writing_rl.data.preparation.scoring import Reference
from writing_rl.judging.judge import load_templates
from writing_rl.judging.verdict import Outcome

#: From the worst to the best, by the scores of the input.
TEXTS = (
    "The sea is big. It is blue. The end.",
    "Grey waves rolled in all morning, and nobody on the pier spoke a word.",
    "My grandfather mended nets for fifty years and never once learned to swim.",
    "When the tide went out that evening, it left a boat on the sand, with all his letters in it.",
)
FIRST, SECOND, THIRD, BEST = TEXTS


# --- the rule ----------------------------------------------------------------------------------------------


def choose(
    references: list[Reference], outcome_of: Callable[[Reference, Reference], Outcome]
) -> tuple[list[Reference], Confirmed, list[tuple[Reference, Reference]]]:
    """What is kept, what is counted, and which pairs were compared."""
    asked: list[tuple[Reference, Reference]] = []

    async def compare(better: Reference, worse: Reference) -> Outcome:
        asked.append((better, worse))
        return outcome_of(better, worse)

    confirmed = Confirmed()
    return asyncio.run(confirmed_references(references, compare, confirmed)), confirmed, asked


def rising(number: int) -> list[Reference]:
    return [Reference(str(place), float(place), None) for place in range(number)]


@given(st.integers(0, 7), st.data())
def test_what_is_kept_was_confirmed_step_by_step(number: int, draw: st.DataObject) -> None:
    references = rising(number)
    outcomes: dict[tuple[Reference, Reference], Outcome] = {}

    def outcome_of(better: Reference, worse: Reference) -> Outcome:
        assert better.score > worse.score
        return outcomes.setdefault((better, worse), draw.draw(st.sampled_from(Outcome)))

    kept, confirmed, asked = choose(references, outcome_of)
    assert kept == [reference for reference in references if reference in kept]  # a part, in the same order
    assert kept[-1:] == references[-1:]
    for worse, better in pairwise(kept):
        assert outcomes[better, worse] in (Outcome.WIN, Outcome.UNSCORED)
    for dropped in set(references) - set(kept):
        # By the next better one that is kept.
        better = min((one for one in kept if one.score > dropped.score), key=lambda one: one.score)
        assert outcomes[better, dropped] in (Outcome.TIE, Outcome.LOSS)
    assert confirmed.dropped == number - len(kept)
    assert confirmed.unscored == sum(outcome is Outcome.UNSCORED for outcome in outcomes.values())
    assert len(asked) == len(set(asked)) == max(0, number - 1)


@pytest.mark.parametrize(
    ("outcome", "kept", "confirmed"),
    [
        (Outcome.WIN, [0, 1, 2, 3], Confirmed()),
        (Outcome.UNSCORED, [0, 1, 2, 3], Confirmed(unscored=1)),
        (Outcome.TIE, [0, 1, 3], Confirmed(dropped=1)),
        (Outcome.LOSS, [0, 1, 3], Confirmed(dropped=1)),
    ],
)
def test_the_lower_one_goes_where_it_is_not_beaten(
    outcome: Outcome, kept: list[int], confirmed: Confirmed
) -> None:
    references = rising(4)
    found = choose(references, lambda _, worse: outcome if worse.score == 2 else Outcome.WIN)
    assert found[0] == [references[place] for place in kept]
    assert found[1] == confirmed
    # From the best down, each compared with the last one kept.
    above = 2 if 2 in kept else 3
    assert [(int(better.score), int(worse.score)) for better, worse in found[2]] == [
        (3, 2),
        (above, 1),
        (1, 0),
    ]


# --- the whole way -----------------------------------------------------------------------------------------


Script = Callable[..., Any]


@pytest.fixture
def prepare_data(run_cli: Script, tmp_path: Path) -> Script:
    """Runs the script in this process, with the order of given scores confirmed."""
    options = ("--out", tmp_path / "out", "--confirm-order", "--judge", "m", "--test-count", 1)
    return lambda data, *arguments: run_cli("data", "prepare", data, *options, *arguments)


def sections(body: Mapping[str, Any]) -> dict[str, str]:
    """What a request to the judge shows, by the titles."""
    parts = re.findall(r"=== ([^=]*) ===\n(.*?)\n=== End of", body["messages"][0]["content"], re.DOTALL)
    return dict(parts)


def pair_of(body: Mapping[str, Any]) -> tuple[str, str]:
    shown = sections(body)
    return shown["Text A"], shown["Text B"]


class Judge:
    """An endpoint that prefers texts by their worth, and finds no difference between equal ones.

    Attributes:
        server: What answers.
        worth: What each text is worth.
        silent: A text about which there is never a verdict.
    """

    def __init__(self, server: Any, reply: Any) -> None:
        self.server = server
        self.worth = {text: float(place) for place, text in enumerate(TEXTS)}
        self.silent = ""
        server.choose = lambda number: reply(self.says(server.requests[number - 1]))

    def says(self, body: Mapping[str, Any]) -> str:
        a, b = pair_of(body)
        if self.silent in (a, b):
            return "Both have their merits."
        better, worse = self.worth[a], self.worth[b]
        return "[[C]]" if better == worse else "[[A]]" if better > worse else "[[B]]"

    @property
    def compared(self) -> Counter[frozenset[str]]:
        """How often each pair was asked for, in whatever order."""
        return Counter(frozenset(pair_of(body)) for body in self.server.requests)


@pytest.fixture
def judge(judge_server: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> Judge:
    monkeypatch.setenv("OPENAI_BASE_URL", judge_server.url)
    return Judge(judge_server, reply)


def entry(number: int, *texts: str, **more: Any) -> dict[str, Any]:
    """A line whose scores rise in the order of `TEXTS`."""
    responses = [{"text": text, "score": TEXTS.index(text)} for text in texts]
    return {"prompt": f"Write about sea {number}.", "responses": responses, **more}


def write(folder: Path, *entries: Mapping[str, Any]) -> Path:
    path = folder / "in.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in entries), encoding="utf-8")
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One prompt with all texts, and one with the worst and the best."""
    return write(tmp_path, entry(0, *TEXTS), entry(1, FIRST, BEST))


def targets(folder: Path) -> dict[str, list[str]]:
    """The references of each prompt."""
    import pyarrow.parquet

    truths = [
        row["reward_model"]["ground_truth"]
        for name in ("train", "test")
        for row in pyarrow.parquet.read_table(folder / "out" / f"{name}.parquet").to_pylist()
    ]
    return {truth["prompt"]: truth["target"] for truth in truths}


def counts(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out/prepare.json").read_text())["counts"]
    return found


def test_an_order_that_the_judge_confirms_stays(judge: Judge, prepare_data: Script, tmp_path: Path) -> None:
    data = write(tmp_path, entry(0, *TEXTS, criteria="Judge the salt."), entry(1, FIRST, BEST))
    done = prepare_data(data)
    assert done.code == 0, done.err
    assert targets(tmp_path) == {"Write about sea 0.": list(TEXTS), "Write about sea 1.": [FIRST, BEST]}
    assert "0 not beaten by a better-graded neighbour" in done.out

    # Each pair of neighbours in both orders, as the training would ask.
    neighbours = [*pairwise(TEXTS), (FIRST, BEST)]
    asked = Counter((sections(body)["Task"], *pair_of(body)) for body in judge.server.requests)
    assert asked == Counter(
        (f"Write about sea {int((one, other) == (FIRST, BEST))}.", *order)
        for one, other in neighbours
        for order in ((one, other), (other, one))
    )
    for body in judge.server.requests:
        assert sections(body).get("Criteria") == (
            "Judge the salt." if sections(body)["Task"] == "Write about sea 0." else None
        )
        assert (body["model"], body["temperature"]) == ("m", 0.0)

    record = json.loads((tmp_path / "out/prepare.json").read_text())
    assert (record["settings"]["scores"], record["settings"]["confirmed"]) == ("given", True)
    assert record["judged"] == {
        "confirmations.jsonl": {
            "file": "confirmations.jsonl",
            "sha256": hashlib.sha256((tmp_path / "out/confirmations.jsonl").read_bytes()).hexdigest(),
            "stage": "confirmations",
            "judges": ["m"],
            "base_url": judge.server.url,
            "temperature": 0.0,
            "instructions_sha256": load_templates().fingerprint,
        }
    }


@pytest.mark.parametrize("worth", [3.0, 9.0])
def test_a_tie_or_a_loss_drops_the_lower_one(
    judge: Judge, prepare_data: Script, data: Path, tmp_path: Path, worth: float
) -> None:
    judge.worth[THIRD] = worth  # as good as the best, or better
    done = prepare_data(data)
    assert done.code == 0, done.err
    assert targets(tmp_path)["Write about sea 0."] == [FIRST, SECOND, BEST]
    assert "1 not beaten by a better-graded neighbour" in done.out
    assert (counts(tmp_path)["unconfirmed"], counts(tmp_path)["comparisons_without_verdict"]) == (1, 0)
    # What is below it is compared with the one that is kept.
    assert frozenset((BEST, SECOND)) in judge.compared
    assert frozenset((THIRD, SECOND)) not in judge.compared


def test_a_judge_that_goes_by_the_place_confirms_nothing(
    judge: Judge, reply: Any, prepare_data: Script, data: Path, tmp_path: Path
) -> None:
    judge.server.choose = lambda _: reply("[[A]]")
    done = prepare_data(data)
    assert done.code == 1
    assert "no prompt is left of 2: 2 have fewer than 2 references" in done.err
    assert "4 not beaten by a better-graded neighbour" in done.err
    assert not (tmp_path / "out/train.parquet").exists()


def test_no_verdict_keeps_and_counts(judge: Judge, prepare_data: Script, data: Path, tmp_path: Path) -> None:
    judge.silent = THIRD
    done = prepare_data(data)
    assert done.code == 0, done.err
    assert targets(tmp_path)["Write about sea 0."] == list(TEXTS)
    # Said also where no judge has graded.
    assert "Neighbours without a verdict, kept: 2" in done.out
    assert counts(tmp_path)["comparisons_without_verdict"] == 2
    assert counts(tmp_path)["unconfirmed"] == 0


def test_prompts_with_too_few_references_are_left_out_afterwards(
    judge: Judge, prepare_data: Script, tmp_path: Path
) -> None:
    judge.worth[SECOND] = judge.worth[BEST]
    data = write(tmp_path, entry(0, *TEXTS), entry(1, SECOND, BEST), entry(2, FIRST, BEST), entry(3, BEST))
    done = prepare_data(data)
    assert done.code == 0, done.err
    assert targets(tmp_path) == {
        "Write about sea 0.": [FIRST, THIRD, BEST],
        "Write about sea 2.": [FIRST, BEST],
    }
    assert counts(tmp_path)["prompts_with_too_few_references"] == 2
    assert counts(tmp_path)["unconfirmed"] == 2


def test_what_was_compared_is_not_asked_again(
    judge: Judge, prepare_data: Script, data: Path, tmp_path: Path
) -> None:
    judge.worth[THIRD], judge.silent = 9.0, FIRST
    first = prepare_data(data)
    assert first.code == 0, first.err
    kept = targets(tmp_path)
    number = len(judge.server.requests)

    judge.silent = ""
    again = prepare_data(data, "--force")
    assert (again.code, again.out) == (0, first.out)
    assert len(judge.server.requests) == number
    assert targets(tmp_path) == kept

    # Only what is without a verdict, and only when that is wanted.
    done = prepare_data(data, "--force", "--retry-unscored")
    assert done.code == 0, done.err
    asked = Counter(frozenset(pair_of(body)) for body in judge.server.requests[number:])
    assert asked == {frozenset((SECOND, FIRST)): 2, frozenset((BEST, FIRST)): 2}
    assert targets(tmp_path)["Write about sea 0."] == [FIRST, SECOND, BEST]
    assert "Neighbours without a verdict" not in done.out


def test_the_budget_ends_the_start_and_what_was_judged_is_kept(
    judge: Judge, prepare_data: Script, data: Path, tmp_path: Path
) -> None:
    done = prepare_data(data, "--max-calls", 4, "--parallel", 2)
    assert done.code == 1
    assert done.err.splitlines()[-1] == "Error: the budget is spent: 4 calls, max_calls is reached"
    assert not (tmp_path / "out/train.parquet").exists()
    assert len(judge.server.requests) == 4
    kept = len((tmp_path / "out/confirmations.jsonl").read_text().splitlines())
    assert kept > 0
    done = prepare_data(data)
    assert done.code == 0, done.err
    assert len(judge.server.requests) == 4 + 2 * (4 - kept)
    assert targets(tmp_path)["Write about sea 0."] == list(TEXTS)


@pytest.mark.parametrize("change", ["judges", "instructions_sha256"])
def test_verdicts_of_another_kind_are_refused(
    judge: Judge,
    prepare_data: Script,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    assert prepare_data(data).code == 0
    number = len(judge.server.requests)
    if change == "instructions_sha256":
        edited = replace(load_templates(), ask_again="Once more.")
        monkeypatch.setattr("writing_rl.judging.judge.load_templates", lambda: edited)
    done = prepare_data(data, "--force", *(["--judge", "other"] if change == "judges" else []))
    assert done.code == 1
    assert f"{tmp_path / 'out/confirmations.jsonl'} was made with {change} = " in done.err
    assert len(judge.server.requests) == number


def test_grades_are_confirmed_by_the_same_judge(
    judge: Judge, reply: Any, prepare_data: Script, data: Path, tmp_path: Path
) -> None:
    compares = judge.says

    def says(body: Mapping[str, Any]) -> str:
        shown = sections(body)
        if "Text" not in shown:
            return compares(body)
        return f"[[{', '.join([str(3 + TEXTS.index(shown['Text']))] * 5)}]]"

    judge.worth[SECOND] = judge.worth[THIRD]
    judge.server.choose = lambda number: reply(says(judge.server.requests[number - 1]))
    done = prepare_data(data, "--scores", "grade", "--grade-samples", 2, "--grade-temperature", 0.5)
    assert done.code == 0, done.err
    assert targets(tmp_path)["Write about sea 0."] == [FIRST, THIRD, BEST]
    # Several grades differ by chance; a verdict is the training's, without any.
    assert {("Text" in sections(body), body["temperature"]) for body in judge.server.requests} == {
        (True, 0.5),
        (False, 0.0),
    }
    record = json.loads((tmp_path / "out/prepare.json").read_text())
    assert sorted(record["judged"]) == ["confirmations.jsonl", "grades.jsonl"]
