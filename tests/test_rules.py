"""The rules of the architecture, held over the syntax trees: who may import whom, and what no file may do."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from lingport.backbones.layout import LAYOUTS
from lingport.modules.base import KINDS

SOURCE = Path(__file__).resolve().parents[1] / "src"
PACKAGE = SOURCE / "lingport"
#: rooms from the ground up; a file may import its own room and those below
LAYERS = (
    {"errors", "registry"},
    {"config"},
    {"backbones", "data"},
    {"modules", "tasks"},
    {"compose"},
    {"train", "evaluate"},
    {"report", "formats", "hub", "grid", "serve", "demo", "pretrain", "bench"},
    {"cli"},
)
#: rooms of one layer that may import each other, in one direction: train measures with evaluate
SIBLINGS = {("train", "evaluate")}
#: top-level packages that only some places may import
CONFINED = {
    "transformers": ("backbones/", "data/", "pretrain/", "bench/peer.py"),
    "datasets": ("data/",),
    "ray": ("grid/ray.py",),
    "triton": ("compose/kernels.py",),
    "fastapi": ("serve/http.py",),
    "uvicorn": ("serve/http.py",),
    "starlette": ("serve/http.py",),
    "adapters": ("bench/peer.py",),
    "peft": ("bench/peer.py",),
    "pickle": (),
}
MAX_LINES = 400
FILES = sorted(PACKAGE.rglob("*.py"))
#: where a kind or a family may be compared: registries and layouts
MAY_BRANCH = ("registry.py", "backbones/")
BRANCHED_ON = {"kind", "model_type"}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room(module: str) -> str | None:
    """`lingport.config.load` -> `config`; None for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def layer(name: str) -> int:
    return next((index for index, rooms in enumerate(LAYERS) if name in rooms), -1)


def imports(node: ast.AST) -> Iterator[tuple[str, int]]:
    """Every imported module, wherever in the file, with its line."""
    for found in ast.walk(node):
        if isinstance(found, ast.Import):
            yield from ((alias.name, found.lineno) for alias in found.names)
        elif isinstance(found, ast.ImportFrom):
            assert found.level == 0, f"relative import at line {found.lineno}"
            yield found.module or "", found.lineno
            if found.module == "lingport":
                yield from ((f"lingport.{alias.name}", found.lineno) for alias in found.names)


def broken(check) -> list[str]:
    return [f"{place(path)}: {problem}" for path in FILES for problem in check(path)]


def upward(path: Path) -> Iterator[str]:
    own = place(path).split("/")[0].removesuffix(".py")
    if own == "__init__":  # the public names, imported late
        return
    for module, line in imports(tree(path)):
        other = room(module) if module.split(".")[0] == "lingport" else None
        if other is None or other == own or other.startswith("__"):
            continue
        if layer(other) > layer(own):
            yield f"line {line}: {own} imports {other}, which lies above it"
        elif (
            layer(other) == layer(own)
            and layer(own) in (0, 5)
            and (own, other) not in SIBLINGS | {("registry", "errors")}
        ):
            yield f"line {line}: {own} and {other} are siblings"


def outside_its_place(path: Path) -> Iterator[str]:
    for module, line in imports(tree(path)):
        allowed = CONFINED.get(module.split(".")[0])
        if allowed is not None and not place(path).startswith(allowed or ("nowhere",)):
            yield f"line {line}: {module} may be imported in {', '.join(allowed) or 'no file'} only"


def prints(path: Path) -> Iterator[str]:
    if place(path).startswith("cli/"):
        return
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield f"line {node.lineno}: print belongs in cli/"


def branches_on_kinds(path: Path) -> Iterator[str]:
    if place(path).startswith(MAY_BRANCH):
        return
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        named = any(getattr(side, "attr", getattr(side, "id", None)) in BRANCHED_ON for side in sides)
        with_words = any(_is_word(side) for side in sides)
        if named and with_words:
            yield f"line {node.lineno}: {ast.unparse(node)} (ask the registry or the layout)"


def _is_word(node: ast.expr) -> bool:
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        return any(_is_word(item) for item in node.elts)
    return isinstance(node, ast.Constant) and node.value in {*KINDS, *LAYOUTS}


