"""Matrices that a source holds more than once: which, what the copies cost, and candidates that store each once."""

from __future__ import annotations

import re
from collections.abc import Sequence

from golfbudget.plan.matrices import LEAST_SIDE
from golfbudget.plan.source import PlanSource
from golfbudget.plan.trials import Candidate, Side, Trials
from golfbudget.recipe import layouts
from golfbudget.recipe.artifacts import artifact_bytes
from golfbudget.recipe.sharing import Group, alike

#: The scheme name of a candidate that encodes nothing and stores equal matrices once.
SHARED = "shared"
#: Equal matrices that a note lists.
_LISTED = 3
_LAYER = re.compile(r"^(?P<layer>.*?[./]?\d+)[./].+$")


def repeated(source: PlanSource) -> tuple[Group, ...]:
    """Names of equal matrices of weights with no short side, group by group."""
    large = {
        name: matrix
        for name, matrix in source.reference.items()
        if matrix.ndim == 2 and min(matrix.shape) >= LEAST_SIDE and matrix.is_floating_point()
    }
    return alike({name: [matrix] for name, matrix in large.items()})


def sharing_candidates(source: PlanSource) -> list[Candidate]:
    """Files in which equal matrices stand once: those of the trunk are the trunk's, a table's copy is neither side's.

    None where nothing is repeated, or where the layout stores each tensor by itself.
    """
    if not layouts.get(source.recipe.layout).shares:
        return []
    trunk, tables = _by_side(source)
    found = []
    if tables:
        owners = tuple(name for group in tables for name in group)
        found.append(_candidate("lossless-shared", Side.LOSSLESS, owners))
    if trunk:
        # The other matrices stay as they are, so that this is one way of all to store the trunk.
        found.append(_candidate("trunk-shared", Side.TRUNK, source.trunk))
    return found


def sharing_notes(source: PlanSource, trials: Trials, baseline_bytes: int) -> list[str]:
    """What copies cost, and how to be rid of them at no loss; `baseline_bytes` are those of the recipe's own file."""
    trunk, tables = _by_side(source)
    notes = []
    for groups, name, what in ((tables, "lossless-shared", "tables"), (trunk, "trunk-shared", "trunk matrices")):
        if not groups:
            continue
        trial = trials.named(name)
        if trial is not None:
            saved, how = trial.saved_bytes, f"candidate {name} stores each once"
        else:
            copies, export = [copy for group in groups for copy in group[1:]], source.export
            for copy in copies:
                export = export.without(copy)
            saved = baseline_bytes - len(artifact_bytes(export, source.recipe))
            how = f"tie them in the model's code ({groups[0][1]} = {groups[0][0]}) and leave the copies out of the file"
        if saved > 0:
            notes.append(
                f"{_told(groups)}: the file holds these {what} more than once, and sharing them saves {saved:,} bytes "
                f"at no loss: {how}"
            )
    return notes


def _by_side(source: PlanSource) -> tuple[list[Group], list[Group]]:
    """Groups of trunk matrices alone, and the others: where a token table is among them."""
    groups, trunk = repeated(source), set(source.trunk)
    return [g for g in groups if trunk.issuperset(g)], [g for g in groups if not trunk.issuperset(g)]


def _candidate(name: str, side: Side, owners: Sequence[str]) -> Candidate:
    return Candidate(name=name, side=side, scheme=SHARED, options={}, owners=tuple(owners))


def _told(groups: Sequence[Group]) -> str:
    """Which are equal: layer by layer where names differ in nothing else.

    >>> _told([("blocks.0.fc.weight", "blocks.1.fc.weight"), ("blocks.0.proj.weight", "blocks.1.proj.weight")])
    'layers blocks.0 and blocks.1 are equal in 2 matrices'
    >>> _told([("tok_emb.weight", "lm_head.weight")])
    'tok_emb.weight and lm_head.weight are equal'
    """
    layers: dict[Group, int] = {}
    for group in groups:
        found = [_LAYER.match(name) for name in group]
        own = tuple(match["layer"] for match in found if match is not None)
        rest = {name.removeprefix(layer) for name, layer in zip(group, own, strict=False)}
        key = own if len(own) == len(group) and len(rest) == 1 else group
        layers[key] = layers.get(key, 0) + 1
    told = []
    for key, number in layers.items():
        names = f"{', '.join(key[:-1])} and {key[-1]}"
        told.append(f"{names} are equal" if key in groups else f"layers {names} are equal in {number} matrices")
    more = f"; and {len(told) - _LISTED} more" if len(told) > _LISTED else ""
    return "; ".join(told[:_LISTED]) + more
