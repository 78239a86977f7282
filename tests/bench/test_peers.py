import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fastffdi.data.manifest import Manifest

PEERS = Path(__file__).resolve().parents[2] / "benchmarks" / "peers"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """script("rows"): a file of benchmarks/peers as a module, as they see each other."""
    monkeypatch.syspath_prepend(str(PEERS))
    for path in PEERS.glob("*.py"):
        monkeypatch.delitem(sys.modules, path.stem, raising=False)
    return lambda name: __import__(name)


@contextmanager
def started(process: ModuleType, folder: Path, *command: object) -> Iterator[Any]:
    with (
        open(folder / "errors", "w+") as errors,
        closing(process.Process([sys.executable, *map(str, command)], errors)) as running,
    ):
        yield running


def test_every_row_names_a_script_and_rows_and_peers_that_are_there(script: Callable) -> None:
    rows, peers = script("rows").ROWS, script("install").PEERS
    names = {(row.recipe, row.name) for row in rows}
    assert len(names) == len(rows)
    for row in rows:
        assert (PEERS / row.script).is_file()
        assert {(row.recipe, name) for name in row.against} <= names
        assert row.peer is None or row.peer in peers


def test_a_process_answers_each_line_with_a_turn_of_at_least_those_seconds(
    script: Callable, image_files: Manifest, tmp_path: Path
) -> None:
    words = (
        PEERS / "with_fastffdi.py",
        image_files.root,
        "--recipe",
        "rrc",
        "--threads",
        1,
        "--batch-size",
        4,
    )
    with started(script("process"), tmp_path, *words) as process:
        for _ in range(2):
            turn = process.turn(0.05)
            assert turn.seconds >= 0.05
            assert turn.images % 4 == 0
            assert turn.rate == turn.images / turn.seconds


def test_what_a_library_prints_is_no_answer(script: Callable, tmp_path: Path) -> None:
    answer = json.dumps({"images": 8, "batches": 2, "seconds": 2.0, "cpu_seconds": 1.0})
    (tmp_path / "noisy.py").write_text(f"input(); print('compiling'); print('{{}}'); print({answer!r})")
    with started(script("process"), tmp_path, tmp_path / "noisy.py") as process:
        assert process.turn(1).rate == 4


def test_a_process_that_ends_says_why(script: Callable, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import no_such_package")
    module = script("process")
    with started(module, tmp_path, tmp_path / "broken.py") as process, pytest.raises(module.Failed) as error:
        process.turn(1)
    assert str(error.value) == "ModuleNotFoundError: No module named 'no_such_package'"


def test_a_process_that_hangs_is_killed(script: Callable, tmp_path: Path) -> None:
    (tmp_path / "hanging.py").write_text("import time; time.sleep(600)")
    module = script("process")
    with started(module, tmp_path, tmp_path / "hanging.py") as process, pytest.raises(module.Failed) as error:
        process.turn(0, patience_s=0.1)
    assert str(error.value) == "gave no answer in time, or was killed"


def results(script: Callable) -> tuple[Any, ...]:
    row, result = script("rows").Row, script("report").Result
    return (
        result(row("rrc", "other", "", "by area"), (100.0, 200.0, 100.0)),
        result(row("rrc", "absent", "", "by area"), problem="not installed: no | such package"),
        result(row("rrc", "fastffdi cpu", "", "", against=()), (150.0, 220.0, 300.0)),
        result(row("resize", "fastffdi cpu", "", "", against=()), (900.0, 900.0, 900.0)),
    )


def test_a_ratio_is_the_median_of_the_rounds_of_its_own_recipe(script: Callable) -> None:
    found = script("report").Report({}, {}, results(script))
    assert found.ratios(found.results[0]) == {"fastffdi cpu": 1.5}
    assert found.ratios(found.results[1]) == found.ratios(found.results[2]) == {}


def test_the_table_has_a_row_for_each_and_says_why_one_has_no_figures(script: Callable) -> None:
    settings = {"images": 3, "threads": 2, "batch_size": 4, "seconds": 1.0, "rounds": 3}
    facts = {"versions": {}, "cores": 2, "cpu": "CPU", "gpu": None, "load": 0, "date": "2026-11-22"}
    text = script("report").Report({**facts, "peers": {"b": "2"}}, settings, results(script)).markdown()
    assert re.findall(r"^\| r.+", text, re.MULTILINE)[1:] == [
        "| rrc | other | 100 (100–150) | 1.50× cpu | by area |",
        "| rrc | absent | – | – | not installed: no / such package |",
        "| rrc | fastffdi cpu | 220 (185–260) | – |  |",
        "| resize | fastffdi cpu | 900 (900–900) | – |  |",
    ]
    assert text.endswith(" b 2.\n")


def test_the_cause_is_the_last_error_that_is_named(script: Callable) -> None:
    cause = script("install").cause
    output = "  RuntimeError: Could not find required package: opencv.\n  [end of output]\n\nerror: failed\n"
    assert cause(output) == "RuntimeError: Could not find required package: opencv."
    assert cause("one\ntwo\n") == "two"
    assert cause("") == "no reason given"
