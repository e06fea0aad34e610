"""Options that a plan tries for each scheme, for a head of V rows and d columns and for trunk matrices of width d.

Grids are coarse: they show where a scheme stands, and `golfbudget schemes` says what else its options take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isqrt

from golfbudget.schemes import Options, Scheme

#: Bit widths of the scalar control and of the trunk's scalar candidates.
BITS = (8, 7, 6, 5, 4, 3)
#: Codebook sizes as shares of the vocabulary.
CODEBOOK_SHARES = ((1, 32), (1, 16), (1, 8), (1, 4), (1, 2), (3, 4))
_FEWEST_CODES = 2
#: What a codebook head takes from calibration text, and the largest sizes at which that is tried.
TOLD: Options = {"map": "information", "codebook": "fitted"}
FITTED: Options = {"codebook": "fitted"}
_TOLD_SIZES = 3
#: (bits, deviations to the last level): the public records' settings, and coarser ones.
_CLIPS = ((8, 20.0), (7, 15.0), (6, 12.85), (6, 8.0), (5, 6.0), (4, 3.0))
#: λ at which integers of a fine grid trade error for bits best.
_RATE = 0.1
_CODES = 256
#: Steps of a trellis over the row's deviation, at the errors of int8 and int6 of the records, and coarser ones.
_STEPS = (0.1, 0.16, 0.23, 0.35, 0.5, 0.75)

#: Further controls where losses are measured: by the largest magnitude, which squared error never
#: speaks for, and rounded by rate.  At more bits both are hardly other files, at fewer they lose.
SCALAR_VARIANTS: tuple[Options, ...] = (
    {"bits": 6, "scale": "maximum"},
    {"bits": 5, "rd": _RATE},
)

Grid = Callable[[int, int], Iterable[Options]]


def _part(whole: int, over: int) -> int:
    return max(1, whole // over)


def _codes(vocabulary: int) -> list[int]:
    """Codebook sizes of at least two, none twice."""
    sizes = (vocabulary * part // whole for part, whole in CODEBOOK_SHARES)
    return list(dict.fromkeys(codes for codes in sizes if codes >= _FEWEST_CODES))


def _always(*options: Options) -> Grid:
    return lambda _rows, _columns: options


_SCALAR = _always(*({"bits": bits} for bits in BITS))
_CLIPPED = _always(
    *({"bits": bits, "clip": clip} for bits, clip in _CLIPS),
    *({"bits": bits, "clip": clip, "rd": _RATE} for bits, clip in (_CLIPS[2], _CLIPS[4])),
)
_TRELLIS = _always(*({"step": step} for step in _STEPS), {"step": _STEPS[2], "states": 4})
_WEIGHT_VQ = _always({"width": 2, "codes": _CODES}, {"width": 4, "codes": _CODES})
_TRITS = _always({"group": 128}, {"group": 128, "store": "bytes"})
_PRUNED = _always(*({"share": share, "bits": 6} for share in (0.75, 0.5, 0.25)))


def _tiers(rows: int, _columns: int) -> list[Options]:
    texts = [
        f"8x{_part(rows, 16)},6x{_part(rows, 4)},5",
        f"8x{_part(rows, 16)},6",
        f"16x{_part(rows, 64)},6x{_part(rows, 4)},4",
        f"6x{_part(rows, 4)},4",
    ]
    tried: list[Options] = [{"tiers": text, "store": "bytes"} for text in texts]
    return [*tried, {"tiers": texts[0], "store": "packed"}]


def _lqer(_rows: int, columns: int) -> list[Options]:
    ranks = ((3, 8), (3, 16), (4, 16), (4, 32))
    tried: list[Options] = [{"bits": b, "rank": _part(columns, over), "store": "bytes"} for b, over in ranks]
    return [*tried, {"bits": 4, "rank": _part(columns, 16), "store": "packed"}]


def _low_rank(_rows: int, columns: int) -> list[Options]:
    tried: list[Options] = [{"rank": _part(columns * part, 4), "bits": 8} for part in (3, 2, 1)]
    # Factors of 8 bits lose more than rounding the matrix itself does; where the rank is low, 16 bits still pay.
    return [*tried, {"rank": _part(columns, 2), "bits": 6, "store": "bytes"}, {"rank": _part(columns, 8), "bits": 16}]


def _bands(rows: int, columns: int) -> list[Options]:
    full, half, quarter = columns, _part(columns, 2), _part(columns, 4)
    return [
        {"bands": f"{full}x{_part(rows, 8)},{half}x{_part(rows, 4)},{quarter}"},
        {"bands": f"{_part(3 * columns, 4)}x{_part(rows, 4)},{quarter}"},
        {"bands": f"{half}x{_part(rows, 4)},{_part(columns, 8)}"},
    ]


def _vq(**more: float | str) -> Grid:
    return lambda rows, _columns: [{"codes": codes, **more} for codes in _codes(rows)]


def _vq_told(**more: float | str) -> Grid:
    """The same, and where states are known maps by what they tell and codebooks fitted to the loss."""
    return lambda rows, _columns: [
        *({"codes": codes, **more} for codes in _codes(rows)),
        *({"codes": codes, **more, **made} for made in (TOLD, FITTED) for codes in _codes(rows)[-_TOLD_SIZES:]),
    ]


def _vq_explicit(rows: int, _columns: int) -> list[Options]:
    pairs = ((4, 8), (8, 16), (4, 4), (2, 8))
    plain = [{"codes": _part(rows, codes), "explicit": _part(rows, own), "bits": 8} for codes, own in pairs]
    return [*plain, *({**options, **made} for made in (TOLD, FITTED) for options in (plain[0], plain[-1]))]


def _vq_residual(rows: int, columns: int) -> list[Options]:
    pairs = ((8, 4), (4, 4), (4, 2))
    return [{"codes": _part(rows, codes), "rank": _part(columns, rank), "bits": 8} for codes, rank in pairs]


def _product(rows: int, columns: int) -> list[Options]:
    sizes = ((4, _CODES, 16), (4, _CODES, 8), (8, _CODES, 8), (2, 64, 8), (2, 16, 8))
    return [{"groups": _part(columns, over), "codes": min(rows, codes), "bits": bits} for over, codes, bits in sizes]


def _residual(rows: int, _columns: int) -> list[Options]:
    sizes = ((2, _part(rows, 4)), (4, _CODES), (8, _CODES))
    return [{"stages": stages, "codes": min(rows, codes), "bits": 8} for stages, codes in sizes]


def _grouped(rows: int, _columns: int) -> list[Options]:
    sizes = dict.fromkeys((_part(rows, 4), _part(rows, 16), isqrt(rows)))
    return [{"groups": groups, "bits": 8} for groups in sizes]


def _hashed(rows: int, _columns: int) -> list[Options]:
    return [{"entries": rows * many, "pieces": 8, "bits": 8} for many in (4, 2, 1)]


def _ranks(*over: int) -> Grid:
    return lambda _rows, columns: [{"rank": _part(columns, n), "bits": 8} for n in over]


#: The last of what is tried on both sides.
_FEW_BITS: dict[str, Grid] = {
    "weight-vq": _WEIGHT_VQ,
    "ternary": _always({}),
    "ternary-packed": _always({}),
    "ternary-groups": _TRITS,
    "ternary-bitmask": _always({"group": 128}),
    "binary": _always({"group": 0}, {"group": 128}),
}
HEAD: dict[str, Grid] = {
    "scalar": _SCALAR,
    "clipped": _CLIPPED,
    "gptq": _CLIPPED,
    "trellis": _TRELLIS,
    "trellis-gptq": _TRELLIS,
    "class-steps": _always(*({"bits": bits, "strength": s} for bits in (8, 6, 5) for s in (0.5, 1.0))),
    "tiers": _tiers,
    "grouped-scalar": _always(
        {"bits": 5, "group": 64, "store": "bytes"},
        {"bits": 4, "group": 64, "store": "bytes"},
        {"bits": 4, "group": 64, "store": "packed"},
    ),
    "lqer": _lqer,
    "factorised": _low_rank,
    "bands": _bands,
    "pruned": _PRUNED,
    "vq-logits": _vq(),
    "vq-logits-int": _vq_told(bits=8),
    "vq-logits-bias": _vq_told(bits=8, bias_bits=8),
    "vq-logits-explicit": _vq_explicit,
    "vq-logits-residual": _vq_residual,
    "product": _product,
    "residual": _residual,
    "grouped": _grouped,
    "hashed": _hashed,
    "binary-codes": _always({"bits": 16}),
    **_FEW_BITS,
}
TRUNK: dict[str, Grid] = {
    "scalar": _SCALAR,
    "clipped": _CLIPPED,
    "gptq": _CLIPPED,
    "trellis": _TRELLIS,
    "trellis-gptq": _TRELLIS,
    "grouped-scalar": _always(
        {"bits": 5, "group": 128, "store": "bytes"},
        {"bits": 4, "group": 128, "store": "bytes"},
        {"bits": 4, "group": 128, "store": "packed"},
        {"bits": 3, "group": 64, "store": "packed"},
    ),
    "lqer": _lqer,
    "low-rank": _ranks(2, 4),
    "pruned": _PRUNED,
    **_FEW_BITS,
}
#: Letters that stand for numbers in a candidate's name.
_LETTERS = {
    "bits": "b", "clip": "c", "codes": "k", "entries": "m", "explicit": "s", "group": "g", "groups": "g", "pieces": "p",
    "rank": "r", "share": "", "stages": "m", "states": "", "step": "d", "strength": "s", "width": "n",
    "bias_bits": "bias",
}  # fmt: skip
#: Trunk schemes that are tried on parts of the trunk alone, too: attention, MLP, early and late blocks.
BY_PART = ("scalar", "clipped", "gptq", "trellis", "trellis-gptq", "grouped-scalar", "ternary-packed")


def grid(table: dict[str, Grid], scheme: Scheme, rows: int, columns: int) -> list[Options]:
    """What is tried of a scheme; for another package's, its defaults where they are complete."""
    if scheme.name in table:
        return list(table[scheme.name](rows, columns))
    if scheme.tried:
        return list(scheme.tried)
    known = scheme.name in HEAD or scheme.name in TRUNK
    complete = all(parameter.default is not None for parameter in scheme.parameters)
    return [] if known or not complete else [{}]


