"""The views of a ledger: which entries make a row of `inspect --by`, and the grid that shows them.

Rows that are no part of another sum to the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from golfbudget.inspection import Inspection
from golfbudget.ledger import Account, Entry, Role
from golfbudget.report import document as doc
from golfbudget.report.numbers import percent, ratio
from golfbudget.roles import ModelTensor
from golfbudget.rollup import Totals, roll_up, total
from golfbudget.sorting import natural

if TYPE_CHECKING:
    from golfbudget.entropy import Measure

#: A component that numbers the blocks of a model; the words are those of torch, transformers and GGUF.
_BLOCK = re.compile(
    r"^(?P<block>(?:.*?[./])?(?:(?:[a-z_]*_)?(?:blocks?|bank)|layers?|h|blk)[./]\d+)[./](?P<kind>[^./]+)"
)
_ATTENTION = re.compile(r"^(?:self_|cross_)?attn(?:_|$)|^(?:self_|cross_)?attention(?:_|$)")
_MLP = re.compile(r"^(?:mlp|ffn|feed_forward)(?:_|$)")
STRUCTURE = "[file structure]"
NO_TENSOR = "[no tensor]"

_Labels = tuple[str, ...]


class ViewRow(Struct, frozen=True, kw_only=True):
    """A group of entries; `part` says that the row above it that is none already holds its bytes.

    `remark` is for people and no part of the label.
    """

    labels: _Labels
    totals: Totals
    measure: Measure | None = None
    part: bool = False
    remark: str = ""
    model: ModelTensor | None = None


class View(Struct, frozen=True, kw_only=True):
    """Rows under the headings of their labels.  `nested`: groups (one label) are followed by their parts (two)."""

    headings: _Labels
    rows: tuple[ViewRow, ...]
    nested: bool = False
    models: bool = False


def view(inspection: Inspection, by: str) -> View:
    """The rows of `--by role`, `account`, `owner`, `block` or `dtype`."""
    return VIEWS[by](inspection)


def whole(inspection: Inspection) -> ViewRow:
    """The file as one row."""
    (row,) = _rows(inspection, lambda _: ("file",))
    return row


def grid(inspection: Inspection, by: str, *, last: str) -> doc.Grid:
    """The rows of a view and their sum, which `last` names."""
    found = view(inspection, by)
    columns = (*(doc.name(heading, heading) for heading in found.headings), *_columns(inspection, found))
    labels = len(found.headings)
    rows = []
    for at, row in enumerate(found.rows):
        label = doc.Cell(text=f"{row.labels[0]}{row.remark}", value=row.labels[0])
        own = (label, *row.labels[1:], *[""] * (labels - len(row.labels)), *_cells(inspection, found, row))
        sums = not row.part and at + 1 < len(found.rows) and found.rows[at + 1].part
        rows.append(doc.GridRow(cells=own, bold=found.nested and not row.part, part=row.part, sums=sums))
    cells = (last, *[""] * (labels - 1), *_cells(inspection, found, whole(inspection)))
    rows.append(doc.GridRow(cells=cells, bold=True, sums=True, apart=True))
    return doc.Grid(columns=columns, rows=tuple(rows), nested=found.nested)


def _columns(inspection: Inspection, found: View) -> list[doc.Column]:
    columns = [
        doc.number("parameters", "parameters", rank=3),
        doc.number("decoded\nbytes", "decoded_bytes", rank=6),
        doc.number(None, "stored_bits"),
        doc.number("stored\nbytes", "stored_bytes"),
        doc.number("bits per\nparameter"),
    ]
    if found.models:
        columns += [
            doc.number("nominal\nbits", "nominal_bits", rank=1),
            doc.number("packed\nbits", "packed_bits", rank=2),
        ]
    if inspection.entropy is not None:
        measured = (("entropy\nfloor", "entropy_floor_bytes"), ("slack", "slack_bytes"), ("alone", "alone_bytes"))
        columns += [doc.number(heading, key) for heading, key in measured]
    return [*columns, doc.number("share\nof file", rank=4), doc.number("share\nof cap", rank=7)]


def _cells(inspection: Inspection, found: View, row: ViewRow) -> list[str | doc.Cell]:
    totals, model, measure = row.totals, row.model, row.measure
    cells: list[str | doc.Cell] = [
        doc.amount(totals.parameters if totals.complete or totals.parameters else None),
        doc.amount(totals.decoded_bytes),
        doc.amount(totals.stored_bits),
        doc.amount(totals.stored_bytes),
        ratio(totals.bits_per_parameter),
    ]
    if found.models:
        cells += map(_bits, (None, None) if model is None else (model.nominal_bits, model.packed_bits))
    if inspection.entropy is not None:
        cells += map(doc.amount, (None,) * 3 if measure is None else (measure.floor, measure.slack, measure.alone))
    size, cap = inspection.artifact.size, inspection.budget.cap
    return [*cells, percent(totals.stored_bytes, size), percent(totals.stored_bytes, cap)]


def _bits(bits: float | None) -> doc.Cell:
    from golfbudget.inspection.report import bits_number

    return doc.Cell(text=ratio(bits), value=bits_number(bits))


def block_of(owner: str) -> tuple[str, str] | None:
    """The block that an owner belongs to and the kind of part it is there.

    >>> block_of("blocks.3.attn.c_q.weight"), block_of("model.layers.0.self_attn.q_proj.weight")
    (('blocks.3', 'attn'), ('model.layers.0', 'attn'))
    >>> block_of("blk.2.ffn_up.weight"), block_of("h.1.ln_1.weight"), block_of("per_layer_mlp_scales.3")
    (('blk.2', 'mlp'), ('h.1', 'ln_1'), None)
    """
    found = _BLOCK.match(owner)
    if found is None:
        return None
    kind = found["kind"]
    return found["block"], "attn" if _ATTENTION.match(kind) else "mlp" if _MLP.match(kind) else kind


def _rows(inspection: Inspection, key: Callable[[Entry], _Labels], *, models: bool = False) -> list[ViewRow]:
    ledger, entropy = inspection.assignment.ledger, inspection.entropy
    measures: Mapping[_Labels, Measure] = {}
    if entropy is not None:
        from golfbudget.entropy import roll_up as roll_up_measures

        measures = roll_up_measures(ledger, entropy, key)
    of = inspection.assignment.models
    return [
        ViewRow(labels=at, totals=totals, measure=measures.get(at), model=of.get(at[0]) if models else None)
        for at, totals in roll_up(ledger, key).items()
    ]


def _largest_first(rows: Iterable[ViewRow]) -> list[ViewRow]:
    return sorted(rows, key=lambda row: (-row.totals.stored_bits, row.labels))


def _group(label: str, parts: list[ViewRow], remark: str = "") -> list[ViewRow]:
    measures = [part.measure for part in parts if part.measure is not None]
    measure = None
    if measures:
        from golfbudget.entropy import total as total_measure

        measure = total_measure(measures)
    totals = total(part.totals for part in parts)
    group = ViewRow(labels=(label,), totals=totals, measure=measure, remark=remark)
    made = [ViewRow(labels=part.labels, totals=part.totals, measure=part.measure, part=True) for part in parts]
    return [group, *made]


def _by_role(inspection: Inspection) -> View:
    found = {row.labels: row for row in _rows(inspection, lambda entry: (entry.role, entry.account))}
    rows: list[ViewRow] = []
    for role in Role:
        parts = [found[role, account] for account in Account if (role, account) in found]
        if parts:
            tied = " (tied)" if role is Role.HEAD and inspection.assignment.tied else ""
            rows += _group(role, parts, tied)
    return View(headings=("role", "account"), rows=tuple(rows), nested=True)


def _by_account(inspection: Inspection) -> View:
    found = {row.labels[0]: row for row in _rows(inspection, lambda entry: (entry.account,))}
    return View(headings=("account",), rows=tuple(found[account] for account in Account if account in found))


def _by_owner(inspection: Inspection) -> View:
    rows = _rows(inspection, lambda entry: (entry.owner, entry.role), models=True)
    return View(headings=("owner", "role"), rows=tuple(_largest_first(rows)), models=True)


def _by_block(inspection: Inspection) -> View:
    models = inspection.assignment.models

    def key(entry: Entry) -> _Labels:
        return block_of(entry.owner) or (entry.owner if entry.owner in models else STRUCTURE,)

    blocks: dict[str, list[ViewRow]] = {}
    others: list[ViewRow] = []
    structure: list[ViewRow] = []
    for row in _rows(inspection, key):
        if len(row.labels) == 2:
            blocks.setdefault(row.labels[0], []).append(row)
        else:
            (structure if row.labels[0] == STRUCTURE else others).append(row)
    rows: list[ViewRow] = []
    for block in sorted(blocks, key=natural):
        rows += _group(block, _largest_first(blocks[block]))
    return View(headings=("block", "kind"), rows=(*rows, *_largest_first(others), *structure), nested=True)


def _by_dtype(inspection: Inspection) -> View:
    rows = _largest_first(_rows(inspection, lambda entry: (entry.dtype or NO_TENSOR,)))
    rows.sort(key=lambda row: row.labels[0] == NO_TENSOR)
    return View(headings=("dtype",), rows=tuple(rows))


VIEWS: dict[str, Callable[[Inspection], View]] = {
    "role": _by_role,
    "account": _by_account,
    "owner": _by_owner,
    "block": _by_block,
    "dtype": _by_dtype,
}
