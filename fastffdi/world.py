"""The processes of a run, as torchrun starts them, and which of them this one is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from fastffdi.errors import SettingError

#: How long a process waits for an answer before it tells an error itself.
_TELL_SECONDS = 2.0


@dataclass(frozen=True)
class World:
    """The place of this process among those that share a run.

    Attributes:
        rank: its number among all of them; process 0 writes and prints
        size: how many there are
        local_rank: its number among those of this machine, and of its GPU
        local_size: how many of them are on this machine
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @classmethod
    def here(cls, environment: Mapping[str, str] | None = None) -> World:
        """The one that torchrun's variables tell of; one process where there are none.

        Raises SettingError for variables that make no sense together.
        """
        environment = os.environ if environment is None else environment
        size = _number(environment, "WORLD_SIZE", 1)
        if size == 1:
            return cls()
        local_size = _number(environment, "LOCAL_WORLD_SIZE")
        world = cls(_number(environment, "RANK"), size, _number(environment, "LOCAL_RANK"), local_size)
        if not (world.rank < size and world.local_rank < local_size <= size):
            raise SettingError(f"RANK and the like: {world} cannot be; start the processes by torchrun")
        return world

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        return self.size == 1

    @property
    def first(self) -> bool:
        """Whether this is process 0, which alone writes and prints."""
        return self.rank == 0

    @property
    def share(self) -> slice:
        """This process's part of anything in a row: every `size`th."""
        return slice(self.rank, None, self.size)

    def part_of(self, count: int) -> int:
        """How many of so many things are in this process's share."""
        return len(range(self.rank, count, self.size))

    def may_tell(self) -> bool:
        """Whether this process is the first of all to ask; so that an error that all meet is told once.

        Where the others cannot be asked any more, it may.
        """
        if self.alone:
            return True
        from datetime import timedelta

        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        try:
            store = TCPStore(address, port, is_master=False, timeout=timedelta(seconds=_TELL_SECONDS))
            return store.add(f"fastffdi/told/{attempt}", 1) == 1
        except (RuntimeError, ValueError):  # there is no process that would answer
            return True


ALONE = World()


def _number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    given = environment.get(name, "" if default is None else str(default))
    if not given.isdigit() or (name.endswith("SIZE") and not int(given)):
        raise SettingError(
            f"{name}: {given or 'not set'} in the environment; start the processes by torchrun, which sets it"
        )
    return int(given)
