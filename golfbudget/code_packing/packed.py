"""What packing code comes to: the smallest program, and everything that was tried on the way."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PackingStep:
    """One program that does what the source does, of `length` bytes.

    `codec` is "none" for source that is not wrapped at all; `spelling` says how a stub names the modules it needs.
    """

    minified: bool
    codec: str
    settings: str
    spelling: str
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedProgram:
    """The smallest of the programs tried, unpacked again and compared.

    `stub` is its file and `source` what that executes.  `minified_bytes` is None where nothing was minified, and
    `refusal` then says why it could not be; both are None where it was not asked for.
    """

    name: str
    original_bytes: int
    minified_bytes: int | None
    stub: bytes
    source: bytes
    chosen: PackingStep
    steps: tuple[PackingStep, ...]
    tools: tuple[tuple[str, str], ...]
    refusal: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def length(self) -> int:
        """Bytes of the packed file."""
        return len(self.stub)

    @property
    def saved(self) -> int:
        return self.original_bytes - self.length

    @property
    def minified(self) -> bool:
        """Whether what was chosen is made of minified source."""
        return self.chosen.minified
