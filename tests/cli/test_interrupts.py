"""Signals, in processes of their own."""

import signal
import subprocess
import sys
import time

import pytest

START = """\
import atexit, signal, sys, time
from fastffdi.cli import interrupts, main
atexit.register(print, "cleaned", flush=True)
def waits():
    print("ready", flush=True)
    time.sleep(60)
def deaf():
    try: waits()
    except BaseException: time.sleep(60)
main.main = {what}
main.program()
"""
COMMAND = """\
def command():
    try: waits()
    except KeyboardInterrupt: sys.exit(130)
main.main = command
main.program()
"""


def ended(program, *numbers):
    """Exit code, output and seconds of a program that gets these signals once it is ready."""
    with subprocess.Popen([sys.executable, "-c", program], stdout=-1, stderr=-1, text=True) as child:
        assert child.stdout.readline() == "ready\n"
        began = time.monotonic()
        for number in numbers:
            child.send_signal(number)
            time.sleep(0.3)
        out, err = child.communicate(timeout=50)
    return child.returncode, out + err, time.monotonic() - began


def test_a_command_that_is_interrupted_ends_as_it_says():
    program = START.replace("main.main = {what}\nmain.program()\n", COMMAND)
    code, said, _ = ended(program, signal.SIGINT)
    assert (code, said) == (130, "cleaned\n")


def test_a_termination_ends_with_what_is_open_closed():
    code, said, _ = ended(START.replace("{what}", "waits"), signal.SIGTERM)
    assert (code, said) == (143, "cleaned\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_does_not_listen_is_ended(number):
    code, said, seconds = ended(START.replace("{what}", "deaf"), number)
    assert (code, said) == (128 + number, "interrupted\n")
    assert seconds < 30  # of the minute that it would wait


def test_the_second_signal_does_not_wait():
    code, said, _ = ended(START.replace("{what}", "deaf"), signal.SIGINT, signal.SIGINT)
    assert (code, said) == (130, "")


def test_a_signal_that_is_ignored_stays_so():
    quiet = START.replace("{what}", "lambda: (print('ready', flush=True), time.sleep(0.5))")
    ignoring = quiet.replace(
        "import atexit", "import atexit, signal\nsignal.signal(2, signal.SIG_IGN)\nimport atexit", 1
    )
    assert ended(ignoring, signal.SIGINT)[:2] == (0, "cleaned\n")


STALLED = """\
import sys, threading, time
from fastffdi.cli import main
from fastffdi.errors import Stalled
def stalls(**options):
    threading.Thread(target=time.sleep, args=(60,)).start()
    raise Stalled("a.jpg", 120)
main.cli.main = stalls
sys.argv[1:] = {words}
main.program()
"""


@pytest.mark.parametrize("words", [[], ["--debug"]])
def test_after_a_read_that_never_ends_the_process_does(words):
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", STALLED.format(words=words)], capture_output=True, text=True, timeout=100
    )
    assert time.monotonic() - began < 50  # of the minute that its thread takes
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.endswith(
        "a.jpg: not read within 120 s; is its disk or network mount there? The loader setting "
        "read_timeout gives it longer"
    )
    assert ("Traceback" in done.stderr) == bool(words)
