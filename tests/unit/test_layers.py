"""The rooms of the package stand in layers: each imports only what is below it, and none hang together in a circle."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import uniner_dist

_ROOT = Path(uniner_dist.__file__).parent
#: From top to bottom; rooms of one layer do not import each other. The picture is in docs/architecture.md.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("doctor",),
    ("notebook",),
    ("pipeline", "maintenance"),
    ("reporting", "export"),
    ("gate",),
    ("prompts", "completions", "annotations"),
    ("comparison",),
    ("evaluation",),
    ("formats",),
    ("run",),
    ("cluster",),
    ("spark", "model"),
    ("storage",),
    ("config",),
    ("triage",),
    ("core",),
    ("demo",),
    ("schemas", "runtime"),
    ("errors", "_version"),
)
_DEPTH = {room: depth for depth, rooms in enumerate(LAYERS) for room in rooms}
#: Modules at the top of the package, beside the rooms.
_LOOSE = 6


def _modules() -> dict[str, Path]:
    """Dotted name below the package → its file."""
    return {
        ".".join(path.relative_to(_ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(_ROOT.rglob("*.py"))
        if path != _ROOT / "__init__.py"
    }


def _imports(path: Path) -> Iterator[str]:
    """Dotted names below the package that a file imports, wherever in it: an import in a function counts too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.removeprefix("uniner_dist.") for name in names if name.startswith("uniner_dist."))


def _module_of(name: str, modules: dict[str, Path]) -> str | None:
    """The module that an imported name is, or is in; None for names of the package itself."""
    parts = name.split(".")
    found = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((module for module in found if module in modules), None)


def _edges() -> set[tuple[str, str]]:
    """Which module imports which."""
    modules = _modules()
    edges = {(module, _module_of(name, modules)) for module, path in modules.items() for name in _imports(path)}
    return {(above, below) for above, below in edges if below is not None and above != below}


def _room(module: str) -> str:
    return module.split(".")[0]


def test_every_room_has_its_layer() -> None:
    unknown = {_room(module) for module in _modules()} - set(_DEPTH)
    assert not unknown, "a new room belongs into LAYERS and into docs/architecture.md"


def test_no_room_imports_what_stands_above_it() -> None:
    wrong = {
        f"{above} -> {below}"
        for above, below in _edges()
        if _room(above) != _room(below) and _DEPTH[_room(above)] >= _DEPTH[_room(below)]
    }
    assert wrong == set()


def test_no_modules_import_each_other_in_a_circle() -> None:
    below: dict[str, set[str]] = {}
    edges = _edges()
    for above, imported in edges:
        below.setdefault(above, set()).add(imported)
    done: set[str] = set()

    def follow(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module not in done:
            for imported in sorted(below.get(module, ())):
                follow(imported, (*path, module))
            done.add(module)

    for module in sorted(below):
        follow(module, ())


def test_few_modules_lie_beside_the_rooms() -> None:
    loose = [path.name for path in _ROOT.glob("*.py")]
    assert len(loose) <= _LOOSE, loose


def test_the_layers_are_those_of_the_architecture_page() -> None:
    page = (_ROOT.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawn = [
        tuple(room.strip() for room in line.split("·"))
        for line in page.split("```text", 1)[1].split("```", 1)[0].splitlines()
        if line.strip()
    ]
    assert [tuple(sorted(rooms)) for rooms in drawn] == [tuple(sorted(rooms)) for rooms in LAYERS]


def _lines_of_code(path: Path) -> int:
    """Lines of a file without those of its docstrings."""
    content = path.read_text(encoding="utf-8")
    told = 0
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            told += (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
    return len(content.splitlines()) - told


def test_no_file_of_the_package_has_over_300_lines_of_code() -> None:
    lines = {module: _lines_of_code(path) for module, path in _modules().items()}
    assert {module: count for module, count in lines.items() if count > 300} == {}
    assert statistics.median(lines.values()) <= 100


def test_names_of_tests_have_at_most_70_characters() -> None:
    files = (Path(__file__).parents[1]).rglob("test_*.py")
    names = re.findall(r"def (test_\w+)", "\n".join(file.read_text(encoding="utf-8") for file in files))
    assert len(names) > 500
    assert [name for name in names if len(name) > 70] == []
