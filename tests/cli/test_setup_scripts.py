"""The set-up scripts, in copies of the repository, with stand-ins for Python, pip, nvidia-smi and nvcc."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PROFILES = sorted(path.stem for path in (REPOSITORY / "verl/writing_rl/config/profile").glob("*.yaml"))
#: What the scripts call beside the stand-ins. Nothing else of this machine is on their PATH.
TOOLS = [
    *(
        "awk",
        "basename",
        "bash",
        "cat",
        "cksum",
        "cp",
        "date",
        "df",
        "dirname",
        "env",
        "find",
        "flock",
        "grep",
        "ls",
    ),
    *("mkdir", "mv", "paste", "rm", "sed", "sleep", "tail", "tee"),
]
#: Writes down how it was called, does what a test adds (`hook`), answers as the table `answers` says:
#: pattern, exit code, text; the first that matches. It makes environments whose Python is a copy of itself.
PYTHON = r"""#!/usr/bin/env bash
call=$*
printf '%s %s\n' "$0" "${call//$'\n'/ }" >>"$MACHINE/calls"
if [ -f "$MACHINE/hook" ]; then source "$MACHINE/hook"; fi
while IFS='|' read -r pattern code text; do
  if [[ $call == $pattern ]]; then
    if [ -n "$text" ]; then printf '%b\n' "$text"; fi
    exit "$code"
  fi
