"""A described model as the text of a model file (TOML), for people to read and change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def model_toml(values: Mapping[str, Any]) -> str:
    """What `describe` gives as a file: plain keys, variables, tensors line by line, then the recipe."""
    lines = [
        "# Read from an artifact: names, shapes, dtypes, layout, codec and the levels in use.",
        "# Fitted: deviations, and each clip_deviations, under which Gaussian rows have the entropy found.",
        "# No file says the codec's level: it is the default.",
        "",
    ]
    lines += [f"{key} = {_value(value)}" for key, value in values.items() if not isinstance(value, dict | list)]
    lines += ["tensors = [", *(f"  {line}" for entry in values["tensors"] for line in _tensor(entry)), "]"]
    if values["variables"]:
        lines += ["", "[variables]", *(f"{key} = {_value(value)}" for key, value in values["variables"].items())]
    recipe = values["recipe"]
    tables = {key: value for key, value in recipe.items() if key in ("tensors", "corrections")}
    lines += ["", "[recipe]", *(f"{key} = {_value(value)}" for key, value in recipe.items() if key not in tables)]
    for key, entries in tables.items():
        for entry in entries:
            lines += ["", f"[[recipe.{key}]]", *(f"{name} = {_value(value)}" for name, value in entry.items())]
    return "\n".join(lines) + "\n"


def _tensor(entry: Mapping[str, Any]) -> list[str]:
    if "tensors" not in entry:
        return [f"{_value(entry)},"]
    first = f"{{ repeat = {_value(entry['repeat'])}, tensors = ["
    return [first, *(f"  {_value(member)}," for member in entry["tensors"]), "] },"]


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_value(inner)}' for key, inner in value.items())} }}"
    # JSON leaves the one control character alone that TOML does not.
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")
