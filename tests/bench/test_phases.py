import pytest
import torch

from fastffdi.bench import phases as module
from fastffdi.bench.phases import PHASES, PhaseTimer

CPU = torch.device("cpu")


@pytest.fixture
def clock(monkeypatch):
    """The time, in seconds, that the timer reads."""
    now = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    return now


def test_a_phase_lasts_from_the_end_of_the_one_before(clock):
    timer = PhaseTimer(CPU)
    clock[0] = 5.0
    timer.begin()
    for phase, until in (("data", 6.0), ("copy", 8.0), ("forward", 12.0), ("data", 12.5)):
        clock[0] = until
        timer.end(phase)
    assert timer.seconds() == {"data": 1.5, "copy": 2.0, "forward": 4.0, "backward": 0.0, "optimiser": 0.0}


def test_beginning_again_forgets(clock):
    timer = PhaseTimer(CPU)
    clock[0] = 3.0
    timer.end("data")
    timer.begin()
    assert timer.seconds() == dict.fromkeys(PHASES, 0.0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_phases_add_up_to_the_time_between_events():
    cuda = torch.device("cuda")
    x = torch.randn(2048, 2048, device=cuda)
    timer = PhaseTimer(cuda)
    first = torch.cuda.Event(enable_timing=True)
    last = torch.cuda.Event(enable_timing=True)
    first.record()
    timer.begin()
    for phase in PHASES:
        x = x @ x
        timer.end(phase)
    last.record()
    seconds = timer.seconds()
    assert min(seconds.values()) > 0
    assert sum(seconds.values()) <= first.elapsed_time(last) / 1000