done <"$MACHINE/answers"
case "$1 ${2:-}" in
  "--version ") echo "Python VERSION.1" ;;
  "-c "*) case " ${3:-VERSION} " in *" VERSION "*) ;; *) exit 1 ;; esac ;;
  "-m venv")
    mkdir -p "$3/bin"
    cp "$0" "$3/bin/python"
    printf 'home = x\ncommand = %s -m venv %s\n' "$0" "$3" >"$3/pyvenv.cfg"
    ;;
  "-m writing_rl.launch.attention") if [ $# = 2 ]; then echo "attention: said in one line"; fi ;;
esac
"""
INSTALL = "-m pip --disable-pip-version-check install"
WHEEL_FAILS = "* install *.whl|1|ERROR: no route to host"
KERNEL_FAILS = "*--try kernels|1|kernels cannot be loaded"


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """What it said where it failed with one line."""
        assert self.code != 0, self.out
        assert self.err.startswith("Error: "), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err.strip()


@dataclass
class Machine:
    """A copy of the repository's scripts on a machine of which nothing is there but stand-ins."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bin = self.folder / "bin"
        self.bin.mkdir(parents=True)
        tools = self.folder / "tools"
        tools.mkdir()
        for name in TOOLS:
            if found := shutil.which(name):
                (tools / name).symlink_to(found)
        self.variables = {
            "PATH": f"{self.bin}:{tools}",
            "MACHINE": str(self.folder),
            "HOME": str(self.folder),
        }
        self.repository = self.folder / "a folder" / "repository"
        shutil.copytree(
            REPOSITORY / "scripts", self.repository / "scripts", ignore=shutil.ignore_patterns("__py*")
        )
        profiles = self.repository / "verl/writing_rl/config/profile"
        profiles.mkdir(parents=True)
        for name in PROFILES:
            (profiles / f"{name}.yaml").touch()
        (self.repository / "setup.py").write_text("setup()\n")
        (self.repository / "requirements.txt").write_text("# lock\nnumpy==2\ntorch==2.13.0+cpu\n")
        (self.repository / "requirements-gpu.txt").write_text("# lock\ntorch==2.11.0\n")
        self.add("uname", 'echo "Linux x86_64"')

    def add(self, name: str, body: str, folder: Path | None = None) -> Path:
        path = (folder or self.bin) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/usr/bin/env bash\n{body}\n")
        path.chmod(0o755)
        return path

    def add_python(self, name: str = "python3.12", version: str = "3.12", folder: Path | None = None) -> Path:
        return self.add(name, PYTHON.partition("\n")[2].replace("VERSION", version), folder)

    def run(
        self, script: str = "setup_env.sh", *arguments: str, cwd: Path | None = None, **variables: str
    ) -> Done:
        """Runs a script as a user would, and forgets what was called before."""
        path = Path(script) if script.startswith(("/", "scripts/")) else self.repository / "scripts" / script
        return self.start(["bash", str(path), *arguments], cwd=cwd, **variables)

    def start(self, command: list[str], cwd: Path | None = None, **variables: str) -> Done:
        (self.folder / "answers").write_text("".join(f"{answer}\n" for answer in self.answers))
        (self.folder / "calls").write_text("")
        done = subprocess.run(
            command,
            cwd=cwd or self.folder,
            env={**self.variables, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    @property
    def calls(self) -> list[str]:
        """How Pythons were called, but for questions."""
        lines = (self.folder / "calls").read_text().splitlines()
        return [line for line in lines if not re.search(r" (-c .*|--version)$", line)]

    def called(self, text: str) -> list[str]:
        return [call for call in self.calls if text in call]

    def environment(self, name: str) -> list[str]:
        """The files of an environment, with their times."""
        return sorted(f"{path} {path.stat().st_mtime_ns}" for path in (self.repository / name).rglob("*"))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with Python 3.12 and no GPU."""
    machine = Machine(tmp_path / "machine")
    machine.add_python()
    return machine


@pytest.fixture
def gpus(machine: Machine) -> Machine:
    """A machine with Python 3.12 and eight GPUs."""
    machine.add("nvidia-smi", 'for i in {0..7}; do echo "GPU $i: H100 (UUID: x)"; done')
    return machine


# --- which environment --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "mine", "other"), [("cpu", ".venv", ".venv-gpu"), ("gpu", ".venv-gpu", ".venv")]
)
def test_each_set_up_leaves_the_others_environment_alone(
    machine: Machine, profile: str, mine: str, other: str
) -> None:
    assert machine.run(PROFILE="gpu" if profile == "cpu" else "cpu").code == 0
    before = machine.environment(other)
    assert before
    done = machine.run(PROFILE=profile)
    assert done.code == 0, done.err
    assert machine.called(f"{mine}/bin/python {INSTALL}")
    assert not machine.called(f"{other}/bin/python")
    assert machine.environment(other) == before


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_names_an_environment(machine: Machine, profile: str) -> None:
    folder = ".venv" if profile.endswith("cpu") else ".venv-gpu"
    assert machine.run(PROFILE=profile).code == 0
    assert (machine.repository / folder).is_dir()


@pytest.mark.parametrize("script", ["setup_env.sh", "lib/environment.sh"])
def test_an_unknown_profile_is_answered_with_all_names(machine: Machine, script: str) -> None:
    error = machine.run(script, PROFILE="gpus").error
    assert error == f"Error: PROFILE is 'gpus': choose one of {', '.join(PROFILES)}"
    assert not (machine.repository / ".venv-gpu").exists()


@pytest.mark.parametrize(
    ("nvidia_smi", "folder"),
    [
        (None, ".venv"),
        ("echo 'GPU 0: H100 (UUID: x)'", ".venv-gpu"),
        ("echo 'No devices found.'", ".venv"),
        ("echo 'NVIDIA-SMI has failed: no driver'; exit 9", ".venv"),
        # More than a pipe holds, which must not be taken for a failure.
        ('for i in {1..3000}; do echo "GPU $i: H100 (UUID: 00000000-0000-0000)"; done', ".venv-gpu"),
    ],
)
def test_without_a_profile_the_gpus_decide(machine: Machine, nvidia_smi: str | None, folder: str) -> None:
    if nvidia_smi:
        machine.add("nvidia-smi", nvidia_smi)
    assert machine.run().code == 0
    assert [name for name in (".venv", ".venv-gpu") if (machine.repository / name).exists()] == [folder]


def test_tests_and_quick_start_leave_the_gpu_environment_alone(gpus: Machine) -> None:
    assert gpus.run(PROFILE="gpu").code == 0
    before = gpus.environment(".venv-gpu")
    for script, arguments, last in (
        ("test.sh", ("tests/unit",), "-m pytest tests/unit"),
        ("train_writing_rl.sh", (), "-m writing_rl.cli train"),
    ):
        done = gpus.run(script, *arguments)
        assert done.code == 0, done.err
        assert last in gpus.calls[-1]
        assert gpus.called("/.venv/bin/python -m ")
        assert not gpus.called(".venv-gpu")
    assert gpus.environment(".venv-gpu") == before


def test_arguments_are_refused(machine: Machine) -> None:
    assert "takes no arguments" in machine.run("setup_env.sh", "gpu").error
    assert machine.calls == []


def test_another_kind_of_machine_is_told(machine: Machine) -> None:
    machine.add("uname", 'echo "Darwin arm64"')
    assert "are for Linux on x86_64, this is Darwin arm64" in machine.run().error


# --- the attention kernel -----------------------------------------------------------------------------------


def attempts(machine: Machine) -> list[str]:
    """What was done for the attention kernel, in its order."""
    found = []
    for call in machine.calls:
        for pattern in (
            r"--try (.*)",
            r"install (.*(?:\.whl|kernels==\S+|flash-attn==\S+))$",
            r"uninstall -y (.*)",
        ):
            if match := re.search(pattern, call):
                found.append(match[0])
    return found


@pytest.mark.parametrize(
    ("answers", "last"),
    [
        ([], "--try flash-attn"),
        ([WHEEL_FAILS], "--try kernels"),
        (["*--try flash-attn|1|ImportError: undefined symbol"], "--try kernels"),
        ([WHEEL_FAILS, KERNEL_FAILS], "uninstall -y flash-attn kernels"),
        ([WHEEL_FAILS, "* kernels==*|1|ERROR: no"], "uninstall -y flash-attn kernels"),
    ],
)
def test_auto_takes_the_first_kernel_that_loads(machine: Machine, answers: list[str], last: str) -> None:
    machine.answers = answers
    done = machine.run(PROFILE="gpu")
    assert done.code == 0, done.err
    assert done.out.splitlines()[2:] == ["attention: said in one line"]
    wheel = r"install --no-deps --retries 0 --timeout 20 https://\S+\.whl"
    order = [
        "uninstall -y flash-attn kernels",
        wheel,
        "--try flash-attn",
        "uninstall -y flash-attn kernels",
        "install --no-deps kernels==.*",
        "--try kernels",
        "uninstall -y flash-attn kernels",
    ]
    rest = iter(order)
    for attempt in attempts(machine):
        assert any(re.fullmatch(step, attempt) for step in rest), attempts(machine)
    assert attempts(machine)[-1] == last
    assert not machine.called("flash-attn==")


@pytest.mark.parametrize(
    ("way", "answers", "message"),
    [
        ("wheel", [WHEEL_FAILS], "Error: the wheel of flash-attn at FLASH_ATTN_WHEEL (https://"),
        (
            "wheel",
            ["*--try flash-attn|1|undefined symbol"],
            "Error: the wheel of flash-attn at FLASH_ATTN_WHEEL",
        ),
        (
            "kernels",
            [KERNEL_FAILS],
            "Error: no attention kernel could be fetched from the model hub: see logs/",
        ),
        (
            "https://x.org/flash.whl",
            [WHEEL_FAILS],
            "Error: the wheel https://x.org/flash.whl cannot be used: see",
        ),
    ],
)
def test_a_kernel_asked_for_by_name_must_work(
    machine: Machine, way: str, answers: list[str], message: str
) -> None:
    machine.answers = answers
    assert machine.run(PROFILE="gpu", FLASH_ATTN=way).error.startswith(message)
    assert attempts(machine)[-1] == "uninstall -y flash-attn kernels"
    # The mistake is not kept: the next start does without.
    machine.answers = [WHEEL_FAILS, KERNEL_FAILS]
    assert machine.run(PROFILE="gpu").code == 0


def test_sdpa_installs_no_kernel(machine: Machine) -> None:
    assert machine.run(PROFILE="gpu", FLASH_ATTN="sdpa").code == 0
    assert attempts(machine) == ["uninstall -y flash-attn kernels"]


def test_a_wheel_of_ones_own(machine: Machine) -> None:
    wheel = machine.folder / "my wheels" / "flash.whl"
    assert "which is not there" in machine.run(PROFILE="gpu", FLASH_ATTN=str(wheel)).error
    assert machine.calls == []
    wheel.parent.mkdir()
    wheel.touch()
    assert machine.run(PROFILE="gpu", FLASH_ATTN=str(wheel)).code == 0
    assert attempts(machine)[1:] == [
        f"install --no-deps --retries 0 --timeout 20 {wheel}",
        "--try flash-attn",
    ]


@pytest.mark.parametrize("nvcc", [None, "exit 1", "echo 'Cuda compilation tools, release 12.4, V12.4.1'"])
def test_a_build_without_nvcc_ends_before_anything_is_installed(machine: Machine, nvcc: str | None) -> None:
    cuda = machine.folder / "cuda"
    if nvcc:
        machine.add("nvcc", nvcc, cuda / "bin")
    error = machine.run(PROFILE="gpu", FLASH_ATTN="build", CUDA_HOME=str(cuda)).error
    assert error.startswith("Error: FLASH_ATTN=build needs nvcc of CUDA 13")
    assert machine.calls == []
    assert not (machine.repository / ".venv-gpu").exists()


def build(machine: Machine) -> None:
    """Compiles flash-attn, as pip would leave it."""
    machine.add("nvcc", "echo 'Cuda compilation tools, release 13.0, V13.0.88'")
    assert machine.run(PROFILE="gpu", FLASH_ATTN="build").code == 0
    assert machine.called("--no-build-isolation --no-binary flash-attn flash-attn==2.8.3")
    (machine.repository / ".venv-gpu/lib/python3.12/site-packages/flash_attn-2.8.3.dist-info").mkdir(
        parents=True
    )


def test_what_was_compiled_is_kept_by_a_start_that_names_no_kernel(machine: Machine) -> None:
    build(machine)
    (machine.bin / "nvcc").unlink()  # as on another node of a cluster
    assert machine.run(PROFILE="gpu").out == ""
    assert machine.calls == []
    # Nor does another package cost a compilation, as long as it still loads.
    (machine.repository / "requirements-gpu.txt").write_text("torch==2.11.0\nnumpy==2\n")
    assert machine.run(PROFILE="gpu").code == 0
    assert attempts(machine) == ["--try flash-attn"]
    # Another choice counts.
    assert machine.run(PROFILE="gpu", FLASH_ATTN="sdpa").code == 0
    assert attempts(machine) == ["uninstall -y flash-attn kernels"]


def test_what_was_compiled_and_loads_no_more_is_compiled_again(machine: Machine) -> None:
    build(machine)
    (machine.repository / "requirements-gpu.txt").write_text("torch==2.12.0\n")
    machine.answers = ["*--try flash-attn|1|undefined symbol"]
    assert "flash-attn was compiled, but cannot be loaded" in machine.run(PROFILE="gpu").error
    assert machine.called("--no-binary flash-attn flash-attn==2.8.3")


def test_a_mirror_of_the_wheel_is_tried_after_a_failure(machine: Machine) -> None:
    machine.answers = [WHEEL_FAILS, KERNEL_FAILS]
    assert machine.run(PROFILE="gpu").code == 0
    machine.answers = []
    mirror = "https://mirror.example/flash.whl"
    assert machine.run(PROFILE="gpu", FLASH_ATTN_WHEEL=mirror).code == 0
    assert machine.called(mirror)
    assert machine.run(PROFILE="gpu").code == 0
    assert machine.calls == []


def test_an_unknown_kernel_is_answered_with_all_names(machine: Machine) -> None:
    error = machine.run(FLASH_ATTN="flash").error
    assert "choose auto, wheel, kernels, sdpa, build, or name a wheel" in error


# --- an environment of one's own ----------------------------------------------------------------------------


def test_an_environment_of_ones_own_is_checked_and_never_installed_into(gpus: Machine) -> None:
    own = gpus.add_python("python", folder=gpus.folder / "my own" / "bin")
    gpus.answers = ["-m writing_rl.launch.versions gpu|0|has what a gpu run needs"]
    done = gpus.run(WRITING_RL_PYTHON=str(own))
    assert (done.code, done.out) == (0, "has what a gpu run needs\n"), done.err
    assert gpus.calls == [f"{own} -m writing_rl.launch.versions gpu"]
    assert not (gpus.repository / ".venv-gpu").exists()


def test_what_the_check_says_counts(machine: Machine) -> None:
    own = machine.add_python("own-python")
    machine.answers = ["-m writing_rl.launch.versions cpu|1|torch is missing"]
    assert machine.run(WRITING_RL_PYTHON=str(own)).code == 1


@pytest.mark.parametrize("script", ["setup_env.sh", "lib/environment.sh"])
@pytest.mark.parametrize("what", ["absent", "a folder", "fails"])
def test_an_environment_of_ones_own_that_cannot_be_run(machine: Machine, script: str, what: str) -> None:
    own = machine.folder / "own"
    if what == "a folder":
        own.mkdir()
    if what == "fails":
        machine.add("own", "echo 'shim: not found' >&2; exit 127", machine.folder)
    error = machine.run(script, WRITING_RL_PYTHON=str(own)).error
    assert error.startswith(
        f"Error: WRITING_RL_PYTHON is '{own}', which cannot be run: set it to the full path"
    )


def test_an_environment_of_ones_own_without_anything_in_it(machine: Machine) -> None:
    own = machine.add_python("own-python")
    machine.answers = ["-c import sys, packaging*|1|"]
    assert "has no package 'packaging'" in machine.run(WRITING_RL_PYTHON=str(own)).error


# --- again, after a failure, elsewhere ----------------------------------------------------------------------


def test_a_second_set_up_does_nothing(machine: Machine) -> None:
    first = machine.run()
    assert first.out.splitlines() == [
        "Setting up the environment (cpu) in .venv with Python 3.12.1",
        "Installing 2 packages of requirements.txt (log: logs/setup-cpu.log)",
    ]
    again = machine.run()
    assert (again.code, again.out, again.err) == (0, "", "")
    assert machine.calls == []


@pytest.mark.parametrize("failing", ["-m venv *", f"{INSTALL} * -r *", f"{INSTALL} * -e ."])
def test_after_a_failure_in_the_middle_it_goes_on(machine: Machine, failing: str) -> None:
    machine.answers = [f"{failing}|1|ERROR: something"]
    done = machine.run()
    assert done.code == 1
    said, error = done.err.splitlines()[-2:]
    assert said == "ERROR: something"
    assert error.startswith("Error: ")
    machine.answers = []
    assert machine.run().code == 0
    assert machine.called(f"{INSTALL} --no-deps --no-compile -r requirements.txt")
    assert bool(machine.called("-m venv")) == ("venv" in failing)
    assert machine.run().out == ""


@pytest.mark.parametrize("end", ["exit 1", "kill -TERM $PPID; exit 1"])
@pytest.mark.parametrize("disk", [False, True])
def test_half_an_environment_does_not_stay(machine: Machine, end: str, disk: bool) -> None:
    if disk:
        (machine.folder / "disk").mkdir()
        (machine.repository / ".venv").symlink_to(machine.folder / "disk")
    (machine.folder / "hook").write_text(
        f'if [[ $* == "-m venv "* ]]; then mkdir -p "$3/bin"; touch "$3/.x" "$3/bin/python"; {end}; fi\n'
    )
    assert machine.run().code != 0
    assert machine.environment(".venv") == []
    (machine.folder / "hook").unlink()
    assert machine.run().code == 0


def test_an_environment_that_was_interrupted_before_pip_is_completed(machine: Machine) -> None:
    assert machine.run().code == 0
    (machine.repository / ".venv/.made-from").unlink()
    machine.answers = ["-m pip --version|1|No module named pip"]
    assert machine.run().code == 0
    assert machine.called("-m venv")


@pytest.mark.parametrize("name", ["requirements.txt", "setup.py", "scripts/lib/vllm-record/pyproject.toml"])
def test_a_changed_file_installs_again(machine: Machine, name: str) -> None:
    machine.run()
    (machine.repository / name).open("a").write("# changed\n")
    assert machine.run().code == 0
    assert machine.called("-r requirements.txt")
    assert not machine.called("-m venv")


def test_a_failed_change_that_is_taken_back_installs_again(machine: Machine) -> None:
    machine.run()
    lock = machine.repository / "requirements.txt"
    before = lock.read_text()
    lock.write_text(before + "new==1\n")
    machine.answers = [f"{INSTALL} * -r *|1|ERROR"]
    assert machine.run().code == 1
    lock.write_text(before)
    machine.answers = []
    assert machine.run().code == 0
    assert machine.called("-r requirements.txt")


@pytest.mark.parametrize("how", ["copied", "moved"])
def test_an_environment_from_elsewhere_is_refused(machine: Machine, how: str) -> None:
    machine.run()
    there = machine.folder / "elsewhere"
    if how == "copied":
        shutil.copytree(machine.repository, there)
    else:
        machine.repository.rename(there)
    error = machine.run(str(there / "scripts/setup_env.sh")).error
    assert error.startswith(f"Error: {there}/.venv was made elsewhere")
    assert error.endswith("remove it and run this again")
    assert machine.calls == []
    shutil.rmtree(there / ".venv")
    assert machine.run(str(there / "scripts/setup_env.sh")).code == 0


@pytest.mark.parametrize("what", ["of another tool", "of another Python", "whose Python is gone"])
def test_an_environment_that_is_not_ours_is_refused(machine: Machine, what: str) -> None:
    machine.run()
    folder = machine.repository / ".venv"
    if what == "of another tool":
        (folder / "pyvenv.cfg").write_text("home = x\nuv = 1\n")
    elif what == "of another Python":
        machine.add_python("python", "3.13", folder / "bin")
    else:
        (folder / "bin/python").unlink()
    assert "remove it and run this again" in machine.run().error
    assert machine.calls == []


def test_through_a_link_it_is_the_same_environment(machine: Machine) -> None:
    machine.run()
    link = machine.folder / "link"
    link.symlink_to(machine.repository)
    done = machine.run(str(link / "scripts/setup_env.sh"), cwd=link)
    assert (done.code, done.out, done.err) == (0, "", "")
    assert machine.run("scripts/setup_env.sh", cwd=link).out == ""
    (machine.repository / ".venv/.made-from").unlink()
    assert machine.run("scripts/setup_env.sh", cwd=link).code == 0
    assert machine.run().out == ""


def test_the_environment_may_lie_on_another_disk(machine: Machine) -> None:
    disk = machine.folder / "large disk"
    disk.mkdir()
    (machine.repository / ".venv").symlink_to(disk)
    assert machine.run().code == 0
    assert (disk / "bin/python").exists()
    assert machine.run().out == ""


def test_paths_with_spaces_quotes_and_cdpath(machine: Machine) -> None:
    there = machine.folder / "it's here" / "my repo"
    shutil.copytree(machine.repository, there)
    decoy = machine.folder / "decoy"
    (decoy / "scripts").mkdir(parents=True)
    python = machine.add_python("python3.12", folder=machine.folder / "my python" / "bin")
    done = machine.run("scripts/setup_env.sh", cwd=there, PYTHON=str(python), CDPATH=str(decoy))
    assert done.code == 0, done.err
    assert f"{python} -m venv {there}/.venv" in machine.calls
    assert machine.run(str(there / "scripts/setup_env.sh")).out == ""
    found = machine.run("scripts/lib/environment.sh", cwd=there, CDPATH=str(decoy))
    assert found.out == f"{there}/.venv/bin/python\n"


def test_settings_for_other_environments_do_not_count(machine: Machine) -> None:
    names = ("PIP_CONSTRAINT", "PIP_TARGET", "PYTHONPATH", "PYTHONHOME")
    shown = " ".join(f"${{{name}-}}" for name in names)
    (machine.folder / "hook").write_text(f'echo "{shown}$PIP_USER" >>"$MACHINE/seen"\n')
    assert machine.run(PIP_USER="1", **dict.fromkeys(names, "/of/a/container")).code == 0
    assert set((machine.folder / "seen").read_text().split()) == {"0"}


@pytest.mark.skipif(not shutil.which("flock"), reason="flock is not on this machine")
@pytest.mark.parametrize("where", ["-m venv ", " -r "])
def test_two_set_ups_at_once_install_once(machine: Machine, where: str) -> None:
    # The first stays in the middle of it until the second waits for it.
    (machine.folder / "hook").write_text(
        f'if [[ $* == *"{where}"* ]]; then mkdir -p .venv; touch .venv/half\n'
        'for _ in {1..400}; do if grep -q Waiting "$MACHINE/second"; then break; fi; sleep 0.05; done\nfi\n'
    )
    commands = f"""
    : >"$MACHINE/second"
    bash "$1" & first=$!
    for _ in {{1..400}}; do if grep -q -e "{where}" "$MACHINE/calls"; then break; fi; sleep 0.05; done
    bash "$1" >"$MACHINE/second"
    wait $first"""
    script = str(machine.repository / "scripts/setup_env.sh")
    done = machine.start(["bash", "-euc", commands, "-", script])
    assert done.code == 0, done.err
    assert (machine.folder / "second").read_text() == "Waiting for another set-up of .venv\n"
    assert len(machine.called(" -r requirements.txt")) == 1


# --- finding Python -----------------------------------------------------------------------------------------


def test_no_suitable_python_names_two_ways(machine: Machine) -> None:
    machine.add_python("python3", "3.10")
    (machine.bin / "python3.12").unlink()
    for profile, versions in (("cpu", "3.11 or 3.12"), ("gpu", "3.12")):
        error = machine.run(PROFILE=profile).error
        assert error.startswith(
            f"Error: no Python {versions} with venv found. Two ways that need no root: (1) "
        )
        assert (
            f"uv python install 3.12, PYTHON=$(uv python find 3.12) PROFILE={profile} bash scripts/setup"
            in error
        )
        assert "(2) conda create -y -p ~/python3.12 python=3.12" in error
        assert machine.calls == []


def test_a_shim_that_fails_is_passed_over(machine: Machine) -> None:
    machine.add("python3.12", "echo 'pyenv: python3.12: command not found' >&2; exit 127")
    machine.add("python3.11", "echo 'pyenv: python3.11: command not found' >&2; exit 127")
    machine.add_python("python3")
    done = machine.run()
    assert (done.code, done.err) == (0, "")
    assert machine.calls[0] == f"{machine.bin}/python3 -m venv {machine.repository}/.venv"


def test_a_python_that_was_asked_for_must_suit(machine: Machine) -> None:
    old = machine.add_python("python", "3.9", machine.folder / "old")
    for python in (str(old), "/nothing/python", "python2"):
        error = machine.run(PYTHON=python).error
        assert (
            error
            == f"Error: PYTHON is '{python}', which is not a Python 3.11 or 3.12 with venv and ensurepip"
        )


# --- what pip says ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        "ERROR: Could not install packages: [Errno 28] No space left on device",
        "[Errno 122] Disk quota exceeded",
    ],
)
@pytest.mark.parametrize("when", ["* -m venv *", f"{INSTALL} * -r *"])
def test_a_full_disk(machine: Machine, said: str, when: str) -> None:
    machine.answers = [f"{when.removeprefix('* ')}|1|{said}"]
    error = machine.run().error
    assert error.startswith(
        f"Error: the disk is full: make room for about 4 GB in {machine.repository}/.venv"
    )


def test_a_disk_too_full_for_the_log(machine: Machine) -> None:
    machine.answers = [f"{INSTALL} * -r *|1|"]
    machine.add(
        "df", "printf 'Filesystem 1024-blocks Used Available Capacity Mounted\\n/dev/x 9 9 0 100%% /\\n'"
    )
    assert machine.run(PROFILE="gpu").error.startswith("Error: the disk is full: make room for about 11 GB")


def test_an_index_without_the_build_of_torch(machine: Machine) -> None:
    machine.answers = [f"{INSTALL} * -r *|1|ERROR: No matching distribution found for torch==2.13.0+cpu"]
    error = machine.run().error
    assert error.startswith(
        "Error: your package index does not offer torch 2.13.0+cpu for this Python: set PIP_EXTRA"
    )


def test_another_failure_shows_pips_last_lines(machine: Machine) -> None:
    machine.answers = [f"{INSTALL} * -r *|1|Collecting numpy\\nERROR: the proxy says no"]
    done = machine.run()
    assert done.code == 1
    assert (
        "ERROR: the proxy says no\nError: pip could not install the packages: see logs/setup-cpu.log"
        in done.err
    )


PIP_SAYS = f"{INSTALL} * -r *|0|Collecting numpy==2\\nProcessing torch.whl\\nInstalling collected packages: x"


def test_no_progress_without_a_terminal(machine: Machine) -> None:
    machine.answers = [PIP_SAYS]
    done = machine.run()
    assert len(done.out.splitlines()) == 2
    assert "\r" not in done.out


def test_progress_at_a_terminal(machine: Machine) -> None:
    machine.answers = [PIP_SAYS]
    (machine.folder / "answers").write_text(f"{PIP_SAYS}\n")
    ours, its = pty.openpty()
    script = machine.repository / "scripts/setup_env.sh"
    with subprocess.Popen(
        ["bash", script], env=machine.variables, stdin=its, stdout=its, stderr=its
    ) as process:
        os.close(its)
        shown = b""
        while True:
            try:
                more = os.read(ours, 4096)
            except OSError:  # how Linux tells that nobody writes any more
                break
            if not more:
                break
            shown += more
    os.close(ours)
    assert process.returncode == 0, shown
    assert b"\r  1 of 2\r  2 of 2\r  unpacking 2\r" in shown


# --- scripts that find their Python -------------------------------------------------------------------------


#: A Python that has not got the project.
BARE = getattr(sys, "_base_executable", sys.executable)


def start(machine: Machine, *arguments: str, **variables: str) -> Done:
    """Runs a script of the copy by a Python that has not got the project."""
    return machine.start(
        [BARE, str(machine.repository / "scripts/create_index_file.py"), *arguments], **variables
    )


def test_a_script_goes_on_in_the_environment_by_the_rule(gpus: Machine) -> None:
    own = gpus.add_python("python", folder=gpus.folder / "own")
    for name in (".venv", ".venv-gpu"):
        gpus.add_python("python", folder=gpus.repository / name / "bin")
    cpu, gpu = (gpus.repository / name / "bin/python" for name in (".venv", ".venv-gpu"))
    for variables, python in (
        ({"WRITING_RL_PYTHON": str(own)}, own),
        ({"PROFILE": "cpu"}, cpu),
        ({"PROFILE": "gpu_grpo"}, gpu),
        ({}, gpu),
    ):
        done = start(gpus, "--folder", "a file", **variables)
        assert (done.code, done.err) == (0, "")
        assert gpus.calls[-1] == f"{python} -m writing_rl.cli index create --folder a file"
    (gpus.repository / ".venv-gpu/bin/python").unlink()
    assert start(gpus).code == 0
    assert gpus.calls[-1].startswith(f"{cpu} -m ")


def test_without_an_environment_a_script_says_how_to_make_one(machine: Machine) -> None:
    assert "the project has no environment yet: run bash scripts/setup_env.sh" in start(machine).error


def test_a_script_of_an_unknown_profile(machine: Machine) -> None:
    assert "choose one of" in start(machine, PROFILE="gpus").error


def test_an_environment_of_ones_own_without_the_project(machine: Machine) -> None:
    error = start(machine, WRITING_RL_PYTHON=BARE).error
    assert error == f"Error: Writing-RL is not installed in {BARE}: run bash scripts/setup_env.sh"


def test_a_python_that_starts_another_is_fine(machine: Machine) -> None:
    """As pyenv and conda have them: its path is never that of the Python that runs."""
    own = machine.add("python", f'exec "{sys.executable}" "$@"', machine.folder / "own")
    done = start(machine, "--help", WRITING_RL_PYTHON=str(own))
    assert (done.code, done.err) == (0, "")
    assert "writing-rl index create" in done.out


def test_inside_the_environment_a_script_is_silent(machine: Machine) -> None:
    script = str(machine.repository / "scripts/create_index_file.py")
    for variables in ({}, {"WRITING_RL_PYTHON": sys.executable}):
        done = machine.start([sys.executable, script, "--help"], **variables)
        assert (done.code, done.err) == (0, "")
