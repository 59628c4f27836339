"""Having models write responses to prompts: what `writing-rl data generate` does.

Each line of the output is a prompt with one response, in the form that `writing-rl data prepare` reads, with
what is known of how it was written. A response that could not be had is a line without one, with the reason.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from writing_rl.data.ask_missing import ask_for, billed
from writing_rl.data.prompt_files import Prompt
from writing_rl.data.stage_file import StageFile
from writing_rl.data.writers import Writer, chat_template_of, opened
from writing_rl.dataset.system_message import SYSTEM
from writing_rl.errors import Unscored
from writing_rl.judging.call_forecast import TEXT_TOKENS, CallForecast
from writing_rl.judging.client.chat_model import Messages
from writing_rl.judging.client.model import Model
from writing_rl.judging.client.request_queue import Channel, Deadline
from writing_rl.judging.settings import JudgeSettings
from writing_rl.util.redact import printable


@dataclass(frozen=True)
class Generation:
    """What is to be written.

    Attributes:
        writers: Who writes.
        samples: Responses of each to each prompt.
        system: The system message of prompts without one of their own; empty for none.
        models: How the models are asked; `models.models` is not looked at.
        vllm_arguments: More of `vllm serve`'s options, for checkpoints.
        retry_failed: Whether responses that could not be had are asked for again.
    """

    writers: Sequence[Writer]
    models: JudgeSettings
    samples: int = 1
    system: str = SYSTEM
    vllm_arguments: Sequence[str] = field(default=())
    retry_failed: bool = False

    def stage(self, path: Path, inputs: Sequence[Path], *, texts: bool = False) -> StageFile[Response]:
        """The file of the responses.

        Args:
            path: Its name.
            inputs: The files of the prompts.
            texts: Whether the texts are kept in memory, too.
        """
        settings = {
            "stage": "responses",
            "system": self.system,
            "temperature": self.models.temperature,
            "max_tokens": self.models.max_tokens,
            **self.models.requests_set,
        }
        start = {"models": [asdict(writer) for writer in self.writers], "samples": self.samples}
        forget = _is_failed if self.retry_failed else (lambda _: False)
        keep = _kept_with_text if texts else _kept
        return StageFile(path, settings, inputs, start, keep, forget=forget)


@dataclass(frozen=True)
class Response:
    """What a summary needs of a line.

    Attributes:
        model: Who wrote.
        failed: Why there is no text; empty where there is one.
        detail: What else is known of that.
        truncated: Whether the text was cut off at the limit of tokens.
        text: The text, where texts are kept.
    """

    model: str
    failed: str
    detail: str
    truncated: bool
    text: str = ""


@dataclass(frozen=True)
class Question:
    """A response that is to be written."""

    prompt: Prompt
    messages: Messages
    model: str
    sample: int

    @property
    def key(self) -> str:
        """What identifies it."""
        said = json.dumps([self.model, self.sample, self.messages], ensure_ascii=False)
        return hashlib.sha256(said.encode()).hexdigest()[:32]


async def generate(
    prompts: Sequence[Prompt], generation: Generation, channel: Channel, stage: StageFile[Response]
) -> None:
    """Has written what is not written yet.

    Models at endpoints write at the same time, checkpoints one after the other.

    Args:
        prompts: To what.
        generation: Who writes, and how.
        channel: This process's way to the models.
        stage: The file of the responses, open.

    Raises:
        BudgetSpent: What was begun and paid for by then is in the file.
        UserError: A model cannot be asked at all. What was written by then is in the file.
    """
    elsewhere = [writer for writer in generation.writers if writer.checkpoint is None]
    here = [[writer] for writer in generation.writers if writer.checkpoint is not None]
    for writers in ([elsewhere] if elsewhere else []) + here:
        questions = {
            question.key: question
            for prompt in prompts
            for writer in writers
            for question in questions_of(prompt, writer, generation)
        }
        if questions.keys() <= stage.found.keys():
            continue
        for writer in writers:
            check_chats(writer, generation.vllm_arguments, questions.values())
        with contextlib.ExitStack() as stack:
            models = {
                writer.name: stack.enter_context(
                    opened(writer, generation.models, channel, generation.vllm_arguments)
                )
                for writer in writers
            }

            async def ask(question: Question, models: Mapping[str, Model] = models) -> dict[str, Any]:
                return await _write(question, models[question.model], generation.models.deadline_s)

            try:
                await ask_for(questions, ask, stage, parallel=generation.models.parallel, unit="response")
            finally:
                for model in models.values():
                    await model.close()


def calls_of(prompts: Sequence[Prompt], generation: Generation, stage: StageFile[Response]) -> CallForecast:
    """The calls that the responses take which are not written yet.

    Raises:
        SettingError: A budget is set and the price of a writer not known.
    """
    forecast = CallForecast("responses", TEXT_TOKENS)
    for writer in generation.writers:
        settings = replace(generation.models, models=(writer.name,))
        if writer.checkpoint is not None:
            settings = replace(settings, providers={writer.name: "verl"})
        elif writer.base_url:
            settings = replace(settings, base_url=writer.base_url, providers={writer.name: "openai"})
        forecast.include(settings)
        for prompt in prompts:
            for question in questions_of(prompt, writer, generation):
                if question.key not in stage.found:
                    forecast.add(writer.name, question.messages)
    return forecast


def count_prompts(prompts: Sequence[Prompt], generation: Generation) -> int:
    """How many responses there are to be."""
    return len(prompts) * len(generation.writers) * generation.samples


def summary(prompts: Sequence[Prompt], generation: Generation, stage: StageFile[Response], path: Path) -> str:
    """What the file holds of what was asked for, for a terminal."""
    found = [
        stage.found[question.key]
        for prompt in prompts
        for writer in generation.writers
        for question in questions_of(prompt, writer, generation)
        if question.key in stage.found
    ]
    written = Counter(response.model for response in found if not response.failed)
    lines = [f"{path}: {sum(written.values()):,} of {count_prompts(prompts, generation):,} responses"]
    lines += [f"  {writer.name}: {written[writer.name]:,}" for writer in generation.writers]
    if cut := sum(response.truncated for response in found):
        lines.append(
            f"Cut off at --max-tokens {generation.models.max_tokens}: {cut:,}; a higher one lets them end"
        )
    for reason, number in Counter(response.failed for response in found if response.failed).most_common():
        detail = next(response.detail for response in found if response.failed == reason)
        lines.append(
            f"Not written: {number:,} ({reason}{': ' + detail if detail else ''}); --retry-failed asks again"
        )
    return "\n".join(lines)


def questions_of(prompt: Prompt, writer: Writer, generation: Generation) -> list[Question]:
    """The responses that a writer is to give to a prompt."""
    messages = _messages(prompt, generation.system)
    return [Question(prompt, messages, writer.name, sample) for sample in range(generation.samples)]


def _messages(prompt: Prompt, system: str) -> Messages:
    if prompt.messages is not None:
        return [dict(message) for message in prompt.messages]
    message = prompt.remarks.get("system", system)
    chat = [{"role": "system", "content": message}] if message.strip() else []
    return [*chat, {"role": "user", "content": prompt.prompt}]


def check_chats(writer: Writer, vllm_arguments: Sequence[str], questions: Iterable[Question]) -> None:
    """A checkpoint's chat template takes the prompts; vLLM would refuse them one by one.

    Raises:
        SettingError: There is no template.
        DataError: It does not take a prompt; the message shows its beginning.
    """
    template = chat_template_of(writer, vllm_arguments)
    if template is not None:
        for question in questions:
            if question.model == writer.name:
                template.render(question.messages, f"the prompt '{printable(question.prompt.prompt, 60)}'")


def nothing_written(found: Iterable[Response]) -> str:
    """Why there is not a single text; empty where there is one, or where nothing was asked for."""
    last = None
    for last in found:
        if not last.failed:
            return ""
    return f"{last.failed}{': ' + last.detail if last.detail else ''}" if last else ""


async def _write(question: Question, model: Model, deadline_s: float) -> dict[str, Any]:
    """The line of a response."""
    line: dict[str, Any] = {
        "prompt": question.prompt.prompt,
        **question.prompt.remarks,
        "model": question.model,
        "sample": question.sample,
    }
    try:
        answer = await model.complete(question.messages, Deadline.of(deadline_s))
    except Unscored as unscored:
        failed = {"failed": unscored.reason, "detail": unscored.detail, "truncated": False}
        read, written = unscored.tokens or (0, 0)
        bill = {"prompt_tokens": read, "completion_tokens": written, "cost_usd": unscored.cost_usd}
        return {**line, "responses": [], **failed, **billed([]), **bill}
    responses = [{"model": question.model, "text": answer.text}]
    return {**line, "responses": responses, "truncated": answer.truncated, **billed([answer])}


def _is_failed(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("failed"))


def _kept(entry: Mapping[str, Any]) -> Response:
    return Response(
        entry["model"], entry.get("failed", ""), entry.get("detail", ""), bool(entry.get("truncated"))
    )


def _kept_with_text(entry: Mapping[str, Any]) -> Response:
    texts = [response["text"] for response in entry["responses"]]
    return replace(_kept(entry), text=texts[0] if texts else "")
