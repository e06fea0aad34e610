"""Integers of an export through a coder, tensor by tensor, where that takes fewer bytes than the recipe's codec alone.

A codec finds what repeats and a coder does not, so which is smaller depends on the tensor.
"""

from __future__ import annotations

from dataclasses import replace

from golfbudget import codecs
from golfbudget.codecs.rans import encoding as rans
from golfbudget.recipe.config import Recipe
from golfbudget.recipe.export import Export
from golfbudget.recipe.layouts.packed import integer_tables

#: What a stream's record in the container takes once compressed, about: a stream must save more.
_RECORD = 64


def coded(export: Export, recipe: Recipe) -> Export:
    """The export with the streams of its recipe's coder; as it is where there is none, or where it has them already."""
    if recipe.coder is None or export.streams:
        return export
    codec, streams = codecs.get(recipe.codec), dict[str, bytes]()
    for name, table in integer_tables(export):
        stream = rans.best(table.symbols, table.rows)
        if len(stream) + _RECORD < len(codec.encode(table.stored, recipe.level)):
            streams[name] = stream
    return replace(export, streams=streams)
