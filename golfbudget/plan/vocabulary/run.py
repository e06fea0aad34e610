"""The table: every vocabulary's heads written, counted and held against the cap, with what is certain about them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from golfbudget import schemes
from golfbudget.certificates import (
    DEFAULT_PRICE,
    DEFAULT_PRICE_SOURCE,
    allowance,
    best_partitions,
    biased_bound,
    bits_per_byte,
)
from golfbudget.codecs import DECODED_LIMIT
from golfbudget.errors import UsageError
from golfbudget.evidence import Evidence
from golfbudget.plan.vocabulary.figures import CountedVocabulary, read_text, read_vocabularies
from golfbudget.plan.vocabulary.heads import Choice, Writer, choices, floor_codes
from golfbudget.plan.vocabulary.model import Shapes, Subject, empty_bytes, open_subject
from golfbudget.plan.vocabulary.results import Closing, Floor, HeadRow, Trunk, Vocabulary, VocabularyPlan
from golfbudget.progress import Progress, unwatched
from golfbudget.quality.text import load_counts, read_tokens
from golfbudget.roles import load_roles
from golfbudget.schemes.threads import one_thread
from golfbudget.workers import in_threads

#: Bits per byte: about the contest's bar for a record, 0.005 nats per token at 3.7 bytes a token.
RECORD_BAR = 0.002
#: Of the cap: from here on a head is called large.
LARGE_SHARE = 0.1
#: Files written side by side at most: each takes some hundred megabytes.
_MOST_AT_ONCE = 4

#: What is compressed, and the bytes it comes to.
_Task = tuple[str, Callable[[], int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class VocabularyRequest:
    """What a command was given; `price` in µbpb per kilobyte, None for the default."""

    path: str
    vocabularies: tuple[str, ...]
    recipe: str | None = None
    text: Path | None = None
    counts: Path | None = None
    roles: Path | None = None
    schemes: tuple[str, ...] | None = None
    cap: int
    code_bytes: int | None = None
    price: float | None = None
    seed: int = 0
    jobs: int | None = None
    limit: int = DECODED_LIMIT


def plan_vocabularies(request: VocabularyRequest, progress: Progress = unwatched) -> VocabularyPlan:
    """The whole table; raises a golfbudget error naming what is wrong before any long work starts."""
    price = DEFAULT_PRICE if request.price is None else request.price
    allowance(0, price)
    text = None if request.text is None else read_text(request.text)
    counts = None if request.counts is None else _counts(request.counts)
    where = None if request.text is None else str(request.text)
    counted = read_vocabularies(request.vocabularies, text, where=where, counts=counts)
    subject = open_subject(request.path, recipe=request.recipe, roles=load_roles(request.roles), limit=request.limit)
    tried = [_tried(one, subject, request.schemes) for one in counted]
    container = empty_bytes(subject.recipe)
    writer = Writer(recipe=subject.recipe, container=container, seed=request.seed, ranged=subject.ranged)
    with one_thread():
        trunk, sizes = _write(subject, writer, tried, request.jobs, progress)
    room = request.cap - (request.code_bytes or 0) - container
    vocabularies = tuple(_vocabulary(one, own, room, price) for one, own in zip(tried, sizes, strict=True))
    head = tried[0].shapes.head
    return VocabularyPlan(
        source=subject.source,
        recipe=subject.recipe.name,
        codec=subject.recipe.codec,
        seed=request.seed,
        cap=request.cap,
        code_bytes=request.code_bytes,
        price=price,
        price_source=DEFAULT_PRICE_SOURCE if request.price is None else "--price",
        text=where,
        text_bytes=None if text is None else len(text.encode()),
        tied=subject.tied,
        head=head.name,
        width=head.shape[1],
        others=tuple(spec.name for spec in tried[0].shapes.others),
        container_bytes=container,
        trunk=trunk,
        vocabularies=vocabularies,
        closing=closing(vocabularies, request.cap, price),
        notes=subject.notes,
    )


def _counts(path: Path) -> NDArray[np.int64]:
    if path.suffix == ".npy":
        return read_tokens(path).astype(np.int64)
    found: NDArray[np.int64] = load_counts(path).numpy()
    return found


@dataclass(frozen=True, slots=True)
class _Tried:
    """One vocabulary, its tensors, and the schemes that are tried on its head."""

    counted: CountedVocabulary
    shapes: Shapes
    choices: list[Choice]

    def tasks(self, writer: Writer, *, ranged: bool) -> list[_Task]:
        """Everything that is compressed: the control, the other tables, each choice; the control's lower end."""
        label, head, counts = self.counted.figures.label, self.shapes.head, torch.from_numpy(self.counted.counts)
        tasks: list[_Task] = [
            (f"{label}, control", lambda: writer.tables([head])),
            (f"{label}, other tables", lambda: writer.tables(self.shapes.others)),
            *((f"{label}, {choice.name}", partial(writer.encoded, head, choice, counts)) for choice in self.choices),
        ]
        return [*tasks, (f"{label}, control", lambda: writer.tables([head], "laplace"))] if ranged else tasks


