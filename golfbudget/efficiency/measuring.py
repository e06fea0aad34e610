"""What every tensor of an opened artifact has left, once its entropy is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from golfbudget.artifact import Artifact
from golfbudget.codecs.rans.machine import parities
from golfbudget.efficiency.limits import RowLimits, conditional_bytes, counts_by_parity, row_limits
from golfbudget.efficiency.matrices import (
    TRELLIS,
    Numbers,
    StoredNumbers,
    StoredPart,
    Weights,
    trellis_tables,
)
from golfbudget.efficiency.results import CoderSlack, Efficiency, Left, TensorEfficiency, left_in
from golfbudget.entropy import Entropy
from golfbudget.errors import UnsupportedError, UsageError
from golfbudget.evidence import Evidence
from golfbudget.ledger import Account, Ledger, Role
from golfbudget.progress import Progress, unwatched
from golfbudget.roles import Assignment

#: Numbers that are held as float64 at a time, of either side.
_AT_ONCE = 1 << 20
#: The name of no codec.
RAW = "raw"
_NO_ORIGINAL = "the original is not given (--original)"


@dataclass(slots=True)
class _Sums:
    """Bytes of one owner in one role."""

    weights: int = 0
    stored: int = 0
    floor: int = 0
    scales: int = 0
    container: int = 0
    tensors: bool = False
    sure: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Error:
    """What is known of a tensor's error; `reason` where there are no limits at it."""

    limits: RowLimits | None = None
    relative_error: float | None = None
    reason: str | None = None


def efficiency(
    artifact: Artifact,
    assignment: Assignment,
    entropy: Entropy,
    original: Numbers | None = None,
    progress: Progress = unwatched,
    *,
    decoded: Numbers | None = None,
) -> Efficiency:
    """What is left in every tensor; of its quantiser only against an original, tensor by tensor of the same name.

    `decoded` is what the artifact decodes to, where someone knows more of its layout than is known here; then the
    tensors are those that it has.  `UsageError` where a tensor has another shape in the original, or none is there.
    """
    stored = StoredNumbers.of(artifact, assignment)
    maker = _Maker(parts=stored.parts, decoded=decoded or stored, original=original)
    maker.check()
    sums = {
        key: own
        for key, own in _sums(assignment.ledger, entropy).items()
        if own.tensors and (decoded is None or key[0] in decoded.names())
    }
    tensors = []
    for (owner, role), own in sums.items():
        progress(owner, len(sums))
        tensors.append(maker.tensor(owner, role, own))
    ledger = assignment.ledger
    return Efficiency(
        tensors=tuple(tensors),
        left=_left(tensors, None if decoded is not None else ledger),
        coders=_coders(artifact, ledger, entropy),
        original=None if original is None else original.path,
    )


def _sums(ledger: Ledger, entropy: Entropy) -> dict[tuple[str, Role], _Sums]:
    found: dict[tuple[str, Role], _Sums] = {}
    for entry, stored, measure in zip(ledger.entries, ledger.stored_bytes(), entropy.entries, strict=True):
        own = found.setdefault((entry.owner, entry.role), _Sums())
        own.weights += entry.parameters
        if entry.account is Account.CONTAINER:
            own.container += stored
        elif measure is not None and entry.account is Account.SCALES:
            own.scales += stored
        elif measure is not None:
            own.tensors = True
            own.stored += stored
            own.floor += measure.floor
            own.sure = own.sure and measure.sure
    return found


def _left(tensors: list[TensorEfficiency], ledger: Ledger | None) -> Left:
    """Sums; the container of the whole file is in its ledger."""
    known = [one.quantiser_bytes for one in tensors if one.quantiser_bytes is not None]
    sure = [one.coder_bytes for one in tensors if one.coder_sure]
    coder = sum(sure) if sure else None
    quantiser = sum(known) if known else None
    container = sum(one.container_bytes for one in tensors)
    if ledger is not None:
        entries = zip(ledger.entries, ledger.stored_bytes(), strict=True)
        container = sum(stored for entry, stored in entries if entry.account is Account.CONTAINER)
    most = left_in(coder=coder, quantiser=quantiser, container=container)
    return Left(coder_bytes=coder, quantiser_bytes=quantiser, container_bytes=container, known=len(known), most_in=most)


