"""The state of a run: everything that it needs to go on exactly where it was, in one file.

`state-N.safetensors`, after N updates, holds tensors and a JSON document, nothing that is executed. The
document names the parts of the run, each with what its `state_dict` gave. A checksum over all of it tells a
file that was torn or changed. The last two are kept.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from fastffdi.errors import SettingError
from fastffdi.model.checkpoint import Snapshot, versions, write_tensors
from fastffdi.training.tree import flatten, rebuild

HEADER, CHECKSUM = "fastffdi.state", "sha256"  # keys of the metadata
FORMAT = 2
KEPT = 2

#: Parts that are small, without tensors, and tell what came out of a run.
_OF_THE_FINISHED = ("place", "history", "quarantine")

_NAME = re.compile(r"state-(\d+)\.safetensors")


class Part(Protocol):
    """Something that changes in a run: a model, an optimiser, a place."""

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, state: Any) -> Any: ...


class Damaged(Exception):
    """A file is no state, or not whole; the message says why."""


@dataclass(frozen=True)
class State:
    """The parts of a run at one moment; they may change further.

    Attributes:
        updates: how many the run had made
        identity: what another run must have in common to go on from here, plain data by name
        finished: there is nothing left to do
        versions: of the packages at work
        parts: what each part's state_dict gave, as plain data that refers to the tensors
        snapshot: of all tensors, by part and name
    """

    updates: int
    identity: dict[str, Any]
    finished: bool
    versions: dict[str, str]
    parts: dict[str, Any]
    snapshot: Snapshot

    @classmethod
    def of(
        cls, parts: Mapping[str, Part], updates: int, identity: dict[str, Any], finished: bool = False
    ) -> State:
        """The present state of the parts, copied. It waits for the device."""
        tensors: dict[str, Tensor] = {}
        data = {name: flatten(part.state_dict(), name, tensors) for name, part in parts.items()}
        return cls(updates, identity, finished, versions(), data, Snapshot.of(tensors))

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Those of the snapshot."""
        return self.snapshot.tensors

    def restore(self, parts: Mapping[str, Part]) -> None:
        """Put every part where it was. Raises SettingError for parts that do not fit."""
        for name, part in parts.items():
            if name not in self.parts:
                continue
            try:
                part.load_state_dict(rebuild(self.parts[name], self.tensors))
            except Exception as error:  # of whatever kind: the file may be anybody's
                reason = " ".join(str(error).split())[:200]
                raise SettingError(
                    f"--resume: the state's {name} does not fit this version ({reason}); the run was begun "
                    f"with {_listed(self.versions)}: install those, or begin again with --overwrite"
                ) from error

    def weights(self, part: str) -> Snapshot:
        """The tensors of a part that is a model, by their names in it."""
        prefix = f"{part}/"
        return Snapshot(
            lambda: {
                name.removeprefix(prefix): tensor
                for name, tensor in self.tensors.items()
                if name.startswith(prefix)
            }
        )

    def as_finished(self) -> State:
        """Of a run that is over: without what it would need to go on."""
        parts = {name: part for name, part in self.parts.items() if name in _OF_THE_FINISHED}
        return replace(self, finished=True, parts=parts, snapshot=Snapshot(dict))

    def save(self, folder: Path) -> None:
        """Write it to a folder of states, and delete all but the last two.

        Of a finished run it is the only one kept. Raises DiskFull where the disk is, and OSError.
        """
        document = json.dumps(
            {
                "format": FORMAT,
                "updates": self.updates,
                "finished": self.finished,
                "identity": self.identity,
                "versions": self.versions,
                "parts": self.parts,
            }
        )
        path = folder / f"state-{self.updates}.safetensors"
        checksum = _checksum(document, self.tensors)
        write_tensors(path, self.tensors, {HEADER: document, CHECKSUM: checksum})
        older = [old for old in files(folder) if old != path]
        for old in older if self.finished else older[: -(KEPT - 1)]:
            old.unlink(missing_ok=True)

    @classmethod
    def read(cls, path: Path) -> State:
        """The state in a file. Raises Damaged where it is not whole, or of another format."""
        from safetensors import safe_open

        try:
            with safe_open(path, framework="pt") as file:
                metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            document, checksum = metadata[HEADER], metadata[CHECKSUM]
        except Exception as error:  # a torn file breaks in many ways
            raise Damaged(f"is cut short or damaged ({' '.join(str(error).split())[:200]})") from None
        if _checksum(document, tensors) != checksum:
            raise Damaged("is damaged: its checksum is not that of its contents")
        try:
            data = json.loads(document)
            if data.pop("format") != FORMAT:
                raise Damaged("was written by another version of fastffdi")
            # Not by a lambda: other processes of the run are sent it, by pickle.
            return cls(snapshot=Snapshot(partial(dict, tensors)), **data)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Damaged(f"is no state ({' '.join(str(error).split())[:200]})") from None


def files(folder: Path) -> list[Path]:
    """The states in a folder, the last one last; whether they are whole is another question."""
    found = [path for path in folder.glob("state-*.safetensors") if _NAME.fullmatch(path.name)]
    return sorted(found, key=_updates)


def newest(folder: Path, say: Callable[[str], None]) -> State | None:
    """The last state in a folder that is whole; None where there is none at all.

    `say` gets a line about each that is not whole. Raises SettingError where none is.
    """
    found = files(folder)
    for path in reversed(found):
        try:
            return State.read(path)
        except Damaged as error:
            problem = f"{path}: {error}"
            if path != found[0]:
                say(f"{problem}; going on from the state before")
    if found:
        raise SettingError(f"--resume: {problem}, and there is no other; begin again with --overwrite")
    return None


def is_finished(path: Path) -> bool:
    """Whether a state says that its run has nothing left to do; not, where it cannot be read."""
    try:
        return State.read(path).finished
    except Damaged:
        return False


def discard_after(folder: Path, updates: int) -> None:
    """Delete the states of more updates than a run goes on from: it will make those again."""
    for path in files(folder):
        if _updates(path) > updates:
            path.unlink(missing_ok=True)


def _updates(path: Path) -> int:
    found = _NAME.fullmatch(path.name)
    assert found is not None
    return int(found[1])


def _checksum(document: str, tensors: Mapping[str, Tensor]) -> str:
    """Of the document and of the names, types, shapes and values of the tensors."""
    digest = hashlib.sha256(document.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