def without_docstring(path: Path) -> Iterator[str]:
    if path.name == "__init__.py" and not path.read_text():
        return
    if not ast.get_docstring(tree(path)):
        yield "opens without saying its job"


def too_long(path: Path) -> Iterator[str]:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    if lines > MAX_LINES:
        yield f"{lines} lines"


def _only_runs_as_a_script(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'" and not node.orelse


def acts_on_import(path: Path) -> Iterator[str]:
    for node in tree(path).body:
        if not _is_harmless(node) and not _only_runs_as_a_script(node):
            yield f"line {node.lineno}: {ast.unparse(node)[:60]!r} runs on import"


def _is_harmless(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr):
        return _is_quiet(node.value)
    if isinstance(node, (ast.If, ast.For)):
        return all(_is_harmless(each) for each in [*node.body, *node.orelse])
    names = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.AugAssign)
    return isinstance(node, names)


def _is_quiet(value: ast.expr) -> bool:
    if isinstance(value, ast.Constant):
        return True
    # Filling an object of the same file: a loader's resolver, a typer app's verbs, a registry.
    fills = ("add_", "register", "command", "callback")
    if not isinstance(value, ast.Call):
        return False
    if isinstance(value.func, ast.Call):  # app.command(...)(function)
        return _is_quiet(value.func)
    return isinstance(value.func, ast.Attribute) and value.func.attr.startswith(fills)


def broad_excepts(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        named = {each.id for each in ast.walk(node.type) if isinstance(each, ast.Name)} if node.type else {"everything"}
        reraises = any(isinstance(each, ast.Raise) for each in ast.walk(node))
        if named & {"everything", "Exception", "BaseException"} and not reraises and place(path) not in JOB_BOUNDARIES:
            yield f"line {node.lineno}: a broad except belongs at a job's boundary"


#: the boundaries: a job of a grid, the command line, a kernel that compilers of the user's machine may not make
JOB_BOUNDARIES = {"grid/worker.py", "cli/main.py", "compose/loss.py"}

RULES = (
    upward,
    outside_its_place,
    prints,
    branches_on_kinds,
    without_docstring,
    too_long,
    acts_on_import,
    broad_excepts,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule(rule):
    assert broken(rule) == []


def test_every_room_has_a_layer():
    rooms = {place(path).split("/")[0].removesuffix(".py") for path in FILES} - {"__init__", "__main__"}
    assert {name for name in rooms if layer(name) < 0} == set()


@pytest.mark.parametrize(
    ("rule", "file", "text"),
    [
        (upward, "config/x.py", "def f():\n    from lingport.data.text import read_text"),
        (upward, "evaluate/x.py", "from lingport.train.loop import train"),
        (upward, "data/x.py", "from lingport import cli"),
        (outside_its_place, "grid/x.py", "import transformers"),
        (outside_its_place, "tasks/x.py", "from datasets import load_dataset"),
        (outside_its_place, "grid/local.py", "import ray"),
        (prints, "grid/x.py", "print(1)"),
        (branches_on_kinds, "train/x.py", "if module.kind == 'prompt': pass"),
        (branches_on_kinds, "train/x.py", "if config.model_type in ('t5', 'mt5'): pass"),
        (without_docstring, "train/x.py", "x = 1"),
        (acts_on_import, "train/x.py", "main()"),
        (acts_on_import, "train/x.py", "for x in range(3): main()"),
        (broad_excepts, "train/x.py", "try:\n    f()\nexcept Exception:\n    pass"),
        (broad_excepts, "train/x.py", "try:\n    f()\nexcept:\n    pass"),
        (too_long, "train/x.py", "x = 1\n" * 401),
    ],
)
def test_the_rules_can_be_broken(rule, file, text, tmp_path, monkeypatch):
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    assert list(rule(path))


def subprocess_modules(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nsys.stdout.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_the_package_does_not_import_torch():
    assert not {"torch", "transformers", "datasets"} & subprocess_modules("import lingport")


def test_the_command_line_does_not_import_torch():
    found = subprocess_modules("import lingport.cli.main")
    assert not {"torch", "transformers", "datasets", "sklearn", "matplotlib"} & found
