"""A file as a tree of named parts whose leaves sum to it: what treemaps draw, and what flame graphs stack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from golfbudget.report.views import STRUCTURE, block_of

#: The role of nodes that have none of their own.
_NO_ROLE = ""


class MapLeaf(Struct, frozen=True, kw_only=True):
    """Bytes at the end of a path; further `amounts` are summed up the tree as bytes are."""

    path: tuple[str, ...]
    role: str
    owner: str
    bytes: int
    amounts: Mapping[str, int] = {}


class MapNode(Struct, kw_only=True, omit_defaults=True):
    """A part with its parts; its bytes are the sum of theirs.  `owner`: whose bytes these all are, if one's."""

    name: str
    role: str = _NO_ROLE
    owner: str | None = None
    bytes: int = 0
    amounts: dict[str, int] = {}
    children: list[MapNode] = []


def tree(name: str, leaves: Iterable[MapLeaf]) -> MapNode:
    """The leaves under one root, largest first on every level, and by name where they are equal.

    Leaves of equal paths are one.
    """
    root = MapNode(name=name, amounts={}, children=[])
    index: dict[tuple[str, ...], MapNode] = {(): root}
    for leaf in leaves:
        _add(root, leaf)
        for depth in range(1, len(leaf.path) + 1):
            at = leaf.path[:depth]
            node = index.get(at)
            if node is None:
                node = MapNode(name=at[-1], role=leaf.role, owner=leaf.owner, amounts={}, children=[])
                index[at] = node
                index[at[:-1]].children.append(node)
            elif node.owner != leaf.owner:
                node.owner = None
            _add(node, leaf)
    for node in index.values():
        node.children.sort(key=lambda child: (-child.bytes, child.name))
    return root


def place(role: str, owner: str) -> tuple[str, ...]:
    """Where an owner stands: its role, its block where it is in one, itself.

    >>> place("trunk", "blocks.3.attn.c_q.weight"), place("head", "tok_emb.weight")
    (('trunk', 'blocks.3', 'blocks.3.attn.c_q.weight'), ('head', 'tok_emb.weight'))
    >>> place("shared", "[data.pkl]")
    ('shared', '[file structure]', '[data.pkl]')
    """
    block = block_of(owner)
    if block is not None:
        return role, block[0], owner
    return (role, STRUCTURE, owner) if owner.startswith("[") else (role, owner)


def _add(node: MapNode, leaf: MapLeaf) -> None:
    node.bytes += leaf.bytes
    for name, amount in leaf.amounts.items():
        node.amounts[name] = node.amounts.get(name, 0) + amount
