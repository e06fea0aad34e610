"""Several files as one checkpoint: whether it is whole, and names that stand in more than one of its files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

from msgspec import Struct, structs

from golfbudget.artifact.model import Leaf, Part
from golfbudget.formats import BYTE_ORDER, Contents

V = TypeVar("V")
#: How a GGUF file says that it is one of several: https://github.com/ggml-org/llama.cpp, tools/gguf-split.
_SPLIT_COUNT, _SPLIT_NUMBER = "split.count", "split.no"


class Mark(Struct, frozen=True, kw_only=True):
    """How much had been collected when a file was done."""

    leaves: int
    parts: int
    bundles: int


def unfinished(containers: Iterable[Contents], files: int) -> str | None:
    """What a split GGUF says of itself where fewer files were opened than it counts; None where it is whole."""
    for contents in containers:
        count, number = contents.values.get(_SPLIT_COUNT), contents.values.get(_SPLIT_NUMBER)
        if contents.format == "gguf" and isinstance(count, int) and count > files:
            which = f"file {number + 1}" if isinstance(number, int) and files == 1 else f"{files} files"
            return f"{which} of {count} of a split GGUF ({_SPLIT_COUNT})"
    return None


def repeated(leaves: Sequence[Leaf], marks: Sequence[Mark]) -> bool:
    """Whether a tensor's name stands in more than one file."""
    seen: set[str] = set()
    for before, after in pairwise(marks):
        own = {tensor.name for leaf in leaves[before.leaves : after.leaves] for tensor in leaf.contents.tensors}
        if own & seen:
            return True
        seen |= own
    return False


def told_apart(
    leaves: Sequence[Leaf],
    parts: Sequence[Part],
    bundles: Sequence[Contents],
    marks: Sequence[Mark],
    stems: Sequence[str],
) -> tuple[list[Leaf], list[Part], list[Contents]]:
    """The same, every stored name below its file's: `consolidated.00/norm.weight`."""
    first = marks[0]
    made = list(leaves[: first.leaves]), list(parts[: first.parts]), list(bundles[: first.bundles])
    for (before, after), stem in zip(pairwise(marks), stems, strict=True):
        for leaf in leaves[before.leaves : after.leaves]:
            made[0].append(structs.replace(leaf, contents=_below(stem, leaf.contents)))
        for part in parts[before.parts : after.parts]:
            made[1].append(part if part.name is None else structs.replace(part, name=f"{stem}/{part.name}"))
        made[2].extend(_below(stem, contents) for contents in bundles[before.bundles : after.bundles])
    return made


def _below(stem: str, contents: Contents) -> Contents:
    tensors = tuple(
        structs.replace(
            tensor, name=f"{stem}/{tensor.name}", aliases=tuple(f"{stem}/{name}" for name in tensor.aliases)
        )
        for tensor in contents.tensors
    )
    regions = tuple(
        region if region.name is None else structs.replace(region, name=f"{stem}/{region.name}")
        for region in contents.regions
    )
    return structs.replace(
        contents,
        tensors=tensors,
        regions=regions,
        values=_renamed(stem, contents.values),
        roles=_renamed(stem, contents.roles),
        outer_shapes=_renamed(stem, contents.outer_shapes),
    )


def _renamed(stem: str, by_name: Mapping[str, V]) -> dict[str, V]:
    """What a container says of itself keeps its key."""
    return {name if name == BYTE_ORDER else f"{stem}/{name}": value for name, value in by_name.items()}
