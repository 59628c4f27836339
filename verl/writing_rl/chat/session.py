"""A session on a terminal: prompts in, texts side by side and verdicts out, a tally at the end."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from writing_rl.chat.contest import Contest, Hand, Round, Tally, Text, hand_of, hand_with
from writing_rl.chat.keyboard import typed
from writing_rl.chat.layout import clean, indented, show
from writing_rl.data.generate import Generation
from writing_rl.data.prompt_files import Prompt
from writing_rl.data.writers import Writer, opened, placed_together
from writing_rl.errors import SettingError
from writing_rl.judging.client.request_queue import Channel, own_slots
from writing_rl.judging.client.slots import SlotPool
from writing_rl.judging.compare import Call, Comparison
from writing_rl.judging.factory import close_all, describe, make_channel, make_judges
from writing_rl.judging.judge import Judge, load_templates
from writing_rl.judging.settings import JudgeSettings
from writing_rl.judging.verdict import Outcome, Verdict, outcome_of
from writing_rl.models.placement import NoRoom, Placement
from writing_rl.text.statistics import Writing
from writing_rl.util.as_completed import as_answered

_VERDICTS = {Outcome.TIE: "a tie", Outcome.UNSCORED: "no verdict"}


@dataclass(frozen=True)
class Session:
    """What is wanted of a session.

    Attributes:
        generation: The two models, the trained one first, and how they write.
        judge: Who judges, and how; None for nobody.
        prompts: To what is written; None for what is typed.
        one_at_a_time: Whether one model writes to all prompts before the other is there.
        explain: Whether the judge's words are shown.
        output: Where everything is kept, one line a prompt; None for nowhere.
    """

    generation: Generation
    judge: JudgeSettings | None
    prompts: Sequence[Prompt] | None
    one_at_a_time: bool = False
    explain: bool = False
    output: Path | None = None

    @property
    def names(self) -> tuple[str, str]:
        """What the models are called."""
        first, second = self.generation.writers
        # The same model at two addresses, such as two checkpoints under one name.
        if first.name == second.name:
            return f"{first.name} (1)", f"{second.name} (2)"
        return first.name, second.name

    async def run(self) -> None:
        """Runs it until its prompts are at their end.

        Raises:
            SettingError: A model or the file of the output cannot be used.
            SetupError: vLLM cannot serve a model.
            JudgeError: A model or judge can be asked nothing more.
        """
        # One pool for writing and judging: a budget is for the whole session.
        writing, limits = self.generation.models, self.generation.models.limits
        slots = own_slots(SlotPool(writing.parallel, limits), metered=limits.any)
        judges: tuple[Judge, ...] = ()
        if self.judge:
            judges = make_judges(self.judge, load_templates(), make_channel(self.judge, slots))
        channel, rules = make_channel(writing, slots, learns=False), (self.judge or writing).rules
        tally = Tally()
        try:
            async with contextlib.AsyncExitStack() as stack:
                output = stack.enter_context(_appending(self.output)) if self.output else None
                places = None if self.one_at_a_time else self._places()
                if places is None:
                    hands = [await self._written_before(writer, channel) for writer in self._writers]
                else:
                    hands = [
                        await self._hand(stack, writer, channel, place)
                        for writer, place in zip(self._writers, places, strict=True)
                    ]
                await self._play(Contest((hands[0], hands[1]), judges, rules), tally, output)
        finally:
            await close_all(judges)
            if tally.rounds:
                print(f"\n{self._final(tally, judges)}", flush=True)

    @property
    def _writers(self) -> Sequence[Writer]:
        return self.generation.writers

    def _places(self) -> list[Placement | None] | None:
        """Where the models are served; None where one has to write after the other.

        Raises:
            NoRoom: There is no room for both at once, and what they write to is not known yet.
        """
        try:
            return placed_together(self._writers, self.generation.vllm_arguments)
        except NoRoom as error:
            if any(writer.checkpoint is None for writer in self._writers):
                raise
            if self.prompts is None:
                raise NoRoom(f"{error}, or let them write one after the other, to --prompts FILE") from None
            print(f"Note: one model writes after the other, for {error}", file=sys.stderr)
            return None

    async def _hand(
        self,
        stack: contextlib.AsyncExitStack,
        writer: Writer,
        channel: Channel,
        place: Placement | None = None,
    ) -> Hand:
        model = stack.enter_context(
            opened(writer, self.generation.models, channel, self.generation.vllm_arguments, place)
        )
        stack.push_async_callback(model.close)
        return hand_of(model, writer, self.generation)

    async def _written_before(self, writer: Writer, channel: Channel) -> Hand:
        """Has a model write to all prompts, after which it is not there any more."""
        from tqdm import tqdm

        assert self.prompts is not None
        texts: dict[str, Text] = {}
        async with contextlib.AsyncExitStack() as stack:
            hand = await self._hand(stack, writer, channel)
            bar = stack.enter_context(
                tqdm(disable=None, total=len(self.prompts), unit="text", desc=writer.name)
            )
            asked = as_answered(self.prompts, hand, self.generation.models.parallel)
            async with contextlib.aclosing(asked) as answered:  # type: ignore[type-var]
                async for prompt, text in answered:
                    texts[prompt.prompt] = text
                    bar.update()
        return hand_with(texts)

    async def _play(self, contest: Contest, tally: Tally, output: IO[str] | None) -> None:
        """Goes through the prompts: several at a time from a file, one after the other from the keyboard."""
        is_typed = self.prompts is None
        numbered = enumerate(typed() if self.prompts is None else self.prompts, start=1)

        async def play(item: tuple[int, Prompt]) -> Round:
            if not is_typed:
                return await contest.play(item[1])
            return await contest.play(item[1], self._show_texts)

        parallel = 1 if is_typed else self.generation.models.parallel
        async with contextlib.aclosing(as_answered(numbered, play, parallel)) as rounds:  # type: ignore[type-var]
            async for (number, prompt), round in rounds:
                tally.count(round)
                if output:
                    output.write(json.dumps(round.line(self.names), ensure_ascii=False) + "\n")
                    output.flush()
                if self.prompts is not None:
                    print(f"\n[{number} of {len(self.prompts)}] {clean(prompt.prompt).strip()}\n")
                    self._show_texts(round.texts)
                self._show_verdict(round.comparison)
                if round.error:
                    raise round.error

    def _show_texts(self, texts: tuple[Text, Text]) -> None:
        titles = tuple(map(_title, self.names, texts))
        print(show((titles[0], titles[1]), (texts[0].shown, texts[1].shown), _columns()), flush=True)

    def _show_verdict(self, comparison: Comparison | None) -> None:
        if comparison is None:
            return
        print(f"\n=> {self._verdict(comparison)}", flush=True)
        if self.explain:
            for call in comparison.calls:
                print(f"\n  {clean(call.judge)}, {self.names[0]} {_order(call)}:")
                print(indented(call.answer.text, _columns()), flush=True)

    def _verdict(self, comparison: Comparison) -> str:
        """The verdict in a line, with what it was in each order."""
        first, second = self.names
        said = _VERDICTS.get(comparison.outcome, "")
        if not said:
            said = f"{first if comparison.outcome is Outcome.WIN else second} wins"
        if comparison.reason:
            detail = f": {clean(comparison.detail)}" if comparison.detail else ""
            said += f" ({comparison.reason}{detail})"
        # Of an order that was asked again, the last answer counts.
        orders = {(call.judge, call.policy_slot): call for call in comparison.calls}
        several = len({judge for judge, _ in orders}) > 1
        words = [
            f"{f'{clean(judge)}, ' if several else ''}{_order(call)}: {_outcome(call)}"
            for (judge, _), call in orders.items()
        ]
        return f"{said} | {'; '.join(words)}" if words else said

    def _final(self, tally: Tally, judges: tuple[Judge, ...]) -> str:
        first, second = self.names
        if not judges:
            return f"{first} and {second} wrote to {tally.rounds} prompts, which nobody judged: see --judge"
        return f"{first} against {second}: {tally.describe()}\nJudge: {describe(judges)}"


def _order(call: Call) -> str:
    """Where the text of the first model stood."""
    return "read first" if call.policy_slot is Verdict.A else "read second"


def _outcome(call: Call) -> str:
    return outcome_of(call.verdict, call.policy_slot).value if call.verdict else "no verdict"


def _title(name: str, text: Text) -> str:
    if text.failed:
        return f"{name} (nothing: {text.failed})"
    cut = ", cut off" if text.answer and text.answer.truncated else ""
    return f"{name} ({Writing.of(text.shown).words:,} words{cut})"


def _columns() -> int:
    return shutil.get_terminal_size().columns


@contextlib.contextmanager
def _appending(path: Path) -> Iterator[IO[str]]:
    """A file that lines are added to.

    Raises:
        SettingError: Its name is not that of JSON lines.
    """
    if path.suffix != ".jsonl":
        raise SettingError(f"--output is {path}: give it a name that ends in .jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8", errors="replace") as file:
        yield file
