"""Fuzzing, for a time: `make fuzz`, or for one input that was found `python -m fuzz.run TARGET FILE`.

    make fuzz                                 each target for a minute
    make fuzz FUZZ_SECONDS=600 TARGETS=probe  one of them for ten

With atheris, which follows what the code does with its input; where that is not installed, which has wheels
for some versions of Python only, by hypothesis. What was found to lead somewhere new is kept in
build/fuzz/TARGET, and an input that is a fault in build/fuzz/faults.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import time
from pathlib import Path

#: A run ends as a fault when one input takes longer than these seconds, or the process more than these MiB.
SLOW_SECONDS, MOST_MIB = 10, 2048

NAMES = ("probe", "decode", "check", "labels", "recipe", "weights", "header", "index")
BUILD = Path("build/fuzz")


def main() -> int:
    """Run all targets asked for, each in a process of its own; the number of those that found a fault."""
    words = argparse.ArgumentParser(description="Give targets all kinds of bytes.")
    words.add_argument("targets", nargs="*", metavar="TARGET|FILE", help=", ".join(NAMES))
    words.add_argument("--seconds", type=int, default=60, help="for each target")
    words.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = words.parse_args()
    names, files = [t for t in options.targets if t in NAMES], [t for t in options.targets if t not in NAMES]
    if files:
        return tried(names[0], [Path(file).read_bytes() for file in files])
    if options.here:
        return found_here(names[0], options.seconds)
    asked = names or NAMES
    faults = [name for name in asked if not clean(name, options.seconds)]
    print(f"{len(asked) - len(faults)} targets passed, {len(faults)} failed {' '.join(faults)}".rstrip())
    return len(faults)


def clean(name: str, seconds: int) -> bool:
    """Whether a target stands its time, in a process of its own."""
    began = time.perf_counter()
    how = "atheris" if importlib.util.find_spec("atheris") else "hypothesis"
    command = [sys.executable, "-m", "fuzz.run", name, "--here", "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    runs = [
        line for line in done.stderr.splitlines() if line.startswith(("Done ", "stat::number_of_executed"))
    ]
    print(f"{name}: {how}, {time.perf_counter() - began:.0f} s, {runs[0] if runs else 'stopped'}", flush=True)
    if done.returncode:
        print(done.stdout[-4000:], done.stderr[-4000:], sep="\n", flush=True)
    return done.returncode == 0


def found_here(name: str, seconds: int) -> int:
    """Fuzz in this process."""
    if importlib.util.find_spec("atheris"):
        by_atheris(name, seconds)
    return by_hypothesis(name, seconds)


def by_atheris(name: str, seconds: int) -> None:
    """Does not return."""
    import atheris

    with atheris.instrument_imports(include=["fastffdi", "yaml", "PIL"]):
        from fuzz.targets import TARGETS
    from fuzz.seeds import seeds

    corpus, faults = BUILD / name, BUILD / "faults"
    for folder in (corpus, faults):
        folder.mkdir(parents=True, exist_ok=True)
    for k, data in enumerate(seeds(name)):
        (corpus / f"seed-{k:02d}").write_bytes(data)
    limits = [
        f"-max_total_time={seconds}",
        f"-timeout={SLOW_SECONDS}",
        f"-rss_limit_mb={MOST_MIB}",
        "-max_len=8192",
    ]
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={faults}/{name}-", str(corpus)], TARGETS[name])
    atheris.Fuzz()


def by_hypothesis(name: str, seconds: int) -> int:
    """Inputs from hypothesis, other ones in every round."""
    from fuzz.mutations import inputs
    from fuzz.targets import TARGETS
    from hypothesis import HealthCheck, given, seed, settings

    plain = settings(max_examples=500, deadline=SLOW_SECONDS * 1000, suppress_health_check=list(HealthCheck))
    end, rounds = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        seed(rounds)(plain(given(inputs(name))(TARGETS[name])))()
        rounds += 1
    print(f"Done {500 * rounds} inputs", file=sys.stderr)
    return 0


def tried(name: str, inputs: list[bytes]) -> int:
    """Give a target inputs that were found; a fault is raised."""
    from fuzz.targets import TARGETS

    for data in inputs:
        TARGETS[name](data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
