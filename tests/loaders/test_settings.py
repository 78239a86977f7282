import os
from pathlib import Path

import pytest
import yaml

from fastffdi.errors import SettingError
from fastffdi.loaders import settings as module
from fastffdi.loaders.settings import (
    LoaderSettings,
    default_threads,
    read_settings,
    usable_cores,
    write_settings,
)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "loader.yaml"


def read(file, text):
    file.write_text(text)
    return read_settings(file)


def test_what_was_written_is_read_back(file):
    settings = {"threads": 4, "prefetch": 1, "batch_size": 32, "hw_decoder_load": 0.65}
    write_settings(file, settings, ["one machine", "two\nlines"])
    assert read_settings(file) == settings
    assert file.read_text() == (
        "# one machine\n# two\n# lines\nthreads: 4\nprefetch: 1\nbatch_size: 32\nhw_decoder_load: 0.65\n"
    )


def test_every_setting_can_be_written_and_read(file):
    settings = LoaderSettings(3, 8, 1, True, 0.5, 1.5, True, False, 4000, 3000, 20.5, 7.5)
    write_settings(file, settings.to_data(), [])
    assert yaml.safe_load(file.read_text()) == {
        "threads": 3, "batch_size": 8, "prefetch": 1, "process": True, "hw_decoder_load": 0.5,
        "memory_cap": 1.5, "decoder_affinity": True, "jpeg_fancy_upsampling": False,
        "preallocate_width_hint": 4000, "preallocate_height_hint": 3000, "max_megapixels": 20.5,
        "read_timeout": 7.5,
    }  # fmt: skip
    assert LoaderSettings.merged(file) == settings


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "{}"])
def test_a_file_may_be_empty(file, text):
    assert read(file, text) == {}
    assert LoaderSettings.merged(file) == LoaderSettings()


