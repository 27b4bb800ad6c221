"""The house plan, held by reading the code: who imports whom, how large things get, no torch.

`python -m tests.test_architecture` prints every fault with file and line.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("data", "train", "network", "tools", "tests", "benchmarks")
RECIPES = "recipes"  # train_kinetics.py and the others at the top

MAY_IMPORT = {
    "data": {"data"},
    "network": {"network"},
    "train": {"train", "data"},
    "tools": {"tools", "data", "train", "network"},
    RECIPES: {"data", "train", "network", "tools"},
    "benchmarks": {"benchmarks", "data", "train", "network", "tools"},
    "tests": {"tests", "benchmarks", "data", "train", "network", "tools", RECIPES},
}
# Each outside thing has one door. What reads and what writes media is PyAV's.
DOORS = {
    "av": {"data/colour.py", "data/faults.py", "data/frame.py", "data/jfif.py",
           "data/media.py",
           "data/mediainfo.py", "data/opening.py", "data/packets.py", "data/sound.py",
           "tools/demo.py", "tools/encode.py"},
    "sqlite3": {"data/catalog.py", "data/connections.py", "data/database.py", "data/writer.py"},
    "simplejpeg": {"data/jpeg.py"},
    "zlib_ng": {"data/schema.py"},
    "multiprocessing": {"tools/engine.py"},
}  # fmt: skip
# These work on a machine without torch: all of data/, and the tools named here.
WITHOUT_TORCH = """audit check conversion convert demo encode engine export feeds histogram probe
progress repair scenes settings sheet show sources split terminal workplace"""
NO_TORCH = ("data", *(f"tools/{name}.py" for name in WITHOUT_TORCH.split()))
LINES_IN_FILE, LINES_IN_FUNCTION, ARGUMENTS, NESTING = 400, 60, 7, 3


@dataclass(frozen=True)
class Source:
    path: Path
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        return self.path.as_posix()

    @property
    def room(self) -> str:
        return self.path.parts[0] if len(self.path.parts) > 1 else RECIPES

    @property
    def module(self) -> str:
        parts = self.path.with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def imports(self) -> Iterator[tuple[str, int, bool]]:
        """Every imported module, its line, and whether only a type checker sees it."""
        hidden = {
            id(inner)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            for inner in ast.walk(node)
        }
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield alias.name, node.lineno, id(node) in hidden
            elif isinstance(node, ast.ImportFrom):
                base = "." * node.level + (node.module or "")
                yield base, node.lineno, id(node) in hidden
                for alias in node.names:
                    yield f"{base}.{alias.name}", node.lineno, id(node) in hidden


@cache
def sources() -> tuple[Source, ...]:
    paths = sorted(ROOT.glob("*.py")) + [
        path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))
    ]
    return tuple(read(path.relative_to(ROOT), path.read_text()) for path in paths)


def read(path: Path, text: str) -> Source:
    return Source(path, text, ast.parse(text))


def our_room(module: str) -> str | None:
    first = module.split(".")[0]
    if first.startswith("train_"):
        return RECIPES
    return first if first in ROOMS else None


# -- the rules: each yields its faults as "file:line: what" --------------------------------------


def wrong_directions(source: Source) -> Iterator[str]:
    for module, line, _ in source.imports():
        room = our_room(module)
        if module.startswith("."):
            yield f"{source.name}:{line}: relative import; write it out from the top"
        elif room and room not in MAY_IMPORT[source.room]:
            yield f"{source.name}:{line}: {source.room} may not import {module}"


def wrong_doors(source: Source) -> Iterator[str]:
    if source.room in ("tests", "benchmarks"):
        return
    for module, line, _ in source.imports():
        door = DOORS.get(module.split(".")[0])
        if door is not None and source.name not in door:
            yield f"{source.name}:{line}: only {', '.join(sorted(door))} may import {module}"


def too_large(source: Source) -> Iterator[str]:
    lines = source.text.count("\n")
    if lines > LINES_IN_FILE:
        yield f"{source.name}:{lines}: {lines} lines, allowed {LINES_IN_FILE}; split it"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _function_faults(source.name, node)


def _function_faults(name: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    where = f"{name}:{node.lineno}: {node.name}"
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    if lines > LINES_IN_FUNCTION:
        yield f"{where} has {lines} lines, allowed {LINES_IN_FUNCTION}"
    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    count = len([one for one in given if one.arg not in ("self", "cls")])
    if count > ARGUMENTS:
        yield f"{where} takes {count} arguments, allowed {ARGUMENTS}; make a dataclass of them"
    depth = nesting(node)
    if depth > NESTING:
        yield f"{where} nests {depth} deep, allowed {NESTING}"


BLOCKS = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.AsyncFor, ast.AsyncWith, ast.Match)


def nesting(node: ast.AST) -> int:
    """How many blocks lie within one another; elif counts as if, an inner function by itself."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and child in node.orelse
        own = 1 if isinstance(child, BLOCKS) and not is_elif else 0
        deepest = max(deepest, own + nesting(child))
    return deepest


def import_graph(with_hidden: bool = False) -> dict[str, dict[str, int]]:
    """Module -> our modules it imports, each with the line that does."""
    known = {source.module for source in sources()}
    return {
        source.module: {
            module: line
            for module, line, hidden in source.imports()
            if module in known and module != source.module and (with_hidden or not hidden)
        }
        for source in sources()
    }


