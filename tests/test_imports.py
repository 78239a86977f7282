"""Imports point one way, as CONTRIBUTING.md has it; parts of one layer never import in a circle."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import fastffdi

ROOT = Path(fastffdi.__file__).parent
LAYERS = [
    {"__main__"},
    {"cli"},
    {"bench"},
    {"training", "report"},
    {"audit", "inference", "preview"},
    {"evaluation", "model", "loaders"},
    {"cache"},
    {"render"},
    {"recipe", "data", "demo"},
    {"world"},
    {"errors", "escapes", "files"},
]
PARTS = sorted(set.union(*LAYERS))
MODULES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


@cache
def imported(path: Path) -> tuple[str, ...]:
    """Dotted names of all modules a file imports, wherever in it the import stands."""
    return tuple(imports(path))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from (word.value for word in node.args[:1] if isinstance(word, ast.Constant))


def part(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def layer(name: str) -> int:
    return next(k for k, layer in enumerate(LAYERS) if name in layer)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def reached(path: Path) -> set[Path]:
    """Files of the package that importing this one brings along."""
    found, waiting = set(), [path]
    while waiting:
        here = waiting.pop()
        found.add(here)
        waiting += own_files(here) - found
    return found


@cache
def own_files(path: Path) -> set[Path]:
    """Files of the package that a file imports itself."""
    names = [name.split(".")[1:] for name in imported(path) if name.startswith("fastffdi.")]
    files = [ROOT.joinpath(*name[:k]) for name in names for k in range(1, len(name) + 1)]
    files = [file / "__init__.py" if file.is_dir() else file.with_suffix(".py") for file in files]
    return {file for file in files if file.is_file()}


def outsiders(path: Path) -> set[str]:
    """First parts of the names of all modules that importing this file brings along."""
    return {name.split(".")[0] for file in reached(path) for name in imported(file)}


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_imports_point_one_way(path: Path) -> None:
    own = [name.split(".")[1] for name in imported(path) if name.startswith("fastffdi.")]
    assert {other for other in own if layer(other) < layer(part(path))} == set()


def test_parts_of_one_layer_do_not_import_each_other_in_a_circle() -> None:
    uses = {p: {part(file) for path in MODULES if part(path) == p for file in reached(path)} for p in PARTS}
    assert [(a, b) for a in PARTS for b in PARTS if a < b and b in uses[a] and a in uses[b]] == []


def importing(start: str) -> set[str]:
    return {named(path) for path in MODULES if any(name.startswith(start) for name in imported(path))}


def test_only_three_modules_import_dali_and_one_its_decoder() -> None:
    assert importing("nvidia.dali") == {"render/dali.py", "loaders/dali.py", "loaders/dali_parts.py"}
    assert importing("nvidia.nvimgcodec") == {"render/cpu/partial.py"}
    assert importing("nvidia") == importing("nvidia.dali") | importing("nvidia.nvimgcodec")


@pytest.mark.parametrize("path", [p for p in MODULES if part(p) in ("recipe", "data")], ids=named)
def test_recipe_and_data_need_neither_torch_nor_dali(path: Path) -> None:
    assert not {"torch", "torchvision", "nvidia"} & outsiders(path)


def test_the_walk_sees_what_is_imported_by_way_of_others() -> None:
    loader = ROOT / "loaders" / "cpu.py"
    assert {"loaders/planner.py", "recipe/steps/geometry.py", "errors.py"} <= set(map(named, reached(loader)))
    assert {"torch", "cv2", "simplejpeg", "timm"} & outsiders(loader) == {"torch", "cv2", "simplejpeg"}


@pytest.mark.parametrize(
    "line", ["import a.b", "from a import b", "importlib.import_module('a.b')", "__import__('a.b')"]
)
def test_the_walk_sees_every_way_to_import_a_name(line: str, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(f"def later():\n    {line}\n    import_module(chosen)\n")
    assert imported(tmp_path / "module.py") == ("a.b",)
