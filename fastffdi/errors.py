"""Every error a user can meet.

    FastffdiError                 one line for the user; a traceback only with --debug
    ├── UsageError      exit 2    what was asked for cannot be done: change the input
    │   ├── DataError             label files, folders, images that are listed but absent
    │   ├── RecipeError           a preprocessing recipe
    │   └── SettingError          options: backbone, weights, device, output folder
    └── RunError        exit 1    the request was right, the run failed
        ├── UndecodableImage      an image whose bytes cannot be decoded
        └── Stalled               an image that is being read, without an end

A message says where, what was given, what is allowed, and what to do, in one line. An error whose message
takes several, such as the mistakes of a recipe, has one argument for each: file names may hold line breaks.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from fastffdi.escapes import escaped


class FastffdiError(Exception):
    """Base of all errors raised on purpose; its arguments are the lines of the message."""

    exit_code = 1

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


class UsageError(FastffdiError):
    """What was asked for cannot be done; the input has to change."""

    exit_code = 2


class DataError(UsageError):
    """A label file, a folder or a listed image is wrong."""


class RecipeError(UsageError):
    """A preprocessing recipe is wrong."""


class SettingError(UsageError):
    """An option's value is wrong, or does not fit this machine."""


class RunError(FastffdiError):
    """The request was right, the run failed."""


class UndecodableImage(RunError):
    """An image's bytes cannot be decoded."""

    def __init__(self, path: str, reason: str) -> None:
        what = f"{escaped(path)}: cannot be decoded ({escaped(reason)})"
        super().__init__(f"{what}; replace the file or take it off the list")
        self.path, self.reason = path, reason

    def __reduce__(self) -> tuple[type[UndecodableImage], tuple[str, str]]:
        # Worker processes send it by pickle, which would rebuild it from the message alone.
        return type(self), (self.path, self.reason)


class Stalled(RunError):
    """An image is being read for so long that there may be no end to it.

    The thread that reads it cannot be ended. The command ends nevertheless; another process may have to be
    killed, as Python waits for all threads at its end.
    """

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__(
            f"{escaped(path)}: not read within {seconds:g} s; is its disk or network mount there? The loader "
            "setting read_timeout gives it longer"
        )
        self.path, self.seconds = path, seconds

    def __reduce__(self) -> tuple[type[Stalled], tuple[str, float]]:
        return type(self), (self.path, self.seconds)


def did_you_mean(given: str, allowed: Iterable[str], also: Iterable[str] = ()) -> str:
    """`, did you mean 'x'?` for the nearest allowed word, else the list of them all.

    `also` are allowed too, but not listed.
    """
    words = sorted(allowed)
    near = difflib.get_close_matches(given, [*words, *also], n=1)
    return f", did you mean '{near[0]}'?" if near else f"; allowed: {', '.join(words)}"


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What two runs do not have in common, by option: `--lr 0.01, now 0.02`."""
    names = [*then, *(name for name in now if name not in then)]
    return [
        f"{name} {then.get(name)}, now {now.get(name)}" for name in names if then.get(name) != now.get(name)
    ]