def cycles(graph: dict[str, dict[str, int]]) -> Iterator[str]:
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> Iterator[str]:
        if module in trail:
            ring = (*trail[trail.index(module) :], module)
            lines = (graph[one][other] for one, other in pairwise(ring))
            yield " -> ".join(f"{one}:{line}" for one, line in zip(ring, lines, strict=False))
        elif module not in done:
            for other in graph.get(module, ()):
                yield from visit(other, (*trail, module))
            done.add(module)

    for module in graph:
        yield from visit(module, ())


def torch_imports(source: Source) -> Iterator[str]:
    if source.name.startswith(NO_TORCH):
        for module, line, hidden in source.imports():
            if module.split(".")[0] in ("torch", "torchvision") and not hidden:
                yield f"{source.name}:{line}: imports {module}, but must work without torch"


def torch_through_others(graph: dict[str, dict[str, int]]) -> Iterator[str]:
    """The closure: a torch-free module may import none of ours that is not."""
    by_module = {source.module: source for source in sources()}
    for source in sources():
        if not source.name.startswith(NO_TORCH):
            continue
        for other, line in graph[source.module].items():
            if not by_module[other].name.startswith(NO_TORCH):
                yield f"{source.name}:{line}: imports {other}, which is not kept free of torch"


# -- the tests ------------------------------------------------------------------------------------

RULES = (wrong_directions, wrong_doors, too_large, torch_imports)


@pytest.mark.parametrize("rule", RULES)
def test_every_file_keeps_the_rule(rule):
    faults = [fault for source in sources() for fault in rule(source)]
    assert not faults, "\n" + "\n".join(faults)


def test_no_module_imports_itself_by_a_detour():
    faults = list(cycles(import_graph()))
    assert not faults, "\n" + "\n".join(faults)


def test_nothing_without_torch_reaches_torch():
    faults = list(torch_through_others(import_graph()))
    assert not faults, "\n" + "\n".join(faults)


def test_what_needs_no_torch_runs_where_there_is_none():
    """Really imported, in a process where torch cannot be."""
    modules = [source.module for source in sources() if source.name.startswith(NO_TORCH)]
    script = (
        "import sys, importlib\n"
        "sys.modules['torch'] = sys.modules['torchvision'] = None\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_no_code_stands_outside_the_rooms():
    found = {path.relative_to(ROOT).parts[0] for path in ROOT.glob("*/**/*.py")}
    assert {room for room in found if not room.startswith(".")} <= set(ROOMS)


def test_every_room_is_a_package():
    assert [room for room in ROOMS if not (ROOT / room / "__init__.py").exists()] == []


# Each rule, shown to catch what it is for.
DEEP = "def f(a):\n for b in a:\n  if b:\n   while b:\n    with b:\n     pass\n"
ELIFS = "def f(a):\n if a:\n  pass\n elif a:\n  pass\n elif a:\n  pass\n else:\n  if a:\n   pass\n"
BROKEN = [
    (
        wrong_directions,
        "data/x.py",
        "import tools.probe\n",
        "data/x.py:1: data may not import",
    ),
    (wrong_directions, "train/x.py", "\nfrom network import zoo\n", "train/x.py:2: train may not"),
    (wrong_directions, "network/x.py", "from data.media import probe\n", "network may not import"),
    (wrong_directions, "tools/x.py", "from . import probe\n", "relative import"),
    (wrong_directions, "tools/x.py", "import tests.synth\n", "tools may not import tests.synth"),
    (wrong_doors, "tools/x.py", "import av.error\n", "tools/x.py:1: only data/colour.py"),
    (wrong_doors, "data/x.py", "def f():\n    from sqlite3 import connect\n", "data/x.py:2: only"),
    (too_large, "data/x.py", "\n" * 401, "data/x.py:401: 401 lines, allowed 400"),
    (too_large, "data/x.py", "def f():\n" + "    a = 1\n" * 60, "x.py:1: f has 61 lines"),
    (too_large, "data/x.py", "def f(a, b, c, d, e, *, f, g, h): pass\n", "takes 8 arguments"),
    (too_large, "data/x.py", DEEP, "f nests 4 deep, allowed 3"),
    (torch_imports, "data/x.py", "def f():\n    import torch.nn\n", "data/x.py:2: imports torch"),
]


@pytest.mark.parametrize(("rule", "path", "text", "message"), BROKEN)
def test_a_broken_rule_is_found_with_file_and_line(rule, path, text, message):
    (fault, *_) = rule(read(Path(path), text))
    assert message in fault


def test_what_is_allowed_is_not_reported():
    assert nesting(ast.parse(ELIFS).body[0]) == 1
    method = "class A:\n def f(self, a, b, c, d, e, f, g): pass\n"
    assert not list(too_large(read(Path("data/x.py"), method)))
    hidden = "if TYPE_CHECKING:\n    import torch\n"
    assert not list(torch_imports(read(Path("data/x.py"), hidden)))


def test_cycles_are_found():
    assert list(cycles({"a": {"b": 1}, "b": {"c": 2}, "c": {"a": 3}})) == ["a:1 -> b:2 -> c:3"]
    assert list(cycles({"a": {"b": 1, "c": 1}, "b": {"c": 1}, "c": {}})) == []


if __name__ == "__main__":
    found = [fault for source in sources() for rule in RULES for fault in rule(source)]
    found += [*cycles(import_graph()), *torch_through_others(import_graph())]
    print("\n".join(found) or "the house stands as planned")
    sys.exit(bool(found))
