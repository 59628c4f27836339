"""The rooms of the package stand on floors: a module imports from its own floor downwards, never upwards."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import writing_rl

PACKAGE = Path(writing_rl.__file__).parent

#: From the ground floor up. Rooms of one floor do not import each other.
FLOORS = (
    ("errors",),
    ("util",),
    ("text",),
    ("dataset", "patches"),
    ("judging",),
    ("curriculum",),
    ("settings",),
    ("runlog", "cpu"),
    ("models",),
    ("calibration", "data"),
    ("trainer", "chat", "report", "quickstart"),
    ("launch",),
    ("experiments",),
    ("cli", "plugin"),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

HEAVY = {"ray", "torch", "transformers", "verl", "vllm"}
#: Rooms and modules that work with these libraries, and what stands on them.
WITH_HEAVY = (
    "cpu",
    "experiments.benchmark",
    "judging.client.slot_actor",
    "models.hub",
    "patches",
    "plugin",
    "quickstart.base_model",
    "quickstart.tiny_model",
    "trainer",
)


class Import(NamedTuple):
    """An import of a module.

    Attributes:
        module: What imports, without `writing_rl.`.
        name: What is imported, in full.
        at_once: Whether it is imported with the module, not within a function or for type checking.
    """

    module: str
    name: str
    at_once: bool


def modules() -> dict[str, Path]:
    """All modules by their names without `writing_rl.`; packages by theirs."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip(".")
        found[name] = path
    return found


MODULES = modules()


def imports_of(module: str) -> Iterator[Import]:
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    later = set()
    for node in ast.walk(tree):
        for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or for_types:
            later |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        at_once = id(node) not in later
        if isinstance(node, ast.Import):
            yield from (Import(module, alias.name, at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, f"{module} has a relative import"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                is_module = name.removeprefix("writing_rl.") in MODULES
                yield Import(module, name if is_module else node.module, at_once)


def ours(name: str) -> str:
    """The name of a module of ours; empty for others, and for the package itself, which holds the version."""
    return name.removeprefix("writing_rl.") if name.startswith("writing_rl.") else ""


IMPORTS = [found for module in MODULES for found in imports_of(module)]


def room(module: str) -> str:
    return module.partition(".")[0]


def test_every_room_has_a_floor() -> None:
    assert {room(module) for module in MODULES if module} <= FLOOR.keys() | {"config"}


def test_no_import_runs_upwards_or_across() -> None:
    wrong = [
        f"{found.module} -> {ours(found.name)}"
        for found in IMPORTS
        if found.module and ours(found.name)
        if room(found.module) != room(ours(found.name))
        if FLOOR[room(found.module)] <= FLOOR[room(ours(found.name))]
    ]
    assert wrong == []


def test_no_modules_import_each_other() -> None:
    graph: dict[str, set[str]] = {module: set() for module in MODULES}
    for found in IMPORTS:
        if ours(found.name) and found.at_once:
            graph[found.module].add(ours(found.name))
    TopologicalSorter(graph).prepare()  # raises CycleError, which shows the circle


def test_pure_modules_import_no_heavy_library() -> None:
    reached: dict[str, set[str]] = {module: set() for module in MODULES}
    for found in IMPORTS:
        if found.at_once:
            reached[found.module].add(ours(found.name) or found.name.partition(".")[0])
    heavy = set(HEAVY)
    while more := {module for module, names in reached.items() if names & heavy} - heavy:
        heavy |= more
    allowed = tuple(f"{name}." for name in WITH_HEAVY)
    assert [module for module in sorted(heavy - HEAVY) if not f"{module}.".startswith(allowed)] == []
