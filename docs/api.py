"""Writes docs/api.md from the docstrings of the public names. Called by `make tables`."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastffdi
from fastffdi.data.layout import Dataset
from fastffdi.data.manifest import Manifest
from fastffdi.training.result import EpochResult
from fastffdi.training.run import Run

PAGE = Path(__file__).with_name("api.md")

ORDER = (
    fastffdi.find_dataset,
    fastffdi.load_recipe,
    fastffdi.Loader,
    fastffdi.Predictor,
    fastffdi.Settings,
    fastffdi.train,
    fastffdi.LoaderSettings,
    fastffdi.Optimisation,
    fastffdi.FastffdiError,
)
GIVEN = (Dataset, Manifest, Run, EpochResult)

#: Of the classes; {} is the object.
METHODS = {
    "__iter__": "iter({})",
    "__call__": "{}",
    "__len__": "len({})",
    "set_epoch": "{}.set_epoch",
    "state_dict": "{}.state_dict",
    "load_state_dict": "{}.load_state_dict",
    "stream": "{}.stream",
    "close": "{}.close",
    "paths": "{}.paths",
    "take": "{}.take",
    "limit": "{}.limit",
    "column": "{}.column",
    "class_counts": "{}.class_counts",
}

TEXT = """# The library

Made by `make tables` from the docstrings. `import fastffdi` gives these names; everything else may change.
The examples are run by the tests: `DIR` is a folder of labelled images, `best.safetensors` a trained model.

{names}

## What these give

{given}
"""


def page() -> str:
    """The whole file."""
    names = "\n\n".join("\n\n".join(_described(thing, "##")) for thing in ORDER)
    given = "\n\n".join("\n\n".join(_described(thing, "###")) for thing in GIVEN)
    return TEXT.format(names=names, given=given)


def _described(thing: Any, head: str) -> Iterator[str]:
    yield f"{head} {thing.__name__}"
    if thing not in GIVEN and thing is not fastffdi.FastffdiError:
        yield f"```python\nfastffdi.{thing.__name__}{_signature(thing)}\n```"
    yield from _text(inspect.getdoc(thing) or "")
    if not isinstance(thing, type):
        return
    for name, use in METHODS.items():
        method = getattr(thing, name, None)
        if inspect.isfunction(method) and method.__doc__:
            called = use.format(thing.__name__.lower())
            yield f"{head}# `{called if called.endswith(')') else called + _signature(method)}`"
            yield from _text(inspect.getdoc(method) or "")


def _signature(thing: Any) -> str:
    """The parameters with their defaults, one a line where they are many."""
    signature = inspect.signature(thing)
    parameters = [p for p in signature.parameters.values() if p.name != "self"]
    shown = [_parameter(p) for p in parameters]
    first = next((k for k, p in enumerate(parameters) if p.kind is p.KEYWORD_ONLY), None)
    if first is not None:
        shown.insert(first, "*")
    line = f"({', '.join(shown)})"
    inner = line if len(line) < 90 else "(\n" + "".join(f"    {part},\n" for part in shown) + ")"
    return (
        inner
        if signature.return_annotation in (signature.empty, "None")
        else f"{inner} -> {signature.return_annotation}"
    )


def _parameter(parameter: inspect.Parameter) -> str:
    name = f"{parameter.name}: {parameter.annotation}"
    if parameter.default is parameter.empty:
        return name
    word, later = repr(parameter.default), parameter.default is None and "None" not in name
    return f"{name} = {'…' if later or '<' in word else word}"


def _text(docstring: str) -> Iterator[str]:
    """Paragraphs of a docstring: its arguments as a list, its examples as code."""
    for paragraph in docstring.split("\n\n"):
        if paragraph.startswith(("Args:", "Attributes:")):
            yield "\n".join(_listed(paragraph))
        elif ">>>" in paragraph:
            yield f"```python\n{paragraph}\n```"
        elif paragraph.startswith("    "):
            yield f"```\n{inspect.cleandoc(paragraph)}\n```"
        else:
            yield paragraph


def _listed(paragraph: str) -> Iterator[str]:
    for line in paragraph.splitlines()[1:]:
        entry = re.match(r"    ([\w, ]+): (.*)", line)
        yield f"* `{entry[1]}`: {entry[2]}" if entry else f"  {line.strip()}"


def main() -> None:
    """Usage: api.py [OUTPUT.md]"""
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    output.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
