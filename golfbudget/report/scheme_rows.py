"""What the table, the markdown and the JSON of `schemes` have in common: one row per scheme."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from golfbudget.errors import UsageError
from golfbudget.report.numbers import count
from golfbudget.schemes import Options, Parameter, Scheme


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemeRow:
    """A scheme; where a shape is given, its options and raw bytes, or why there are none."""

    scheme: Scheme
    options: Options | None = None
    raw_bytes: int | None = None
    reason: str = ""

    @property
    def decoder_bytes(self) -> int:
        """Bytes of the decoder source, as a submission would ship it."""
        return len(self.scheme.decoder_source.encode())

    @property
    def amount(self) -> str:
        """The raw bytes, or why there are none, for people."""
        if self.raw_bytes is None:
            return self.reason
        return ("at most " if self.scheme.sized_by_values else "") + count(self.raw_bytes)


def scheme_rows(
    known: Mapping[str, Scheme], shape: tuple[int, int] | None, given: Mapping[str, str]
) -> tuple[SchemeRow, ...]:
    """A row for each scheme by name; each takes those of the given options, as text, that are its own.

    `UsageError` for an option that no scheme here takes.
    """
    taken = {parameter.name for scheme in known.values() for parameter in scheme.parameters}
    for name in given:
        if name not in taken:
            takes = ", ".join(sorted(taken)) or "none"
            raise UsageError(f"--option {name}: no scheme listed takes it; they take {takes}")
    return tuple(_row(known[name], shape, given) for name in sorted(known))


def _row(scheme: Scheme, shape: tuple[int, int] | None, given: Mapping[str, str]) -> SchemeRow:
    if shape is None:
        return SchemeRow(scheme=scheme)
    missing = [p.name for p in scheme.parameters if p.default is None and p.name not in given]
    if missing:
        return SchemeRow(scheme=scheme, reason=f"needs {', '.join(missing)}")
    try:
        options = scheme.options({p.name: _value(p, given[p.name]) for p in scheme.parameters if p.name in given})
        return SchemeRow(scheme=scheme, options=options, raw_bytes=scheme.raw_bytes(shape, options))
    except UsageError as error:
        return SchemeRow(scheme=scheme, reason=str(error).removeprefix(f"scheme {scheme.name}: "))


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


def parameters_text(scheme: Scheme) -> str:
    """All options of a scheme in one line."""
    return ", ".join(map(parameter_text, scheme.parameters)) or "none"
