from fastffdi.data.patience import Patience


def test_what_a_reader_stays_with_for_that_long_is_found() -> None:
    patience: Patience[str] = Patience(3)
    assert patience.pause == 0.75
    found = [patience.look({1: "a", 2: "b" if k < 3 else "c"}) for k in range(5)]
    assert found == [None, None, None, None, "a"]


def test_what_changes_in_between_is_not() -> None:
    patience: Patience[str] = Patience(3)
    assert [patience.look({1: "ab"[k == 3]}) for k in range(7)] == [None] * 7
    assert [patience.look({1: "a"}) for _ in range(2)] == [None, "a"]


def test_a_reader_that_is_at_nothing_is_not() -> None:
    patience: Patience[str] = Patience(1)
    for busy in ({1: "a"}, {1: "a"}, {}, {1: "a"}, {1: "a"}, {2: "a"}, {1: "a"}):
        assert patience.look(busy) is None


def test_looks_are_at_most_a_second_apart() -> None:
    assert Patience[str]().pause == 1
