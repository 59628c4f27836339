"""Random numbers of Ray (2.60) in processes that are forked from one another.

Ray draws the ids of tasks and objects from a generator in C++ that is seeded when it is first used and never
again. Were it used before a fork, the processes forked from there would draw the same numbers: two actors
would give different objects one id, and a worker that runs two tasks of one id ends with "Check failed:
erased == 1". `ray.remote` on a class uses it, for the id of the class, so importing a module that defines an
actor is enough.
"""

from __future__ import annotations

import contextlib
import os
import types
from collections.abc import Iterator


@contextlib.contextmanager
def drawn_elsewhere() -> Iterator[None]:
    """Takes the ids of actor classes from the operating system while the context lasts."""
    import ray.actor

    kind = ray.actor.ActorClassID
    ray.actor.ActorClassID = types.SimpleNamespace(from_random=lambda: kind(os.urandom(kind.size())))
    try:
        yield
    finally:
        ray.actor.ActorClassID = kind


def differ_after_a_fork() -> bool:
    """Whether processes forked from this one draw different ids; tried in two of them."""
    return _drawn_in_a_fork() != _drawn_in_a_fork()


def _drawn_in_a_fork() -> bytes:
    from ray import ActorClassID

    result, out = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(out, ActorClassID.from_random().binary())
        finally:
            os._exit(0)
    os.close(out)
    with os.fdopen(result, "rb") as answer:
        drawn = answer.read()
    os.waitpid(pid, 0)
    return drawn
