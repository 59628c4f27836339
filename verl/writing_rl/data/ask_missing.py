"""Asking what a stage's file lacks, with a bar that shows calls, tokens and cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

from writing_rl.data.stage_file import StageFile
from writing_rl.judging.client.chat_model import Answer
from writing_rl.judging.settings import JudgeSettings
from writing_rl.util.as_completed import as_answered
from writing_rl.util.redact import redact

Q = TypeVar("Q")

#: Questions under way for each request in flight: one that is being put together, or waits before it is asked
#: again, leaves no place empty.
AHEAD = 2


async def ask_for(
    questions: Mapping[str, Q],
    ask: Callable[[Q], Awaitable[Mapping[str, Any]]],
    stage: StageFile[Any],
    *,
    parallel: int,
    unit: str,
) -> None:
    """Asks the questions that a stage's file has no answer to, and adds each answer as it comes.

    Args:
        questions: All questions by their keys.
        ask: Asks one of them; gives its line for the file, with what `billed` says in it.
        stage: The file.
        parallel: Requests in flight; `ask` is what keeps to that.
        unit: What an answer is, for the bar.

    Raises:
        BudgetSpent: What was begun and paid for by then is in the file.
        JudgeError: Nothing can be asked. What has ended by then is in the file.
        OSError: The file cannot be written to.
    """
    from tqdm import tqdm

    left = {key: question for key, question in questions.items() if key not in stage.found}
    took: Counter[str] = Counter()
    with tqdm(
        disable=None, total=len(questions), initial=len(questions) - len(left), unit=unit, smoothing=0.05
    ) as bar:

        async def work(item: tuple[str, Q]) -> Mapping[str, Any]:
            return await ask(item[1])

        async for (key, _), entry in as_answered(left.items(), work, AHEAD * parallel):
            stage.add(key, entry)
            for name in ("calls", "prompt_tokens", "completion_tokens"):
                took[name] += entry[name]
            took["unpriced"] += entry["cost_usd"] is None
            took["micro_usd"] += round((entry["cost_usd"] or 0.0) * 1e6)
            bar.set_postfix_str(_taken(took), refresh=False)
            bar.update()


def billed(answers: Iterable[Answer]) -> dict[str, Any]:
    """What answers took, for a line of a stage's file; the cost is null where a price is not known."""
    answers = list(answers)
    costs = [answer.cost_usd for answer in answers]
    return {
        "calls": len(answers),
        "prompt_tokens": sum(answer.prompt_tokens for answer in answers),
        "completion_tokens": sum(answer.completion_tokens for answer in answers),
        "cost_usd": None if None in costs else sum(cost or 0.0 for cost in costs),
        "latency_s": round(sum(answer.latency_s for answer in answers), 3),
    }


def judged_with(stage: str, judges: JudgeSettings, instructions_sha256: str) -> dict[str, Any]:
    """What makes a judge's answers what they are, as a stage's file keeps it.

    Args:
        stage: Name of the stage.
        judges: Who is asked, and how.
        instructions_sha256: What tells their instructions from others.
    """
    return {
        "stage": stage,
        "judges": list(judges.models),
        "base_url": redact(judges.base_url or "") or None,
        "temperature": judges.temperature,
        **judges.requests_set,
        "instructions_sha256": instructions_sha256,
    }


def _taken(took: Mapping[str, int]) -> str:
    tokens = f"{took['prompt_tokens']:,} tokens in, {took['completion_tokens']:,} out"
    cost = "cost unknown" if took["unpriced"] else f"{took['micro_usd'] / 1e6:.4f} USD"
    return f"{took['calls']:,} calls, {tokens}, {cost}"
