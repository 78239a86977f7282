"""Configuration files: every setting of a run as YAML, read with all mistakes told together, and written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from fastffdi.data.layout import Dataset
from fastffdi.errors import SettingError, did_you_mean
from fastffdi.loaders.settings import write_settings
from fastffdi.model.checkpoint import versions
from fastffdi.recipe.document import read_nodes
from fastffdi.recipe.mistakes import first_ten
from fastffdi.training import typed
from fastffdi.training.folder import CONFIG
from fastffdi.training.schema import SCHEMA
from fastffdi.training.settings import Settings

#: What belongs to one command, not to a run that others repeat.
LEFT_OUT = ("output", "resume", "overwrite")

#: Settings that have another name on the command line.
OPTIONS = {"lr": "learning_rate", "loader": "backend", "process": "loading.process"}


def read(path: Path) -> dict[str, Any]:
    """The settings that a file gives, by name; a section is a dict of its own.

    Raises SettingError with a line for each mistake: for unknown keys, values of another type, and those that
    the settings refuse.
    """
    try:
        node = read_nodes(path)
    except FileNotFoundError:
        raise SettingError(
            f"--config {path}: no such file; each run writes one, {CONFIG} in its folder"
        ) from None
    except ValueError as error:
        reason, *below = error.args
        raise SettingError(f"{path}: {reason}", *below) from None
    if node is None:
        return {}
    section = _Section(Settings, [])
    given = section.read(node)
    if section.mistakes:
        raise SettingError(*first_ten([f"{path}: {line}" for _, line in sorted(section.mistakes)]))
    return given


def build(given: Mapping[str, Any]) -> Settings:
    """The settings of what `read` gave, or of such a dict. Raises SettingError where they refuse it."""
    sections = {name: kind(**given[name]) for name, kind in sections_of(Settings).items() if name in given}
    return Settings(**{**given, **sections})


def keep(settings: Settings) -> None:
    """Write the settings to the folder of the run, unless they are there: a resumption changes nothing."""
    path = settings.output / CONFIG
    if not path.exists():
        write_settings(path, to_data(settings), _head(settings))


def to_data(settings: Settings) -> dict[str, Any]:
    """The settings as plain data, as a file has them."""
    names = [name for name in keys(Settings) if not isinstance(getattr(settings, name), Dataset)]
    return {name: _plain(getattr(settings, name)) for name in names}


@cache
def keys(kind: type) -> dict[str, Any]:
    """The settings of a dataclass that a file may give, with their type hints."""
    hints = get_type_hints(kind)
    return {f.name: hints[f.name] for f in fields(kind) if f.init and f.name not in LEFT_OUT}


def sections_of(kind: type) -> dict[str, type]:
    """The settings that have settings of their own."""
    return {name: hint for name, hint in keys(kind).items() if isinstance(hint, type) and is_dataclass(hint)}


def nullable(kind: type) -> set[str]:
    """The settings whose default is None, whatever their hints say: they may be null."""
    return {f.name for f in fields(kind) if f.default is None}


def _head(settings: Settings) -> Iterator[str]:
    yield f"yaml-language-server: $schema={SCHEMA.as_uri()}"
    yield f"A run of fastffdi {versions()['fastffdi']}; repeat it with: fastffdi train --config FILE"
    yield "Paths that are relative are seen from where the command runs."
    if isinstance(settings.data, Dataset):
        yield "Its images were given by a program, and are not in this file."


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(item) for name, item in asdict(value).items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


class _Section:
    """Reads the settings of one dataclass, and of those inside; `mistakes` are lines and words."""

    def __init__(self, kind: type, mistakes: list[tuple[int, str]], name: str = "") -> None:
        self._kind, self._name, self.mistakes = kind, name, mistakes
        self._lines: dict[str, int] = {}

    def read(self, node: yaml.Node) -> dict[str, Any]:
        """The values by name, those of sections as dicts; without those that are wrong."""
        if not isinstance(node, yaml.MappingNode):
            what = f"{self._name.rstrip('.')}: write" if self._name else "write"
            self._note(_line(node), f"{what} lines such as {next(iter(keys(self._kind)))}: VALUE")
            return {}
        given: dict[str, Any] = {}
        for key, value in node.value:
            self._read_key(key, value, given)
        self._check(given)
        return given

    def _read_key(self, key: yaml.Node, value: yaml.Node, given: dict[str, Any]) -> None:
        name, line = str(key.value), _line(key)
        if name not in keys(self._kind):
            self._note(line, self._unknown(name))
        elif name in self._lines:
            self._note(line, f"{self._name}{name}: given twice, first in line {self._lines[name]}")
        else:
            self._lines[name] = line
            self._read_value(name, value, given)

    def _read_value(self, name: str, node: yaml.Node, given: dict[str, Any]) -> None:
        section = sections_of(self._kind).get(name)
        if section is not None:
            given[name] = _Section(section, self.mistakes, f"{self._name}{name}.").read(node)
            return
        try:
            given[name] = typed.read(node, keys(self._kind)[name], name in nullable(self._kind))
        except ValueError as error:
            self._note(_line(node), f"{self._name}{name}: {error}")

    def _check(self, given: dict[str, Any]) -> None:
        """Note what the dataclass itself refuses, at the line of the key without which it would not."""
        sound = dict(given)
        while (error := self._refused(sound)) is not None:
            rest = {name: {k: v for k, v in sound.items() if k != name} for name in sound}
            name = next((name for name in sound if self._refused(rest[name]) != error), None)
            if name is None:
                self._note(min(self._lines.values()), error)
                return
            self._note(self._lines[name], f"{self._name}{error}")
            del sound[name]

    def _refused(self, given: Mapping[str, Any]) -> str | None:
        sections = sections_of(self._kind)
        plain = {name: value for name, value in given.items() if name not in sections}
        try:
            self._kind(**plain)
        except SettingError as error:
            return str(error)
        return None

    def _unknown(self, name: str) -> str:
        what = f"unknown key '{self._name}{name}'"
        if not self._name and name in LEFT_OUT:
            return f"{what}; give it on the command line, as --{name}"
        if not self._name and name in OPTIONS:
            return f"{what}, did you mean '{OPTIONS[name]}'?"
        for section, kind in sections_of(self._kind).items():
            if name in keys(kind):
                return f"{what}; write it below {section}:"
        return f"{what}{did_you_mean(name, keys(self._kind))}"

    def _note(self, line: int, words: str) -> None:
        self.mistakes.append((line, f"line {line}: {words}"))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
