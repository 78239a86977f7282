"""The environment of the peers that fastffdi does not need itself: `.venv-peers`, in the project's folder.

    python benchmarks/peers/install.py

It sees all that the running Python's environment has, torch above all, and adds to it. What cannot be
installed, or does not run, is said, and kept for the table in `.venv-peers/problems.json`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sysconfig
import textwrap
import venv
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / ".venv-peers"
PYTHON = FOLDER / "bin" / "python"
PROBLEMS = FOLDER / "problems.json"

#: The line of pip's, or of a traceback, that names the cause.
_CAUSE = re.compile(r"(?:[A-Za-z_.]*(?:Error|Exception)|fatal error|ERROR): .+")


@dataclass(frozen=True)
class Peer:
    """What to install.

    Attributes:
        packages: its name first; with what they need
        alone: without what it says it needs, since that would bring a second OpenCV
        proof: Python that fails where it does not run
        system: Debian's packages without which it cannot be built or run
    """

    packages: tuple[str, ...]
    proof: str
    system: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()


PEERS = {
    "albumentations": Peer(("albumentations",), "import albumentations"),
    "torchcodec": Peer(("torchcodec",), "import torchcodec.decoders as d; d.decode_image"),
    "spdl": Peer(
        ("spdl",),
        "import spdl.pipeline, spdl.io.utils; spdl.io.utils.get_ffmpeg_filters()",
        ("ffmpeg",),
    ),
    "ffcv": Peer(
        ("numba", "pytorch_pfn_extras", "fastargs", "terminaltables", "assertpy", "tqdm", "psutil"),
        "import ffcv",
        ("g++", "pkg-config", "libopencv-dev", "libturbojpeg0-dev"),
        ("ffcv",),
    ),
}


def main() -> None:
    make()
    found = {name: problem(peer) for name, peer in PEERS.items()}
    PROBLEMS.write_text(json.dumps({name: why for name, why in found.items() if why}, indent=2) + "\n")
    for name, why in found.items():
        print(f"{name}: {why or 'installed'}")


def make() -> None:
    """Make the environment, if it is not there."""
    if not PYTHON.exists():
        venv.create(FOLDER, with_pip=True)
        ours = sysconfig.get_path("purelib")
        # addsitedir and not the path alone: so that editable installations there are seen as well.
        (FOLDER / ".gitignore").write_text("*\n")
        (_packages() / "fastffdi.pth").write_text(f"import site; site.addsitedir({ours!r})\n")


def problem(peer: Peer) -> str:
    """Install a peer that does not run yet; why it still does not, in one line, or nothing."""
    if not _run("-c", peer.proof):
        return ""
    why = _pip(*peer.packages) or (_pip("--no-deps", *peer.alone) if peer.alone else "")
    why = why and f"not installed: {why}"
    why = why or _run("-c", peer.proof)
    return f"{why}; needs Debian's {' '.join(peer.system)}" if why and peer.system else why


def problems() -> dict[str, str]:
    """Peer → why it cannot be measured, for those that cannot."""
    if not PROBLEMS.exists():
        return dict.fromkeys(PEERS, "not installed: run `make bench-peers`")
    found: dict[str, str] = json.loads(PROBLEMS.read_text())
    return found


def versions() -> dict[str, str]:
    """Versions of what is installed for the peers, by package."""
    wanted = {name for peer in PEERS.values() for name in (*peer.packages[:1], *peer.alone)}
    there = metadata.distributions(path=[str(_packages())]) if PYTHON.exists() else ()
    return {found.name: found.version for found in there if found.name in wanted}


def cause(text: str) -> str:
    """What an output says of an error: the last line that names one, from that name on, else the last."""
    named: list[str] = _CAUSE.findall(text)
    return textwrap.shorten((named or text.strip().splitlines() or ["no reason given"])[-1], 160)


def _pip(*arguments: str) -> str:
    print(f"pip install {' '.join(arguments)}", flush=True)
    return _run("-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments)


def _run(*arguments: str) -> str:
    """Nothing where it goes well, else why not, in one line."""
    done = subprocess.run([PYTHON, *arguments], capture_output=True, text=True)
    return "" if done.returncode == 0 else cause(done.stdout + done.stderr)


def _packages() -> Path:
    return Path(sysconfig.get_path("purelib", vars={"base": str(FOLDER), "platbase": str(FOLDER)}))


if __name__ == "__main__":
    main()
