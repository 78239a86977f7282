"""What is built and installed holds everything, the recipes outside the package's folder among them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("setup.cfg", "pyproject.toml", "README.md", "fastffdi", "pipelines")
LOOK = """\
import json, fastffdi
from fastffdi.recipe.recipe import load, shipped
recipes = {name: load(name).to_data() for name in shipped()}
print(json.dumps({"file": fastffdi.__file__, "recipes": recipes}))
"""


def python(*words, cwd, **environment):
    """Standard output of this interpreter, run in another folder."""
    command = [sys.executable, *map(str, words)]
    run = subprocess.run(command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder a wheel of a copy of the sources was installed to."""
    folder = tmp_path_factory.mktemp("wheel")
    source, target = folder / "source", folder / "target"
    source.mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    python("-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    options = ("--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", "--target")
    python("-m", "pip", "install", *options, target, wheel, cwd=folder)
    return target


@pytest.fixture(scope="module")
def seen(installed, tmp_path_factory):
    """What a process outside the checkout sees of the installed package."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    return json.loads(python("-c", LOOK, cwd=elsewhere, PYTHONPATH=str(installed)))


def test_the_package_seen_is_the_installed_one(seen, installed):
    assert Path(seen["file"]) == installed / "fastffdi" / "__init__.py"


def test_every_shipped_recipe_is_loaded_by_name(seen):
    from fastffdi.recipe.recipe import load, shipped

    assert seen["recipes"].keys() == set(shipped()) >= {"demo", "jitter", "standard", "tutorial"}
    assert seen["recipes"] == json.loads(json.dumps({name: load(name).to_data() for name in shipped()}))


def test_every_module_is_there(installed):
    modules = {path.relative_to(ROOT) for path in (ROOT / "fastffdi").rglob("*.py")}
    assert modules | {Path("fastffdi/py.typed")} <= {
        path.relative_to(installed) for path in installed.rglob("*")
    }


def test_nothing_lies_beside_the_package(installed):
    names = {path.name for path in installed.iterdir()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"fastffdi", "bin"}


def test_the_command_is_there(installed):
    out = python(installed / "bin" / "fastffdi", "--help", cwd=installed.parent, PYTHONPATH=str(installed))
    assert out.startswith("Usage: fastffdi [OPTIONS] COMMAND")
