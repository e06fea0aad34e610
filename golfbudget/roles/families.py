"""The layouts of packed weights: names that stand together under one stem, and which function reads their shapes.

Names are those that the libraries write (GPTQ, AWQ, ExLlama, AQLM, bitsandbytes, compressed-tensors, ModelOpt, MLX,
HQQ, torch.ao, torchao, quanto and the FP8, MXFP4 and BitNet of `transformers`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from golfbudget.ledger import Account
from golfbudget.roles import kernel_layouts, scaled_numbers, unpacking
from golfbudget.roles.unpacking import Pack, Unpacked

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
    ".weight_sf",
    ".weight_sf_rowmajor",
    ".pre_quant_scale",
    ".activation_scale",
    ".input_activation_scale",
    ".output_activation_scale",
    ".k_scale",
    ".v_scale",
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
        name="awq gemv",
        data=".qweight",
        owner=".weight",
        needs=(".qzeros",),
        parts=_scaled(".scales", ".qzeros"),
        unpack=kernel_layouts.gemv,
    ),
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
            **_scaled(".weight_global_scale", ".act_global_scale", ".pre_quant_scale"),
            ".forward_hadamard_matrix": _CONTAINER,
            ".backward_hadamard_matrix": _CONTAINER,
        },
        unpack=unpacking.qweight,
    ),
    PackedFamily(
        name="marlin",
        data=".B",
        owner=".weight",
        needs=(".s", ".s_channel"),
        parts={**_scaled(".s", ".s_channel", ".s_group"), ".workspace": _CONTAINER, ".reduce_buffer": _CONTAINER},
        unpack=kernel_layouts.marlin,
    ),
    PackedFamily(
        name="marlin 2:4",
        data=".B_24",
        owner=".weight",
        needs=(".s",),
        parts={".s": _SCALES, ".B_meta": _MAPPING, ".workspace": _CONTAINER},
        unpack=kernel_layouts.marlin,
    ),
    PackedFamily(
        name="tinygemm",
        data=".weight",
        owner=".weight",
        needs=(".scales_and_zeros",),
        parts=_scaled(".scales_and_zeros"),
        unpack=kernel_layouts.tinygemm,
    ),
    PackedFamily(
        name="higgs",
        data=".weight",
        owner=".weight",
        needs=(".tables2",),
        parts={".scales": _SCALES, ".tables": Account.CODEBOOK, ".tables2": Account.CODEBOOK, ".workspace": _CONTAINER},
        unpack=scaled_numbers.scaled,
    ),
    PackedFamily(
        name="quip",
        data=".Qidxs",
        owner=".weight",
        needs=(".SU", ".SV"),
        parts={
            **_scaled(".SU", ".SV", ".Wscale", ".fuse_scales"),
            **dict.fromkeys((".codebook_id", ".had_left", ".had_right"), _CONTAINER),
        },
        unpack=kernel_layouts.incoherent,
    ),
    PackedFamily(
        name="qtip",
        data=".trellis",
        owner=".weight",
        needs=(".SU", ".SV"),
        parts={
            **_scaled(".SU", ".SV"),
            ".tlut": Account.CODEBOOK,
            **dict.fromkeys((".rcp", ".tp_rank", ".codebook_id"), _CONTAINER),
        },
        unpack=kernel_layouts.incoherent,
    ),
    PackedFamily(
        name="spqr",
        data=".dense_weights",
        owner=".weight",
        needs=(".row_offsets", ".in_perm"),
        parts={".row_offsets": _MAPPING, ".col_vals": Account.WEIGHTS, ".in_perm": _MAPPING},
        unpack=kernel_layouts.spqr,
    ),
    PackedFamily(
        name="vptq",
        data=".indices",
        owner=".weight",
        needs=(".centroids.weight", ".centroids"),
        parts={
            **dict.fromkeys(
                (f".{kind}centroids{end}" for kind in ("", "res_", "outlier_") for end in ("", ".weight")),
                Account.CODEBOOK,
            ),
            **dict.fromkeys((".res_indices", ".outlier_indices"), Account.WEIGHTS),
            **dict.fromkeys((".perm", ".invert_perm"), _MAPPING),
            **_scaled(".weight_scale", ".weight_bias"),
        },
        unpack=kernel_layouts.vptq,
    ),
    PackedFamily(
        name="quantised embedding",
        data=".embedding_quantized",
        owner=".weight",
        needs=(".embedding_scale",),
        parts=_scaled(".embedding_scale"),
        unpack=scaled_numbers.scaled,
    ),
    PackedFamily(
        name="exl2",
        data=".q_weight",
        owner=".weight",
        needs=(".q_scale",),
        parts={**_scaled(".q_scale", ".q_scale_max", ".q_groups"), ".q_perm": _MAPPING, ".q_invperm": _MAPPING},
        unpack=unpacking.exl2,
    ),
    PackedFamily(
        name="exl3",
        data=".trellis",
        owner=".weight",
        needs=(".suh", ".svh"),
        parts={**_scaled(".suh", ".svh"), ".mcg": _CONTAINER, ".mul1": _CONTAINER},
        unpack=kernel_layouts.exl3,
    ),
    PackedFamily(
        name="aqlm",
        data=".codes",
        owner=".weight",
        needs=(".codebooks",),
        parts={".codebooks": Account.CODEBOOK, ".scales": _SCALES},
        unpack=unpacking.aqlm,
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
        unpack=unpacking.bitsandbytes,
    ),
    PackedFamily(
        name="bitsandbytes int8",
        data=".weight",
        owner=".weight",
        needs=(".SCB",),
        parts={".SCB": _SCALES, ".weight_format": _CONTAINER, ".CB": _CONTAINER},
        unpack=scaled_numbers.plain,
    ),
    PackedFamily(
        name="marlin 2:4",
        data=".weight_packed",
        owner=".weight",
        needs=(".scale_packed",),
        parts={".scale_packed": _SCALES, ".meta": _MAPPING},
        unpack=kernel_layouts.marlin,
    ),
    PackedFamily(
        name="compressed-tensors",
        data=".weight_packed",
        owner=".weight",
        needs=(".weight_scale",),
        parts={**_BESIDE, ".weight_shape": _CONTAINER, ".weight_g_idx": _MAPPING},
        unpack=unpacking.compressed,
    ),
    PackedFamily(
        name="compressed-tensors sparse",
        data=".weight.compressed",
        owner=".weight",
        needs=(".weight.bitmask",),
        parts={".weight.bitmask": _MAPPING, ".weight.row_offsets": _MAPPING, ".weight.shape": _CONTAINER, **_BESIDE},
        unpack=unpacking.sparse,
    ),
    PackedFamily(
        name="mxfp4",
        data="_blocks",
        owner="",
        needs=("_scales",),
        parts=_scaled("_scales"),
        unpack=unpacking.mxfp4,
    ),
    PackedFamily(
        name="mxfp4",
        data=".blocks",
        owner="",
        needs=(".scales",),
        parts=_scaled(".scales"),
        unpack=unpacking.mxfp4,
    ),
    PackedFamily(
        name="hqq",
        data=".W_q",
        owner=".weight",
        needs=(".scale", ".zero", ".nbits", ".shape", ".meta.scale"),
        parts={
            **_scaled(".scale", ".zero", ".scale_q", ".zero_q", ".meta.scale", ".meta.zero"),
            **dict.fromkeys((f".{name}" for name in _HQQ_SETTINGS), _CONTAINER),
        },
        unpack=unpacking.hqq,
    ),
    PackedFamily(
        name="mlx",
        data=".weight",
        owner=".weight",
        needs=(".scales",),
        parts=_scaled(".scales", ".biases", ".qbiases"),
        unpack=unpacking.mlx,
    ),
    PackedFamily(
        name="torch.ao",
        data="._packed_params._packed_params/0",
        owner=".weight",
        needs=("._packed_params._packed_params/0",),
        parts=_scaled(".scale", ".zero_point"),
        unpack=scaled_numbers.plain,
    ),
    PackedFamily(
        name="torchao",
        data=":qdata",
        owner="",
        needs=(":scale", ":zero_point"),
        parts=_scaled(":scale", ":zero_point", ":act_pre_scale"),
        unpack=unpacking.qdata,
    ),
    PackedFamily(
        name="torchao",
        data="._weight_qdata",
        owner=".weight",
        needs=("._weight_scale", "._weight_zero_point"),
        parts=_scaled("._weight_scale", "._weight_zero_point", "._weight_act_pre_scale"),
        unpack=unpacking.qdata,
    ),
    PackedFamily(
        name="quanto",
        data=".weight._data._data",
        owner=".weight",
        needs=(".weight._scale",),
        parts=_scaled(".weight._scale", ".weight._shift", ".input_scale", ".output_scale"),
        unpack=unpacking.quanto,
    ),
    PackedFamily(
        name="quanto",
        data=".weight._data",
        owner=".weight",
        needs=(".weight._scale",),
        parts=_scaled(".weight._scale", ".weight._shift", ".input_scale", ".output_scale"),
        unpack=scaled_numbers.plain,
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
        unpack=scaled_numbers.scaled,
    ),
)
