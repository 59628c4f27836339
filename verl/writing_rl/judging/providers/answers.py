"""Reading what a provider answers, which is not always what its API promises. Pure functions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from writing_rl.judging.providers.billing import read_usage
from writing_rl.judging.providers.failures import Body, Reply, Shape

#: The reason where a model ends before its first word.
EMPTY = "empty"

#: Bytes of a page in which its title is looked for.
PAGE_BYTES = 20_000
#: How deep parts of a message's content may lie within each other.
DEEPEST = 4

_TITLE = re.compile(r"<(?:title|h1)\b[^<>]{0,200}>([^<]{1,300})", re.IGNORECASE)
#: Where providers put codes, sentences and the field that they refuse.
_CODES = ("code", "type", "status", "error_code", "error_type", "status_code", "Code", "errorCode")
_SENTENCES = (
    "message",
    "msg",
    "error_msg",
    "status_msg",
    "Message",
    "errorMessage",
    "detail",
    "title",
    "error",
)
_THINKING = ("reasoning_content", "reasoning", "thinking", "reasoning_details", "thinking_blocks")


def read_reply(status: int, headers: Mapping[str, str], content: bytes) -> Reply:
    """What an HTTP response says, in the form of OpenAI's API, DashScope's own, or any other.

    Args:
        status: Its status.
        headers: Its headers.
        content: Its body.
    """
    if not content.strip():
        return Reply(status, body=Body.EMPTY, headers=headers)
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        text = content[:PAGE_BYTES].decode("utf-8", "replace")
        if text.lstrip("\ufeff \t\r\n").startswith("<"):
            title = _TITLE.search(text)
            return Reply(status, message=title[1] if title else "a page", body=Body.PAGE, headers=headers)
        return Reply(status, message=text, body=Body.OTHER, headers=headers)
    if isinstance(body, list) and body:  # as Google's endpoint wraps errors
        body = body[0]
    if not isinstance(body, dict):
        return Reply(status, message="", headers=headers)
    if 200 <= status < 300 and (completion := _completion(body, headers)) is not None:
        return completion
    return _error(status, headers, body)


def _completion(body: Mapping[str, Any], headers: Mapping[str, str]) -> Reply | None:
    """A body as a completion; None where it is none."""
    output = body.get("output")
    choices = (output if isinstance(output, dict) else body).get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return None
    if isinstance(choice.get("error"), dict) and choice["error"]:
        return _error(200, headers, choice)
    message = choice.get("message")
    if not isinstance(message, dict):
        return None
    shape, text = _shape(message)
    ending = choice.get("finish_reason")
    return Reply(
        headers=headers,
        message=str(message.get("refusal") or "") if shape is Shape.REFUSAL else "",
        ending=ending if isinstance(ending, str) else "",
        shape=shape,
        text=text,
        billed=read_usage(body.get("usage")),
    )


def _shape(message: Mapping[str, Any]) -> tuple[Shape, str]:
    """What a message holds, and its text without halves of characters, which no file can hold."""
    texts: list[str] = []
    kinds: set[Shape] = set()
    _collect(message.get("content"), texts, kinds)
    text = "".join(texts).encode("utf-8", "replace").decode("utf-8")
    if message.get("refusal") or Shape.REFUSAL in kinds:
        return Shape.REFUSAL, text
    if Shape.UNREADABLE in kinds and not text.strip():
        return Shape.UNREADABLE, ""
    if text.strip():
        return Shape.TEXT, text
    thought = Shape.THINKING in kinds or any(message.get(name) for name in _THINKING)
    return (Shape.THINKING if thought else Shape.NOTHING), text


def _collect(content: object, texts: list[str], kinds: set[Shape], depth: int = 0) -> None:
    """Gathers the texts of a content, or of its parts; thinking is no part of what is said."""
    if content is None:
        return
    if isinstance(content, str):
        texts.append(content)
    elif isinstance(content, list) and depth < DEEPEST:
        for part in content:
            _collect(part, texts, kinds, depth + 1)
    elif isinstance(content, dict) and depth:
        kind = str(content.get("type", "text"))
        if "refusal" in kind:
            kinds.add(Shape.REFUSAL)
        elif re.search("reason|think|summary", kind):
            kinds.add(Shape.THINKING)
        elif isinstance(content.get("text"), str) and "text" in kind:
            texts.append(content["text"])
        else:
            kinds.add(Shape.UNREADABLE)
    else:
        kinds.add(Shape.UNREADABLE)


def _error(status: int, headers: Mapping[str, str], body: Mapping[str, Any]) -> Reply:
    """The error in a body, wherever it is kept."""
    layers = [body]
    for name in ("error", "Response", "Error", "base_resp", "detail", "errors"):
        inner = layers[-1].get(name)
        inner = inner[0] if isinstance(inner, list) and inner else inner
        if isinstance(inner, dict):
            layers.append(inner)
    if isinstance(inner := layers[-1].get("innererror"), dict):
        layers.append(inner)
    codes = [layer[name] for layer in layers for name in _CODES if isinstance(layer.get(name), str | int)]
    sentences = [layer[name] for layer in layers for name in _SENTENCES if isinstance(layer.get(name), str)]
    place: list[Any] = next((layer["loc"] for layer in layers if isinstance(layer.get("loc"), list)), [])
    sentences += [layer["msg"] for layer in layers if place and isinstance(layer.get("msg"), str)]
    metadata: dict[str, Any] = next(
        (layer["metadata"] for layer in layers if isinstance(layer.get("metadata"), dict)), {}
    )
    if isinstance(raw := metadata.get("raw"), str):  # a router's words about those of the real provider
        sentences.append(raw)
    parameter = next((layer["param"] for layer in layers if isinstance(layer.get("param"), str)), "")
    if status < 300:
        named = [code for code in map(_status, codes) if code is not None]
        status = named[0] if named else status
    return Reply(
        status,
        code=" ".join(dict.fromkeys(map(str, codes)))[:200],
        message=": ".join(dict.fromkeys(sentence.strip() for sentence in sentences if sentence.strip())),
        headers=headers,
        moderated=bool(metadata.get("reasons") or metadata.get("flagged_input")),
        parameter=parameter or (str(place[-1]) if place else ""),
    )


def _status(code: object) -> int | None:
    """A code as an HTTP status, where it can be one."""
    number = int(code) if isinstance(code, str) and re.fullmatch(r"[345]\d\d", code) else code
    return number if isinstance(number, int) and 300 <= number < 600 else None
