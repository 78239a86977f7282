"""How many deliberate faults the quick tests find: mutation testing with mutmut, on a sample.

    make mutants                    300 mutants, spread over the modules in proportion
    make mutants MUTANTS=all        all of them
    make mutants PARTS="model data" those of some parts of the package

mutmut changes one thing in one function at a time (a number, an operator, an argument, …): a mutant. Tests
that then fail have killed it. It does not change module level (constants, tables, fields of dataclasses),
functions with a decorator other than classmethod and staticmethod, and annotations.

All happens in build/mutants/, on a copy of the tracked files. Of mutmut this uses how it makes mutants, how
it finds which tests call which function (by running all quick tests once), and its fork server. The choice of
mutants and of their tests, and the score, are made here.

Ctrl-C stops; the same command goes on. A change in a function makes its mutants new; any change in the
package or its tests has survivors tried again.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "mutants"

#: The most that the tests of one mutant take, in seconds, as timed without a mutant.
TESTS_SECONDS = 60.0

#: Exit codes: all tests passed, pytest found none, there were none to run; and they could not be run.
#: All others are kills, timeouts too.
SURVIVED, NO_RESULT = (0, 5, 33), 255

#: After so many mutants comes a control: the tests of one without it, which must pass.
CONTROLS_EVERY = 20

#: A mutant is passed over where its lines differ in nothing else than what a rule matches.
RULES = {
    "the words of a message": re.compile(r'(?<![fF])"(?=[^"]*\S \S)(?:[^"\\]|\\.)*"|("(?:[^"\\]|\\.)*")'),
    "strict=True of a zip over equal lengths": re.compile(r", strict=\w+()"),
    "an encoding that is the default": re.compile(r", encoding=(?:None|\"[^\"]*\")()"),
    "the type in a cast": re.compile(r"(\bcast\()[^,]*, "),
}


class Interval(NamedTuple):
    """A share and the ends of its 95 % confidence interval."""

    share: float
    low: float
    high: float


def wilson(hits: int, total: int, z: float = 1.96) -> Interval:
    """Wilson's interval (1927) for a share of `total` > 0 trials."""
    share, spread = hits / total, z * z / total
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / total + spread / total / 4) / (1 + spread)
    return Interval(share, middle - half, middle + half)


def quotas(sizes: Mapping[str, int], wanted: int) -> dict[str, int]:
    """`wanted` shared out in proportion to `sizes`, by largest remainders; never more than there are."""
    total = sum(sizes.values())
    if wanted >= total:
        return dict(sizes)
    exact = {name: wanted * size / total for name, size in sizes.items()}
    shares = {name: math.floor(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (shares[name] - exact[name], name))
    for name in by_remainder[: wanted - sum(shares.values())]:
        shares[name] += 1
    return shares


def shuffled(names: Iterable[str], seed: int) -> list[str]:
    """The names in an order that depends on nothing else: a larger sample contains the smaller one."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())


def changes_nothing(diff: str) -> str | None:
    """Which rule says that no test should find this mutant; None where none does."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    old, new = ("\n".join(line[1:] for line in lines if line[:1] == sign) for sign in "-+")
    new = new.replace(", )", ")")  # mutmut leaves the comma where it drops an argument
    for rule, matched in RULES.items():
        if matched.sub(r"\1", old) == matched.sub(r"\1", new):
            return rule
    return None


def mirrors(module: str, test: str) -> bool:
    """Whether a test's file is the one that mirrors a module: its part's folder, and its stem in the name."""
    path, file = Path(module), Path(test.partition("::")[0])
    return file.parts[1:2] == path.parts[1:2] and path.stem in file.stem


def chosen_tests(
    module: str, callers: Iterable[str], seconds: Mapping[str, float], budget: float = TESTS_SECONDS
) -> list[str]:
    """The tests to run for a mutant of `module`, in order, until they take longer than the budget.

    First those that mirror the module, whether or not they were seen to call the function, then the others
    that call it: those of its part, then the rest; of each the quickest files first.

    Args:
        callers: ids of the tests that call the function
        seconds: by the id of every quick test
    """
    files: defaultdict[str, float] = defaultdict(float)
    wanted = {test for test in seconds if mirrors(module, test)} | {*callers} & {*seconds}
    for test in wanted:
        files[test.partition("::")[0]] += seconds[test]

    def nearness(test: str) -> tuple[object, ...]:
        file = test.partition("::")[0]
        abroad = Path(file).parts[1:2] != Path(module).parts[1:2]
        return not mirrors(module, test), abroad, files[file], file, seconds[test], test

    chosen, total = [], 0.0
    for test in sorted(wanted, key=nearness):
        total += seconds[test]
        if chosen and total > budget:
            break
        chosen.append(test)
    return chosen


def copy_tree(folder: Path) -> bool:
    """Bring the copy of the tracked files up to date; whether any of the code or tests is another."""
    tracked = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True, check=True
    )
    files = {name for name in tracked.stdout.split("\0") if name and (ROOT / name).is_file()}
    changed = set()
    for name in files:
        source, copy = ROOT / name, folder / name
        if not copy.exists() or source.read_bytes() != copy.read_bytes():
            changed.add(name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy)  # with the time of now, by which mutmut knows what to mutate again
    for top in ("fastffdi", "tests"):
        for path in [*(folder / top).rglob("*.py")]:
            if str(path.relative_to(folder)) not in files:
                changed.add(str(path.relative_to(folder)))
                path.unlink()
                (folder / "mutants" / path.relative_to(folder)).unlink(missing_ok=True)
    return any(name.startswith(("fastffdi/", "tests/")) for name in changed)


