"""The dtypes of stored tensors, under the field's short names, and how wide their elements are."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

#: Bits per element of every dtype a reader can name.
DTYPE_BITS: Mapping[str, int] = {
    "bool": 8, "uint8": 8, "int8": 8, "float8_e4m3fn": 8, "float8_e5m2": 8, "float8_e8m0fnu": 8,
    "float8_e4m3fnuz": 8, "float8_e5m2fnuz": 8, "int16": 16, "uint16": 16, "float16": 16, "bfloat16": 16,
    "int32": 32, "uint32": 32, "float32": 32, "int64": 64, "uint64": 64, "float64": 64, "complex64": 64,
    "complex128": 128, "float4_e2m1fn": 4, "float6_e2m3": 6, "float6_e3m2": 6,
    # torch counts a byte that holds two of them as one element, safetensors counts the two.
    "float4_e2m1fn_x2": 8, "bits1x8": 8, "bits2x4": 8, "bits4x2": 8, "bits8": 8, "bits16": 16, "complex32": 32,
    "uint4": 4, "uint2": 2,
}  # fmt: skip

#: What the elements of torch's storage classes are.
STORAGE_DTYPES: Mapping[str, str] = {
    "FloatStorage": "float32", "DoubleStorage": "float64", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "CharStorage": "int8", "ByteStorage": "uint8", "ShortStorage": "int16", "IntStorage": "int32",
    "LongStorage": "int64", "BoolStorage": "bool", "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128", "ComplexHalfStorage": "complex32", "UntypedStorage": "uint8",
}  # fmt: skip
#: What the elements of storages of quantised tensors are; torch counts the bytes of the last two as elements.
QUANTISED_DTYPES: Mapping[str, str] = {
    "QInt8Storage": "int8", "QUInt8Storage": "uint8", "QInt32Storage": "int32", "QUInt4x2Storage": "uint4",
    "QUInt2x4Storage": "uint2",
}  # fmt: skip
_SPARSE_INTEGER = re.compile(r"u?int[1-7]")


def element_bytes(dtype: str) -> int:
    """Bytes of an element of a dtype that takes whole ones.

    >>> element_bytes("bfloat16")
    2
    """
    return DTYPE_BITS[dtype] // 8


def has_whole_bytes(dtype: str) -> bool:
    """Whether the dtype is known and its elements take whole bytes.

    >>> has_whole_bytes("float6_e2m3"), has_whole_bytes("q4_0")
    (False, False)
    """
    return DTYPE_BITS.get(dtype, 1) % 8 == 0


def packing(dtype: str) -> tuple[int, int]:
    """The smallest group of elements that takes whole bytes: (elements, bytes).

    >>> packing("float32"), packing("uint4"), packing("float6_e2m3")
    ((1, 4), (2, 1), (4, 3))
    """
    bits = DTYPE_BITS[dtype]
    shared = math.gcd(bits, 8)
    return 8 // shared, bits // shared


def torch_packing(dtype: str) -> tuple[int, int] | None:
    """As `packing`, for torch's name of a dtype; None when it is unknown.  Its narrow integers take a byte each.

    >>> torch_packing("uint16"), torch_packing("uint4"), torch_packing("posit8")
    ((1, 2), (1, 1), None)
    """
    if _SPARSE_INTEGER.fullmatch(dtype):
        return 1, 1
    return named_packing(dtype)


def named_packing(dtype: str) -> tuple[int, int] | None:
    """As `packing`; None for a dtype that is unknown."""
    return packing(dtype) if dtype in DTYPE_BITS else None
