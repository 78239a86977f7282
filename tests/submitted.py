"""The table that `predict` has written, as tests look at it."""

import pandas as pd


def table(output):
    return pd.read_csv(output, dtype={"img_name": str}, na_filter=False)


def names(output):
    return table(output)["img_name"].tolist()


def refused(ended, output, code=2):
    """The one line of an error that left nothing behind."""
    assert (ended.code, ended.out) == (code, ""), ended.err
    assert ended.err.startswith("fastffdi: ")
    assert ended.err.count("\n") == 1, ended.err
    assert not output.is_file()
    return ended.err.removeprefix("fastffdi: ").rstrip("\n")
