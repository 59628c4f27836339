from __future__ import annotations

import subprocess
import sys
import time

import psutil
import pytest

FORK = r"""
import multiprocessing, os, sys, threading, time
from writing_rl.util.process import end_forks_with_us

end_forks_with_us()

def fork():
    child = multiprocessing.get_context("fork").Process(target=work, daemon=False)
    child.start()
    os.write(1, b"%d\n" % child.pid)  # whole, also while another process writes

def work():
    if not multiprocessing.parent_process().name.startswith("Process"):
        fork()  # once more
    time.sleep(600)

def start():
    fork()
    sys.stdin.readline()

thread = threading.Thread(target=start)
thread.start()
thread.join()
time.sleep(600)
"""


@pytest.fixture
def parent():
    process = subprocess.Popen(
        [sys.executable, "-c", FORK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate()


def forked_by(parent: subprocess.Popen[str]) -> list[psutil.Process]:
    """What it has forked, and what that has forked."""
    return [psutil.Process(int(parent.stdout.readline())) for _ in range(2)]


def ended(process: psutil.Process) -> bool:
    """Whether it has ended; a zombie has, and only its parent has not looked."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_for_the_end_of(processes: list[psutil.Process]) -> None:
    deadline = time.monotonic() + 20
    while not all(map(ended, processes)):
        assert time.monotonic() < deadline, "what was forked goes on"
        time.sleep(0.05)


def test_what_is_forked_ends_with_a_process_that_is_killed(parent):
    forked = forked_by(parent)
    parent.kill()
    wait_for_the_end_of(forked)


def test_what_is_forked_ends_with_the_thread_that_forked_it(parent):
    forked = forked_by(parent)
    assert not any(map(ended, forked))
    parent.stdin.write("end\n")
    parent.stdin.flush()
    wait_for_the_end_of(forked)
    assert parent.poll() is None
