"""Writes the JSON schema of `train --config`, which is part of the package. Called by `make tables`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from fastffdi.training.config import LEFT_OUT
from fastffdi.training.schema import SCHEMA, schema
from fastffdi.training.settings import Settings


def page() -> str:
    """The whole file."""
    return json.dumps(schema(Settings, LEFT_OUT), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Usage: schema.py [OUTPUT.json]"""
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else SCHEMA
    output.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
