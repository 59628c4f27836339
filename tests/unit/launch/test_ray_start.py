from __future__ import annotations

from collections.abc import Callable

import pytest

from writing_rl.errors import RunFailure
from writing_rl.launch.ray_start import TIMED_OUT, with_a_second_try


def starter(*ends: Exception | None) -> tuple[Callable[[], None], list[int]]:
    """A function that ends in these ways, one after the other, and how often it was called."""
    remaining, calls = list(ends), []

    def start() -> None:
        calls.append(1)
        end = remaining.pop(0)
        if end is not None:
            raise end

    return start, calls


LATE = Exception(f"{TIMED_OUT}. This could happen because ...")


def test_a_start_that_works_is_made_once() -> None:
    start, calls = starter(None)
    with_a_second_try(start)
    assert len(calls) == 1


def test_a_late_start_is_tried_once_more(capsys: pytest.CaptureFixture[str]) -> None:
    start, calls = starter(LATE, None)
    with_a_second_try(start)
    assert len(calls) == 2
    assert capsys.readouterr().out.startswith("[writing-rl] Ray has not come up in time")


def test_two_late_starts_are_one_line() -> None:
    start, calls = starter(LATE, LATE)
    with pytest.raises(RunFailure, match="Ray has not come up in time twice"):
        with_a_second_try(start)
    assert len(calls) == 2


@pytest.mark.parametrize("before", [[], [LATE]])
def test_any_other_failure_is_passed_on(before: list[Exception]) -> None:
    start, calls = starter(*before, KeyError("x"))
    with pytest.raises(KeyError):
        with_a_second_try(start)
    assert len(calls) == len(before) + 1


def test_ray_still_says_so() -> None:
    import inspect

    import ray._private.node as node

    assert TIMED_OUT in inspect.getsource(node).replace('"\n                        "', "")
