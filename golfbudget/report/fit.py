"""What `fit` says: the file and its loss first, then what each matrix got and why, and the loader to paste."""

from __future__ import annotations

from collections.abc import Iterator

from golfbudget.fit.fit_json import fit_json
from golfbudget.fit.results import Fit, FitChoice
from golfbudget.report import document as doc
from golfbudget.report.inspect import code_counted
from golfbudget.report.numbers import bytes_text, count, percent, printable
from golfbudget.report.views import grid as ledger_grid

#: Matrices that are shown where not all are asked for: with them an answer fits on a screen.
_MOST = 12


def document(fit: Fit, *, details: bool = False) -> doc.Document:
    """The answer and, with `details`, every matrix, the ledger and the loader."""
    choices = fit.choices if details else _largest(fit)
    parts: list[doc.Part] = [
        doc.prose(doc.bold(answer(fit)), *map(doc.bullet, _reasons(fit))),
        doc.Facts(rows=tuple(_facts(fit)), order=-1),
        _grid(choices),
    ]
    if details:
        parts.append(ledger_grid(fit.inspection, "role", last="file"))
        parts.append(doc.Section(title="the loader to paste", parts=(doc.prose(*fit.loader.rstrip("\n").split("\n")),)))
        parts.append(doc.prose(*map(doc.bullet, fit.notes), tight=True))
    else:
        left = len(fit.choices) - len(choices)
        more = [f"{left} more matrices"] if left else []
        parts.append(doc.prose(f"more: {', '.join([*more, 'the ledger, the loader'])} (--details)", tight=True))
    return doc.Document(parts=tuple(parts), data=lambda: fit_json(fit), csv=lambda: _grid(fit.choices))


def answer(fit: Fit) -> str:
    """The file in one sentence."""
    used = f"{count(fit.used)} of {count(fit.cap)} bytes ({percent(fit.used, fit.cap)})"
    return f"fitted: {used}; {_loss(fit)}"


def _loss(fit: Fit) -> str:
    quality = fit.quality
    if quality.delta is None:
        error = "" if quality.relative_error is None else f", at most {quality.relative_error:.2e} of a matrix's energy"
        return f"no model was run: least squared error over energy{error} (modelled)"
    change = f"{quality.delta:+.4f} bits per byte [{quality.low:+.4f}, {quality.high:+.4f}]"
    return f"{change} against the recipe's own file of {count(fit.baseline.artifact_bytes)}, measured"


def _reasons(fit: Fit) -> Iterator[str]:
    quality = fit.quality
    if quality.delta is None:
        yield "give --model and --tokens, and losses are measured"
    else:
        blocks = "" if quality.blocks is None else f", {quality.blocks} independent blocks"
        amount = f"{count(quality.tokens or 0)} tokens{blocks}"
        yield f"chosen on {quality.chosen_on}; measured on {quality.reported_on} ({amount})"
    if not fit.binding:
        yield "the cap does not bind: no choice that was tried has a lower loss in more bytes"


def _facts(fit: Fit) -> Iterator[tuple[str, str]]:
    yield "artifact", f"{bytes_text(fit.artifact_bytes)}, {fit.container}"
    yield "loader", f"{count(fit.decoder_bytes)} bytes packed, run on the file: golfbudget decoder FILE writes it"
    yield "code", code_counted(fit.code_bytes)
    yield "headroom", f"{count(fit.headroom)} bytes left"
    own = fit.baseline
    if own.bits_per_byte is not None:
        named = f"{printable(fit.inputs.recipe)}: {bytes_text(own.artifact_bytes)}"
        source = f"the source itself {own.source_bits_per_byte:.4f}"
        yield "baseline", f"{named}, {own.bits_per_byte:.4f} bits per byte; {source}"


def _largest(fit: Fit) -> tuple[FitChoice, ...]:
    """Those that take most bytes, in their own order."""
    names = {each.owner for each in sorted(fit.choices, key=lambda each: (-each.stored_bytes, each.owner))[:_MOST]}
    return tuple(each for each in fit.choices if each.owner in names)


def _grid(choices: tuple[FitChoice, ...]) -> doc.Grid:
    columns = [
        doc.name("matrix", "owner", least=18),
        doc.name("role", "role", rank=3),
        doc.name("stored as", "scheme"),
        doc.name("coder", "coder", rank=2),
        doc.number("parameters", "parameters", rank=4),
        doc.number("stored\nbytes", "stored_bytes"),
        doc.number("bits per\nparameter", "bits_per_parameter"),
        doc.number("next kB\nis worth", "next_kilobyte", rank=1),
    ]
    return doc.grid(columns, (_row(each) for each in choices))


def _row(each: FitChoice) -> doc.GridRow:
    worth = doc.DASH if each.next_kilobyte is None else f"{each.next_kilobyte:.1f} µbpb"
    return doc.line(
        printable(each.owner),
        str(each.role),
        " ".join([each.scheme, *(f"{name}={value:g}" if isinstance(value, float | int) else f"{name}={value}"
                                 for name, value in each.options.items())]),
        each.coder,
        doc.amount(each.parameters),
        doc.amount(each.stored_bytes),
        doc.Cell(text=f"{each.bits:.3f}", value=round(each.bits, 4)),
        doc.Cell(text=worth, value=each.next_kilobyte),
    )  # fmt: skip
