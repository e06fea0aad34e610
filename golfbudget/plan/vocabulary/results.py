"""What a table of vocabulary x head scheme says, each figure with how it is known, and its JSON.

The schema is `golfbudget/vocabulary/1`; measured figures are rounded to nine decimals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from golfbudget.evidence import Evidence
from golfbudget.version import __version__


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


def vocabulary_json(plan: VocabularyPlan) -> dict[str, object]:
    """The whole table as plain values."""
    closing = plan.closing
    return {
        "schema": "golfbudget/vocabulary/1",
        "golfbudget": __version__,
        "source": {"model": plan.source, "head": plan.head, "width": plan.width, "other_tables": list(plan.others)},
        "recipe": plan.recipe,
        "codec": plan.codec,
        "seed": plan.seed,
        "cap": plan.cap,
        "code_bytes": plan.code_bytes,
        "price": {"microbpb_per_kb": plan.price, "source": plan.price_source},
        "text": None if plan.text is None else {"path": plan.text, "bytes": plan.text_bytes},
        "tied": plan.tied,
        "input_side": "shared" if plan.tied else None,
        "head_evidence": str(Evidence.SYNTHETIC),
        "container_bytes": plan.container_bytes,
        "trunk": {"bytes": plan.trunk.bytes, "evidence": str(plan.trunk.known)},
        "vocabularies": [_vocabulary(plan, one) for one in plan.vocabularies],
        "closing": {
            "record_bar_bits_per_byte": closing.record_bar,
            "enough_bytes": closing.enough_bytes,
            "enough_at": closing.enough_at,
            "enough_row": closing.enough_row,
            "large_share_of_cap": closing.large_share,
            "large_at": closing.large_at,
            "evidence": str(Evidence.SYNTHETIC),
        },
        "notes": list(plan.notes),
    }


def _vocabulary(plan: VocabularyPlan, vocabulary: Vocabulary) -> dict[str, object]:
    own = vocabulary.figures
    return {
        "label": own.label,
        "vocabulary": own.size,
        "tokenizer_bytes": own.tokenizer_bytes,
        "bytes_per_token": {"value": _rounded(own.bytes_per_token), "evidence": str(own.bytes_per_token_known)},
        "predicted_tokens": own.tokens,
        "tokens_used": own.used,
        "counts_evidence": str(own.counts_known),
        "other_tables_bytes": vocabulary.others_bytes,
        "control_low_bytes": vocabulary.control_low,
        "heads": [_row(plan, vocabulary, row) for row in vocabulary.rows],
    }


def _row(plan: VocabularyPlan, vocabulary: Vocabulary, row: HeadRow) -> dict[str, object]:
    alone = vocabulary.control.head_bytes if row.scheme is not None and plan.tied else 0
    return {
        "name": row.name,
        "scheme": row.scheme,
        "options": dict(row.options),
        "head_bytes": row.head_bytes,
        "decoder_bytes": row.decoder_bytes,
        "saved_bytes": row.saved_bytes,
        "saved_bytes_on_output_alone": row.saved_bytes - alone,
        "trunk_bytes_left": row.trunk_left,
        "headroom": plan.headroom(row),
        "break_even_bits_per_byte": _rounded(row.break_even),
        "floor": None if row.floor is None else _floor(row.floor),
    }


def _floor(floor: Floor) -> dict[str, object]:
    return {
        "codes": floor.codes,
        "biased": floor.biased,
        "nats_per_token": _rounded(floor.nats_per_token),
        "bits_per_byte": _rounded(floor.bits_per_byte),
        "evidence": str(floor.known),
        "loses_to_control_under_bits_per_byte": _rounded(floor.loser_under),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 9)
