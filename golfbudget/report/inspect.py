"""What `inspect` says: the file, how it is nested, where its bytes are, and what is left under the cap.

`--explain` says instead why owners have their roles and accounts, as `golfbudget/explain/1`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from golfbudget.artifact import Artifact, Layer
from golfbudget.inspection import Inspection
from golfbudget.ledger import Role
from golfbudget.report.document import Document, Facts, Part
from golfbudget.report.numbers import bytes_text, count, left_text, percent
from golfbudget.report.views import grid
from golfbudget.version import __version__

if TYPE_CHECKING:
    from golfbudget.entropy import Entropy
    from golfbudget.roles.explain import Explanation
    from golfbudget.roles.head import Head

EXPLAIN_SCHEMA = "golfbudget/explain/1"

#: Kinds of members that are named; the rest are counted.
_MOST_GROUPS = 3


def document(inspection: Inspection, by: str = "role", *, advise: bool = False) -> Document:
    """The whole report; `by` is the view that all formats but JSON show, `advise` adds what to do where it is over."""
    rows = grid(inspection, by, last="file")
    parts: list[Part] = [Facts(rows=_heading(inspection), order=-1), rows, cap_facts(inspection, order=-1)]
    if inspection.entropy is not None:
        facts = _entropy(inspection.entropy)
        found = inspection.efficiency
        if found is not None and found.tensors:
            from golfbudget.report.efficiency import left_facts, left_grid

            parts.append(left_grid(found, whole=by == "owner"))
            facts += tuple(left_facts(found))
        parts.append(Facts(rows=facts))
    if advise and not inspection.budget.fits:
        from golfbudget.report.next_steps import over_the_cap

        parts += over_the_cap(inspection)
    return Document(parts=tuple(parts), data=lambda: _data(inspection), csv=lambda: rows)


def explain_document(inspection: Inspection, explanations: Sequence[Explanation]) -> Document:
    """One list of facts per owner."""
    parts = []
    for found in explanations:
        rows = [("owner", found.owner), ("role", str(found.role)), ("reason", found.reason)]
        for one in found.stored:
            rows += [("stored", one.stored), ("  account", str(one.account)), ("  reason", one.reason)]
        parts.append(Facts(rows=tuple(rows)))
    return Document(parts=tuple(parts), data=lambda: _explained(inspection, explanations))


def cap_facts(inspection: Inspection, *, order: int = 0) -> Facts:
    """What counts against the cap and what is left."""
    budget = inspection.budget
    used = f"{count(budget.used)} of {count(budget.cap)} bytes, {percent(budget.used, budget.cap)} of the cap"
    rows = (("code", code_text(budget.code)), ("used", used), ("headroom", left_text(budget.headroom)))
    return Facts(rows=rows, order=order)


def code_text(code: int | None) -> str:
    """Whether code counts, and how much."""
    return "not counted (give --code FILE or SIZE)" if code is None else f"{count(code)} bytes"


def code_counted(code: int | None) -> str:
    """The same in a sentence."""
    return "code not counted" if code is None else f"{count(code)} bytes of code counted"


def cap_text(inspection: Inspection) -> str:
    """What is left under the cap, in one line."""
    budget = inspection.budget
    left = left_text(budget.headroom) + ("" if budget.fits else ":")
    return f"{left} of {count(budget.cap)}, {code_counted(budget.code)}"


def _data(inspection: Inspection) -> object:
    from golfbudget.inspection.report import InspectReport

    return InspectReport.of(inspection).plain()


def _explained(inspection: Inspection, explanations: Sequence[Explanation]) -> object:
    import msgspec

    from golfbudget.inspection.report import SourceReport

    return {
        "schema": EXPLAIN_SCHEMA,
        "golfbudget": __version__,
        "source": msgspec.to_builtins(SourceReport.of(inspection.artifact)),
        "tied": inspection.assignment.tied,
        "tied_reason": inspection.assignment.tied_reason,
        "owners": msgspec.to_builtins(explanations),
    }


@dataclass(slots=True)
class _Group:
    """Members whose layers are the same: how many, and how many bytes their containers decode to."""

    chain: list[Layer]
    members: int = 0
    decoded_bytes: int = 0


def _heading(inspection: Inspection) -> tuple[tuple[str, str], ...]:
    artifact = inspection.artifact
    files = f" in {len(artifact.files)} files" if len(artifact.files) > 1 else ""
    rows = [("file", f"{artifact.path}  {bytes_text(artifact.size)}{files}"), ("layers", layers_line(artifact))]
    if inspection.assignment.tied is not None or any(
        entry.parameters for entry in inspection.assignment.ledger.entries
    ):
        rows.append(("head", _head(inspection.assignment.head)))
    if inspection.efficiency is not None and inspection.efficiency.tensors:
        from golfbudget.report.efficiency import left_line

        rows.append(("left", left_line(inspection.efficiency)))
    if any(entry.role is Role.UNASSIGNED for entry in inspection.assignment.ledger.entries):
        what = "unassigned bytes are in no known container or match no role rule (--roles FILE, --by owner)"
        rows.append(("note", what))
    remote = () if artifact.remote is None else (artifact.remote.missing,)
    return (*rows, *(("note", note) for note in (*artifact.notes, *remote, *inspection.assignment.notes)))


def _head(head: Head) -> str:
    """Whether it is tied; what is redundant, and what makes it unknown, with the tensors' names."""
    if head.tied is None:
        return f"not known whether it is tied: {head.reason}"
    text = (
        "tied: one matrix is input table and output head, charged once"
        if head.tied
        else "untied: it has its own matrix"
    )
    if head.redundant_bytes:
        text += f"; the table is stored {1 + len(head.copies)} times, {count(head.redundant_bytes)} bytes redundant"
    return text


