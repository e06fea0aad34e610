"""The dtypes of stored tensors, under the field's short names, and how wide their elements are."""

from __future__ import annotations

from collections.abc import Mapping

#: Bits per element of every dtype a reader can name.
DTYPE_BITS: Mapping[str, int] = {
    "bool": 8, "uint8": 8, "int8": 8, "float8_e4m3fn": 8, "float8_e5m2": 8, "float8_e8m0fnu": 8,
    "float8_e4m3fnuz": 8, "float8_e5m2fnuz": 8, "int16": 16, "uint16": 16, "float16": 16, "bfloat16": 16,
    "int32": 32, "uint32": 32, "float32": 32, "int64": 64, "uint64": 64, "float64": 64, "complex64": 64,
    "complex128": 128, "float4_e2m1fn": 4, "float6_e2m3": 6, "float6_e3m2": 6,
    # torch counts a byte that holds two of them as one element, safetensors counts the two.
    "float4_e2m1fn_x2": 8,
}  # fmt: skip

#: What the elements of torch's storage classes are.
STORAGE_DTYPES: Mapping[str, str] = {
    "FloatStorage": "float32", "DoubleStorage": "float64", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "CharStorage": "int8", "ByteStorage": "uint8", "ShortStorage": "int16", "IntStorage": "int32",
    "LongStorage": "int64", "BoolStorage": "bool", "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128", "UntypedStorage": "uint8",
}  # fmt: skip


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
