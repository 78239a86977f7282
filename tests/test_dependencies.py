"""What the package imports is what setup.cfg declares: nothing missing, nothing left over."""

import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from test_imports import ROOT, imports

CONFIG = ConfigParser()
CONFIG.read(Path(__file__).parents[1] / "setup.cfg", encoding="utf-8")
EXTRAS = CONFIG["options.extras_require"]

#: Distributions that are not named like the module they bring.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "huggingface_hub": "huggingface-hub",
    "nvidia": "nvidia-dali-cuda120",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}

#: Modules of other distributions that import one when they are imported themselves.
BEHIND = {"torch.utils.tensorboard": "tensorboard"}


def requirements(text: str) -> dict[str, Requirement]:
    found = [Requirement(line) for line in text.splitlines() if line]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


REQUIRED = requirements(CONFIG["options"]["install_requires"])
PLOT = requirements(EXTRAS["plot"])
PARQUET = requirements(EXTRAS["parquet"])
OPTIONAL = PLOT.keys() | PARQUET.keys()
DALI = {**REQUIRED, **requirements(EXTRAS["cuda13"])}


def distributions(path: Path) -> set[str]:
    """Normalised names of the distributions that a module imports directly."""
    names = set(imports(path))
    tops = {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"fastffdi", "_typeshed"}
    behind = {package for module, package in BEHIND.items() if any(n.startswith(module) for n in names)}
    return {DISTRIBUTIONS.get(top, top) for top in tops} | behind


USED = {path.relative_to(ROOT): distributions(path) for path in sorted(ROOT.rglob("*.py"))}


def test_everything_imported_is_declared() -> None:
    missing = {str(path): used - REQUIRED.keys() - OPTIONAL for path, used in USED.items()}
    assert {path: names for path, names in missing.items() if names} == {}


def test_everything_declared_is_imported() -> None:
    assert (REQUIRED.keys() | OPTIONAL) - set.union(*USED.values()) == set()


def test_only_the_charts_need_the_extra_for_them() -> None:
    assert {str(path) for path, used in USED.items() if used & PLOT.keys()} == {
        "bench/plot.py",
        "training/curves.py",
    }


def test_only_parquet_tables_need_the_extra_for_them() -> None:
    assert {str(path) for path, used in USED.items() if used & PARQUET.keys()} == {
        "inference/parquet_table.py"
    }


def test_what_is_tested_is_installed_for_the_tests() -> None:
    assert requirements(EXTRAS["dev"]).keys() >= OPTIONAL


@pytest.mark.parametrize("name", ["nvidia-dali-cuda120", "nvidia-dali-cuda130"])
@pytest.mark.parametrize(
    ("system", "machine", "wanted"),
    [
        ("Linux", "x86_64", True),
        ("Linux", "aarch64", False),
        ("Darwin", "x86_64", False),
        ("Darwin", "arm64", False),
        ("Windows", "AMD64", False),
    ],
)
def test_dali_is_asked_for_where_it_is_supported(name: str, system: str, machine: str, wanted: bool) -> None:
    marker = DALI[name].marker
    assert marker is not None
    assert marker.evaluate({"platform_system": system, "platform_machine": machine}) is wanted
