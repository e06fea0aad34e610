"""What `plan --vocab` says: figures of the vocabularies, every head scheme at each, and what follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from golfbudget.evidence import Evidence
from golfbudget.plan.vocabulary.results import Figures, Floor, HeadRow, Vocabulary, VocabularyPlan, vocabulary_json
from golfbudget.report import document as doc
from golfbudget.report.inspect import code_counted
from golfbudget.report.numbers import count, percent


def document(plan: VocabularyPlan, *, details: bool = False) -> doc.Document:
    """What follows, and the head schemes that it rests on; with `details` all schemes and how each figure is known."""
    every = {vocabulary.figures.label: vocabulary.rows for vocabulary in plan.vocabularies}
    shown = (
        every
        if details
        else {vocabulary.figures.label: shortlist(plan, vocabulary) for vocabulary in plan.vocabularies}
    )
    facts = heading(plan) if details else [row for row in heading(plan) if row[0] in _FIRST]
    facts += [] if details else [("price", f"{plan.price:g} µbpb per kB")]
    answers = (*(answer(plan, vocabulary) for vocabulary in plan.vocabularies), *conclusion(plan))
    closing = doc.prose(doc.bold("where restructuring starts to pay"), *map(doc.bullet, answers))
    legend = _legend(plan) if details else _needed(plan)
    table = _heads(plan, shown, _ALL if details else _BRIEF)
    parts: list[doc.Part] = [doc.Facts(rows=tuple(facts), order=-1), _figures(plan), table, doc.prose(*legend), closing]
    left = sum(map(len, every.values())) - sum(map(len, shown.values()))
    if not details:
        rows = f"{count(left)} head scheme{'' if left == 1 else 's'}, " if left else ""
        parts.append(doc.prose(f"more: {rows}how every figure is known (--details)", tight=True))
    return doc.Document(parts=tuple(parts), data=lambda: vocabulary_json(plan), csv=lambda: _heads(plan, every, _ALL))


#: Facts without which the table says nothing.
_FIRST = frozenset({"model", "recipe", "cap"})


def shortlist(plan: VocabularyPlan, vocabulary: Vocabulary) -> tuple[HeadRow, ...]:
    """The control and, of each scheme, the row that saves most and the one nearest to the control that fits the cap."""
    control, *others = vocabulary.rows
    kinds: dict[str | None, list[HeadRow]] = {}
    for row in others:
        kinds.setdefault(row.scheme, []).append(row)
    kept = [control]
    for rows in kinds.values():
        fitting = [row for row in rows if (plan.headroom(row) or 0) >= 0] or rows
        kept += [max(rows, key=lambda row: row.saved_bytes), min(fitting, key=lambda row: row.saved_bytes)]
    return tuple(row for row in vocabulary.rows if any(row is one for one in kept))


def heading(plan: VocabularyPlan) -> list[tuple[str, str]]:
    """What the table is about, and how its bytes are known."""
    tied = "tied: input table and output head are one matrix" if plan.tied else "untied: the input table stays dense"
    how = "Gaussian, of the model's stated distribution, written and coded by the recipe"
    rows = [
        ("model", f"{plan.source}; head {plan.head} of width {plan.width}, {tied}"),
        ("recipe", f"{plan.recipe}, codec {plan.codec}"),
        ("heads", f"{Evidence.SYNTHETIC}: {how} (seed {plan.seed}); codebooks and maps are drawn, not fitted"),
    ]
    if plan.tied:
        rows.append(("", "every row is shared: input table and output head are both the decoded matrix"))
    if plan.others:
        rows.append(("other tables", f"{', '.join(plan.others)}: as the recipe stores them, in every row"))
    rows += [
        ("container", f"{count(plan.container_bytes)} bytes coded, without tensors"),
        ("trunk", _trunk(plan)),
        ("cap", f"{count(plan.cap)} bytes, {code_counted(plan.code_bytes)}"),
        ("price", f"{plan.price:g} µbpb per kB ({plan.price_source})"),
        ("text", _text(plan)),
    ]
    notes = [*plan.notes, *(few for vocabulary in plan.vocabularies if (few := _few(vocabulary.figures)))]
    return rows + [("note", note) for note in notes]


def _few(figures: Figures) -> str | None:
    """What is to be said of a text that leaves more than half of a vocabulary out."""
    if figures.tokens is None or figures.used is None or 2 * figures.used >= figures.size:
        return None
    return (
        f"{figures.label}: the text uses {count(figures.used)} of {count(figures.size)} tokens; floors are about that "
        "text alone, and a longer one's are likely higher"
    )


def _trunk(plan: VocabularyPlan) -> str:
    if plan.trunk.bytes is None:
        return "unknown: a scheme's coded bytes have no formula"
    written = plan.trunk.known is Evidence.MEASURED
    how = "the file's other tensors, written again" if written else "the model's own tensors"
    return f"{count(plan.trunk.bytes)} bytes, {plan.trunk.known}: {how}"


def _text(plan: VocabularyPlan) -> str:
    if plan.text is None:
        return "none: bytes per token are as claimed, floors are of counts ∝ 1/rank unless --counts gives them"
    return f"{plan.text}, {doc.amount(plan.text_bytes).text} bytes: bytes per token and counts are measured on it"


def _figures(plan: VocabularyPlan) -> doc.Grid:
    headings = (
        "V", "tokenizer\nbytes", "bytes per\ntoken", "predicted\ntokens", "other\ntables", "control\nof cap",
    )  # fmt: skip
    rows = []
    for vocabulary in plan.vocabularies:
        own = vocabulary.figures
        bytes_per_token = doc.DASH if own.bytes_per_token is None else f"{own.bytes_per_token:.4f}"
        known = "" if own.bytes_per_token_known is not Evidence.CLAIMED else " claimed"
        amounts = (doc.amount(own.tokens), doc.amount(vocabulary.others_bytes))
        sizes = (doc.amount(own.size), doc.amount(own.tokenizer_bytes), bytes_per_token + known)
        rows.append(doc.line(own.label, *sizes, *amounts, percent(vocabulary.control.head_bytes, plan.cap)))
    return doc.grid((doc.name("vocabulary"), *map(doc.number, headings)), rows)


#: Columns of the head schemes: what is printed above them, and their keys.
_AMOUNTS = (
    ("head\nbytes", "head_bytes"), ("saved\nbytes", "saved_bytes"), ("trunk bytes\nleft", "trunk_bytes_left"),
    ("headroom", "headroom"), ("codes", "codes"), ("floor\nnats/token", "floor_nats_per_token"),
    ("floor\nbits/byte", "floor_bits_per_byte"), ("pays under\nbits/byte", "break_even_bits_per_byte"),
)  # fmt: skip
_ALL = tuple(key for _, key in _AMOUNTS)
_BRIEF = ("saved_bytes", "headroom", "floor_bits_per_byte", "break_even_bits_per_byte")


def _heads(plan: VocabularyPlan, shown: Mapping[str, Sequence[HeadRow]], keys: Sequence[str]) -> doc.Grid:
    names = (doc.name("vocabulary", "vocabulary"), doc.name("head scheme", "name"))
    kept = [at for at, (_, key) in enumerate(_AMOUNTS) if key in keys]
    amounts = (doc.number(*_AMOUNTS[at]) for at in kept)

    def cells(vocabulary: Vocabulary, row: HeadRow) -> tuple[str | doc.Cell, ...]:
        label, name, *figures = _cells(plan, vocabulary, row)
        return (label, name, *(figures[at] for at in kept))

    rows = [
        doc.GridRow(cells=cells(vocabulary, row), apart=bool(at) and not place)
        for at, vocabulary in enumerate(plan.vocabularies)
        for place, row in enumerate(shown[vocabulary.figures.label])
    ]
    return doc.grid((*names, *amounts), rows)


def _cells(plan: VocabularyPlan, vocabulary: Vocabulary, row: HeadRow) -> tuple[str | doc.Cell, ...]:
    floor = row.floor
    codes = nats = bits = doc.Cell(text=doc.DASH, value=None)
    if floor is not None:
        mark = "" if floor.known is Evidence.CERTIFIED else " m"
        codes = doc.Cell(text=count(floor.codes) + ("+bias" if floor.biased else ""), value=floor.codes)
        nats = _figure(floor.nats_per_token, ".4f", mark)
        bits = _figure(floor.bits_per_byte, ".4f", mark)
    return (
        vocabulary.figures.label,
        row.name,
        doc.amount(row.head_bytes),
        doc.change(None if row.scheme is None else row.saved_bytes),
        doc.amount(row.trunk_left),
        doc.change(plan.headroom(row)),
        codes,
        nats,
        bits,
        _figure(row.break_even, "+.6f"),
    )


def _figure(value: float | None, form: str, mark: str = "") -> doc.Cell:
    if value is None:
        return doc.Cell(text=doc.DASH, value=None)
    return doc.Cell(text=f"{value:{form}}{mark}", value=round(value, 9))


def _legend(plan: VocabularyPlan) -> list[str]:
    lines = [
        "saved: the control (the head as the recipe stores it) less head bytes and decoder code",
        "tokenizer bytes are never counted",
        "trunk bytes left: cap - code - container - other tables - head - decoder code",
        f"headroom: trunk bytes left - the model's own trunk ({plan.trunk.known})",
        "floor: no map onto so many codes, and no training, takes the whole loss on this text below it",
        "+bias: a bound that no map need attain, with a bias added after any soft cap",
        "schemes without a floor tell tokens apart",
        "pays under: saved bytes x price, the change of loss at which the trunk would have given up the same bytes",
        "a floor is on the whole loss and pays-under on a change: the two are not to be compared with each other",
        "rows are held against the control of their own vocabulary: what another one does to the loss, training shows",
    ]
    return lines + _modelled(plan)


def _needed(plan: VocabularyPlan) -> list[str]:
    """What the short table cannot be read without."""
    return [
        f"headroom: what the cap leaves for the trunk less the model's own trunk ({plan.trunk.known})",
        "floor: the least loss with so many codes; pays under: the change of loss that the saved bytes are worth",
        *_modelled(plan),
    ]


def _modelled(plan: VocabularyPlan) -> list[str]:
    rows = (row for vocabulary in plan.vocabularies for row in vocabulary.rows)
    if not any(row.floor is not None and row.floor.known is Evidence.MODELLED for row in rows):
        return []
    return ["m: modelled, of token counts ∝ 1/rank; such a floor proves nothing about a text"]


def answer(plan: VocabularyPlan, vocabulary: Vocabulary) -> str:
    """Where restructuring starts to pay at one vocabulary, and what is proved."""
    control = vocabulary.control.head_bytes
    said = f"{vocabulary.figures.label}: control {count(control)} bytes"
    if vocabulary.control_low is not None:
        said += f" (down to {count(vocabulary.control_low)}, depending on training: then all rows save less)"
    best, rest = vocabulary.best(vq=True), vocabulary.best(vq=False)
    if best is not None:
        said += f"; {_pays('VQ-Logits', best)}{_proved(best.floor)}"
        if plan.tied:
            left = count(best.head_bytes + best.decoder_bytes)
            said += f"; on the output alone it adds {left} bytes, because the input table stays"
    if rest is not None:
        said += f"; {_pays('the others', rest)}"
    return said


def _pays(what: str, row: HeadRow) -> str:
    if row.saved_bytes <= 0:
        return f"none of {what} saves bytes ({row.name} adds {count(-row.saved_bytes)}): must lower the loss to pay"
    worth = 0.0 if row.break_even is None else row.break_even
    return f"of {what}, {row.name} saves most, {count(row.saved_bytes)}: pays if it costs under {worth:.6f} bits/byte"


def _proved(floor: Floor | None) -> str:
    if floor is None or floor.bits_per_byte is None:
        return ""
    if floor.loser_under is None:
        return " (its floor is lower than that, and proves nothing)"
    if floor.known is not Evidence.CERTIFIED:
        return f" (modelled: loses where the control's whole loss is under {floor.loser_under:.4f} bits/byte)"
    return f" (proved to lose only where the control's whole loss is under {floor.loser_under:.4f} bits/byte)"


def conclusion(plan: VocabularyPlan) -> list[str]:
    """The two thresholds of the table."""
    closing = plan.closing
    bar = f"{closing.record_bar:g} bits/byte, about the bar for a record"
    if closing.enough_bytes is None:
        saves = "at price zero saved bytes are worth nothing"
    elif closing.enough_at is None:
        saves = f"no VQ head of the table saves more than {count(closing.enough_bytes)} bytes (worth {bar})"
    else:
        saves = (
            f"{closing.enough_at} is the smallest vocabulary at which a VQ head ({closing.enough_row}) saves more than "
            f"{count(closing.enough_bytes)} bytes (worth {bar}); what it costs in loss is for a model to say"
        )
    share = f"{100 * closing.large_share:g} % of the cap"
    large = f"no vocabulary of the table has a control head over {share}"
    if closing.large_at is not None:
        large = f"{closing.large_at} is the smallest vocabulary whose control head is over {share}"
    return [f"{saves} (measured on synthetic weights)", f"{large} (measured on synthetic weights)"]
