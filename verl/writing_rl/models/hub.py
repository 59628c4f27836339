"""Fetching models from the hub once, before any worker starts, so that a run itself needs no hub."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from writing_rl.errors import SettingError, SetupError
from writing_rl.util.console import say
from writing_rl.util.redact import printable, redact

#: What a run reads of a repository. Weights in other formats than safetensors are not fetched beside these.
WANTED = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.py", "tokenizer*"]
#: `consolidated` are Mistral's weights a second time.
NOT_WANTED = ["original/*", "onnx/*", "openvino/*", "gguf/*", "*.gguf", "consolidated*"]
#: Seconds that the hub may take to say what it has.
ANSWER_S = 20
#: The cache keeps a little more than the files.
SPARE_BYTES = 1 << 30


class HubUnreachable(SetupError):
    """The hub does not answer.

    Attributes:
        cause: That, without the remedy.
    """

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


def local_model(name: str, setting: str) -> Path:
    """The folder of a model, which is fetched from the hub where the name is not a folder.

    Fetches through `HF_ENDPOINT` and the proxies of the environment, and shows its progress at a terminal. A
    connection that is cut goes on where it was; after a kill, files that were whole are not fetched again.

    Args:
        name: A checkpoint folder, or a name at the hub.
        setting: Where the name comes from, for messages.

    Raises:
        SettingError: There is no such model, or it may not be read.
        SetupError: The hub cannot be reached, or the disk is too small.
    """
    folder = os.path.expanduser(name)
    # These, unlike those of pathlib, take a folder that may not be read for one that is not there.
    if name.startswith(("/", "./", "../", "~")) or os.path.exists(folder):
        if not os.path.isfile(os.path.join(folder, "config.json")):
            raise SettingError(
                f"{setting} is {name}, which holds no Hugging Face checkpoint (no config.json)"
            )
        return Path(folder).absolute()
    from huggingface_hub import constants

    if constants.is_offline_mode():
        return _cached(name, setting)
    try:
        return _fetched(name, setting)
    except HubUnreachable as unreachable:
        with contextlib.suppress(SettingError):
            cached = _cached(name, setting)
            say(f"[writing-rl] {unreachable.cause}: using {name} as it was fetched before")
            return cached
        raise


def _fetched(name: str, setting: str) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    options: dict[str, Any] = {
        "allow_patterns": WANTED,
        "ignore_patterns": NOT_WANTED,
        "etag_timeout": ANSWER_S,
    }
    with _failures(name, setting), _progress_only_at_a_terminal():
        # Says what is wrong, where the dry run only says that something is.
        HfApi().model_info(name, timeout=ANSWER_S)
        plan = snapshot_download(name, dry_run=True, **options)
        missing = [file for file in plan if file.will_download]
        if not any(file.filename == "config.json" for file in plan):
            raise SettingError(f"{setting} is {name}, which holds no model on the hub (no config.json)")
        if missing:
            size = sum(file.file_size for file in missing)
            _check_disk(name, size)
            say(f"[writing-rl] fetching {name}: {len(missing)} files, {size / 1e9:.1f} GB")
        return Path(snapshot_download(name, **options))


def _cached(name: str, setting: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, IncompleteSnapshotError

    try:
        return Path(
            snapshot_download(name, local_files_only=True, allow_patterns=WANTED, ignore_patterns=NOT_WANTED)
        )
    except IncompleteSnapshotError:
        raise SettingError(
            f"{setting} is {name}, of which only a part was fetched before, and HF_HUB_OFFLINE forbids "
            "asking the hub for the rest: unset it, or name a folder"
        ) from None
    except (HFValidationError, OSError):
        raise SettingError(
            f"{setting} is {name}, which is neither a folder nor a model that was fetched before, and "
            "HF_HUB_OFFLINE forbids asking the hub: unset it, or name a folder"
        ) from None


def _check_disk(name: str, size: int) -> None:
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free
    if free < size + SPARE_BYTES:
        raise SetupError(
            f"{name} takes {size / 1e9:.1f} GB, and {cache} has {free / 1e9:.1f} GB free: free some, or set "
            "HF_HOME to another disk"
        )


@contextlib.contextmanager
def _failures(name: str, setting: str) -> Iterator[None]:
    """Turns what can go wrong at a hub into one line."""
    from httpx import HTTPError, InvalidURL
    from huggingface_hub import errors

    from writing_rl.judging.providers.routes import trusted_certificates

    at = os.environ.get("HF_ENDPOINT") or "huggingface.co"
    try:
        yield
    except errors.GatedRepoError:
        raise SettingError(
            f"{setting} is {name}, which is gated at {at}: accept its licence there, and set HF_TOKEN to a "
            "token of that account"
        ) from None
    except (errors.RepositoryNotFoundError, errors.HFValidationError):
        raise SettingError(
            f"{setting} is {name}, which is neither a folder nor a model at {at}: mind the spelling, or set "
            "HF_TOKEN where it is private"
        ) from None
    except (
        HTTPError,
        errors.LocalEntryNotFoundError,
        errors.DryRunError,
        errors.FileMetadataError,
        # An address of a form that httpx does not know, and a proxy for which it lacks a package.
        InvalidURL,
        ValueError,
        ImportError,
    ) as error:
        reason = _in_a_line(error)
        raise HubUnreachable(
            f"the hub at {at} cannot be reached ({reason})",
            f"{setting} is {name}, and the hub at {at} cannot be reached ({reason}): set HF_ENDPOINT to a "
            "mirror or HTTPS_PROXY to your proxy, or name a folder",
        ) from None
    except OSError as error:
        trusted_certificates()  # of a variable that names none, a line that says so
        raise SetupError(
            f"{name} cannot be fetched: {error.strerror or _in_a_line(error)}: free some disk, or set HF_HOME"
        ) from None


def _in_a_line(error: Exception) -> str:
    return printable(redact(" ".join(str(error).split())), 200) or type(error).__name__


@contextlib.contextmanager
def _progress_only_at_a_terminal() -> Iterator[None]:
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

    if sys.stderr.isatty():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
