"""`inspect` for people: where the bytes are, head against trunk, and what is left under the cap."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from golfbudget.artifact import Layer
from golfbudget.inspection import Inspection
from golfbudget.ledger import Account, Entry, Role
from golfbudget.report.numbers import count, human, percent, ratio
from golfbudget.report.tables import facts, printable, table
from golfbudget.rollup import Totals, roll_up, total

_AMOUNTS = ("parameters", "decoded\nbytes", "stored\nbytes", "bits per\nparameter", "share\nof file", "share\nof cap")


def inspect_table(inspection: Inspection, by: str) -> list[RenderableType]:
    """Renderables for `--by role`, `account` or `owner`."""
    if by == "role":
        made = role_table(inspection, whole="file")
    elif by == "account":
        made = _table(inspection, ("account",), _by_account(inspection), whole="file")
    else:
        made = _table(inspection, ("owner", "role"), _by_owner(inspection), whole="file")
    return [_heading(inspection), Text(), made, Text(), cap_facts(inspection)]


def role_table(inspection: Inspection, *, whole: str) -> Table:
    """Head against trunk, with each role's accounts; `whole` names the last row."""
    return _table(inspection, ("role / account",), _by_role(inspection), whole=whole)


_Row = tuple[tuple[str, ...], Totals, str]


def _table(inspection: Inspection, headings: tuple[str, ...], rows: list[_Row], *, whole: str) -> Table:
    made = table((*headings, *_AMOUNTS), left=len(headings))
    for labels, totals, style in rows:
        made.add_row(*map(printable, labels), *_amounts(totals, inspection), style=style)
    made.add_section()
    everything = total(roll_up(inspection.assignment.ledger, lambda _: None).values())
    made.add_row(whole, *([""] * (len(headings) - 1)), *_amounts(everything, inspection), style="bold")
    return made


def _by_role(inspection: Inspection) -> list[_Row]:
    by_both = roll_up(inspection.assignment.ledger, lambda e: (e.role, e.account))
    rows: list[_Row] = []
    for role in Role:
        accounts = [(account, by_both[role, account]) for account in Account if (role, account) in by_both]
        if accounts:
            tied = " (tied)" if role is Role.HEAD and inspection.assignment.tied else ""
            rows.append(((f"{role}{tied}",), total(t for _, t in accounts), "bold"))
            rows += [((f"  {account}",), t, "") for account, t in accounts]
    return rows


def _by_account(inspection: Inspection) -> list[_Row]:
    by_account = roll_up(inspection.assignment.ledger, lambda e: e.account)
    return [((str(account),), by_account[account], "") for account in Account if account in by_account]


def _by_owner(inspection: Inspection) -> list[_Row]:
    def key(entry: Entry) -> tuple[str, Role]:
        return entry.owner, entry.role

    by_owner = roll_up(inspection.assignment.ledger, key)
    ordered = sorted(by_owner.items(), key=lambda row: (-row[1].stored_bits, row[0]))
    return [((owner, str(role)), totals, "") for (owner, role), totals in ordered]


def _amounts(totals: Totals, inspection: Inspection) -> tuple[str, ...]:
    return (
        count(totals.parameters) if totals.complete or totals.parameters else "–",
        count(totals.decoded_bytes),
        count(totals.stored_bytes),
        ratio(totals.bits_per_parameter),
        percent(totals.stored_bytes, inspection.artifact.size),
        percent(totals.stored_bytes, inspection.budget.cap),
    )


def _heading(inspection: Inspection) -> Text:
    artifact = inspection.artifact
    rounded = f" ({human(artifact.size)})" if artifact.size >= 1000 else ""
    rows = [
        ("file", f"{artifact.path}  {count(artifact.size)} bytes{rounded}"),
        ("layers", " > ".join(_layer(layer) for layer in artifact.layers)),
    ]
    tied = inspection.assignment.tied
    if tied is not None:
        what = (
            "tied: one matrix is input table and output head, charged once" if tied else "untied: it has its own matrix"
        )
        rows.append(("head", what))
    if any(entry.role is Role.UNASSIGNED for entry in inspection.assignment.ledger.entries):
        rows.append(
            ("note", "unassigned bytes are in no known container or match no role rule (--roles FILE, --by owner)")
        )
    return facts(rows)


def _layer(layer: Layer) -> str:
    if layer.kind == "codec":
        return f"{layer.name} ({layer.attribution} attribution)"
    return f"{layer.name} ({count(layer.decoded_bytes)} bytes decoded)"


def cap_facts(inspection: Inspection) -> Text:
    """What counts against the cap and what is left."""
    budget = inspection.budget
    code = "not counted (give --code FILE or SIZE)" if budget.code is None else f"{count(budget.code)} bytes"
    left = f"{count(budget.headroom)} bytes left" if budget.fits else f"over by {count(-budget.headroom)} bytes"
    return facts(
        [
            ("code", code),
            (
                "used",
                f"{count(budget.used)} of {count(budget.cap)} bytes, {percent(budget.used, budget.cap)} of the cap",
            ),
            ("headroom", left),
        ]
    )
