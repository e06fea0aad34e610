"""The tensor types of GGUF files: how many elements a block holds, and how many bytes it takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GgmlType:
    """A tensor type: `elements` numbers take `bytes` bytes; plain numbers are blocks of one."""

    name: str
    elements: int
    bytes: int


#: By number, from `enum ggml_type` in ggml.h and the block structures of ggml-common.h (github.com/ggml-org/ggml).
#: 4 and 5 (q4_2, q4_3) and 36 to 38 (repacked iq4_nl) never stood in a file; 31 to 33 did for a while.
GGML_TYPES: dict[int, GgmlType] = {
    0: GgmlType("float32", 1, 4),
    1: GgmlType("float16", 1, 2),
    2: GgmlType("q4_0", 32, 18),
    3: GgmlType("q4_1", 32, 20),
    6: GgmlType("q5_0", 32, 22),
    7: GgmlType("q5_1", 32, 24),
    8: GgmlType("q8_0", 32, 34),
    # Two half-precision numbers and 32 bytes; before 2024 they were single precision (40 bytes), and never in a file.
    9: GgmlType("q8_1", 32, 36),
    10: GgmlType("q2_k", 256, 84),
    11: GgmlType("q3_k", 256, 110),
    12: GgmlType("q4_k", 256, 144),
    13: GgmlType("q5_k", 256, 176),
    14: GgmlType("q6_k", 256, 210),
    15: GgmlType("q8_k", 256, 292),
    16: GgmlType("iq2_xxs", 256, 66),
    17: GgmlType("iq2_xs", 256, 74),
    18: GgmlType("iq3_xxs", 256, 98),
    19: GgmlType("iq1_s", 256, 50),
    20: GgmlType("iq4_nl", 32, 18),
    21: GgmlType("iq3_s", 256, 110),
    22: GgmlType("iq2_s", 256, 82),
    23: GgmlType("iq4_xs", 256, 136),
    24: GgmlType("int8", 1, 1),
    25: GgmlType("int16", 1, 2),
    26: GgmlType("int32", 1, 4),
    27: GgmlType("int64", 1, 8),
    28: GgmlType("float64", 1, 8),
    29: GgmlType("iq1_m", 256, 56),
    30: GgmlType("bfloat16", 1, 2),
    31: GgmlType("q4_0_4_4", 32, 18),
    32: GgmlType("q4_0_4_8", 32, 18),
    33: GgmlType("q4_0_8_8", 32, 18),
    34: GgmlType("tq1_0", 256, 54),
    35: GgmlType("tq2_0", 256, 66),
    39: GgmlType("mxfp4", 32, 17),
    40: GgmlType("nvfp4", 64, 36),
    41: GgmlType("q1_0", 128, 18),
}

#: Types that the `gguf` package quantises to.
WRITTEN = ("q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "tq2_0", "tq1_0")

#: What a type is called whose number is not known.
UNKNOWN_TYPE = "ggml_type_"
