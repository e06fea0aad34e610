"""Tensors of an export that are equal: found, and stored once.

torch.save writes a storage once however many tensors lie in it, and torch.load gives all of them back.  So where a
layout goes through it, equal tensors need their bytes once, and every decoder reads the file as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from golfbudget.recipe.export import Export
from golfbudget.recipe.state import digest
from golfbudget.roles import Roles

#: Names of equal tensors, in their order.
Group = tuple[str, ...]


def shared(export: Export, owners: Iterable[str]) -> Export:
    """The export with one tensor in the places of all that are equal among these matrices; encoded ones stay."""
    names = list(owners)
    quantised = _first_of({n: [export.quantized[n], export.scales[n]] for n in names if n in export.quantized})
    kept = _first_of({n: [export.passthrough[n]] for n in names if n in export.passthrough})
    return replace(
        export,
        quantized={name: export.quantized[quantised.get(name, name)] for name in export.quantized},
        scales={name: export.scales[quantised.get(name, name)] for name in export.scales},
        passthrough={name: export.passthrough[kept.get(name, name)] for name in export.passthrough},
    )


def _first_of(stored: Mapping[str, Sequence[Tensor]]) -> dict[str, str]:
    """For each name that stores what an earlier one does, the first of these."""
    return {name: group[0] for group in alike(stored) for name in group[1:]}


def alike(stored: Mapping[str, Sequence[Tensor]]) -> tuple[Group, ...]:
    """Names whose tensors are equal in dtype, shape and value."""
    groups: dict[str, list[str]] = {}
    for name, tensors in stored.items():
        content = digest({str(number): tensor for number, tensor in enumerate(tensors)})
        groups.setdefault(content, []).append(name)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)


def without_tied(export: Export, roles: Roles) -> Export:
    """The export of a file without further names of its token table: what is stored once is tied."""
    first: dict[int, str] = {}
    for name in export.names():
        stored = export.quantized.get(name, export.passthrough.get(name))
        rule = roles.rule_of(name)
        if stored is not None and rule is not None and rule.matrix is not None:
            if id(stored) in first:
                export = export.without(name)
            first.setdefault(id(stored), name)
    return export
