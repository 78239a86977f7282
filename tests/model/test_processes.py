"""What the processes of a run tell each other."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from fastffdi.errors import RunError
from fastffdi.model.processes import Lost, Processes, statistics
from fastffdi.world import World


@pytest.fixture
def of_two():
    return Processes(World(0, 2, 0, 2))


def test_together_they_know_what_each_has(together):
    codes, values = together(3, "collectives")
    assert codes == [0, 0, 0]
    for rank, value in enumerate(values):
        assert value == {
            "first": 5,
            "only_first": None if rank else 5,
            "all": [0, 1, 2],
            "sum": [3.0, 3.0],
            "most": [2, 0],
            "mean": [1.0] * 4,
            "before": [float(rank)],
            "after": [0.0],
            "error": "refused",
        }


def test_alone_each_gets_its_own():
    processes, tensor = Processes.join(), torch.ones(2)
    assert processes == Processes()
    assert processes.first(lambda: 5) == processes.only_first(lambda: 5) == 5
    assert processes.all(7) == [7]
    assert processes.sum(tensor) is tensor
    assert processes.most(1, 2) == [1, 2]


def test_alone_torch_distributed_is_not_initialised():
    code = "from fastffdi.model.processes import Processes; import torch.distributed as d; "
    code += "Processes.join().average_statistics(); assert not d.is_initialized()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_statistics_are_those_of_batch_norm():
    model = nn.Sequential(nn.BatchNorm2d(2), nn.GroupNorm(1, 2), nn.BatchNorm2d(3, track_running_stats=False))
    assert [list(buffer) for buffer in statistics(model)] == [[0, 0], [1, 1]]


@pytest.mark.parametrize(
    "message",
    ["[/src/gloo/pair.cc:545] Connection closed by peer", "NCCL error: remote", "Timed out"],
)
def test_a_process_that_ended_is_said_in_one_line(of_two, message):
    with pytest.raises(Lost, match="another process of the run has ended") as caught, of_two.losses():
        raise RuntimeError(message)
    assert isinstance(caught.value, RunError)
    assert "/src" not in str(caught.value)


def test_other_errors_stay_what_they_are(of_two):
    with pytest.raises(RuntimeError, match="shapes"), of_two.losses():
        raise RuntimeError("shapes do not fit")
    with pytest.raises(RuntimeError, match=r"^Connection reset$"), Processes().losses():
        raise RuntimeError("Connection reset")
