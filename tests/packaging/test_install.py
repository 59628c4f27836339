"""Installs the overlay into clean environments: upstream verl stays itself and gains our modules."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import pytest

VERL_VERSION = "0.9.1"

PROBE = """
import importlib, json, sys
import verl
names = ["verl.utils.reward_score.judge_prompts", "verl.utils.reward_score.writing_rl",
         "verl.workers.reward_manager.parallel", "verl.utils.reward_score.gsm8k",
         "writing_rl", "writing_rl.plugin"]
facts = {name: importlib.import_module(name).__file__ for name in names}
facts["verl"] = verl.__file__
facts["version"] = verl.__version__
facts["prompt"] = sys.modules["verl.utils.reward_score.judge_prompts"].JUDGE_PROMPT
"""
PRINT = "print('FACTS' + json.dumps(facts))"
IN_A_RAY_WORKER = f"""
import json
import ray

ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)

@ray.remote(num_cpus=1)
def probe():
    names = {{}}
    exec({PROBE!r}, names)
    return names["facts"]

facts = ray.get(probe.remote())
ray.shutdown()
{PRINT}
"""


@dataclass
class Environment:
    """A virtual environment with upstream verl and one install of ours.

    Attributes:
        python: Its interpreter.
        packages: Its site-packages.
        repository: The copy of the repository that was installed.
        ours: The folder that holds the installed `verl/utils/...` of ours.
    """

    python: Path
    packages: Path
    repository: Path
    ours: Path

    def run(self, *arguments: str | Path, cwd: Path) -> str:
        """Runs the interpreter and returns what it prints."""
        variables = {
            name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")
        }
        variables |= {
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_INDEX": "1",  # nothing is downloaded
            "PYTHONDONTWRITEBYTECODE": "1",  # nothing is written through the links below
        }
        result = subprocess.run(
            [self.python, *arguments], cwd=cwd, env=variables, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def facts(self, code: str, cwd: Path) -> dict[str, str]:
        """What a probe finds out."""
        output = self.run("-c", code, cwd=cwd)
        (line,) = [line for line in output.splitlines() if line.startswith("FACTS")]
        return json.loads(line.removeprefix("FACTS"))


def verl_record() -> Iterator[tuple[Path, str, str]]:
    """Upstream's files as its wheel names them: where they are here, their relative path, their SHA-256."""
    upstream = distribution("verl")
    assert upstream.version == VERL_VERSION
    for name, digest, _ in csv.reader((upstream.read_text("RECORD") or "").splitlines()):
        if name.startswith(("verl/", f"verl-{VERL_VERSION}.dist-info/")) and not name.endswith(".pyc"):
            yield Path(str(upstream.locate_file(name))), name, digest.removeprefix("sha256=")


def copy(source: Path, target: Path) -> None:
    """Copies a file with its time, by which Python knows whether a compiled file is up to date."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def make_environment(folder: Path) -> tuple[Path, Path]:
    """An environment with everything that this one has but ours; upstream's verl is a real copy of its wheel.

    The rest are links: the copies would be gigabytes. Nothing is ever installed into what they point to,
    since an install of ours only writes into `writing_rl`, its own metadata and `verl`.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    here = Path(str(distribution("verl").locate_file("")))
    for entry in here.iterdir():
        ours = "writing_rl" in entry.name or entry.name.startswith("writing-rl")
        verl = entry.name == "verl" or entry.name.startswith("verl-")
        if not (ours or verl or entry.name == "__pycache__" or (packages / entry.name).exists()):
            (packages / entry.name).symlink_to(entry)
    for source, name, _ in verl_record():
        copy(source, packages / name)
        if name.endswith(".py") and (compiled := Path(cache_from_source(str(source)))).exists():
            copy(compiled, Path(cache_from_source(str(packages / name))))
    return folder / "bin" / "python", packages


def copy_repository(source: Path, target: Path) -> Path:
    """What packaging needs of the repository."""
    target.mkdir(parents=True)
    for name in ("setup.py", "README.md", "pyproject.toml"):
        shutil.copy(source / name, target / name)
    shutil.copytree(source / "verl", target / "verl", ignore=shutil.ignore_patterns("__pycache__"))
    return target


@pytest.fixture(scope="module", params=["editable", "wheel"])
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp(request.param)
    repository = copy_repository(Path(__file__).resolve().parents[2], folder / "repository")
    python, packages = make_environment(folder / "environment")
    environment = Environment(python, packages, repository, packages / "verl")
    install = ("-m", "pip", "install", "--no-deps", "--no-build-isolation")
    if request.param == "editable":
        environment.run(*install, "-e", repository, cwd=folder)
        environment.ours = repository / "verl"
    else:
        build = ("-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", folder / "dist")
        environment.run(*build, repository, cwd=folder)
        (wheel,) = (folder / "dist").iterdir()
        environment.run(*install, wheel, cwd=folder)
    return environment


