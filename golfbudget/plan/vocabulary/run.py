"""The table: every vocabulary's heads written, counted and held against the cap, with what is certain about them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray

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
from golfbudget.plan.vocabulary.figures import Measured, read_text, read_vocabularies
from golfbudget.plan.vocabulary.heads import Choice, Writer, choices, decoder_bytes, floor_codes
from golfbudget.plan.vocabulary.model import Shapes, Subject, empty_bytes, open_subject
from golfbudget.plan.vocabulary.results import Closing, Floor, Known, Row, Trunk, Vocabulary, VocabularyPlan
from golfbudget.progress import Progress
from golfbudget.quality.text import load_counts
from golfbudget.quality.threads import one_thread
from golfbudget.quality.tokens import read_tokens
from golfbudget.roles import load_roles

#: Bits per byte: about the contest's bar for a record, 0.005 nats per token at 3.7 bytes a token.
RECORD_BAR = 0.002
#: Of the cap: from here on a head is called large.
LARGE_SHARE = 0.1
#: Files written side by side at most: each takes some hundred megabytes.
_MOST_AT_ONCE = 4

#: Called with what is about to be done and how many steps there are in all.


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
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


@dataclass(frozen=True, slots=True)
class _Begun:
    """Bytes of one vocabulary, being counted."""

    measured: Measured
    choices: list[Choice]
    others: Future[int]
    control: Future[int]
    low: Future[int] | None
    encoded: list[Future[int]]


def plan_vocabularies(question: Question, progress: Progress) -> VocabularyPlan:
    """The whole table; raises a golfbudget error naming what is wrong before any long work starts."""
    price = DEFAULT_PRICE if question.price is None else question.price
    allowance(0, price)
    text = None if question.text is None else read_text(question.text)
    counts = None if question.counts is None else _counts(question.counts)
    where = None if question.text is None else str(question.text)
    measured = read_vocabularies(question.vocabularies, text, where=where, counts=counts)
    subject = open_subject(
        question.path, recipe=question.recipe, roles=load_roles(question.roles), limit=question.limit
    )
    shapes = [subject.shapes(one.figures.size) for one in measured]
    tried = [choices(question.schemes, *_matrix(shape, subject)) for shape in shapes]
    container = empty_bytes(subject.recipe)
    writer = Writer(recipe=subject.recipe, container=container, seed=question.seed, ranged=subject.ranged)
    with one_thread():
        trunk, begun = _write(subject, writer, list(zip(measured, shapes, tried, strict=True)), question.jobs, progress)
    room = question.cap - (question.code_bytes or 0) - container
    vocabularies = tuple(_vocabulary(one, room, price) for one in begun)
    return VocabularyPlan(
        source=subject.source,
        recipe=subject.recipe.name,
        codec=subject.recipe.codec,
        seed=question.seed,
        cap=question.cap,
        code_bytes=question.code_bytes,
        price=price,
        price_source=DEFAULT_PRICE_SOURCE if question.price is None else "--price",
        text=where,
        text_bytes=None if text is None else len(text.encode()),
        tied=subject.tied,
        head=shapes[0].head.name,
        width=shapes[0].head.shape[1],
        others=tuple(spec.name for spec in shapes[0].others),
        container_bytes=container,
        trunk=trunk,
        vocabularies=vocabularies,
        closing=closing(vocabularies, question.cap, price),
        notes=subject.notes,
    )


def _counts(path: Path) -> NDArray[np.int64]:
    """Token counts [vocabulary] of an .npy array or a safetensors file."""
    if path.suffix == ".npy":
        return read_tokens(path).astype(np.int64)
    found: NDArray[np.int64] = load_counts(path).numpy()
    return found


def _matrix(shape: Shapes, subject: Subject) -> tuple[int, int]:
    if len(shape.head.shape) != 2:
        raise UsageError(f"{subject.source}: the head {shape.head.name} has shape {list(shape.head.shape)}, not two")
    return shape.head.shape[0], shape.head.shape[1]


def _write(
    subject: Subject,
    writer: Writer,
    asked: Sequence[tuple[Measured, Shapes, list[Choice]]],
    jobs: int | None,
    progress: Progress,
) -> tuple[Trunk, list[_Begun]]:
    """Everything that is compressed, side by side; the largest first, so that no thread is left alone with it."""
    ranged = any(shapes.head.name in subject.ranged for _, shapes, _ in asked)
    steps = 1 + sum(2 + ranged + len(tried) for _, _, tried in asked)
    lock = Lock()

    def told(what: str, count: Callable[[], int]) -> int:
        with lock:
            progress(what, steps)
        return count()

    workers = jobs or min(os.cpu_count() or 1, _MOST_AT_ONCE)
    with ThreadPoolExecutor(workers) as pool:
        trunk = pool.submit(subject.rest)
        begun = [_begin(pool, writer, one, told, ranged=ranged) for one in reversed(asked)]
        found = trunk.result()
        with lock:
            progress("the rest", steps)
        for one in begun:
            for future in (one.control, one.others, *one.encoded):
                future.result()
    return found, begun[::-1]


def _begin(
    pool: ThreadPoolExecutor,
    writer: Writer,
    asked: tuple[Measured, Shapes, list[Choice]],
    told: Callable[[str, Callable[[], int]], int],
    *,
    ranged: bool,
) -> _Begun:
    measured, shapes, tried = asked
    what, counts = measured.figures.label, torch.from_numpy(measured.counts)

    def encoded(choice: Choice) -> Future[int]:
        return pool.submit(told, f"{what}, {choice.name}", lambda: writer.encoded(shapes.head, choice, counts))

    return _Begun(
        measured=measured,
        choices=tried,
        control=pool.submit(told, f"{what}, control", lambda: writer.tables([shapes.head])),
        low=pool.submit(told, f"{what}, control", lambda: writer.tables([shapes.head], "laplace")) if ranged else None,
        others=pool.submit(told, f"{what}, other tables", lambda: writer.tables(shapes.others)),
        encoded=[encoded(choice) for choice in tried],
    )


def _vocabulary(begun: _Begun, room: int, price: float) -> Vocabulary:
    control, others = begun.control.result(), begun.others.result()
    rows = [
        Row(
            name="control",
            scheme=None,
            options={},
            head_bytes=control,
            decoder_bytes=0,
            saved_bytes=0,
            trunk_left=room - others - control,
            break_even=None,
            floor=None,
        )
    ]
    floors = _floors(begun)
    for choice, future in zip(begun.choices, begun.encoded, strict=True):
        head, decoder = future.result(), decoder_bytes(choice)
        saved = control - head - decoder
        worth = allowance(saved, price)
        rows.append(
            Row(
                name=choice.name,
                scheme=choice.scheme,
                options=choice.options,
                head_bytes=head,
                decoder_bytes=decoder,
                saved_bytes=saved,
                trunk_left=room - others - head - decoder,
                break_even=worth,
                floor=_floor(begun.measured, choice, floors, worth),
            )
        )
    low = None if begun.low is None else begun.low.result()
    return Vocabulary(
        figures=begun.measured.figures,
        others_bytes=others,
        control_low=None if low is None or low >= control else low,
        rows=tuple(rows),
    )


def _floors(begun: _Begun) -> dict[tuple[int, bool], float]:
    """Every floor that some row asks for, in nats per token."""
    size, counts = begun.measured.figures.size, begun.measured.counts
    asked = {found for choice in begun.choices if (found := floor_codes(choice, size)) is not None}
    plain = sorted(codes for codes, biased in asked if not biased)
    floors = {(codes, True): biased_bound(counts, codes) for codes, biased in asked if biased}
    for codes, partition in zip(plain, best_partitions(counts, plain) if plain else (), strict=True):
        floors[codes, False] = partition.floor
    return floors


def _floor(measured: Measured, choice: Choice, floors: dict[tuple[int, bool], float], worth: float) -> Floor | None:
    which = floor_codes(choice, measured.figures.size)
    if which is None:
        return None
    nats, figures = floors[which], measured.figures
    bits = None if figures.bytes_per_token is None else bits_per_byte(nats, figures.bytes_per_token)
    return Floor(
        codes=which[0],
        biased=which[1],
        nats_per_token=nats,
        bits_per_byte=bits,
        known=Known.CERTIFIED if figures.counts_known is Known.MEASURED else Known.MODELLED,
        # To beat: the control's whole loss plus what the bytes are worth.  A floor above that marks a loser.
        loser_under=None if bits is None or bits <= worth else bits - worth,
    )


def closing(vocabularies: Sequence[Vocabulary], cap: int, price: float) -> Closing:
    """The smallest vocabulary of the table, if any, from which a VQ head saves enough, and at which heads are large."""
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