def _tried(counted: CountedVocabulary, subject: Subject, schemes: Sequence[str] | None) -> _Tried:
    shapes = subject.shapes(counted.figures.size)
    shape = shapes.head.shape
    if len(shape) != 2:
        raise UsageError(f"{subject.source}: the head {shapes.head.name} has shape {list(shape)}, not two")
    return _Tried(counted, shapes, choices(schemes, shape[0], shape[1]))


def _write(
    subject: Subject, writer: Writer, tried: Sequence[_Tried], jobs: int | None, progress: Progress
) -> tuple[Trunk, list[list[int]]]:
    """The trunk, and each vocabulary's bytes in the order of its tasks.

    Side by side; the largest first, so that no thread is left alone with it.
    """
    ranged = any(one.shapes.head.name in subject.ranged for one in tried)
    trunks = list[Trunk]()

    def rest() -> int:
        trunks.append(subject.rest())
        return trunks[0].bytes or 0

    groups = [one.tasks(writer, ranged=ranged) for one in reversed(tried)]
    tasks: list[_Task] = [("the rest", rest), *chain.from_iterable(groups)]
    sizes = [0] * len(tasks)
    for number, size in in_threads(lambda task: task[1](), tasks, jobs or min(os.cpu_count() or 1, _MOST_AT_ONCE)):
        progress(tasks[number][0], len(tasks))
        sizes[number] = size
    left = iter(sizes[1:])
    return trunks[0], [list(islice(left, len(group))) for group in groups][::-1]


def _vocabulary(tried: _Tried, sizes: Sequence[int], room: int, price: float) -> Vocabulary:
    control, others, *heads = sizes
    first = HeadRow(
        name="control", scheme=None, options={}, head_bytes=control, decoder_bytes=0, saved_bytes=0,
        trunk_left=room - others - control, break_even=None, floor=None,
    )  # fmt: skip
    floors = _floors(tried)
    rows = []
    for choice, head in zip(tried.choices, heads, strict=False):
        decoder = schemes.get(choice.scheme).decoder_bytes
        saved = control - head - decoder
        worth = allowance(saved, price)
        rows.append(
            HeadRow(
                name=choice.name,
                scheme=choice.scheme,
                options=choice.options,
                head_bytes=head,
                decoder_bytes=decoder,
                saved_bytes=saved,
                trunk_left=room - others - head - decoder,
                break_even=worth,
                floor=_floor(tried.counted, choice, floors, worth),
            )
        )
    low = heads[-1] if len(heads) > len(rows) else control
    return Vocabulary(
        figures=tried.counted.figures,
        others_bytes=others,
        control_low=low if low < control else None,
        rows=(first, *rows),
    )


def _floors(tried: _Tried) -> dict[tuple[int, bool], float]:
    """Every floor that some row asks for, in nats per token."""
    size, counts = tried.counted.figures.size, tried.counted.counts
    asked = {found for choice in tried.choices if (found := floor_codes(choice, size)) is not None}
    plain = sorted(codes for codes, biased in asked if not biased)
    floors = {(codes, True): biased_bound(counts, codes) for codes, biased in asked if biased}
    for codes, partition in zip(plain, best_partitions(counts, plain) if plain else (), strict=True):
        floors[codes, False] = partition.floor
    return floors


def _floor(
    counted: CountedVocabulary, choice: Choice, floors: dict[tuple[int, bool], float], worth: float
) -> Floor | None:
    which = floor_codes(choice, counted.figures.size)
    if which is None:
        return None
    nats, figures = floors[which], counted.figures
    bits = None if figures.bytes_per_token is None else bits_per_byte(nats, figures.bytes_per_token)
    return Floor(
        codes=which[0],
        biased=which[1],
        nats_per_token=nats,
        bits_per_byte=bits,
        known=Evidence.CERTIFIED if figures.counts_known is Evidence.MEASURED else Evidence.MODELLED,
        # To beat: the control's whole loss plus what the bytes are worth.  A floor above that marks a loser.
        loser_under=None if bits is None or bits <= worth else bits - worth,
    )


def closing(vocabularies: Sequence[Vocabulary], cap: int, price: float) -> Closing:
    """The smallest vocabulary of the table, if any, from which a VQ head saves enough, and at which heads are large.

    Large is a share of `cap` bytes; enough is what is worth a record's bar at `price`, µbpb per kilobyte.
    """
    enough = None if price == 0 else round(RECORD_BAR / price * 1e9)
    at = None
    for vocabulary in vocabularies:
        best = vocabulary.best(vq=True)
        if at is None and best is not None and enough is not None and best.saved_bytes > enough:
            at = vocabulary.figures.label, best.name
    large = [one for one in vocabularies if one.control.head_bytes > LARGE_SHARE * cap]
    return Closing(
        record_bar=RECORD_BAR,
        enough_bytes=enough,
        enough_at=None if at is None else at[0],
        enough_row=None if at is None else at[1],
        large_share=LARGE_SHARE,
        large_at=large[0].figures.label if large else None,
    )