class Mutant(NamedTuple):
    """One of mutmut's mutants, by name, and the module it is of."""

    name: str
    module: str

    @property
    def is_control(self) -> bool:
        """mutmut counts from 1; with another name, a function does what it did."""
        return self.name.endswith("__mutmut_0")

    @property
    def part(self) -> str:
        return Path(self.module).parts[1]

    @property
    def diff(self) -> str:
        from mutmut.mutation.diff_apply import get_diff_for_mutant

        return str(get_diff_for_mutant(self.name, path=self.module))


def sample(names: Mapping[str, Sequence[str]], wanted: int, seed: int) -> tuple[list[Mutant], Counter[str]]:
    """Mutants by module, in proportion to `names`; and how many were passed over, by rule."""
    taken, passed = [], Counter[str]()
    for module, quota in quotas({module: len(some) for module, some in names.items()}, wanted).items():
        left = quota
        for mutant in (Mutant(name, module) for name in shuffled(names[module], seed)):
            if not left:
                break
            if rule := changes_nothing(mutant.diff):
                passed[rule] += 1
            else:
                taken.append(mutant)
                left -= 1
    by_name = {mutant.name: mutant for mutant in taken}
    return [by_name[name] for name in shuffled(by_name, seed)], passed


class Session:
    """mutmut's state of the copy in the current folder: mutants, their results, and tests by function."""

    def __init__(self, workers: int, changed: bool) -> None:
        import mutmut.__main__ as mutmut
        from mutmut.mutation.data import SourceFileMutationData
        from mutmut.state import state
        from mutmut.utils.format_utils import mangled_name_from_mutant_name
        from mutmut.workers.isolation import get_mutant_runner

        self.key, self.runner = mangled_name_from_mutant_name, get_mutant_runner(workers)
        generated = Path("mutants", "generated")
        if not generated.exists():  # as after Ctrl-C while files were being written
            shutil.rmtree("mutants", ignore_errors=True)
        generated.unlink(missing_ok=True)
        Path("mutants").mkdir(exist_ok=True)
        shutil.rmtree("mutants/tests", ignore_errors=True)
        print("making mutants …", flush=True)
        mutmut.set_mutant_under_test("mutant_generation")
        with mutmut.CatchOutput():
            mutmut.copy_src_dir()
            mutmut.copy_also_copy_files()
            mutmut.setup_source_paths()
            mutmut.create_mutants(workers)
        generated.touch()
        if changed:
            Path("mutants/mutmut-stats.json").unlink(missing_ok=True)
            mutmut._reset_mutant_results(lambda name, code: code in SURVIVED)
        print("running all quick tests once, unless that was done, to learn which call what …", flush=True)
        mutmut.collect_or_load_stats(self.runner)
        self.callers, self.seconds = state().tests_by_mangled_function_name, state().duration_by_test
        self.files = {}
        for path in sorted(mutmut.walk_mutatable_files()):
            self.files[str(path)] = data = SourceFileMutationData(path=path)
            data.load()

    def names(self, parts: Sequence[str]) -> dict[str, list[str]]:
        """The mutants of some parts, or of all where none is named, by module."""
        modules = {path: [*data.exit_code_by_key] for path, data in self.files.items()}
        return {path: some for path, some in modules.items() if not parts or Path(path).parts[1] in parts}

    def result(self, mutant: Mutant) -> int | None:
        code = self.files[mutant.module].exit_code_by_key[mutant.name]
        return None if code == NO_RESULT else code

    def run(self, mutants: Sequence[Mutant]) -> Iterator[tuple[Mutant, int]]:
        """Test mutants and controls, several at a time; give each with its exit code when that is known."""
        waiting = {}
        self.runner.startup()
        try:
            for mutant in with_controls(mutants):
                while not self.runner.has_capacity():
                    yield self._finished(waiting)
                waiting[mutant.name] = mutant
                tests = chosen_tests(mutant.module, self.callers[self.key(mutant.name)], self.seconds)
                expected = sum(self.seconds[test] for test in tests)
                # mutmut ends a process after half of this limit by the clock, whether it computes or waits.
                self.runner.submit(mutant.name, tests, 2 * math.ceil(60 + 5 * expected), expected)
            while self.runner.pending_count():
                yield self._finished(waiting)
        finally:
            self.runner.stop_all_workers()
            self.runner.shutdown()

    def _finished(self, waiting: Mapping[str, Mutant]) -> tuple[Mutant, int]:
        found = self.runner.wait_for_result()
        mutant = waiting[found.mutant_name]
        if not mutant.is_control:
            self.files[mutant.module].exit_code_by_key[mutant.name] = found.exit_code
            self.files[mutant.module].save()
        return mutant, found.exit_code


