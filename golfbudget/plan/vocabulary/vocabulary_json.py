"""`plan --vocab` as JSON, schema `golfbudget/vocabulary/1`; measured figures are rounded to nine decimals."""

from __future__ import annotations

from golfbudget.evidence import Evidence
from golfbudget.plan.vocabulary.results import Floor, HeadRow, Vocabulary, VocabularyPlan
from golfbudget.version import __version__

SCHEMA = "golfbudget/vocabulary/1"


def vocabulary_json(plan: VocabularyPlan) -> dict[str, object]:
    """The whole table as plain values."""
    closing = plan.closing
    return {
        "schema": SCHEMA,
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
