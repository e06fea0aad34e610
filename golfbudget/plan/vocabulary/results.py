"""What a table of vocabulary x head scheme says, each figure with how it is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from golfbudget.evidence import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One vocabulary's own figures: `tokenizer_bytes` of its .model file, `bytes_per_token` of a text, None if unknown.

    `tokens` are the predicted ones of the text, `used` how many different ones those are; `counts_known` says what the
    token counts of the floors are.
    """

    label: str
    size: int
    tokenizer_bytes: int | None
    bytes_per_token: float | None
    bytes_per_token_known: Evidence
    tokens: int | None
    used: int | None
    counts_known: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """The lowest loss that any map onto `codes` codes leaves, on the whole loss; `biased` with a bias per token.

    `bits_per_byte` is None where no bytes per token are known.  `loser_under`: where the control's own loss on this
    text, in bits per byte, is below this, the scheme is proved to lose at the price whatever it is trained to; None
    where the floor is no higher than what the saved bytes are worth, so that it proves nothing at any loss.
    """

    codes: int
    biased: bool
    nats_per_token: float
    bits_per_byte: float | None
    known: Evidence
    loser_under: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadRow:
    """One head scheme at one vocabulary; the control has `scheme` None.

    `head_bytes` are coded, `decoder_bytes` the scheme's decoder code.  `saved_bytes`: the control's bytes less both.
    `trunk_left`: what the cap leaves for the trunk.  `break_even`: bits per byte that the saving is worth at the
    price; None for the control.
    """

    name: str
    scheme: str | None
    options: Mapping[str, int | float | str]
    head_bytes: int
    decoder_bytes: int
    saved_bytes: int
    trunk_left: int
    break_even: float | None
    floor: Floor | None

    @property
    def is_vq(self) -> bool:
        """Whether it is VQ-Logits or one of its variants."""
        return self.scheme is not None and self.scheme.startswith("vq-logits")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """All of one vocabulary: `rows`, the control first, and the coded bytes of its other tables.

    `control_low`: the control's bytes at the lower end where its size depends on training; rows are at the upper.
    """

    figures: Figures
    others_bytes: int
    control_low: int | None
    rows: tuple[HeadRow, ...]

    @property
    def control(self) -> HeadRow:
        return self.rows[0]

    def best(self, *, vq: bool) -> HeadRow | None:
        """The row that saves most, of VQ-Logits and its variants or of the rest; None where there is none."""
        rows = [row for row in self.rows[1:] if row.is_vq is vq]
        return max(rows, key=lambda row: row.saved_bytes) if rows else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """The model's own trunk and everything else without a vocabulary axis, coded; None where it is not known."""

    bytes: int | None
    known: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """Two thresholds read off the table.

    `enough_bytes`: the saving worth `record_bar` bits per byte at the price, None at price zero; `enough_at`: the
    smallest vocabulary at which a VQ head saves more.  `large_at`: the smallest at which the control is over
    `large_share` of the cap.  Each None where no vocabulary of the table is such.
    """

    record_bar: float
    enough_bytes: int | None
    enough_at: str | None
    enough_row: str | None
    large_share: float
    large_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VocabularyPlan:
    """The joint question of vocabulary and head scheme, answered in bytes and certificates; no model is run.

    `container_bytes` are those of a coded file without tensors.  `head` and `others` name the tensors that have a
    vocabulary axis.
    """

    source: str
    recipe: str
    codec: str
    seed: int
    cap: int
    code_bytes: int | None
    price: float
    price_source: str
    text: str | None
    text_bytes: int | None
    tied: bool
    head: str
    width: int
    others: tuple[str, ...]
    container_bytes: int
    trunk: Trunk
    vocabularies: tuple[Vocabulary, ...]
    closing: Closing
    notes: tuple[str, ...]

    def headroom(self, row: HeadRow) -> int | None:
        """What is left under the cap with the model's own trunk; None where that is not known."""
        return None if self.trunk.bytes is None else row.trunk_left - self.trunk.bytes
