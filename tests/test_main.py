"""`python -m fastffdi` is the command `fastffdi`."""

import subprocess
import sys
from importlib.metadata import version

import pytest


@pytest.mark.parametrize(
    ("option", "start"),
    [
        ("--version", f"fastffdi, version {version('fastffdi')}\n"),
        ("--help", "Usage: fastffdi [OPTIONS] COMMAND"),
    ],
)
def test_the_module_is_the_command_under_its_own_name(option, start):
    run = subprocess.run([sys.executable, "-m", "fastffdi", option], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith(start)