def input_options(scheme: str, rows: int, columns: int) -> Options:
    """Options of a scheme that replaces the input table of a tied model, once the head is a matrix of its own."""
    return {
        "factorised": {"rank": _part(columns, 4), "bits": 8},
        "hashed": {"entries": rows * 2, "pieces": 8, "bits": 8},
        "binary-codes": {"bits": 16},
    }[scheme]


def made_by(options: Options) -> dict[str, int | float | str]:
    """Those of the options that make a codebook from states; none where it is made from the matrix alone."""
    return {name: word for name, word in options.items() if TOLD.get(name) == word}


def label(scheme: Scheme, options: Options) -> str:
    """A candidate's scheme and options as part of its name.

    >>> from golfbudget import schemes
    >>> label(schemes.get("lqer"), {"bits": 4, "rank": 16, "store": "bytes"})
    'lqer-b4-r16-bytes'
    >>> label(schemes.get("vq-logits-explicit"), {"codes": 256, "explicit": 128})
    'vq-explicit-k256-s128'
    >>> label(schemes.get("scalar"), {"bits": 6}), label(schemes.get("vq-logits"), {"codes": 64})
    ('int6', 'vq64')
    >>> label(schemes.get("scalar"), {"bits": 6, "scale": "maximum"}), label(schemes.get("scalar"), SCALAR_VARIANTS[-1])
    ('int6-maximum', 'int5-rd0.1')
    """
    if scheme.name == "scalar":
        scale = "-maximum" if options.get("scale") == "maximum" else ""
        return f"int{options['bits']}{scale}" + (f"-rd{options['rd']:g}" if options.get("rd") else "")
    if scheme.name == "vq-logits":
        return f"vq{options['codes']}"
    parts = [
        value.replace(",", "+") if isinstance(value, str) else f"{_LETTERS.get(name, name)}{value:g}"
        for name, value in options.items()
    ]
    return "-".join([scheme.name.replace("vq-logits", "vq"), *parts])