def layers_line(artifact: Artifact) -> str:
    """The outer layers, then the streams inside them, those of the same layers together."""
    outer = [layer for layer in artifact.layers if layer.member is None]
    groups = _groups([layer for layer in artifact.layers if layer.member is not None])
    texts = [_layer(layer, bundle=bool(groups) and len(outer) == 1) for layer in outer]
    if groups:
        texts.append(_inner(groups, "file" if not outer else "member"))
    return " > ".join(texts)


def _groups(layers: list[Layer]) -> list[_Group]:
    """Groups of members by their layers, most decoded bytes first."""
    chains: list[list[Layer]] = []
    for layer in layers:
        # A container ends a member's layers; what follows is another member's.
        if not chains or chains[-1][-1].kind == "container":
            chains.append([])
        chains[-1].append(layer)
    found: dict[tuple[tuple[str, object], ...], _Group] = {}
    for chain in chains:
        group = found.setdefault(tuple((layer.name, layer.attribution) for layer in chain), _Group(chain))
        group.members += 1
        group.decoded_bytes += chain[-1].decoded_bytes
    return sorted(found.values(), key=lambda group: -group.decoded_bytes)


def _inner(groups: list[_Group], word: str) -> str:
    texts = []
    for group in groups[:_MOST_GROUPS]:
        *steps, container = group.chain
        names = [_layer(step) for step in steps]
        names.append(f"{container.name} ({count(group.decoded_bytes)} bytes decoded)")
        texts.append(f"{_several(group.members, word)}: {' > '.join(names)}")
    rest = sum(group.members for group in groups[_MOST_GROUPS:])
    if rest:
        texts.append(f"and {count(rest)} more")
    return "; ".join(texts)


def _several(number: int, word: str) -> str:
    return f"{count(number)} {word}" if number == 1 else f"{count(number)} {word}s"


def _layer(layer: Layer, *, bundle: bool = False) -> str:
    if layer.kind == "codec":
        return f"{layer.name} ({layer.attribution} attribution)"
    if layer.kind == "filter":
        return layer.name
    return f"{layer.name} ({count(layer.decoded_bytes)} bytes{'' if bundle else ' decoded'})"


def _entropy(entropy: Entropy) -> tuple[tuple[str, str], ...]:
    coders = " or ".join(f"{coder.codec} at level {coder.level}" for coder in entropy.coders)
    floor = "order-0 entropy in bytes, no coder's tables, of each tensor's elements (its bytes where wider than two)"
    slack = "stored bytes of the tensors' own data minus the floor; below 0 the codec found more than order 0"
    alone = f"each tensor's bytes compressed by themselves with {coders}, the codec's default, without filters"
    rows = [("entropy floor", floor), ("slack", slack), ("alone", alone if coders else "no codec is around any tensor")]
    if entropy.zstd_blocks:
        rows.append(("zstd blocks", _blocks(entropy)))
    return tuple(rows)


def _blocks(entropy: Entropy) -> str:
    blocks = entropy.zstd_blocks
    kinds = Counter(block.kind for block in blocks)
    sequences = sorted(block.sequences for block in blocks)
    middle = sequences[(len(sequences) - 1) // 2]
    listed = ", ".join(f"{count(number)} {kind}" for kind, number in kinds.items())
    return (
        f"{count(len(blocks))} ({listed}); sequences per block: least {count(sequences[0])}, median {count(middle)}, "
        f"most {count(sequences[-1])}"
    )
