"""What `schemes` says: every scheme with what it stores, its options, and its raw bytes by formula or for a shape.

As JSON, schema `golfbudget/schemes/1`, sizes are bytes before any codec.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from golfbudget.errors import UsageError
from golfbudget.report import document as doc
from golfbudget.report.numbers import count
from golfbudget.schemes import Options, Parameter, Scheme
from golfbudget.version import __version__

SCHEMA = "golfbudget/schemes/1"

_LETTERS = (
    "V rows, d columns, b or c bits a value, idx(n) = ⌈log2 n⌉ bits, amounts in bytes before any codec. "
    "An option reads: name range = default."
)
#: Schemes that are shown with all their options; of more each has a line.
_MOST_BLOCKS = 6
_NEEDS = {"counts": "token counts", "moment": "the second moment of the inputs, from calibration text"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemeSize:
    """A scheme; where a shape is given, its options and raw bytes, or why there are none (`refused`: by a sentence)."""

    scheme: Scheme
    options: Options | None = None
    raw_bytes: int | None = None
    reason: str = ""
    refused: bool = False

    @property
    def decoder_bytes(self) -> int:
        return self.scheme.decoder_bytes

    @property
    def amount(self) -> str:
        """The raw bytes, or why there are none, for people."""
        if self.raw_bytes is None:
            return self.reason
        return ("at most " if self.scheme.sized_by_values else "") + count(self.raw_bytes)


def scheme_sizes(
    known: Mapping[str, Scheme], shape: tuple[int, int] | None, given: Mapping[str, str]
) -> tuple[SchemeSize, ...]:
    """A row for each scheme by name; each takes those of the given options, as text, that are its own.

    `UsageError` for an option that no scheme here takes.
    """
    taken = {parameter.name for scheme in known.values() for parameter in scheme.parameters}
    for option in given:
        if option not in taken:
            takes = ", ".join(sorted(taken)) or "none"
            raise UsageError(f"--option {option}: no scheme listed takes it; they take {takes}")
    return tuple(_size(scheme, shape, given) for _, scheme in sorted(known.items()))


def _size(scheme: Scheme, shape: tuple[int, int] | None, given: Mapping[str, str]) -> SchemeSize:
    if shape is None:
        return SchemeSize(scheme=scheme)
    missing = [p.name for p in scheme.parameters if p.default is None and p.name not in given]
    if missing:
        return SchemeSize(scheme=scheme, reason=f"needs {', '.join(missing)}")
    try:
        options = scheme.options({p.name: _value(p, given[p.name]) for p in scheme.parameters if p.name in given})
        return SchemeSize(scheme=scheme, options=options, raw_bytes=scheme.raw_bytes(shape, options))
    except UsageError as error:
        reason = str(error).removeprefix(f"scheme {scheme.name}: ")
        return SchemeSize(scheme=scheme, reason=reason, refused=True)


def _value(parameter: Parameter, text: str) -> int | float | str:
    """An option's text as the kind that it takes; as it stands where it is none, for the scheme to refuse."""
    try:
        return parameter.kind(text)
    except ValueError:
        return text


def parameter_text(parameter: Parameter) -> str:
    """Name, range and default of an option.

    >>> parameter_text(Parameter(name="bits", kind=int, summary="", lowest=2, highest=8))
    'bits 2..8'
    >>> parameter_text(Parameter(name="rank", kind=int, summary="", default=4, lowest=1))
    'rank 1.. = 4'
    """
    default = "" if parameter.default is None else f" = {parameter.default}"
    return f"{parameter.name}{_range(parameter)}{default}"


def _range(parameter: Parameter) -> str:
    if parameter.words:
        return f" {'|'.join(parameter.words)}"
    if parameter.lowest is None and parameter.highest is None:
        return ""
    return " " + "..".join("" if end is None else f"{end:g}" for end in (parameter.lowest, parameter.highest))


