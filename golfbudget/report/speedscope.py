"""A ledger as stacks for viewers of flame graphs: file, role, block, owner, account, weighed by stored bytes.

The format is speedscope's own (https://www.speedscope.app/file-format-schema.json), a profile of samples in bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from golfbudget.errors import CorruptError
from golfbudget.inspection.report import InspectReport
from golfbudget.report.html.inspect import ledger_tree
from golfbudget.report.html.tree import MapNode
from golfbudget.report.numbers import printable
from golfbudget.version import __version__

_SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def speedscope(report: object) -> Mapping[str, Any]:
    """The file of a saved inspection's values; its weights sum to the file's bytes.

    `CorruptError` for other values; errors as of `InspectReport.read`.
    """
    if not isinstance(report, Mapping):
        raise CorruptError("speedscope shows inspections alone")
    found = InspectReport.read(dict(report), where="report")
    frames: dict[str, int] = {}
    samples, weights = [], []
    for path, stored in _stacks(ledger_tree(found), ()):
        samples.append([frames.setdefault(printable(name), len(frames)) for name in path])
        weights.append(stored)
    profile = {
        "type": "sampled",
        "name": printable(found.source.path),
        "unit": "bytes",
        "startValue": 0,
        "endValue": found.source.bytes,
        "samples": samples,
        "weights": weights,
    }
    return {
        "$schema": _SCHEMA,
        "name": printable(found.source.path),
        "exporter": f"golfbudget {__version__}",
        "activeProfileIndex": 0,
        "shared": {"frames": [{"name": name} for name in frames]},
        "profiles": [profile],
    }


def _stacks(node: MapNode, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    """Every leaf that has bytes, under the names of what it is in."""
    path = (*above, node.name)
    if not node.children and node.bytes:
        yield path, node.bytes
    for child in node.children:
        yield from _stacks(child, path)
