"""What is built and installed holds everything, the recipes outside the package's folder among them.

One call builds the sdist and, from the unpacked sdist, the wheel that is installed; another the wheel of the
checkout, which has to be the same.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from email import message_from_string
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "MANIFEST.in", "Makefile", "README.md")
FOLDERS = ("benchmarks", "docs", "fastffdi", "pipelines", "tests")
SOURCES = (*DOCUMENTS, *FOLDERS, "pyproject.toml", "setup.cfg")
NOT_SOURCES = shutil.ignore_patterns("__pycache__", "*.pyc")
LOOK = """\
import json, fastffdi
from fastffdi.recipe.recipe import load, shipped
recipes = {name: load(name).to_data() for name in shipped()}
print(json.dumps({"file": fastffdi.__file__, "recipes": recipes}))
"""

#: A user's program: mypy has to know the types of what it calls, and that the last line is wrong.
CONSUMER = """\
import fastffdi

data = fastffdi.find_dataset("faces")
recipe = fastffdi.load_recipe("standard", backbone="efficientnet_b0")
loader = fastffdi.Loader(data.train, recipe.train, batch_size=64, shuffle=True, mix=recipe.mix)
reveal_type(data.description)
reveal_type(loader.state_dict())
reveal_type(fastffdi.train(fastffdi.Settings(data="faces", epochs=3)).checkpoint)
fastffdi.Predictor("best.safetensors")(["a.jpg", "b.png"])
fastffdi.load_recipe(3)
"""

#: The libraries behind fastffdi are not looked into: numpy's stubs alone take four times as long as the rest.
MYPY = """\
[mypy]
strict = True
follow_imports = silent
cache_dir = cache
[mypy-numpy.*,pandas.*,torch.*,torchvision.*,timm.*,PIL.*,cv2.*,scipy.*,click.*,rich.*,yaml.*,nvidia.*]
follow_imports = skip
follow_imports_for_stubs = True
"""


def python(*words, cwd, code=0, **environment):
    """Standard output of this interpreter, run in another folder."""
    command = [sys.executable, *map(str, words)]
    run = subprocess.run(command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True)
    assert run.returncode == code, run.stdout + run.stderr
    return run.stdout


def files_below(folder):
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the checkout, as building leaves its files in it."""
    copied = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copied / name, ignore=NOT_SOURCES)
        else:
            shutil.copy(ROOT / name, copied / name)
    return copied


@pytest.fixture(scope="module")
def built(source, tmp_path_factory):
    """The folder with the sdist and the wheel built from it."""
    folder = tmp_path_factory.mktemp("built")
    python("-m", "build", "--no-isolation", "--outdir", folder, source, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def sdist(built, tmp_path_factory):
    """The unpacked sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    (packed,) = built.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    (found,) = folder.iterdir()
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder the wheel was installed to."""
    target = tmp_path_factory.mktemp("installed") / "target"
    options = ("--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", "--target")
    python("-m", "pip", "install", *options, target, wheel, cwd=target.parent)
    return target


@pytest.fixture(scope="module")
def seen(installed, tmp_path_factory):
    """What a process outside the checkout sees of the installed package."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    return json.loads(python("-c", LOOK, cwd=elsewhere, PYTHONPATH=str(installed)))


@pytest.fixture(scope="module")
def metadata(wheel):
    """The wheel's core metadata."""
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_string(archive.read(name).decode())


def test_the_package_seen_is_the_installed_one(seen, installed):
    assert Path(seen["file"]) == installed / "fastffdi" / "__init__.py"


def test_every_shipped_recipe_is_loaded_by_name(seen):
    from fastffdi.recipe.recipe import load, shipped

    assert seen["recipes"].keys() == set(shipped()) >= {"demo", "jitter", "standard", "tutorial"}
    assert seen["recipes"] == json.loads(json.dumps({name: load(name).to_data() for name in shipped()}))


def test_every_module_is_there(installed):
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "fastffdi").rglob("*.py")}
    assert modules | {"fastffdi/py.typed"} <= files_below(installed)


def test_nothing_lies_beside_the_package(installed):
    names = {path.name for path in installed.iterdir()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"fastffdi", "bin"}
    schema = installed / "fastffdi" / "training" / "train.schema.json"
    assert schema.read_bytes() == (ROOT / schema.relative_to(installed)).read_bytes()


def test_the_command_is_there(installed):
    out = python(installed / "bin" / "fastffdi", "--help", cwd=installed.parent, PYTHONPATH=str(installed))
    assert out.startswith("Usage: fastffdi [OPTIONS] COMMAND")


def test_the_sdist_holds_all_that_make_check_needs(sdist):
    expected = {*DOCUMENTS, "pyproject.toml", "setup.cfg"}
    for name in FOLDERS:
        expected |= {f"{name}/{path}" for path in files_below(ROOT / name)}
    found = {path for path in files_below(sdist) if not path.startswith("fastffdi.egg-info/")}
    assert found == expected | {"PKG-INFO"}


def test_the_wheel_of_the_sdist_is_the_wheel_of_the_checkout(source, wheel, tmp_path):
    python("-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, source, cwd=tmp_path)
    with ZipFile(wheel) as one, ZipFile(tmp_path / wheel.name) as other:
        assert sums(one) == sums(other)


def sums(archive):
    """The checksum of each file; RECORD, which lists the others, has their order in it."""
    return {file.filename: file.CRC for file in archive.infolist() if not file.filename.endswith("RECORD")}


def test_the_metadata_says_licence_pythons_and_that_it_is_typed(metadata, installed):
    assert (metadata["License-Expression"], metadata.get_all("License-File")) == ("MIT", ["LICENSE"])
    assert metadata["Requires-Python"] == ">=3.10"
    minors = [f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 14)]
    assert {*minors, "Typing :: Typed"} <= {*metadata.get_all("Classifier")}
    (licence,) = installed.glob("fastffdi-*.dist-info/licenses/LICENSE")
    assert licence.read_text().startswith("MIT License\n\nCopyright (c) 2026 fastffdi contributors\n")


def test_mypy_takes_the_types_of_the_installed_package(installed, tmp_path):
    (tmp_path / "consumer.py").write_text(CONSUMER)
    (tmp_path / "mypy.ini").write_text(MYPY)
    out = python("-m", "mypy", "consumer.py", cwd=tmp_path, code=1, PYTHONPATH=str(installed))
    assert [line.partition(": ")[2] for line in out.splitlines()[:-1]] == [
        'note: Revealed type is "str"',
        'note: Revealed type is "dict[str, int]"',
        'note: Revealed type is "pathlib.Path"',
        'error: Argument 1 to "load_recipe" has incompatible type "int"; expected "str"  [arg-type]',
    ]
