"""The fork server and the Python that it stands behind, with real processes and little to import."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from writing_rl.cpu.fast_start.fork_server import fork_server

LONGEST_S = 30


@pytest.fixture(scope="module")
def python() -> Iterator[str]:
    """A fork server's Python, which has imported `colorsys` already."""
    with fork_server(("colorsys",)) as path:
        yield path


def run(*command: str, **settings) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, **settings)


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + LONGEST_S
    while not holds():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.02)


REPORT = """
import json, os, sys
print(json.dumps({
    "warm": "colorsys" in sys.modules,
    "argv": sys.argv,
    "path": sys.path[0],
    "folder": os.getcwd(),
    "environment": dict(os.environ),
    "group": os.getpgrp(),
    "niceness": os.getpriority(os.PRIO_PROCESS, 0),
    "name": __name__,
    "files": [int(name) for name in os.listdir("/proc/self/fd")],
}))
"""


def test_a_program_runs_as_python_would_run_it_but_with_the_imports_done(python, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(REPORT)
    environment = {"PATH": os.environ["PATH"], "ONLY": "this \udcff"}
    arguments = ["one", "two words", "--three"]

    def report(executable: str) -> dict:
        done = run(executable, str(program), *arguments, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    forked, ordinary = report(python), report(sys.executable)
    assert forked.pop("warm")
    assert not ordinary.pop("warm")
    for figures in (forked, ordinary):
        # The shell and Python itself add some of their own.
        figures["environment"] = {k: v for k, v in figures["environment"].items() if k in environment}
        figures["files"] = [number for number in figures["files"] if number < 3]
    assert forked == ordinary


def test_code_and_standard_streams(python):
    done = run(
        python, "-c", "import sys; print(sys.argv, input()); print('bad', file=sys.stderr)", "x", input="in"
    )
    assert (done.stdout, done.stderr, done.returncode) == ("['-c', 'x'] in\n", "bad\n", 0)


def test_inherited_files_keep_their_numbers(python):
    reading, writing = os.pipe()
    done = run(python, "-c", f"import os; os.write({writing}, b'here')", pass_fds=[writing])
    os.close(writing)
    assert done.returncode == 0, done.stderr
    with open(reading, "rb") as pipe:
        assert pipe.read() == b"here"  # and so nobody holds the writing end any more


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("raise SystemExit(3)", 3),
        ("1 / 0", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("import atexit; atexit.register(print, 'bye')", 0),
    ],
)
def test_it_ends_as_the_program_ends(python, code, expected):
    done = run(python, "-c", code)
    assert done.returncode == expected
    assert ("bye" in done.stdout) == ("bye" in code)


PATIENT = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"


def start(python: str, code: str = PATIENT) -> tuple[subprocess.Popen[str], psutil.Process]:
    """Starts a program that tells its process id and waits."""
    client = subprocess.Popen([python, "-c", code], stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    return client, psutil.Process(int(client.stdout.readline()))


def test_a_signal_reaches_the_program(python):
    code = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7));" + PATIENT
    client, _ = start(python, code)
    client.terminate()
    assert client.wait(LONGEST_S) == 7


def test_the_program_goes_with_the_one_that_stands_for_it(python):
    client, program = start(python)
    client.kill()
    client.wait(LONGEST_S)
    wait_until(lambda: not program.is_running())
    assert run(python, "-c", "print('still serving')").stdout == "still serving\n"


def test_the_server_outlives_client_and_program_that_end_together(python):
    for _ in range(20):
        client = subprocess.Popen([python, "-c", PATIENT], stdout=subprocess.PIPE, text=True, process_group=0)
        assert client.stdout is not None
        client.stdout.readline()
        os.killpg(client.pid, signal.SIGKILL)  # as Ray does with the group of a worker
        client.wait(LONGEST_S)
    assert run(python, "-c", "import sys; print('colorsys' in sys.modules)").stdout == "True\n"


def test_spawned_processes_are_forked(python, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        f"""
import multiprocessing, sys
def work(queue):
    queue.put("colorsys" in sys.modules)
if __name__ == "__main__":
    multiprocessing.set_executable({python!r})
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=work, args=(queue,))
    process.start()
    print(queue.get(timeout=20))
    process.join()
    print(process.exitcode)
"""
    )
    for executable in (python, sys.executable):  # the latter repeats options such as -B
        done = run(executable, str(program))
        assert done.stdout.split() == ["True", "0"], done.stderr


@pytest.mark.parametrize("options", [["-X", "dev"], ["-m", "colorsys"], []])
def test_what_cannot_be_forked_becomes_an_ordinary_python(python, options):
    code = [] if "-m" in options else ["-c", "import sys; print('colorsys' in sys.modules)"]
    if not options:
        code = ["-W", "error", *code]
    done = run(python, *options, *code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ([] if "-m" in options else ["False"])


@pytest.mark.parametrize(
    "trouble", ["import no_such_module", "import threading; threading.Thread(target=input).start()"]
)
def test_a_server_that_cannot_fork_safely_serves_nobody(tmp_path, monkeypatch, trouble):
    (tmp_path / "trouble.py").write_text(f"{trouble}\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with fork_server(("trouble",)) as python:
        done = run(python, "-c", "import sys; print('trouble' in sys.modules)")
    assert done.stdout == "False\n"


def test_everything_ends_with_the_one_who_started_the_server(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        f"""
import subprocess, time
from writing_rl.cpu.fast_start.fork_server import fork_server
with fork_server(()) as python:
    print(python, flush=True)
    subprocess.run([python, "-c", {PATIENT!r}])
"""
    )
    starter = subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    folder = Path(starter.stdout.readline().strip()).parent
    program_process = psutil.Process(int(starter.stdout.readline()))
    assert folder.is_dir()
    starter.kill()
    starter.wait(LONGEST_S)
    wait_until(lambda: not program_process.is_running())
    wait_until(lambda: not folder.exists())


def test_forked_processes_draw_different_ids_of_ray_although_an_actor_class_was_imported(
    tmp_path, monkeypatch
):
    (tmp_path / "module_with_an_actor.py").write_text("import ray\n@ray.remote\nclass Actor: ...\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    draw = (
        "import ray, sys; print('module_with_an_actor' in sys.modules, ray.ActorClassID.from_random().hex())"
    )
    with fork_server(("ray._private.worker", "module_with_an_actor")) as python:
        drawn = [run(python, "-c", draw).stdout.split() for _ in range(3)]
    assert [warm for warm, _ in drawn] == ["True"] * 3
    assert len({id for _, id in drawn}) == 3


def test_a_server_that_would_repeat_rays_random_numbers_is_not_used(tmp_path, monkeypatch, capfd):
    (tmp_path / "draws.py").write_text("import ray\nray.TaskID.for_fake_task(ray.JobID.from_int(1))\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with fork_server(("ray._private.worker", "draws")) as python:
        assert run(python, "-c", "import sys; print('draws' in sys.modules)").stdout == "False\n"
    assert "not used: the imports used Ray's random numbers" in capfd.readouterr().err
