"""What a linear layer becomes where its form follows a kernel, or its scales have names of their own; noise for values.

As `packed_layouts`; each form is a table of endings, the values first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from golfbudget.ledger import Account
from support.packed_layouts import Packer, Stored, noise

_WEIGHTS, _SCALES, _MAPPING = Account.WEIGHTS, Account.SCALES, Account.MAPPING
_CODEBOOK, _CONTAINER = Account.CODEBOOK, Account.CONTAINER
_I16, _I32, _I64, _U8, _I8 = torch.int16, torch.int32, torch.int64, torch.uint8, torch.int8
_E4M3, _E8M0, _F32 = torch.float8_e4m3fn, torch.float8_e8m0fnu, torch.float32
#: Tensors of a layer by the ending of their names, for so many outputs and inputs.
_Form = Callable[[int, int], Mapping[str, tuple[Account, Tensor]]]


def _packer(form: _Form, owner: str = ".weight") -> Packer:
    def pack(name: str, outputs: int, inputs: int) -> Iterator[tuple[str, Stored]]:
        for number, (ending, (account, tensor)) in enumerate(form(outputs, inputs).items()):
            parameters = 0 if number else outputs * inputs
            yield name + ending, Stored(tensor=tensor, owner=name + owner, account=account, parameters=parameters)

    return pack


def _scale(*shape: int, dtype: torch.dtype = torch.float16) -> tuple[Account, Tensor]:
    return _SCALES, noise(*shape, dtype=dtype)


def _data(*shape: int, dtype: torch.dtype) -> tuple[Account, Tensor]:
    return _WEIGHTS, noise(*shape, dtype=dtype)


def _gemv(o: int, i: int) -> Mapping[str, tuple[Account, Tensor]]:
    zeros = max(1, i // 64 // 8)
    return {
        ".qweight": _data(o, i // 8, dtype=_I32),
        ".qzeros": _scale(o, zeros, dtype=_I32),
        ".scales": _scale(o, 8 * zeros),
    }


def _vptq(o: int, i: int) -> Mapping[str, tuple[Account, Tensor]]:
    return {
        ".indices": _data(1, i // 8, o // 4, dtype=_I32),
        ".centroids.weight": (_CODEBOOK, noise(1, 2048)),
        ".res_centroids.weight": (_CODEBOOK, noise(1, 2048)),
        ".weight_scale": _scale(i),
        ".weight_bias": _scale(i),
        ".perm": (_MAPPING, noise(i, dtype=_I16)),
    }


KERNELS: Mapping[str, Packer] = {
    "awq-gemv": _packer(_gemv),
    "awq-gemv-fast": _packer(
        lambda o, i: {
            ".qweight": _data(o // 4, i, dtype=_I16),
            ".qzeros": _scale(8, o),
            ".scales": _scale(8, o),
        }
    ),
    "marlin": _packer(
        lambda o, i: {
            ".B": _data(i // 16, 2 * o, dtype=_I32),
            ".s": _scale(i // 64, o),
            ".workspace": (_CONTAINER, noise(16, dtype=_I32)),
        }
    ),
    "marlin-24": _packer(
        lambda o, i: {
            ".B_24": _data(i // 32, 2 * o, dtype=_I32),
            ".B_meta": (_MAPPING, noise(i // 32, 2 * o, dtype=_I16)),
            ".s": _scale(1, o),
        }
    ),
    "compressed-marlin-24": _packer(
        lambda o, i: {
            ".weight_packed": _data(i // 32, 2 * o, dtype=_I32),
            ".scale_packed": _scale(1, o),
            ".meta": (_MAPPING, noise(i // 32, 2 * o, dtype=_I16)),
        }
    ),
    "tinygemm": _packer(
        lambda o, i: {
            ".weight": _data(o // 8, i // 128, 32, 4, dtype=_I32),
            ".scales_and_zeros": _scale(i // 32, o, 2),
        }
    ),
    "higgs": _packer(
        lambda o, i: {
            ".weight": _data(o // 4, i, dtype=_I16),
            ".scales": _scale(o, i // 64),
            ".tables": (_CODEBOOK, noise(16)),
            ".tables2": (_CODEBOOK, noise(16, 16, 2)),
        }
    ),
    "quip": _packer(
        lambda o, i: {
            ".Qidxs": _data(o, i // 8, dtype=_I64),
            ".SU": _scale(i),
            ".SV": _scale(o),
            ".Wscale": _scale(dtype=_F32),
            ".codebook_id": (_CONTAINER, noise(dtype=_I64)),
        }
    ),
    "qtip": _packer(
        lambda o, i: {
            ".trellis": _data(o // 16 * (i // 16), 32, dtype=_I16),
            ".SU": _scale(i),
            ".SV": _scale(o),
            ".tlut": (_CODEBOOK, noise(512, 2)),
        }
    ),
    "spqr": _packer(
        lambda o, i: {
            ".dense_weights": _data(o * i // 32, dtype=_I64),
            ".row_offsets": (_MAPPING, noise(o + 1, dtype=_I32)),
            ".col_vals": (_WEIGHTS, noise(37, dtype=_I32)),
            ".in_perm": (_MAPPING, noise(i, dtype=_I16)),
        }
    ),
    "mxfp4-blocks": _packer(
        lambda o, i: {
            ".blocks": _data(2, o // 2, i // 32, 16, dtype=_U8),
            ".scales": _scale(2, o // 2, i // 32, dtype=_U8),
        },
        owner="",
    ),
    "fp-quant": _packer(
        lambda o, i: {
            ".qweight": _data(o, i // 2, dtype=_U8),
            ".scales": _scale(o, i // 32, dtype=_U8),
            ".weight_global_scale": _scale(1),
            ".forward_hadamard_matrix": (_CONTAINER, noise(32, 32)),
        }
    ),
    # Scales that no family names: what they stand beside tells.
    "scale": _packer(lambda o, i: {".weight": _data(o, i, dtype=_E4M3), ".scale": _scale(o // 32, 1, dtype=_F32)}),
    "scale-e8m0": _packer(
        lambda o, i: {".weight": _data(o, i, dtype=_E4M3), ".scale": _scale(o // 32, 1, dtype=_E8M0)}
    ),
    "scale-fp4": _packer(
        lambda o, i: {".weight": _data(o, i // 2, dtype=_I8), ".scale": _scale(o, i // 32, dtype=_E8M0)}
    ),
    "scales-by-row": _packer(lambda o, i: {".weight": _data(o, i, dtype=_I8), ".scales": _scale(o)}),
    "two-outputs-a-byte": _packer(
        lambda o, i: {
            ".weight": _data(o // 2, i, dtype=_U8),
            ".weight_scale": _scale(o, i // 64),
            ".pre_quant_scale": _scale(i),
            ".weight_scale_2": _scale(dtype=_F32),
        }
    ),
    "without-weight": _packer(
        lambda o, i: {"": _data(1, o, i, dtype=_E4M3), "_scale_inv": _scale(1, o // 32, 1, dtype=_F32)}, owner=""
    ),
    "without-weight-fp4": _packer(
        lambda o, i: {
            "": _data(1, o, i // 2, dtype=_U8),
            "_weight_scale": _scale(1, o, i // 16, dtype=_E4M3),
            "_weight_scale_2": _scale(1, dtype=_F32),
        },
        owner="",
    ),
    "kept-keys": _packer(
        lambda o, i: {
            ".weight": _data(o, i, dtype=_E4M3),
            ".weight_scale": _scale(dtype=_F32),
            ".k_scale": _scale(dtype=_F32),
        }
    ),
}

VPTQ = _packer(_vptq)