def test_nothing_else_stays_beside_the_file(file):
    write_settings(file, {"threads": 1}, [])
    assert [path.name for path in file.parent.iterdir()] == ["loader.yaml"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("thread: 2", "unknown key 'thread', did you mean 'threads'?"),
        ("[2, 3]", "[2, 3] is not a mapping; write lines such as threads: 4"),
        ("threads: 0", "threads: 0 is not a whole number from 1 on"),
        ("prefetch: 1.5", "prefetch: 1.5 is not a whole number from 0 on"),
        ("batch_size: true", "batch_size: True is not a whole number from 1 on"),
        ("threads:", "threads: None is not a whole number from 1 on"),
        ("process: 1", "process: 1 is not true or false"),
        ("hw_decoder_load: 1.1", "hw_decoder_load: 1.1 is not a number from 0 to 1"),
        ("hw_decoder_load: -0.1", "hw_decoder_load: -0.1 is not a number from 0 to 1"),
        ("hw_decoder_load: true", "hw_decoder_load: True is not a number from 0 to 1"),
        ("hw_decoder_load: half", "hw_decoder_load: 'half' is not a number from 0 to 1"),
        ("memory_cap: 0", "memory_cap: 0 is not a number of GiB above 0"),
        ("max_megapixels: 0", "max_megapixels: 0 is not a number of megapixels above 0"),
        ("read_timeout: 0", "read_timeout: 0 is not a number of seconds above 0"),
        ("memory_cap: .inf", "memory_cap: inf is not a number of GiB above 0"),
        ("memory_cap: true", "memory_cap: True is not a number of GiB above 0"),
        (
            "7: 2",
            "unknown key '7'; allowed: batch_size, decoder_affinity, hw_decoder_load, jpeg_fancy_upsampling, "
            "max_megapixels, memory_cap, preallocate_height_hint, preallocate_width_hint, prefetch, process, "
            "read_timeout, threads",
        ),
        ("hw_decoder_load: .nan", "hw_decoder_load: nan is not a number from 0 to 1"),
        ("decoder_affinity: 1", "decoder_affinity: 1 is not true or false"),
        ("jpeg_fancy_upsampling: none", "jpeg_fancy_upsampling: 'none' is not true or false"),
        ("preallocate_width_hint: 0", "preallocate_width_hint: 0 is not a whole number from 1 on"),
        ("preallocate_height_hint: 9.5", "preallocate_height_hint: 9.5 is not a whole number from 1 on"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(file, text, problem):
    with pytest.raises(SettingError) as caught:
        read(file, text)
    assert str(caught.value) == f"{file}: {problem}"


@pytest.mark.parametrize("share", ["0", "1", "0.0", "1.0", "0.5"])
def test_a_share_is_from_nought_to_one_whole_or_not(file, share):
    assert read(file, f"hw_decoder_load: {share}") == {"hw_decoder_load": float(share)}


REFUSED = [
    (
        "- &a0 x\n" + "".join(f"- &a{k} [{f'*a{k - 1}, ' * 9}]\n" for k in range(1, 30)),
        "has more than 10,000 values",
    ),
    ("[" * 300_000, "is 0.3 MiB long, at most 256 KiB are read; give a shorter file"),
    ("[" * 500 + "]" * 500, "nests values more than 50 deep; write it flatter"),
    ("threads: !!python/object/apply:os.cpu_count []", "is not YAML: line 1, column 10: could not determine"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED, ids=["aliases", "length", "depth", "code"])
def test_a_file_that_would_take_long_or_run_code_is_refused(file, text, reason):
    with pytest.raises(SettingError) as caught:
        read(file, text)
    assert caught.value.args[0].startswith(f"{file}: {reason}")


@pytest.mark.parametrize("text", ["threads: 2023-99-99", "threads: \x07"])
def test_what_yaml_stumbles_over_is_told_in_one_line(file, text):
    with pytest.raises(SettingError, match=f"^{file}: is not YAML: .+$") as caught:
        read(file, text)
    assert "\n" not in str(caught.value)


def test_the_place_that_is_no_yaml_is_shown_with_a_caret(file):
    with pytest.raises(SettingError) as caught:
        read(file, "threads: [2}")
    assert str(caught.value).splitlines()[1:] == ["    threads: [2}", " " * 15 + "^"]


def test_a_file_that_cannot_be_written_whole_stays_as_it_was(file, monkeypatch):
    def half(path, text, **more):
        path.write_bytes(text.encode()[:5])
        raise OSError(28, "No space left on device")

    file.write_text("threads: 3\n")
    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(OSError, match="the disk is full"):
        write_settings(file, {"threads": 4}, [])
    assert file.read_text() == "threads: 3\n"


def test_a_file_is_data_and_runs_nothing(file):
    with pytest.raises(
        SettingError, match="is not YAML: line 1, column 10: could not determine a constructor for the tag"
    ):
        read(file, "threads: !!python/object/apply:os.getpid []")


def test_a_file_that_cannot_be_read_is_named(file, tmp_path):
    with pytest.raises(
        SettingError, match=r"loader\.yaml: no such file; `fastffdi bench-loader --tune FILE` writes one"
    ):
        read_settings(file)
    with pytest.raises(SettingError, match="cannot be read as text"):
        read_settings(tmp_path)
    file.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(SettingError, match="cannot be read as text"):
        read_settings(file)


def test_options_win_over_the_file_and_the_file_over_defaults(file):
    file.write_text("threads: 8\nbatch_size: 16\nprocess: true\nhw_decoder_load: 0.0\n")
    merged = LoaderSettings.merged(file, threads=3, batch_size=None, process=False)
    assert merged == LoaderSettings(3, 16, 2, process=False, hw_decoder_load=0.0)


def test_without_a_file_options_win_over_defaults():
    assert LoaderSettings.merged(prefetch=5) == LoaderSettings(default_threads(), 64, 5, None, None)
    assert LoaderSettings.merged(threads=None) == LoaderSettings()


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (7, 7), (64, 16)])
def test_the_default_is_a_thread_for_each_core_up_to_sixteen(monkeypatch, cores, threads):
    monkeypatch.setattr(module, "usable_cores", lambda: cores)
    assert LoaderSettings().threads == default_threads() == threads


def test_settings_in_words_leave_out_what_is_not_set():
    assert LoaderSettings(3).described() == "threads 3, batch size 64, prefetch 2"
    assert LoaderSettings(3, hw_decoder_load=0.5).described().endswith(", hw decoder load 0.5")
    assert (
        LoaderSettings(3, jpeg_fancy_upsampling=False).described().endswith(", jpeg fancy upsampling False")
    )


@pytest.mark.parametrize("name", ["preallocate_width_hint", "preallocate_height_hint"])
def test_a_hint_for_one_side_alone_is_refused(name):
    message = "^preallocate_width_hint, preallocate_height_hint: give both, or neither$"
    with pytest.raises(SettingError, match=message):
        LoaderSettings(**{name: 3000})


def test_cores_are_those_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 9}, raising=False)
    assert usable_cores() == 3


def test_without_affinity_cores_are_the_machines(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cores() == 6
