"""The report that `inspect` saves, schema `golfbudget/inspect/1`: its fields, how they are made, how they are read.

Bytes are integers; nothing depends on when it was made.  The accounts of a role sum to the role; roles, owners and
entries each sum to the file.  `redundant_bytes` are the decoded bytes of matrices that repeat the head's, where there
are such.  `span` is an entry's half-open range of decoded bytes, null for codec framing.  The
`content` of an owner is the hash that `content.contents` makes of what it holds.  What `--entropy` adds is estimates:
fields beside the ledger's, null for what is no tensor's own data.

Fields with a default may be absent from a saved report; what a comparison needs may not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from golfbudget.artifact import Artifact, Remote, RemoteFile
from golfbudget.content import DIGITS, contents
from golfbudget.efficiency.results import CoderSlack, Left, TensorEfficiency
from golfbudget.entropy import Coder, Entropy, Measure, ZstdBlock
from golfbudget.entropy import roll_up as roll_up_measures
from golfbudget.errors import CorruptError, UnsupportedError
from golfbudget.hashing import file_hashes
from golfbudget.inspection import SCHEMA, Inspection
from golfbudget.ledger import Account, Entry, Ledger, Role
from golfbudget.roles.explain import role_reasons
from golfbudget.rollup import Totals, roll_up, total
from golfbudget.version import __version__

_Amount = Annotated[int, msgspec.Meta(ge=0)]
_Content = Annotated[str, msgspec.Meta(pattern=f"^[0-9a-f]{{{DIGITS}}}$")]
_Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_Bits = int | float | None | UnsetType
_Measured = int | None | UnsetType


class SourceFileReport(msgspec.Struct, frozen=True, kw_only=True):
    """One file of several; the hash is null where its server states none."""

    path: str
    bytes: _Amount
    sha256: _Sha256 | None


class SourceReport(msgspec.Struct, frozen=True, kw_only=True):
    """Path, stored length and hash; of several files also each one's, the hash being that of all in this order.

    Where values were left on a server, `downloaded_bytes` were read, and `missing` says what is not known for that.
    Hashes are then those that the server states, and null for several files together.
    """

    path: str
    bytes: _Amount
    sha256: _Sha256 | None
    files: tuple[SourceFileReport, ...] | UnsetType = UNSET
    downloaded_bytes: _Amount | UnsetType = UNSET
    missing: str | UnsetType = UNSET

    @classmethod
    def of(cls, artifact: Artifact) -> SourceReport:
        """Of an artifact, whose files are read for it where they are at hand."""
        if artifact.remote is not None:
            return cls._of_remote(artifact, artifact.remote)
        together, each = file_hashes([file.path for file in artifact.local_files] or [Path(artifact.path)])
        files = tuple(
            SourceFileReport(path=str(file.path), bytes=file.size, sha256=sha256)
            for file, sha256 in zip(artifact.local_files, each, strict=False)
        )
        listed = files if len(files) > 1 else UNSET
        return cls(path=artifact.path, bytes=artifact.size, sha256=together, files=listed)

    @classmethod
    def _of_remote(cls, artifact: Artifact, remote: Remote) -> SourceReport:
        files = tuple(
            SourceFileReport(path=file.address, bytes=file.size, sha256=file.sha256)
            for file in artifact.files
            if isinstance(file, RemoteFile)
        )
        several = len(files) > 1
        return cls(
            path=artifact.path,
            bytes=artifact.size,
            sha256=None if several else files[0].sha256,
            files=files if several else UNSET,
            downloaded_bytes=remote.downloaded,
            missing=remote.missing,
        )


class LayerReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of the nesting: an `artifact.Layer`."""

    kind: str
    name: str
    stored_bytes: _Amount | None = None
    decoded_bytes: _Amount | UnsetType = UNSET
    attribution: str | None = None
    member: str | None = None


class CapReport(msgspec.Struct, frozen=True, kw_only=True):
    """What counts against the cap."""

    bytes: int | UnsetType = UNSET
    code_bytes: _Amount | None
    used: int | UnsetType = UNSET
    headroom: int | UnsetType = UNSET
    fits: bool | UnsetType = UNSET


class AccountReport(msgspec.Struct, frozen=True, kw_only=True):
    """One account of a role."""

    account: Account
    decoded_bytes: _Amount
    stored_bytes: _Amount


class RoleReport(msgspec.Struct, frozen=True, kw_only=True):
    """A role with its accounts."""

    role: Role
    parameters: _Amount
    decoded_bytes: _Amount | UnsetType = UNSET
    stored_bytes: _Amount
    entropy_floor_bytes: _Measured = UNSET
    slack_bytes: _Measured = UNSET
    alone_bytes: _Measured = UNSET
    accounts: tuple[AccountReport, ...] | UnsetType = UNSET


class OwnerReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one owner has in one role, and the `reason` for that role.  Bits are per parameter."""

    owner: str
    role: Role
    parameters: _Amount
    nominal_bits: _Bits = UNSET
    packed_bits: _Bits = UNSET
    decoded_bytes: _Amount | UnsetType = UNSET
    stored_bytes: _Amount
    content: _Content | None = None
    reason: str | UnsetType = UNSET
    entropy_floor_bytes: _Measured = UNSET
    slack_bytes: _Measured = UNSET
    alone_bytes: _Measured = UNSET


class EntryReport(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the ledger."""

    role: Role
    account: Account | UnsetType = UNSET
    owner: str
    tensor: str | None
    dtype: str | None
    shape: tuple[_Amount, ...] | None
    parameters: _Amount
    span: tuple[_Amount, _Amount] | UnsetType | None = UNSET
    decoded_bytes: _Amount | UnsetType = UNSET
    stored_bits: _Amount
    stored_bytes: _Amount
    entropy_floor_bytes: _Measured = UNSET
    slack_bytes: _Measured = UNSET
    alone_bytes: _Measured = UNSET


class EntropyReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the entropy columns were measured with, slack by codec, and what is left, summed and tensor by tensor."""

    alone: tuple[Coder, ...]
    coders: tuple[CoderSlack, ...] | UnsetType = UNSET
    original: SourceReport | UnsetType = UNSET
    left: Left | UnsetType = UNSET
    tensors: tuple[TensorEfficiency, ...] | UnsetType = UNSET

    @classmethod
    def of(cls, inspection: Inspection) -> EntropyReport | UnsetType:
        """Of an inspection, where entropy was asked for; the original is read again for its hash."""
        entropy, found = inspection.entropy, inspection.efficiency
        if entropy is None:
            return UNSET
        if found is None:
            return cls(alone=entropy.coders)
        return cls(
            alone=entropy.coders,
            coders=found.coders,
            original=UNSET if inspection.original is None else SourceReport.of(inspection.original),
            left=found.left,
            tensors=found.tensors,
        )


class InspectReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole report."""

    schema: str
    golfbudget: str | UnsetType = UNSET
    source: SourceReport
    layers: tuple[LayerReport, ...]
    cap: CapReport
    tied: bool | UnsetType | None = UNSET
    tied_reason: str | UnsetType = UNSET
    redundant_bytes: _Amount | UnsetType = UNSET
    notes: tuple[str, ...] | UnsetType = UNSET
    parameters: _Amount
    roles: tuple[RoleReport, ...]
    owners: tuple[OwnerReport, ...]
    entries: tuple[EntryReport, ...]
    entropy: EntropyReport | UnsetType = UNSET
    zstd_blocks: tuple[ZstdBlock, ...] | UnsetType = UNSET

    @classmethod
    def of(cls, inspection: Inspection) -> InspectReport:
        """Of an inspection; the file is read again for its hash, and every decoded byte for those of its contents."""
        artifact, ledger, entropy = inspection.artifact, inspection.assignment.ledger, inspection.entropy
        own = inspection.budget
        cap = CapReport(bytes=own.cap, code_bytes=own.code, used=own.used, headroom=own.headroom, fits=own.fits)
        blocks = () if entropy is None else entropy.zstd_blocks
        return cls(
            schema=SCHEMA,
            golfbudget=__version__,
            source=SourceReport.of(artifact),
            layers=msgspec.convert(artifact.layers, tuple[LayerReport, ...], from_attributes=True),
            cap=cap,
            tied=inspection.assignment.tied,
            tied_reason=inspection.assignment.tied_reason,
            redundant_bytes=inspection.assignment.head.redundant_bytes or UNSET,
            notes=inspection.notes or UNSET,
            parameters=sum(entry.parameters for entry in ledger.entries),
            roles=role_reports(ledger, entropy),
            owners=_owners(inspection),
            entries=_entries(ledger, entropy),
            entropy=EntropyReport.of(inspection),
            zstd_blocks=blocks or UNSET,
        )

    @classmethod
    def read(cls, value: object, *, where: str) -> InspectReport:
        """From plain values; `where` names them in messages.

        Raises `UnsupportedError` for another version's report, `CorruptError` for what is none or does not add up.
        """
        schema = value.get("schema") if isinstance(value, dict) else None
        if schema != SCHEMA:
            found = f"schema {schema[:60]!r}" if isinstance(schema, str) else "no schema"
            message = (
                f"{where}: JSON with {found}, expected a report with schema {SCHEMA!r} as "
                "`golfbudget inspect PATH --format json -o FILE` saves it"
            )
            if isinstance(schema, str) and schema.startswith(SCHEMA.rpartition("/")[0] + "/"):
                raise UnsupportedError(f"{message}; another version of golfbudget made it: save it again")
            raise CorruptError(message)
        try:
            report = msgspec.convert(value, type=cls)
        except msgspec.ValidationError as error:
            raise CorruptError(f"{where}: not a sound report: {error}") from None
        for what, amount, expected, limit in report._sums():  # noqa: SLF001  (its own)
            if amount != limit:
                raise CorruptError(f"{where}: not a sound report: {what} sum to {amount}, {expected} is {limit}")
        return report

    def _sums(self) -> Iterator[tuple[str, int, str, int]]:
        """The laws: entries make owners, owners make roles, roles make the file.

        Each is what is summed, the sum, what it must equal, and that amount.
        """
        size, by_owner, by_role = self.source.bytes, Counter[object](), Counter[object]()
        for entry in self.entries:
            by_owner[entry.owner, entry.role] += entry.stored_bytes
        for owned in self.owners:
            by_role[owned.role] += owned.stored_bytes
        rows: tuple[tuple[str, tuple[RoleReport | OwnerReport | EntryReport, ...]], ...]
        rows = (("roles", self.roles), ("owners", self.owners), ("entries", self.entries))
        for name, own in rows:
            yield f"{name}[].stored_bytes", sum(row.stored_bytes for row in own), "source.bytes", size
        yield "entries[].stored_bits", sum(row.stored_bits for row in self.entries), "8 x source.bytes", 8 * size
        for name, own in rows:
            yield f"{name}[].parameters", sum(row.parameters for row in own), "parameters", self.parameters
        for row in self.owners:
            yield f"entries of {row.owner[:80]!r}", by_owner[row.owner, row.role], "its owner's row", row.stored_bytes
        for role in self.roles:
            yield f"owners of role {role.role}", by_role[role.role], "its row", role.stored_bytes

    def plain(self) -> object:
        return msgspec.to_builtins(self)


