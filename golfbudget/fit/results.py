"""What a fit comes to, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from golfbudget.evidence import Evidence
from golfbudget.inspection import Inspection
from golfbudget.ledger import Role
from golfbudget.plan.results import Inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class FitChoice:
    """What one matrix got.

    `coder` takes its integers; `stored_bytes` are those that the file's ledger has under its name.  `next_kilobyte` is
    what a kilobyte more would gain here, in µbpb and `modelled`: about the same for every matrix, which is why each got
    what it has; None where no model was run, or nothing finer was tried.
    """

    owner: str
    role: Role
    scheme: str
    options: Mapping[str, int | float | str]
    coder: str
    parameters: int
    stored_bytes: int
    next_kilobyte: float | None

    @property
    def bits(self) -> float:
        """Stored bits for each weight."""
        return 8 * self.stored_bytes / self.parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class FitQuality:
    """The change against the baseline, on text that chose nothing.

    `delta` in bits per byte with its 95 % interval; None without a model, where `evidence` is `modelled` and
    `output_error` is the worst matrix's squared error over its energy.  `blocks` are those of the interval.
    """

    metric: str
    delta: float | None
    low: float | None
    high: float | None
    evidence: Evidence
    tokens: int | None
    blocks: int | None
    chosen_on: str
    reported_on: str
    relative_error: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FitBaseline:
    """The recipe's own file, and its loss on the text that reports."""

    artifact_bytes: int
    bits_per_byte: float | None
    source_bits_per_byte: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The best file under the cap; `data` are its bytes and `loader` the program that reads it."""

    inputs: Inputs
    cap: int
    code_bytes: int | None
    container: str
    decoder_bytes: int
    choices: tuple[FitChoice, ...]
    quality: FitQuality
    baseline: FitBaseline
    inspection: Inspection
    binding: bool
    effort: int
    data: bytes
    loader: str
    notes: tuple[str, ...] = ()

    @property
    def artifact_bytes(self) -> int:
        return len(self.data)

    @property
    def counted_bytes(self) -> int:
        """The file, and the program that reads it."""
        return len(self.data) + self.decoder_bytes

    @property
    def used(self) -> int:
        """All that counts against the cap."""
        return self.counted_bytes + (self.code_bytes or 0)

    @property
    def headroom(self) -> int:
        return self.cap - self.used
