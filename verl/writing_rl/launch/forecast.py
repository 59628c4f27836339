"""What a whole run will take, from three measured steps: one at full length and two as texts come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from omegaconf import DictConfig


@dataclass(frozen=True)
class Plan:
    """What the settings ask for.

    Attributes:
        steps: Training steps.
        texts: Texts of a step.
        test_texts: Texts of a validation.
        validations: How many of these.
        saves: Checkpoints that are written.
        kept: Checkpoints that lie on the disk at once.
        save_freq: Steps between two checkpoints; at most `steps`.
        requests: Requests to judges for a comparison: orders x judges.
        parallel: Requests in flight.
        full_tokens: Tokens of a text at most.
        reference_tokens: Tokens of a reference in the mean.
    """

    steps: int
    texts: int
    test_texts: int
    validations: int
    saves: int
    kept: int
    save_freq: int
    requests: int
    parallel: int
    full_tokens: int
    reference_tokens: float

    @property
    def calls(self) -> int:
        """Requests to judges over the whole run, each answered at once."""
        return (self.steps * self.texts + self.validations * self.test_texts) * self.requests


@dataclass(frozen=True)
class Measured:
    """A step that was measured.

    Attributes:
        tokens: Tokens of its texts in the mean.
        seconds: Of each phase, and of the whole step under `step`.
    """

    tokens: float
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class JudgeMeasured:
    """What real questions to the judges have shown, in the mean of one request.

    Attributes:
        seconds: From request to answer.
        prompt_tokens: Tokens read, with two texts of `text_tokens` each.
        completion_tokens: Tokens written.
        text_tokens: Tokens of a text in these questions.
        input_usd: Dollars of a token read, in the mean over the judges; None where the price is not known.
        output_usd: Dollars of a token written.
    """

    seconds: float
    prompt_tokens: float
    completion_tokens: float
    text_tokens: float
    input_usd: float | None
    output_usd: float | None


@dataclass(frozen=True)
class Forecast:
    """What a whole run will take.

    Attributes:
        tokens: Tokens of a text that it is for.
        step_s: Seconds of a step, without saving.
        hours: Of the whole run.
        judge_tokens: Tokens read and written by judges.
        usd: What they cost; None where a price is not known.
        crash_hours: What a crash costs at most: the steps since the last checkpoint.
        crash_usd: Likewise in dollars.
    """

    tokens: float
    step_s: float
    hours: float
    judge_tokens: float
    usd: float | None
    crash_hours: float
    crash_usd: float | None


def plan_of(
    config: DictConfig, steps: int, test_rows: int, requests: int, reference_tokens: float, kept: int
) -> Plan:
    """Reads the plan of a resolved configuration, by verl's own rules (v0.9.1, `trainer_base.py`).

    Args:
        config: The configuration.
        steps: Steps of the whole run.
        test_rows: Rows of the test set.
        requests: Requests to judges for a comparison.
        reference_tokens: Tokens of a reference in the mean.
        kept: Checkpoints that lie on the disk at once.
    """
    rollout, trainer = config.actor_rollout_ref.rollout, config.trainer
    every = int(trainer.save_freq)
    return Plan(
        steps=steps,
        texts=config.data.train_batch_size * rollout.n,
        test_texts=test_rows * rollout.val_kwargs.n,
        validations=int(bool(trainer.val_before_train)) + times(steps, int(trainer.test_freq)),
        saves=times(steps, every),
        kept=kept,
        save_freq=min(every, steps) if every > 0 else steps,
        requests=requests,
        parallel=int(config.writing_rl.judge.parallel),
        full_tokens=config.data.max_response_length,
        reference_tokens=reference_tokens,
    )


def times(steps: int, every: int) -> int:
    """How often something happens that is done at every so many steps and at the last."""
    return 0 if every <= 0 else steps // every + (steps % every > 0)


@dataclass(frozen=True)
class Rehearsed:
    """The steps that a forecast is made from.

    Attributes:
        full: The first step of a start, at full length.
        first: The first step of another start, as texts came.
        warm: The step after that one.
        start_s: Seconds from that start to its first step.
    """

    full: Measured
    first: Measured
    warm: Measured
    start_s: float

    def at(self, phase: str, tokens: float) -> float:
        """Seconds of a phase in a warm step whose texts have so many tokens in the mean.

        The two first steps tell what a token costs: what happens once in a start is in both. The warm step
        tells the rest.
        """
        full, first, warm = (step.seconds.get(phase, 0.0) for step in (self.full, self.first, self.warm))
        apart = self.full.tokens - self.first.tokens
        if apart < 0.02 * self.full.tokens:  # texts came at full length: one point, no line
            return warm * tokens / self.warm.tokens
        return max(0.1 * warm, warm + max(0.0, full - first) / apart * (tokens - self.warm.tokens))


def forecast(plan: Plan, steps: Rehearsed, tokens: float, judge: JudgeMeasured | None) -> Forecast:
    """Forecasts a run whose texts have so many tokens.

    Args:
        plan: What is asked for.
        steps: What was measured.
        tokens: Tokens of a text.
        judge: What is known of the judge; None where it takes no time and no money.
    """

    def at(phase: str) -> float:
        return steps.at(phase, tokens)

    save_s = steps.warm.seconds.get("save", 0.0)
    # What the first step of a start takes longer than another.
    start_s = steps.start_s + max(0.0, steps.first.seconds["step"] - steps.warm.seconds["step"])
    rollout_s = at("rollout")
    step_s = at("step")
    validation_s = rollout_s * max(1.0, plan.test_texts / plan.texts)
    judge_tokens, usd, step_usd = 0.0, 0.0 if judge is None else None, 0.0 if judge is None else None
    if judge is not None:
        step_s += _waits(plan.texts * plan.requests, rollout_s, plan.parallel, judge.seconds)
        validation_s += _waits(plan.test_texts * plan.requests, rollout_s, plan.parallel, judge.seconds)
        # Both texts of a comparison are as long as a text; what else the judge reads stays as it is.
        read = max(0.0, judge.prompt_tokens + 2 * (tokens - judge.text_tokens))
        judge_tokens = plan.calls * (read + judge.completion_tokens)
        if judge.input_usd is not None and judge.output_usd is not None:
            call = read * judge.input_usd + judge.completion_tokens * judge.output_usd
            usd, step_usd = plan.calls * call, plan.texts * plan.requests * call
    total_s = start_s + plan.steps * step_s + plan.saves * save_s + plan.validations * validation_s
    return Forecast(
        tokens=tokens,
        step_s=step_s,
        hours=total_s / 3600,
        judge_tokens=judge_tokens,
        usd=usd,
        crash_hours=(plan.save_freq * step_s + start_s) / 3600,
        crash_usd=None if step_usd is None else plan.save_freq * step_usd,
    )


def _waits(requests: int, rollout_s: float, parallel: int, request_s: float) -> float:
    """Seconds that a step waits for its judge beyond the writing: texts are judged as they are finished."""
    return max(request_s, requests * request_s / parallel - rollout_s + request_s) if request_s > 0 else 0.0
