"""Comparisons by an endpoint of the field, as a run makes them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from tests.field.endpoints import FieldServer
from writing_rl.dataset.samples import Sample
from writing_rl.judging.compare import Comparison, compare
from writing_rl.judging.factory import close_all, make_channel, make_judges
from writing_rl.judging.judge import Judge, load_templates
from writing_rl.judging.settings import JudgeSettings
from writing_rl.judging.verdict import Strategy


def settings_for(model: str, server: FieldServer, **more: object) -> JudgeSettings:
    """How a model of the server is asked; text A is the policy's."""
    given = {"base_url": server.url, "strategy": Strategy.ADVANTAGE, "deadline_s": 120.0, **more}
    return JudgeSettings(models=(model,), **given)  # type: ignore[arg-type]


def at_dashscope(settings: JudgeSettings) -> JudgeSettings:
    """The same through DashScope's SDK, whose address the environment has to name."""
    return replace(settings, base_url=None, providers={settings.models[0]: "dashscope"})


def judged(settings: JudgeSettings, responses: Sequence[str], parallel: int = 8) -> list[Comparison]:
    """What comes of comparing each response with a reference."""

    async def run() -> list[Comparison]:
        judges = make_judges(replace(settings, parallel=parallel), load_templates(), make_channel(settings))
        try:
            return await judge_all(judges, settings, responses)
        finally:
            await close_all(judges)

    return asyncio.run(run())


async def judge_all(
    judges: tuple[Judge, ...], settings: JudgeSettings, responses: Sequence[str]
) -> list[Comparison]:
    """The same by judges that are there."""
    comparisons = (
        compare(judges, settings.rules, prompt="Write.", response=response, reference="A reference.")
        for response in responses
    )
    return await asyncio.gather(*comparisons)


def sample(text: str) -> Sample:
    """A row of a training set."""
    messages = ({"role": "user", "content": "Write."},)
    return Sample(0, 0, "train", messages, "Write.", (text, f"{text} Longer."), None)
