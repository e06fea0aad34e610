"""The layouts of packed weights: names that stand together under one stem, and which function reads their shapes.

Names are those that the libraries write (GPTQ, AWQ, ExLlama, AQLM, bitsandbytes, compressed-tensors, ModelOpt, MLX,
HQQ, torch.ao, torchao, quanto and the FP8, MXFP4 and BitNet of `transformers`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from golfbudget.ledger import Account
from golfbudget.roles.unpacking import UNPACKERS, Pack, Unpacked

_SCALES, _MAPPING, _CONTAINER = Account.SCALES, Account.MAPPING, Account.CONTAINER


class PackedFamily(Struct, frozen=True, kw_only=True):
    """One layout: `data` is the ending of the name that holds the values, `owner` the ending of the matrix it makes.

    `parts` are the endings of everything else that the matrix owns.  At least one of `needs` must be stored.
    """

    name: str
    data: str
    owner: str
    needs: tuple[str, ...]
    parts: Mapping[str, Account]
    unpack: Callable[[Pack], Unpacked | None]


def _scaled(*names: str) -> dict[str, Account]:
    return dict.fromkeys(names, _SCALES)


#: What stands beside a weight whatever its own dtype is: scales of it and of the activations around it.
_BESIDE = _scaled(
    ".weight_scale",
    ".weight_scale_inv",
    ".weight_scale_2",
    ".weight_scales",
    ".weight_zero_point",
    ".input_scale",
    ".input_zero_point",
    ".output_scale",
    ".output_zero_point",
    ".input_scale_ub",
    ".weight_global_scale",
    ".input_global_scale",
    ".weight_scaler",
)
_HQQ_SETTINGS = (
    "nbits",
    "shape",
    "group_size",
    "axis",
    "view_as_float",
    "packing",
    "compute_dtype",
    "stores_quant_config",
    "unpack_view_dtype",
    "optimize",
    "round_zero",
    "channel_wise",
    "encoded_state_dict",
    "quant_zero",
    "quant_scale",
    "offload_meta",
)

#: In the order in which they are tried.
FAMILIES = (
    PackedFamily(
        name="gptq or awq",
        data=".qweight",
        owner=".weight",
        needs=(".scales",),
        parts={
            **_scaled(".scales", ".qzeros", ".zeros"),
            ".g_idx": _MAPPING,
            ".g_idx_sort_indices": _MAPPING,
            ".perm": _MAPPING,
            ".workspace": _CONTAINER,
        },
        unpack=UNPACKERS["qweight"],
    ),
    PackedFamily(
        name="exl2",
        data=".q_weight",
        owner=".weight",
        needs=(".q_scale",),
        parts={**_scaled(".q_scale", ".q_scale_max", ".q_groups"), ".q_perm": _MAPPING, ".q_invperm": _MAPPING},
        unpack=UNPACKERS["exl2"],
    ),
    PackedFamily(
        name="exl3",
        data=".trellis",
        owner=".weight",
        needs=(".suh", ".svh"),
        parts={**_scaled(".suh", ".svh"), ".mcg": _CONTAINER, ".mul1": _CONTAINER},
        unpack=UNPACKERS["exl3"],
    ),
    PackedFamily(
        name="aqlm",
        data=".codes",
        owner=".weight",
        needs=(".codebooks",),
        parts={".codebooks": Account.CODEBOOK, ".scales": _SCALES},
        unpack=UNPACKERS["aqlm"],
    ),
    PackedFamily(
        name="bitsandbytes 4-bit",
        data="",
        owner="",
        needs=(".absmax", ".quant_state.bitsandbytes__nf4", ".quant_state.bitsandbytes__fp4"),
        parts={
            **_scaled(".absmax", ".nested_absmax"),
            ".quant_map": Account.CODEBOOK,
            ".nested_quant_map": Account.CODEBOOK,
            ".quant_state.bitsandbytes__nf4": _CONTAINER,
            ".quant_state.bitsandbytes__fp4": _CONTAINER,
        },
        unpack=UNPACKERS["bitsandbytes"],
    ),
    PackedFamily(
        name="bitsandbytes int8",
        data=".weight",
        owner=".weight",
        needs=(".SCB",),
        parts={".SCB": _SCALES, ".weight_format": _CONTAINER, ".CB": _CONTAINER},
        unpack=UNPACKERS["plain"],
    ),
    PackedFamily(
        name="compressed-tensors",
        data=".weight_packed",
        owner=".weight",
        needs=(".weight_scale", ".scale_packed"),
        parts={
            **_BESIDE,
            ".weight_shape": _CONTAINER,
            ".weight_g_idx": _MAPPING,
            ".scale_packed": _SCALES,
            ".meta": _MAPPING,
        },
        unpack=UNPACKERS["compressed-tensors"],
    ),
    PackedFamily(
        name="compressed-tensors sparse",
        data=".weight.compressed",
        owner=".weight",
        needs=(".weight.bitmask",),
        parts={".weight.bitmask": _MAPPING, ".weight.row_offsets": _MAPPING, ".weight.shape": _CONTAINER, **_BESIDE},
        unpack=UNPACKERS["sparse"],
    ),
    PackedFamily(
        name="mxfp4",
        data="_blocks",
        owner="",
        needs=("_scales",),
        parts=_scaled("_scales"),
        unpack=UNPACKERS["mxfp4"],
    ),
    PackedFamily(
        name="hqq",
        data=".W_q",
        owner=".weight",
        needs=(".scale", ".zero", ".nbits", ".shape"),
        parts={
            **_scaled(".scale", ".zero", ".scale_q", ".zero_q", ".meta.scale", ".meta.zero"),
            **dict.fromkeys((f".{name}" for name in _HQQ_SETTINGS), _CONTAINER),
        },
        unpack=UNPACKERS["hqq"],
    ),
    PackedFamily(
        name="mlx",
        data=".weight",
        owner=".weight",
        needs=(".scales",),
        parts=_scaled(".scales", ".biases"),
        unpack=UNPACKERS["mlx"],
    ),
    PackedFamily(
        name="torch.ao",
        data="._packed_params._packed_params/0",
        owner=".weight",
        needs=("._packed_params._packed_params/0",),
        parts=_scaled(".scale", ".zero_point"),
        unpack=UNPACKERS["plain"],
    ),
    PackedFamily(
        name="torchao",
        data=":qdata",
        owner="",
        needs=(":scale", ":zero_point"),
        parts=_scaled(":scale", ":zero_point", ":act_pre_scale"),
        unpack=UNPACKERS["qdata"],
    ),
    PackedFamily(
        name="torchao",
        data="._weight_qdata",
        owner=".weight",
        needs=("._weight_scale", "._weight_zero_point"),
        parts=_scaled("._weight_scale", "._weight_zero_point", "._weight_act_pre_scale"),
        unpack=UNPACKERS["qdata"],
    ),
    PackedFamily(
        name="quanto",
        data=".weight._data._data",
        owner=".weight",
        needs=(".weight._scale",),
        parts=_scaled(".weight._scale", ".weight._shift", ".input_scale", ".output_scale"),
        unpack=UNPACKERS["quanto"],
    ),
    PackedFamily(
        name="quanto",
        data=".weight._data",
        owner=".weight",
        needs=(".weight._scale",),
        parts=_scaled(".weight._scale", ".weight._shift", ".input_scale", ".output_scale"),
        unpack=UNPACKERS["plain"],
    ),
    PackedFamily(
        name="scaled",
        data=".weight",
        owner=".weight",
        needs=(
            ".weight_scale",
            ".weight_scale_inv",
            ".weight_scales",
            ".weight_scale_2",
            ".input_scale",
            ".weight_zero_point",
        ),
        parts=_BESIDE,
        unpack=UNPACKERS["scaled"],
    ),
)
