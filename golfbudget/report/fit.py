"""What `fit` says: the file and its loss first, then what each matrix got and why, and the loader to paste."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from golfbudget.evidence import ends
from golfbudget.fit.fit_json import fit_json
from golfbudget.fit.results import Fit, FitChoice
from golfbudget.report import document as doc
from golfbudget.report.inspect import code_text
from golfbudget.report.numbers import bytes_text, count, percent, printable
from golfbudget.report.views import grid as ledger_grid

#: Matrices that are shown where not all are asked for: with them an answer fits on a screen.
_MOST = 12


def document(
    fit: Fit, *, details: bool = False, written: Path | None = None, loader: Path | None = None
) -> doc.Document:
    """The answer and, with `details`, every matrix, the ledger and the loader.

    `written` and `loader` are where the artifact and its loader were written, None where they were not.
    """
    choices = fit.choices if details else _largest(fit)
    parts: list[doc.Part] = [
        doc.prose(doc.bold(answer(fit)), *map(doc.bullet, _reasons(fit))),
        doc.Facts(rows=tuple(_facts(fit)), order=-1),
        _grid(choices),
    ]
    parts.append(doc.prose(*_next(fit, written, loader)))
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
    change = f"{quality.delta:+.4f} bits per byte {ends(quality.low, quality.high)}"
    return f"{change} against the recipe's own file of {count(fit.baseline.artifact_bytes)}, measured"


def _reasons(fit: Fit) -> Iterator[str]:
    quality = fit.quality
    if quality.delta is None:
        yield "give --model and --tokens, and losses are measured"
    else:
        blocks = "" if quality.blocks is None else f", {quality.blocks} independent blocks"
        amount = f"{count(quality.tokens or 0)} tokens{blocks}"
        yield f"chosen on {quality.chosen_on}; measured on {quality.reported_on} ({amount})"
    left = _still_lost(fit)
    if left is not None:
        yield f"all rounding in it still costs {left:+.4f} bits per byte of the source's own (measured)"
    if not fit.binding:
        yield "the cap does not bind: no choice that was tried has a lower loss in more bytes"


def _still_lost(fit: Fit) -> float | None:
    """What the file loses against the unrounded source, bits per byte; None where no model was run."""
    own, delta = fit.baseline, fit.quality.delta
    if own.bits_per_byte is None or own.source_bits_per_byte is None or delta is None:
        return None
    return own.bits_per_byte + delta - own.source_bits_per_byte


def _next(fit: Fit, written: Path | None, loader: Path | None) -> Iterator[doc.Line]:
    """Which files ship and how to see them counted; and, where the cap does not bind, what its bytes would buy."""
    if fit.inputs.model_file is not None:
        yield doc.Line(text="next: train the model, then fit its checkpoint; these weights are synthetic")
    elif written is None:
        yield doc.Line(text="next: the same command with -o FILE --decoder FILE.py writes the artifact and its loader")
    elif loader is None:
        own = shlex.quote(str(written))
        yield doc.Line(text=("next: ", doc.code(f"golfbudget decoder {own} -o decode.py"), " writes the loader"))
    else:
        packed = f" makes the {count(fit.decoder_bytes)} bytes that are counted"
        command = f"golfbudget pack-code {shlex.quote(str(loader))} -o PACKED.py"
        yield doc.Line(text=("next: ", doc.code(command), packed))
        names = f"{printable(str(written))}, and PACKED.py imported by your program"
        yield doc.Line(text=("ship: ", names, "; ", doc.code("golfbudget check FOLDER"), " counts them"))
    if not fit.binding and fit.inputs.model_file is None:
        source = shlex.quote(fit.inputs.source_path)
        yield doc.Line(text=f"the {count(fit.headroom)} bytes left buy parameters, not finer rounding:")
        yield doc.Line(text=("  ", doc.code(f"golfbudget inspect {source} --as-config -o model.toml")))
        sweep = f"golfbudget estimate model.toml --fast --cap {fit.cap} --sweep"
        yield doc.Line(text=("  ", doc.code(sweep), " NAME=A,B,C"))


def _facts(fit: Fit) -> Iterator[tuple[str, str]]:
    yield "artifact", f"{bytes_text(fit.artifact_bytes)}, {fit.container}"
    yield "loader", f"{count(fit.decoder_bytes)} bytes packed, run on the file: golfbudget decoder FILE writes it"
    yield "code", code_text(fit.code_bytes)
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
