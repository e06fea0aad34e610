"""Two sides, row by row: the union of their owners, so that what vanished, what is new and what changed are distinct.

Pure: `baseline` loads sides, `gates` judges a comparison, reports print it.  Every delta is new minus base.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from operator import attrgetter

from golfbudget.errors import LedgerError, UsageError
from golfbudget.ledger import Role
from golfbudget.sorting import natural

#: Owner of the code that is counted beside a file.
CODE = "[code beside the file]"
#: Owners of a side that is known by totals alone.
MODEL, OTHER_FILES, WHOLE = "[model]", "[other files]", "[code and model]"

_Key = tuple[str, Role]
#: What whole models are put into: the same model may be saved with or without it.
_WRAPPERS = re.compile(r"^(?:(?:module|_orig_mod|model|transformer|base_model|backbone|language_model|net)\.)+(?=.)")


class Status(StrEnum):
    """What became of an owner."""

    SAME = "same"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"
    RENAMED = "renamed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """What one owner has in one role; `tensors` are the dtypes and shapes of its stored tensors, sorted.

    `content` is the hash of `content.contents`, None where it is not known.
    """

    owner: str
    role: Role
    stored_bytes: int
    parameters: int = 0
    tensors: tuple[str, ...] = ()
    content: str | None = None

    @property
    def key(self) -> _Key:
        return self.owner, self.role


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedSide:
    """One side of a comparison: `bytes` are the file's, `code_bytes` those of code beside it (None: not counted).

    Invariant: the rows are distinct and sum to `bytes` plus `code_bytes`.  `report` is the saved report it came from.
    `basis` says how a side is known that has totals and no owners (counted, logged, claimed); None where it has owners.
    `doubts` say why a submission may take other bytes than are counted, as `check` found.
    """

    path: str
    bytes: int
    sha256: str
    rows: tuple[Owned, ...]
    codecs: tuple[str, ...] = ()
    code_bytes: int | None = None
    report: str | None = None
    basis: str | None = None
    doubts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len({row.key for row in self.rows}) != len(self.rows):
            raise LedgerError(f"{self.path}: an owner has two rows in one role")
        if sum(row.stored_bytes for row in self.rows) != self.total:
            raise LedgerError(f"{self.path}: owners do not sum to {self.total} bytes")

    @property
    def total(self) -> int:
        return self.bytes + (self.code_bytes or 0)

    @property
    def parameters(self) -> int:
        return sum(row.parameters for row in self.rows)

    @property
    def hashed(self) -> bool:
        return any(row.content is not None for row in self.rows)

    def in_role(self, role: Role) -> int:
        return sum(row.stored_bytes for row in self.rows if row.role is role)

    @property
    def whole(self) -> bool:
        """Whether only the sum of code and model is known."""
        return any(row.owner == WHOLE for row in self.rows)

    def as_totals(self, *, whole: bool) -> ComparedSide:
        """The same without owners; `whole` joins code and model."""
        if self.basis is not None and self.whole is whole:
            return self
        basis = self.basis or "counted"
        if whole:
            row = Owned(owner=WHOLE, role=Role.UNASSIGNED, stored_bytes=self.total)
            return replace(self, rows=(row,), bytes=self.total, code_bytes=None, basis=basis)
        if self.basis is not None:
            return self
        model = Owned(owner=MODEL, role=Role.UNASSIGNED, stored_bytes=self.bytes)
        code = tuple(row for row in self.rows if self.code_bytes is not None and row.key == (CODE, Role.CODE))
        return replace(self, rows=(model, *code), basis=basis)

    def with_code(self, code: int | None, content: str | None = None) -> ComparedSide:
        """The same with `code` bytes counted beside the file instead of what was counted before."""
        rows = tuple(row for row in self.rows if self.code_bytes is None or row.key != (CODE, Role.CODE))
        if code is not None:
            rows += (Owned(owner=CODE, role=Role.CODE, stored_bytes=code, content=content),)
        return replace(self, rows=rows, code_bytes=code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """An amount of bytes on both sides."""

    base_bytes: int
    new_bytes: int

    @property
    def delta_bytes(self) -> int:
        return self.new_bytes - self.base_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One owner on both sides; None on the side that has it not."""

    base: Owned | None
    new: Owned | None
    status: Status

    @property
    def row(self) -> Owned:
        """The side that names it: the new one, the base where it was removed; `LedgerError` where neither is there."""
        found = self.base if self.new is None else self.new
        if found is None:
            raise LedgerError("a change must have a side")
        return found

    @property
    def amount(self) -> Delta:
        base, new = (0 if row is None else row.stored_bytes for row in (self.base, self.new))
        return Delta(base_bytes=base, new_bytes=new)

    @property
    def same_content(self) -> bool | None:
        """Whether both sides hold the same values; None where that is not known."""
        if self.base is None or self.new is None or self.base.content is None or self.new.content is None:
            return None
        return self.base.content == self.new.content

    @property
    def was(self) -> str | None:
        return self.base.owner if self.base and self.new and self.base.owner != self.new.owner else None

    @property
    def role_was(self) -> Role | None:
        return self.base.role if self.base and self.new and self.base.role is not self.new.role else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Both sides and what differs: owners with the largest movers first and those that are the same last.

    Invariant: every row of either side is in exactly one change.  `code_missing` is the side, `base` or `new`, that
    counts no code where the other does: then neither's is compared.
    """

    base: ComparedSide
    new: ComparedSide
    changes: tuple[Change, ...]
    code_missing: str | None = None

    def __post_init__(self) -> None:
        changed = [[change.base for change in self.changes], [change.new for change in self.changes]]
        for side, rows in zip((self.base, self.new), changed, strict=True):
            if sorted(row.key for row in rows if row is not None) != sorted(row.key for row in side.rows):
                raise LedgerError(f"{side.path}: an owner is in no change, or in two")

    @property
    def total(self) -> Delta:
        return Delta(base_bytes=self.base.total, new_bytes=self.new.total)

    def in_role(self, role: Role) -> Delta:
        return Delta(base_bytes=self.base.in_role(role), new_bytes=self.new.in_role(role))

    @property
    def roles(self) -> Mapping[Role, Delta]:
        """Roles that either side has, in the order of the enumeration."""
        held = {row.role for side in (self.base, self.new) for row in side.rows}
        return {role: self.in_role(role) for role in Role if role in held}

    @property
    def moved(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.status is not Status.SAME)

    @property
    def counts(self) -> Mapping[Status, int]:
        return {status: sum(change.status is status for change in self.changes) for status in Status}

    @property
    def by_totals(self) -> bool:
        """Whether a side is known by totals alone, so that owners are not compared."""
        return self.base.basis is not None

    @property
    def notes(self) -> tuple[str, ...]:
        made = []
        if self.by_totals:
            bases = f"base {self.base.basis}, new {self.new.basis}"
            parts = "nor code apart from model, " if self.base.whole else ""
            made.append(f"totals are compared ({bases}); owners are not, {parts}as a side has none to read")
        sides = (("base", self.base), ("new", self.new))
        made += [f"{name} may take other bytes: {doubt}" for name, side in sides for doubt in side.doubts]
        if self.code_missing is not None:
            made.append(f"code is left out: {self.code_missing} counts none (--{self.code_missing}-code FILE or SIZE)")
        if not self.by_totals and self.base.codecs != self.new.codecs:
            of = [" + ".join(side.codecs) or "none" for side in (self.base, self.new)]
            made.append(f"the codecs differ, base {of[0]}, new {of[1]}: bytes moved where contents are the same")
        hashes = {self.base.sha256, self.new.sha256}
        if not self.by_totals and not self.moved and len(hashes - {""}) > 1 and self.base.hashed and self.new.hashed:
            made.append("the files differ, in headers, padding or order alone: every owner holds the same")
        made += [
            f"{side.report} holds no hashes of contents: changes at equal size and renames are not seen"
            for side in (self.base, self.new)
            if not self.by_totals and side.report is not None and not side.hashed
        ]
        return tuple(made)


def compare(base: ComparedSide, new: ComparedSide) -> Comparison:
    """Pair owners: by name and role, by name, by name without what wraps it, then by content and form (renamed).

    Where several could be paired, they are in the natural order of their names.  Code that only one side counts
    is left out, because its absence is no saving.  Where a side has totals alone, both are compared by these;
    `UsageError` where one is a sum of code and model and the other counts no code.
    """
    if base.basis is not None or new.basis is not None:
        whole = base.whole or new.whole
        for name, side in (("base", base), ("new", new)):
            if whole and not side.whole and side.code_bytes is None:
                raise UsageError(
                    f"{side.path}: counts no code, and the other side is known by the sum of code and model alone; "
                    f"give --{name}-code FILE or SIZE (0 where there is no code)"
                )
        base, new = base.as_totals(whole=whole), new.as_totals(whole=whole)
    missing = None
    if (base.code_bytes is None) != (new.code_bytes is None):
        missing = "base" if base.code_bytes is None else "new"
        base, new = base.with_code(None), new.with_code(None)
    old, fresh = {row.key: row for row in base.rows}, {row.key: row for row in new.rows}
    changes = [_paired(old.pop(key), fresh.pop(key)) for key in list(old) if key in fresh]
    changes += [_paired(a, b) for a, b in _pairs(old, fresh, attrgetter("owner"))]
    wrapped = _pairs(old, fresh, _bare(old, fresh))
    changes += [Change(base=a, new=b, status=_status_across_wrappers(a, b)) for a, b in wrapped]
    changes += [Change(base=a, new=b, status=Status.RENAMED) for a, b in _pairs(old, fresh, _held)]
    changes += [Change(base=row, new=None, status=Status.REMOVED) for row in old.values()]
    changes += [Change(base=None, new=row, status=Status.ADDED) for row in fresh.values()]
    return Comparison(base=base, new=new, changes=tuple(sorted(changes, key=_order)), code_missing=missing)


def _paired(base: Owned, new: Owned) -> Change:
    unknown = base.content is None or new.content is None
    sides = [(row.role, row.stored_bytes, row.parameters, row.tensors) for row in (base, new)]
    same = sides[0] == sides[1] and (unknown or base.content == new.content)
    return Change(base=base, new=new, status=Status.SAME if same else Status.CHANGED)


def _status_across_wrappers(base: Owned, new: Owned) -> Status:
    same = (base.role, base.tensors, base.content) == (new.role, new.tensors, new.content)
    return Status.RENAMED if same and base.content is not None else Status.CHANGED


def _bare(*sides: Mapping[_Key, Owned]) -> Callable[[Owned], str | None]:
    """The key of an owner without its wrappers, None where one side has two owners of that name."""
    doubled: set[str] = set()
    for side in sides:
        seen = Counter(_WRAPPERS.sub("", row.owner) for row in side.values())
        doubled |= {name for name, number in seen.items() if number > 1}

    def key(row: Owned) -> str | None:
        name = _WRAPPERS.sub("", row.owner)
        return None if name in doubled or row.owner.startswith("[") else name

    return key


def _held(row: Owned) -> tuple[tuple[str, ...], str] | None:
    """What tells a renamed tensor: only rows that hold a tensor have it."""
    return (row.tensors, row.content) if row.tensors and row.content is not None else None


def _pairs(
    old: dict[_Key, Owned], fresh: dict[_Key, Owned], key: Callable[[Owned], Hashable | None]
) -> list[tuple[Owned, Owned]]:
    """Rows of both sides with equal keys, taken out of both; None is no key."""
    waiting: dict[Hashable, list[Owned]] = {}
    for row in _sorted(fresh.values()):
        if (at := key(row)) is not None:
            waiting.setdefault(at, []).append(row)
    for rows in waiting.values():
        rows.reverse()
    made = []
    for row in _sorted(old.values()):
        at = key(row)
        if at is not None and waiting.get(at):
            made.append((old.pop(row.key), fresh.pop(waiting[at].pop().key)))
    return made


def _order(change: Change) -> tuple[bool, int, list[tuple[int, int, str]], str]:
    delta, row = change.amount.delta_bytes, change.row
    return change.status is Status.SAME, -abs(delta), natural(row.owner), str(row.role)


def _sorted(rows: Iterable[Owned]) -> list[Owned]:
    return sorted(rows, key=lambda row: (natural(row.owner), str(row.role)))