def with_controls(mutants: Sequence[Mutant], every: int = CONTROLS_EVERY) -> Iterator[Mutant]:
    """The mutants, and in between the controls; the first comes after the first mutant."""
    for k, mutant in enumerate(mutants):
        yield mutant
        if k % every == 0:
            yield Mutant(mutant.name.partition("__mutmut_")[0] + "__mutmut_0", mutant.module)


def report(results: Mapping[Mutant, int | None]) -> str:
    """The score of every part and of all, of the mutants that have a result."""
    known = {mutant: code for mutant, code in results.items() if code is not None}
    rows = [f"{'part':<12}{'mutants':>8}{'killed':>8}{'score':>8}   95 % interval"]
    for part in [*sorted({mutant.part for mutant in known}), "all"]:
        codes = [code for mutant, code in known.items() if part in (mutant.part, "all")]
        if codes:
            killed = sum(code not in SURVIVED for code in codes)
            share, low, high = wilson(killed, len(codes))
            rows.append(
                f"{part:<12}{len(codes):>8}{killed:>8}{share:>8.1%}   {100 * low:.1f} to {100 * high:.1f} %"
            )
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--mutants", default="300", metavar="N", help="how many, or `all` (default: 300)")
    parser.add_argument(
        "--parts", nargs="*", default=[], help="folders of the package (default: all mutated)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default: 0)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: all cores)")
    options = parser.parse_args()
    changed = copy_tree(FOLDER)
    os.chdir(FOLDER)
    # Child processes of tests import the mutants too. hypothesis takes its profile "ci" with CI: no chance.
    os.environ.update(PYTHONPATH=str(FOLDER / "mutants"), CI="1", OMP_NUM_THREADS="1", PYTHONHASHSEED="0")
    session = Session(options.workers, changed)
    names = session.names(options.parts)
    available = sum(map(len, names.values()))
    wanted = available if options.mutants == "all" else int(options.mutants)
    mutants, passed = sample(names, wanted, options.seed)
    for rule, count in passed.items():
        print(f"passed over: {count} that change {rule}")
    left = [mutant for mutant in mutants if session.result(mutant) is None]
    print(f"{len(mutants):,} of {available:,} mutants, {len(mutants) - len(left):,} of them tested before")
    began, done = time.monotonic(), 0
    try:
        for mutant, code in session.run(left):
            done += not mutant.is_control
            word = "no result" if code == NO_RESULT else "SURVIVED" if code in SURVIVED else "killed"
            if mutant.is_control:
                word = "control" if code in SURVIVED else "CONTROL FAILED: kills by its tests say nothing"
            minutes = (time.monotonic() - began) / max(done, 1) * (len(left) - done) / 60
            print(f"{done}/{len(left)} {word:<9} {mutant.name}  ({minutes:.0f} min left)", flush=True)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here")
    results = {mutant: session.result(mutant) for mutant in mutants}
    survivors = [mutant for mutant, code in results.items() if code in SURVIVED]
    listing = FOLDER / "survivors.diff"
    listing.write_text("\n".join(f"# {mutant.name}\n{mutant.diff}\n" for mutant in survivors))
    print(report(results))
    print(f"{len(survivors)} survivors: {listing.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
