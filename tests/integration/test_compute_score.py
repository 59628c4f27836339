from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from verl.utils.reward_score import writing_rl as reward
from writing_rl.errors import JudgeError, SettingError, Unscored
from writing_rl.judging.client.chat_model import Answer
from writing_rl.judging.client.request_queue import Deadline
from writing_rl.judging.judge import Question
from writing_rl.judging.rules import Rules
from writing_rl.judging.verdict import Rewards, Strategy
from writing_rl.judging.vote import VoteRule

GROUND_TRUTH = {
    "prompt": "Write about the sea.",
    "target": ["low", "middle", "high"],
    "criteria": None,
    "id": 4,
}
GOOD = (
    "The sea was calm when Mara pushed the boat off the sand. She rowed past the pier and listened. A gull "
    "followed her as far as the last buoy, where the water turned dark. There she let the letter go. On the "
    "way home, rain fell on the sea, and she was not sad any more."
)
POOR = "The sea. The sea. The sea. The sea. The sea. The sea. The sea."


class FakeJudge:
    """Always says the same and keeps what it was asked."""

    name = description = "a fake"

    def __init__(self, text: str = "[[B]]", error: Exception | None = None) -> None:
        self.text = text
        self.error = error
        self.questions: list[Question] = []

    async def close(self) -> None: ...

    async def answer(self, question: Question, deadline: Deadline) -> Answer:
        self.questions.append(question)
        if self.error:
            raise self.error
        return Answer(self.text)


@pytest.fixture(autouse=True)
def fresh_environment() -> Iterator[None]:
    """The judge of the environment is made once in a process; here each test has its own environment."""
    reward._made.clear()
    yield
    reward._made.clear()


async def score(response: str = "text", ground_truth: dict[str, Any] = GROUND_TRUTH, **arguments: Any) -> Any:
    return await reward.compute_score("writing", response, ground_truth, {"index": 0}, **arguments)


async def test_the_environments_offline_judge_tells_good_from_poor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_MODEL", "offline")
    good = await score(GOOD, {**GROUND_TRUTH, "target": [POOR]})
    poor = await score(POOR, {**GROUND_TRUTH, "target": [GOOD]})
    assert (good["score"], good["outcome"]) == (1.0, "win")
    assert (poor["score"], poor["outcome"]) == (0.0, "loss")


@pytest.mark.parametrize("strategy", [strategy.value for strategy in Strategy])
async def test_the_environments_strategy_changes_the_order_only(
    monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    monkeypatch.setenv("JUDGE_MODEL", "offline")
    monkeypatch.setenv("REWARD_STRATEGY", strategy)
    assert (await score(GOOD, {**GROUND_TRUTH, "target": POOR}))["outcome"] == "win"


async def test_without_a_judge_the_error_names_the_variable() -> None:
    with pytest.raises(SettingError, match="set JUDGE_MODEL"):
        await score()


async def test_an_unknown_strategy_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_MODEL", "offline")
    monkeypatch.setenv("REWARD_STRATEGY", "position-none")
    with pytest.raises(SettingError, match="REWARD_STRATEGY"):
        await score()


@pytest.mark.parametrize(
    ("verdict", "outcome", "worth"), [("[[B]]", "win", 1.0), ("[[C]]", "tie", 0.5), ("[[A]]", "loss", 0.0)]
)
async def test_a_passed_judge_decides(verdict: str, outcome: str, worth: float) -> None:
    judge = FakeJudge(verdict)
    assert await score(judges=[judge], rules=Rules(Strategy.DISADVANTAGE)) == {
        "score": worth,
        "outcome": outcome,
        "reason": "",
        "flipped": 0.0,
        "reference_index": 0.0,
    }
    assert judge.questions == [Question("Write about the sea.", "low", "text", None)]


async def test_outcomes_are_worth_what_is_passed() -> None:
    rewards = Rewards(win=1.1, tie=0.6, loss=0.1)
    for verdict, worth in (("[[B]]", 1.1), ("[[C]]", 0.6), ("[[A]]", 0.1)):
        result = await score(judges=[FakeJudge(verdict)], rules=Rules(Strategy.DISADVANTAGE), rewards=rewards)
        assert result["score"] == worth


@pytest.mark.parametrize(("index", "reference"), [(0, "low"), (1, "middle"), (2, "high")])
async def test_the_reference_is_the_one_asked_for(index: int, reference: str) -> None:
    judge = FakeJudge()
    result = await score(judges=[judge], rules=Rules(Strategy.DISADVANTAGE), reference_index=index)
    assert judge.questions[0].answer_a == reference
    assert result["reference_index"] == float(index)


async def test_a_reference_that_does_not_exist_is_an_error() -> None:
    judge = FakeJudge()
    with pytest.raises(IndexError):
        await score(judges=[judge], rules=Rules(Strategy.DISADVANTAGE), reference_index=3)
    assert judge.questions == []


async def test_criteria_reach_the_judge() -> None:
    judge = FakeJudge()
    await score(
        ground_truth={**GROUND_TRUTH, "criteria": "Be kind."}, judges=[judge], rules=Rules(Strategy.ADVANTAGE)
    )
    assert judge.questions == [Question("Write about the sea.", "text", "low", "Be kind.")]


async def test_no_verdict_is_no_score() -> None:
    with pytest.raises(Unscored) as error:
        await score(judges=[FakeJudge("Assistant B is clearly better.")], rules=Rules(Strategy.BOTH))
    assert error.value.reason == "no_verdict"


@pytest.mark.parametrize("error", [Unscored("timeout"), JudgeError("wrong key")])
async def test_a_failing_judge_is_no_score(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        await score(judges=[FakeJudge(error=error)], rules=Rules(Strategy.BOTH))


async def test_every_outcome_has_the_same_keys() -> None:
    results = [
        await score(response, judges=[FakeJudge(verdict)], rules=Rules(strategy))
        for response in ("text", "<think>never closed")
        for verdict in ("[[A]]", "[[B]]", "[[C]]")
        for strategy in Strategy
    ]
    assert len({tuple(result) for result in results}) == 1


def test_it_is_what_verl_calls_as_a_custom_reward_function() -> None:
    assert inspect.iscoroutinefunction(reward.compute_score)
    names = list(inspect.signature(reward.compute_score).parameters)
    assert names[:4] == ["data_source", "solution_str", "ground_truth", "extra_info"]


async def test_what_verl_passes_besides_is_accepted() -> None:
    result = await score(
        judges=[FakeJudge()],
        rules=Rules(Strategy.BOTH),
        reward_router_address=None,
        reward_model_tokenizer=None,
    )
    assert result["outcome"] == "tie"


@pytest.mark.parametrize(
    ("vote", "worth", "outcome"), [(VoteRule.MAJORITY, 1.0, "win"), (VoteRule.MEAN, 2 / 3, "win")]
)
async def test_several_judges_give_a_majority_or_a_mean(vote: VoteRule, worth: float, outcome: str) -> None:
    judges = [FakeJudge("[[B]]"), FakeJudge("[[A]]"), FakeJudge("[[B]]")]
    result = await score(judges=judges, rules=Rules(Strategy.DISADVANTAGE, vote=vote))
    assert (result["score"], result["outcome"]) == (pytest.approx(worth), outcome)