def document(sizes: Sequence[SchemeSize], shape: tuple[int, int] | None) -> doc.Document:
    """One line per scheme for a shape; without one, a block per scheme (of many a line), and a table on a page."""

    def data() -> object:
        return {
            "schema": SCHEMA,
            "golfbudget": __version__,
            "shape": None if shape is None else list(shape),
            "schemes": [_scheme(size, shape) for size in sizes],
        }

    if shape is not None:
        rows = _of_shape(sizes, shape)
        return doc.Document(parts=(rows,), data=data, csv=lambda: rows)
    listed = _listed(sizes)
    if len(sizes) > _MOST_BLOCKS:
        parts = (*_overview(sizes), listed, doc.prose(_LETTERS, only=doc.Medium.PAGE))
        return doc.Document(parts=parts, data=data, csv=lambda: listed)
    blocks = (_block(size.scheme) for size in sizes)
    return doc.Document(parts=(*blocks, listed, doc.prose(_LETTERS)), data=data, csv=lambda: listed)


def _overview(sizes: Sequence[SchemeSize]) -> tuple[doc.Part, ...]:
    """A line for each scheme, where blocks would be screens of them."""
    rows = (doc.line(size.scheme.name, size.scheme.summary) for size in sizes)
    grid = doc.grid((doc.name("scheme"), doc.name("what it stores", least=58)), rows, only=doc.Medium.SCREEN)
    more = "more: golfbudget schemes NAME has the options, needs and raw bytes of one"
    return grid, doc.prose(more, only=doc.Medium.SCREEN)


def _of_shape(sizes: Sequence[SchemeSize], shape: tuple[int, int]) -> doc.Grid:
    names = (doc.name("scheme", "name"), doc.name("options", "options"))
    raw = doc.number(f"raw bytes of {shape[0]}x{shape[1]}", "raw_bytes")
    rows = []
    for size in sizes:
        options = ", ".join(f"{name}={value}" for name, value in (size.options or {}).items())
        amount = doc.Cell(text=size.amount, value=size.raw_bytes)
        told: str | doc.Cell = options
        if size.refused:
            # A sentence stands where a screen folds it.
            told, amount = doc.Cell(text=size.reason, value=options), doc.amount(None)
        rows.append(doc.line(size.scheme.name, told, amount, doc.amount(size.decoder_bytes), size.reason))
    return doc.grid((*names, raw, doc.number("decoder bytes", "decoder_bytes"), doc.name(None, "reason")), rows)


def _listed(sizes: Sequence[SchemeSize]) -> doc.Grid:
    names = (("scheme", "name"), ("what it stores", "summary"), ("raw bytes", "formula"), ("options", "options"))
    rows = []
    for scheme in (size.scheme for size in sizes):
        options = ", ".join(map(parameter_text, scheme.parameters)) or "none"
        rows.append(doc.line(scheme.name, scheme.summary, scheme.formula, options))
    return doc.grid((doc.name(*name) for name in names), rows, only=doc.Medium.PAGE)


def _block(scheme: Scheme) -> doc.Prose:
    lines = [scheme.name, f"  {scheme.summary}", f"  raw bytes  {scheme.formula}"]
    lines += [f"  needs      {_NEEDS.get(need, need)}" for need in scheme.needs]
    lines += [f"  option     {parameter_text(p)}: {p.summary}" for p in scheme.parameters]
    return doc.prose(*lines, only=doc.Medium.SCREEN)


def _scheme(size: SchemeSize, shape: tuple[int, int] | None) -> dict[str, object]:
    scheme, rank = size.scheme, None
    if shape is not None and size.options is not None:
        rank = scheme.rank_bound(shape, size.options)
    return {
        "name": scheme.name,
        "summary": scheme.summary,
        "formula": scheme.formula,
        "parameters": [_parameter(parameter) for parameter in scheme.parameters],
        "needs": list(scheme.needs),
        "decoder_bytes": size.decoder_bytes,
        "options": None if size.options is None else dict(size.options),
        "raw_bytes": size.raw_bytes,
        "upper_bound": scheme.sized_by_values,
        "rank_bound": rank,
        "reason": size.reason or None,
    }


def _parameter(parameter: Parameter) -> dict[str, object]:
    kind = {int: "integer", float: "number", str: "word"}[parameter.kind]
    return {**asdict(parameter), "kind": kind, "words": list(parameter.words)}
