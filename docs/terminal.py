"""Draws docs/terminal.svg: runs commands, and keeps what a terminal shows. Called by `make figures`."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

#: Wide enough for a row of the benchmark's table.
COLUMNS = 112


def main() -> None:
    """Usage: terminal.py OUTPUT.svg COMMAND…, each command one argument, run by the shell in order."""
    output, *commands = sys.argv[1:]
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for command in commands:
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        console.print(Text.from_ansi(_output(command)))
    # Only the drawing: rich would have the viewer fetch a font from elsewhere.
    drawing = re.sub(r"@font-face\s*\{[^}]*\}", "", console.export_svg(title="fastffdi"))
    Path(output).write_text(drawing, encoding="utf-8")


def _output(command: str) -> str:
    settings = {"COLUMNS": str(COLUMNS), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(command, shell=True, env=settings, text=True, check=True, **streams).stdout


if __name__ == "__main__":
    main()
