"""The command line: finds the command, turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import sys
import time
import traceback
import warnings
from collections.abc import Iterable

import click

from fastffdi.cli import interrupts
from fastffdi.errors import FastffdiError, Stalled
from fastffdi.escapes import escaped
from fastffdi.world import World

#: What a process waits before it says that another one has ended, which may say why itself.
OTHERS_SECONDS = 1.0

#: Command, where it lives, and its line in --help: kept here so that --help loads no command.
COMMANDS = {
    "train": ("train", "Train a real/fake classifier."),
    "predict": ("predict", "Write P(fake) for images to a CSV file."),
    "evaluate": ("evaluate", "Say how good scores are, with intervals."),
    "compare": ("compare", "Show runs beside each other in one table."),
    "check": ("check", "Find broken files, copies, leaks and shortcuts in a data set."),
    "cache": ("cache", "Keep on disk what every epoch would decode again."),
    "preview": ("preview", "Draw what training would see of the images."),
    "pipelines": ("pipelines", "List the shipped recipes and all steps; print a recipe."),
    "backbones": ("backbones", "List timm's models, and which images their weights saw."),
    "bench-loader": ("bench_loader", "Measure image loaders in images/s against torchvision's."),
    "bench-train": ("bench_train", "Measure training in images/s, and what a step waits for."),
    "demo-data": ("demo_data", "Write the demo images, in the challenge's layout."),
    "doctor": ("doctor", "Say what works on this machine, and why the rest does not."),
}


class _Commands(click.Group):
    """Imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = COMMANDS[name][0]
        command = getattr(importlib.import_module(f"fastffdi.cli.{module}"), module)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="fastffdi")
def cli(debug: bool) -> None:
    """Train and run real/fake image classifiers, and measure what limits them."""


def program() -> None:
    """The `fastffdi` command as a process, whose signals are its own.

    After Stalled it does not wait for its threads, one of which never ends.
    """
    interrupts.install()
    try:
        main()
    except SystemExit as ended:
        if isinstance(ended.code, int) and ended.code:
            interrupts.end(ended.code)
        raise
    except Stalled as error:  # --debug
        traceback.print_exc()
        interrupts.end(error.exit_code)
    finally:
        interrupts.ignore()


def main() -> None:
    """Find the command, run it, and end with its exit code.

    Exit code: 0 done, 1 failed, 2 wrong use, 3 done but for images that cannot be decoded, 130 interrupted,
    143 terminated.
    """
    debug = "--debug" in sys.argv[1:2]
    # Pillow warns about irregular images that it then decodes as other programs do.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        code = cli.main(prog_name="fastffdi", standalone_mode=False)
        if code:  # what click.exceptions.Exit carries
            sys.exit(code)
    except click.exceptions.Abort:
        _end("interrupted", 130, debug)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        place = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "fastffdi"
        reason = " ".join(error.format_message().split()).rstrip(".")
        _end(f"{place}: {reason}; see {place} --help", error.exit_code, debug)
    except FastffdiError as error:
        first, *below = map(str, error.args)
        if type(error).__name__ == "Lost":
            time.sleep(OTHERS_SECONDS)
        _end(f"fastffdi: {first}", error.exit_code, debug, below)


def _end(message: str, code: int, debug: bool, below: Iterable[str] = ()) -> None:
    if debug:
        raise
    if not _may_tell():
        sys.exit(code)
    for line in (message, *below):
        click.echo(escaped(line), err=True)
    sys.exit(code)


def _may_tell() -> bool:
    """Whether no other process of the run has told its error: the same, or the one behind this."""
    try:
        return World.here().may_tell()
    except FastffdiError:  # which is the error to be told
        return True
