"""Whole artifacts: an export through its recipe's layout, filter and codec, and back without unpickling anything."""

from __future__ import annotations

from golfbudget import codecs
from golfbudget.artifact import Artifact
from golfbudget.errors import UnsupportedError
from golfbudget.filters import shuffle
from golfbudget.recipe import layouts
from golfbudget.recipe.coding import coded
from golfbudget.recipe.config import Recipe
from golfbudget.recipe.export import Export


def container_bytes(export: Export, recipe: Recipe) -> bytes:
    """The recipe's container, before filter and codec."""
    return layouts.get(recipe.layout).container(coded(export, recipe))


def compressed(container: bytes, recipe: Recipe) -> bytes:
    """A container through the recipe's filter and codec: the artifact."""
    if recipe.filter is not None:
        container = shuffle(container, recipe.filter.stride, recipe.filter.header_bytes)
    return codecs.get(recipe.codec).encode(container, recipe.level)


def artifact_bytes(export: Export, recipe: Recipe) -> bytes:
    """The whole file."""
    return compressed(container_bytes(export, recipe), recipe)


def read_export(artifact: Artifact) -> Export:
    """The parts of an artifact of a known layout; `UnsupportedError` for another."""
    layout = layouts.recognise(artifact)
    if layout is None:
        raise UnsupportedError(
            f"{artifact.path}: no layout known here ({', '.join(sorted(layouts.registered()))}); give an artifact that "
            "golfbudget or a public export script wrote"
        )
    return layout.read(artifact)