def _coders(artifact: Artifact, ledger: Ledger, entropy: Entropy) -> tuple[CoderSlack, ...]:
    """All tensors' own data, scales included, by the innermost codec around it."""
    names = [leaf.streams[-1].codec.name if leaf.streams else RAW for leaf in artifact.leaves]
    amounts: dict[str, list[int]] = {}
    tensors: dict[str, set[tuple[int, str | None]]] = {}
    for entry, stored, measure in zip(ledger.entries, ledger.stored_bytes(), entropy.entries, strict=True):
        if measure is not None and entry.leaf is not None:
            own = amounts.setdefault(names[entry.leaf], [0, 0])
            own[0] += stored
            own[1] += measure.floor
            tensors.setdefault(names[entry.leaf], set()).add((entry.leaf, entry.tensor))
    return tuple(
        CoderSlack(
            codec=name,
            tensors=len(tensors[name]),
            stored_bytes=stored,
            floor_bytes=floor,
            slack_bytes=stored - floor,
        )
        for name, (stored, floor) in amounts.items()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    """Makes one value per tensor of the model."""

    parts: Mapping[str, Sequence[StoredPart]]
    decoded: Numbers
    original: Numbers | None

    def check(self) -> None:
        """`UsageError` for an original that is of another model altogether."""
        if self.original is not None and not set(self.decoded.names()).intersection(self.original.names()):
            sides = (list(side.names())[:3] for side in (self.decoded, self.original))
            ours, theirs = (", ".join(names) or "no tensors" for names in sides)
            raise UsageError(
                f"{self.original.path}: none of its tensors ({theirs} …) is one of {self.decoded.path} ({ours} …); "
                "give the checkpoint that the artifact was made from"
            )

    def tensor(self, owner: str, role: Role, own: _Sums) -> TensorEfficiency:
        parts = self.parts.get(owner, ())
        given_state = self._state_floor(parts)
        floor = own.floor if given_state is None else min(own.floor, given_state)
        coder = own.stored - floor
        known = self._error(owner, parts)
        weights, limit, quantiser = own.weights, None, None
        if known.limits is not None:
            # A tied copy has no parameters of its own in the ledger.
            weights = known.limits.numbers
            limit = known.limits.bits_a_weight(8 * floor / weights)
            quantiser = floor - round(limit * weights / 8)
        return TensorEfficiency(
            owner=owner,
            role=role,
            weights=weights,
            stored_bytes=own.stored,
            floor_bytes=own.floor,
            state_floor_bytes=given_state,
            coder_bytes=coder,
            coder_sure=own.sure,
            scales_bytes=own.scales,
            container_bytes=own.container,
            relative_error=known.relative_error,
            limit_bits=None if limit is None else round(limit, 6),
            quantiser_bytes=quantiser,
            evidence=Evidence.UNKNOWN if quantiser is None else Evidence.MODELLED,
            reason=known.reason,
            most_in=left_in(coder=coder if own.sure else None, quantiser=quantiser, container=own.container),
        )

    def _state_floor(self, parts: Sequence[StoredPart]) -> int | None:
        """Bytes of a trellis's integers by an ideal coder that knows the parity of the state; None for another scheme.

        The integers are those of the one table `values`; all else of such a tensor is scales.
        """
        if not parts or parts[0].scheme not in TRELLIS:
            return None
        try:
            values, scales = trellis_tables(parts)
        except UnsupportedError:
            return None
        step = max(1, _AT_ONCE // max(1, values.shape[1]))
        counts = sum(
            counts_by_parity(part, parities(part, scales.ndim))
            for part in (values[start : start + step] for start in range(0, len(values), step))
        )
        return None if isinstance(counts, int) else conditional_bytes(counts)

    def _error(self, owner: str, parts: Sequence[StoredPart]) -> _Error:
        if self.original is None:
            return _Error(reason=_NO_ORIGINAL)
        if owner not in self.original.names():
            return _Error(reason=f"no tensor of that name in {self.original.path}")
        try:
            own = self.decoded.read(owner)
        except UnsupportedError as error:
            return _Error(reason=str(error))
        if not own.quantised:
            return _Error(reason=f"kept as {parts[0].tensor.dtype}: nothing was quantised to integers")
        try:
            other = self.original.read(owner)
        except UnsupportedError as error:
            return _Error(reason=f"in {self.original.path}: {error}")
        if own.shape != other.shape:
            raise UsageError(
                f"{self.original.path}: {owner!r} is {list(other.shape)}, in {self.decoded.path} it is "
                f"{list(own.shape)}; give the checkpoint that the artifact was made from"
            )
        return _known(_limits(other, own))


def _limits(original: Weights, decoded: Weights) -> RowLimits:
    """Of all rows, a few at a time."""
    found, step = RowLimits(), max(1, _AT_ONCE // max(1, decoded.columns))
    for start in range(0, decoded.rows, step):
        stop = min(start + step, decoded.rows)
        with np.errstate(over="ignore", invalid="ignore"):
            numbers = original.read(start, stop), decoded.read(start, stop)
        found += row_limits(*numbers)
    return found


def _known(limits: RowLimits) -> _Error:
    if limits.unsound:
        return _Error(reason=f"{limits.unsound:,} numbers of it or of its original are not finite, or their squares")
    if limits.numbers == 0:
        return _Error(reason="it holds no numbers")
    relative = limits.relative_error
    if limits.error == 0:
        return _Error(relative_error=relative, reason="it has no error, so no rate is its limit")
    if relative is not None and relative >= 1:
        reason = (
            "values times scales are nothing like the original: another layout than supposed, or another checkpoint"
        )
        return _Error(relative_error=relative, reason=reason)
    return _Error(limits=limits, relative_error=relative)