def role_reports(ledger: Ledger, entropy: Entropy | None = None) -> tuple[RoleReport, ...]:
    """Roles in the fixed order of the enumeration, each with its accounts."""
    by_both = roll_up(ledger, lambda entry: (entry.role, entry.account))
    measured = _measures(ledger, entropy, lambda entry: entry.role)
    made = []
    for role in Role:
        accounts = {account: by_both[role, account] for account in Account if (role, account) in by_both}
        if not accounts:
            continue
        reports = (
            AccountReport(account=a, decoded_bytes=t.decoded_bytes, stored_bytes=t.stored_bytes)
            for a, t in accounts.items()
        )
        amounts = _amounts(total(accounts.values())) | measured(role)
        made.append(RoleReport(role=role, accounts=tuple(reports), **amounts))
    return tuple(made)


def _amounts(totals: Totals) -> dict[str, Any]:
    decoded, stored = totals.decoded_bytes, totals.stored_bytes
    return {"parameters": totals.parameters, "decoded_bytes": decoded, "stored_bytes": stored}


def bits_number(bits: float | None) -> float | None:
    """Bits per parameter for programs: whole where they are, six decimals otherwise.

    >>> bits_number(8.0), bits_number(1.5849625007211562), bits_number(None)
    (8, 1.584963, None)
    """
    if bits is None:
        return None
    return int(bits) if bits == int(bits) else round(bits, 6)


def _owners(inspection: Inspection) -> tuple[OwnerReport, ...]:
    """Owners in file order; one that serves two roles has a row for each."""
    ledger = inspection.assignment.ledger

    def key(entry: Entry) -> tuple[str, Role]:
        return entry.owner, entry.role

    measured, held = _measures(ledger, inspection.entropy, key), contents(inspection.artifact, ledger)
    reasons = role_reasons(inspection.artifact, inspection.assignment)
    made = []
    for (owner, role), totals in roll_up(ledger, key).items():
        model = inspection.assignment.models.get(owner)
        nominal, packed = (None, None) if model is None else (model.nominal_bits, model.packed_bits)
        amounts = {"nominal_bits": bits_number(nominal), "packed_bits": bits_number(packed), **_amounts(totals)}
        told = {"content": held[owner, role], "reason": reasons.get(owner, UNSET)}
        amounts |= told | measured((owner, role))
        made.append(OwnerReport(owner=owner, role=role, **amounts))
    return tuple(made)


def _entries(ledger: Ledger, entropy: Entropy | None) -> tuple[EntryReport, ...]:
    measures = [None] * len(ledger.entries) if entropy is None else entropy.entries
    made = []
    for entry, stored, found in zip(ledger.entries, ledger.stored_bytes(), measures, strict=True):
        own = msgspec.structs.asdict(entry) | ({} if entropy is None else _measure(found))
        own["shape"] = None if entry.shape is None else tuple(entry.shape)
        own["span"] = None if entry.span is None else (entry.span.start, entry.span.stop)
        del own["leaf"]
        made.append(EntryReport(**own, decoded_bytes=entry.decoded_bytes, stored_bytes=stored))
    return tuple(made)


def _measures(
    ledger: Ledger, entropy: Entropy | None, key: Callable[[Entry], Hashable]
) -> Callable[[Hashable], dict[str, _Measured]]:
    """The fields that `--entropy` adds to the row of a key; none without it."""
    if entropy is None:
        return lambda _: {}
    found = roll_up_measures(ledger, entropy, key)
    return lambda at: _measure(found.get(at))


def _measure(found: Measure | None) -> dict[str, _Measured]:
    return {
        "entropy_floor_bytes": None if found is None else found.floor,
        "slack_bytes": None if found is None else found.slack,
        "alone_bytes": None if found is None else found.alone,
    }
