"""The published records of measurements, and what they have in common with new ones: their keys."""

from pathlib import Path

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


def keys(record, place=""):
    """The paths of all keys of a record; those of list items together."""
    if isinstance(record, list):
        return set().union(*(keys(item, f"{place}[]") for item in record))
    if isinstance(record, dict):
        return set().union(
            *({f"{place}.{name}"} | keys(value, f"{place}.{name}") for name, value in record.items())
        )
    return set()
