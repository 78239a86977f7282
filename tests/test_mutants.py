"""tests/mutants.py: the sample, its interval, the rules, and the choice of tests; no mutant is run here."""

import pytest
from mutants import (
    Mutant,
    changes_nothing,
    chosen_tests,
    mirrors,
    quotas,
    report,
    shuffled,
    wilson,
    with_controls,
)


def diff(old: str, new: str) -> str:
    return f"--- a.py\n+++ a.py\n@@ -1,3 +1,3 @@\n def f():\n-    {old}\n+    {new}"


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"), [(0, 10, 0, 0.2775), (10, 10, 0.7225, 1), (81, 263, 0.2553, 0.3662)]
)
def test_the_interval_is_that_of_wilson(hits: int, total: int, low: float, high: float):
    # The last is the example of Newcombe, Statistics in Medicine 17 (1998), 857.
    assert wilson(hits, total) == pytest.approx((hits / total, low, high), abs=1e-4)


def test_a_sample_is_in_proportion_and_complete():
    assert quotas({"a": 60, "b": 30, "c": 10}, 10) == {"a": 6, "b": 3, "c": 1}
    assert quotas({"a": 2, "b": 2, "c": 2}, 4) == {"a": 2, "b": 1, "c": 1}
    assert quotas({"a": 2, "b": 0}, 9) == {"a": 2, "b": 0}


def test_the_order_depends_on_the_seed_and_on_no_other_mutant():
    names = [f"m{k}" for k in range(100)]
    order = shuffled(names, 1)
    assert sorted(order) == sorted(names)
    assert order == shuffled(reversed(names), 1) != shuffled(names, 2)
    assert shuffled(names[:50], 1) == [name for name in order if name in names[:50]]


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ('raise E("no such file", 3)', 'raise E("XXno such fileXX", 3)', "the words of a message"),
        ('raise E("no such file", 3)', 'raise E("NO SUCH FILE", 3)', "the words of a message"),
        ('raise E("no such file", 3)', 'raise E("no such file", 4)', None),
        ('raise E("no such file", 3)', "raise E(None, 3)", None),
        ('raise E(f"no file {k + 1}")', 'raise E(f"no file {k - 1}")', None),
        ('x["a"] if y else "b"', 'x["a"] if z else "b"', None),
        ('x["a"]', 'x["XXaXX"]', None),
        ("zip(a, b, strict=True)", "zip(a, b, strict=False)", "strict=True of a zip over equal lengths"),
        ("zip(a, b, strict=True)", "zip(a, b, )", "strict=True of a zip over equal lengths"),
        ("zip(a, b, strict=True)", "zip(a, None, strict=True)", None),
        ('open(a, encoding="utf-8")', "open(a, encoding=None)", "an encoding that is the default"),
        ('cast("int", a)', "cast(None, a)", "the type in a cast"),
        ('cast("int", a)', 'cast("int", None)', None),
        ("return a + b", "return a - b", None),
    ],
)
def test_mutants_that_change_nothing_are_passed_over(old: str, new: str, rule: str | None):
    assert changes_nothing(diff(old, new)) == rule


def test_a_module_is_mirrored_by_the_files_of_its_part_with_its_name():
    assert mirrors("fastffdi/recipe/rng.py", "tests/recipe/test_rng.py::test_a[x/y]")
    assert mirrors("fastffdi/recipe/steps/colour.py", "tests/recipe/test_steps_colour.py::test_a")
    assert not mirrors("fastffdi/recipe/rng.py", "tests/recipe/test_steps.py::test_a")
    assert not mirrors("fastffdi/render/dali.py", "tests/loaders/test_dali.py::test_a")


def test_the_nearest_tests_go_first_and_the_budget_ends_them():
    seconds = {
        "tests/cli/test_train.py::one": 5.0,
        "tests/data/test_labels.py::slow": 3.0,
        "tests/data/test_labels.py::quick": 1.0,
        "tests/data/test_sizes.py::one": 2.0,
        "tests/data/test_sampler.py::one": 1.0,
        "tests/data/test_layout.py::not calling": 1.0,
    }
    callers = [test for test in seconds if "not calling" not in test] + ["tests/gone.py::one"]
    order = ["test_labels.py::quick", "test_labels.py::slow", "test_sampler.py::one", "test_sizes.py::one"]
    near = [f"tests/data/{test}" for test in order]
    whole = chosen_tests("fastffdi/data/labels.py", callers, seconds)
    assert whole == [*near, "tests/cli/test_train.py::one"]
    assert chosen_tests("fastffdi/data/labels.py", callers, seconds, budget=7) == near
    assert chosen_tests("fastffdi/data/labels.py", [], seconds, budget=0.5) == near[:1]


def test_the_score_is_of_the_mutants_that_have_a_result():
    codes = {"a": 1, "b": 0, "c": -24, "d": None}
    results = {
        Mutant(name, f"fastffdi/{'data' if name < 'c' else 'model'}/x.py"): codes[name] for name in codes
    }
    lines = [line.split()[:4] for line in report(results).splitlines()[1:]]
    assert lines == [["data", "2", "1", "50.0%"], ["model", "1", "1", "100.0%"], ["all", "3", "2", "66.7%"]]


def test_controls_have_the_tests_of_a_mutant_and_the_name_of_none():
    mutants = [Mutant(f"a.x_f__mutmut_{k}", "fastffdi/data/x.py") for k in range(1, 6)]
    order = [*with_controls(mutants, every=3)]
    assert [mutant for mutant in order if not mutant.is_control] == mutants
    control = Mutant("a.x_f__mutmut_0", "fastffdi/data/x.py")
    assert [k for k, mutant in enumerate(order) if mutant == control] == [1, 5]