def check(facts: dict[str, str], environment: Environment) -> None:
    """Upstream's names are upstream's, and ours are ours."""
    assert facts["version"] == VERL_VERSION
    upstream = environment.packages / "verl"
    assert Path(facts["verl"]) == upstream / "__init__.py"
    assert Path(facts["verl.utils.reward_score.gsm8k"]) == upstream / "utils/reward_score/gsm8k.py"
    for name in (
        "utils/reward_score/judge_prompts",
        "utils/reward_score/writing_rl",
        "workers/reward_manager/parallel",
    ):
        assert Path(facts[f"verl/{name}".replace("/", ".")]) == environment.ours / f"{name}.py"
    ours = environment.ours if environment.ours != upstream else environment.packages
    assert Path(facts["writing_rl"]) == ours / "writing_rl" / "__init__.py"
    assert Path(facts["writing_rl.plugin"]) == ours / "writing_rl" / "plugin.py"


def test_both_are_whole_from_the_repositorys_root(installed: Environment) -> None:
    check(installed.facts(PROBE + PRINT, installed.repository), installed)


def test_both_are_whole_from_elsewhere_and_an_edited_prompt_counts(
    installed: Environment, tmp_path: Path
) -> None:
    prompts = installed.ours / "utils" / "reward_score" / "judge_prompts.py"
    before = prompts.read_text()
    prompts.write_text(before.replace("You are an experienced editor.", "You are the edited editor."))
    facts = installed.facts(PROBE + PRINT, tmp_path)
    check(facts, installed)
    assert facts["prompt"].startswith("You are the edited editor.")


def test_both_are_whole_in_a_ray_worker(installed: Environment) -> None:
    check(installed.facts(IN_A_RAY_WORKER, installed.repository), installed)


def test_the_install_brings_its_configuration_and_entry_points(
    installed: Environment, tmp_path: Path
) -> None:
    code = """
import json
from importlib.metadata import entry_points
from pathlib import Path
import writing_rl
config = Path(writing_rl.__file__).parent / "config"
facts = {
    "config": sorted(str(path.relative_to(config)) for path in config.rglob("*.yaml")),
    "verl": [point.value for point in entry_points(group="verl.plugins")],
    "vllm": [point.value for point in entry_points(group="vllm.general_plugins")],
}
"""
    facts: dict[str, Any] = installed.facts(code + PRINT, tmp_path)
    config = installed.repository / "verl" / "writing_rl" / "config"
    assert facts["config"] == sorted(str(path.relative_to(config)) for path in config.rglob("*.yaml"))
    assert facts["verl"] == ["writing_rl.plugin"]
    assert "writing_rl.cpu.vllm_weights:register" in facts["vllm"]


def test_uninstalling_leaves_verl_whole(installed: Environment, tmp_path: Path) -> None:
    installed.run("-m", "pip", "uninstall", "-y", "writing-rl", cwd=tmp_path)
    code = """
import importlib.util, json
import verl
facts = {
    "verl": verl.__file__,
    "version": verl.__version__,
    "left": [name for name in ("verl.utils.reward_score.writing_rl", "verl.utils.reward_score.judge_prompts",
             "verl.workers.reward_manager.parallel", "writing_rl") if importlib.util.find_spec(name)],
}
"""
    facts: dict[str, Any] = installed.facts(code + PRINT, tmp_path)
    assert Path(facts["verl"]) == installed.packages / "verl" / "__init__.py"
    assert facts["version"] == VERL_VERSION
    assert facts["left"] == []

    upstream = {name: digest for _, name, digest in verl_record() if digest}
    for name, digest in upstream.items():
        found = hashlib.sha256((installed.packages / name).read_bytes()).digest()
        assert base64.urlsafe_b64encode(found).rstrip(b"=").decode() == digest, name
    here = {
        str(path.relative_to(installed.packages))
        for path in (installed.packages / "verl").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert here == {name for name in upstream if name.startswith("verl/")}


def test_the_wheel_holds_every_module_of_ours_and_nothing_of_upstreams(
    tmp_path: Path, repository: Path
) -> None:
    source = copy_repository(repository, tmp_path / "repository")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    result = subprocess.run(
        [*command, "-w", tmp_path / "dist", source], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    (wheel,) = (tmp_path / "dist").iterdir()
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    modules = {
        str(path.relative_to(repository / "verl"))
        for path in (repository / "verl").rglob("*.py")
        if "__pycache__" not in path.parts
    }
    assert {name for name in names if name.endswith(".py")} == {
        name if name.startswith("writing_rl/") else f"verl/{name}" for name in modules
    }
    assert not names & {name for _, name, _ in verl_record()}
