"""Checkpoints with packed weights, written by shape, each with what is true of it.

The layouts are those that GPTQ, AWQ, bitsandbytes, compressed-tensors, ModelOpt, MLX, HQQ and transformers publish.
The values are noise: what is asked is whose every tensor is, what it is for, and how many parameters it holds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save_file

from support.packed_kernels import KERNELS, VPTQ
from support.packed_layouts import (
    Packer,
    Stored,
    awq,
    bitnet,
    bitsandbytes_4bit,
    bitsandbytes_int8,
    four_bit_float,
    gpt_oss,
    gptq,
    hqq,
    mlx,
    pack_quantized,
    plain,
    quanto,
    scaled,
    torchao,
    vector,
)

VOCABULARY, WIDTH, HIDDEN = 256, 128, 384
#: Linear layers of one block by name: outputs and inputs.
LINEAR = {
    "self_attn.q_proj": (WIDTH, WIDTH),
    "self_attn.k_proj": (WIDTH // 2, WIDTH),
    "self_attn.v_proj": (WIDTH // 2, WIDTH),
    "self_attn.o_proj": (WIDTH, WIDTH),
    "mlp.gate_proj": (HIDDEN, WIDTH),
    "mlp.up_proj": (HIDDEN, WIDTH),
    "mlp.down_proj": (WIDTH, HIDDEN),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A folder to write; `head` owns the output matrix and `table` the input table, which are one where tied."""

    stored: Mapping[str, Stored]
    config: Mapping[str, object] | None
    head: str
    table: str

    @property
    def parameters(self) -> int:
        return sum(stored.parameters for stored in self.stored.values())

    @property
    def tied(self) -> bool:
        return self.head == self.table

    @property
    def by_owner(self) -> dict[str, int]:
        """Parameters of every owner that has some."""
        found: dict[str, int] = {}
        for stored in self.stored.values():
            if stored.parameters:
                found[stored.owner] = found.get(stored.owner, 0) + stored.parameters
        return found

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: stored.tensor.contiguous() for name, stored in self.stored.items()}
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        if self.config is not None:
            (folder / "config.json").write_text(json.dumps(self.config, indent=2) + "\n")
        return folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a checkpoint packs its linear layers, and its head and table where they are packed too."""

    linear: Packer
    head: Packer | None = None
    table: Packer | None = None
    quantization: Mapping[str, object] = field(default_factory=dict)
    key: str = "quantization_config"
    #: Config keys are inside `text_config`, and names begin with `model.language_model.`.
    nested: bool = False
    tied: bool = False
    #: False: the folder has no config.json.
    config: bool = True

    def build(self) -> Checkpoint:
        prefix = "model.language_model." if self.nested else "model."
        stored = dict((self.table or plain)(f"{prefix}embed_tokens", VOCABULARY, WIDTH))
        for name, (outputs, inputs) in LINEAR.items():
            stored |= self.linear(f"{prefix}layers.0.{name}", outputs, inputs)
        for norm in ("layers.0.input_layernorm", "layers.0.post_attention_layernorm", "norm"):
            stored |= vector(f"{prefix}{norm}.weight", WIDTH)
        table = head = f"{prefix}embed_tokens.weight"
        if not self.tied:
            head = "lm_head.weight"
            stored |= (self.head or plain)("lm_head", VOCABULARY, WIDTH)
        return Checkpoint(stored=stored, config=self._config() if self.config else None, head=head, table=table)

    def _config(self) -> dict[str, object]:
        text: dict[str, object] = {
            "model_type": "llama",
            "hidden_size": WIDTH,
            "intermediate_size": HIDDEN,
            "num_attention_heads": 4,
            "num_hidden_layers": 1,
            "num_key_value_heads": 2,
            "vocab_size": VOCABULARY,
            "tie_word_embeddings": self.tied,
        }
        if self.quantization:
            text[self.key] = dict(self.quantization)
        return {"model_type": "llava", "text_config": text} if self.nested else text


def _gptq_config(bits: int, group: int = 32) -> dict[str, object]:
    return {"quant_method": "gptq", "bits": bits, "group_size": group, "desc_act": False, "sym": True}


def _compressed(layout: str, bits: int = 4) -> dict[str, object]:
    weights = {"num_bits": bits, "type": "int", "strategy": "group", "group_size": 32, "symmetric": True}
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    return {"quant_method": "compressed-tensors", "format": layout, "config_groups": groups, "ignore": ["lm_head"]}


_AWQ = {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm", "zero_point": True}
_BNB = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
_FP8 = {"quant_method": "fp8", "weight_block_size": [128, 128], "fmt": "e4m3"}
_MODELOPT = {"quant_method": "modelopt", "quant_algo": "NVFP4"}
_E4M3, _E5M2 = torch.float8_e4m3fn, torch.float8_e5m2


#: Rows and columns that share a scale.
_ROW = (1, 1 << 30)
_BLOCK_FP8 = scaled(_E4M3, "weight_scale_inv", (128, 128))
_NVFP4 = four_bit_float("weight", _E4M3, 16, "weight_scale_2", "input_scale")
_NVFP4_PACKED = four_bit_float("weight_packed", _E4M3, 16, "weight_global_scale", "input_global_scale")

LAYOUTS: dict[str, Layout] = {
    **{f"gptq-{bits}bit": Layout(linear=gptq(bits), quantization=_gptq_config(bits)) for bits in (2, 3, 4, 8)},
    "gptq-head": Layout(linear=gptq(4), head=gptq(4), quantization=_gptq_config(4)),
    "gptq-head-8bit": Layout(linear=gptq(4), head=gptq(8), quantization=_gptq_config(4)),
    "gptq-group-whole": Layout(linear=gptq(4, 128), quantization=_gptq_config(4, -1)),
    "gptq-no-g-idx": Layout(linear=gptq(4, g_idx=False), quantization=_gptq_config(4)),
    "gptq-3bit-no-g-idx": Layout(linear=gptq(3, g_idx=False), quantization=_gptq_config(3)),
    "gptq-tied": Layout(linear=gptq(4), quantization=_gptq_config(4), tied=True),
    "gptq-wrong-bits": Layout(linear=gptq(4), quantization=_gptq_config(8)),
    "gptq-wrong-group": Layout(linear=gptq(4), quantization=_gptq_config(4, 128)),
    "gptq-no-config": Layout(linear=gptq(4), config=False),
    "gptq-nested": Layout(linear=gptq(4), quantization=_gptq_config(4), nested=True),
    "auto-round": Layout(linear=gptq(4), quantization={**_gptq_config(4), "quant_method": "auto-round"}),
    "awq": Layout(linear=awq, quantization=_AWQ),
    "awq-head": Layout(linear=awq, head=awq, quantization=_AWQ),
    "awq-wrong-method": Layout(linear=awq, quantization=_gptq_config(4)),
    "awq-no-config": Layout(linear=awq, config=False),
    "awq-nested": Layout(linear=awq, quantization=_AWQ, nested=True),
    "bnb-nf4": Layout(linear=bitsandbytes_4bit("nf4", nested=False), quantization=_BNB),
    "bnb-nf4-nested": Layout(linear=bitsandbytes_4bit("nf4", nested=True), quantization=_BNB),
    "bnb-fp4": Layout(
        linear=bitsandbytes_4bit("fp4", nested=True), quantization={**_BNB, "bnb_4bit_quant_type": "fp4"}
    ),
    "bnb-nf4-no-config": Layout(linear=bitsandbytes_4bit("nf4", nested=True), config=False),
    "bnb-int8": Layout(linear=bitsandbytes_int8, quantization={"quant_method": "bitsandbytes", "load_in_8bit": True}),
    **{
        f"ct-pack-{bits}bit": Layout(linear=pack_quantized(bits), quantization=_compressed("pack-quantized", bits))
        for bits in (2, 3, 4, 8)
    },
    "ct-pack-3bit-older": Layout(linear=pack_quantized(3, dense=False), quantization=_compressed("pack-quantized", 3)),
    "ct-pack-asymmetric": Layout(
        linear=pack_quantized(4, symmetric=False, ordered=True), quantization=_compressed("pack-quantized")
    ),
    "ct-pack-head": Layout(
        linear=pack_quantized(4), head=pack_quantized(4), quantization=_compressed("pack-quantized")
    ),
    "ct-pack-wrong-bits": Layout(linear=pack_quantized(4), quantization=_compressed("pack-quantized", 8)),
    "ct-pack-no-config": Layout(linear=pack_quantized(4), config=False),
    "ct-pack-nested": Layout(linear=pack_quantized(4), quantization=_compressed("pack-quantized"), nested=True),
    "ct-float": Layout(linear=scaled(_E4M3, "weight_scale", _ROW), quantization=_compressed("float-quantized", 8)),
    "ct-int": Layout(linear=scaled(torch.int8, "weight_scale", _ROW), quantization=_compressed("int-quantized", 8)),
    "ct-nvfp4": Layout(linear=_NVFP4_PACKED, quantization=_compressed("nvfp4-pack-quantized")),
    "ct-nvfp4-head": Layout(linear=_NVFP4_PACKED, head=_NVFP4_PACKED, quantization=_compressed("nvfp4-pack-quantized")),
    "ct-nvfp4-no-config": Layout(linear=_NVFP4_PACKED, config=False),
    "ct-mxfp4": Layout(
        linear=four_bit_float("weight_packed", torch.uint8, 32), quantization=_compressed("mxfp4-pack-quantized")
    ),
    "fp8-block": Layout(linear=_BLOCK_FP8, quantization=_FP8),
    "fp8-block-nested": Layout(linear=_BLOCK_FP8, quantization=_FP8, nested=True),
    "fp8-row": Layout(linear=scaled(_E4M3, "weight_scale", _ROW), quantization={"quant_method": "fbgemm_fp8"}),
    "fp8-tensor": Layout(
        linear=scaled(_E4M3, "weight_scale", None, "input_scale"), quantization={"quant_method": "fp8"}
    ),
    "fp8-e5m2-no-config": Layout(linear=scaled(_E5M2, "weight_scale", None), config=False),
    "mxfp4-experts": Layout(linear=gpt_oss, quantization={"quant_method": "mxfp4"}),
    "mxfp4-experts-no-config": Layout(linear=gpt_oss, config=False),
    "nvfp4": Layout(linear=_NVFP4, quantization=_MODELOPT),
    "nvfp4-head": Layout(linear=_NVFP4, head=_NVFP4, quantization=_MODELOPT),
    "nvfp4-no-config": Layout(linear=_NVFP4, config=False),
    **{
        f"mlx-{bits}bit": Layout(
            linear=mlx(bits),
            head=mlx(bits),
            table=mlx(bits),
            quantization={"group_size": 32, "bits": bits},
            key="quantization",
        )
        for bits in (2, 3, 4, 5, 6, 8)
    },
    **{
        f"mlx-{mode}": Layout(
            linear=mlx(bits, group, mode=mode),
            head=mlx(bits, group, mode=mode),
            table=mlx(bits, group, mode=mode),
            quantization={"group_size": group, "bits": bits, "mode": mode},
            key="quantization",
        )
        for mode, bits, group in (("mxfp4", 4, 32), ("nvfp4", 4, 16), ("mxfp8", 8, 32))
    },
    "mlx-group-64": Layout(
        linear=mlx(4, 64),
        head=mlx(4, 64),
        table=mlx(4, 64),
        quantization={"group_size": 64, "bits": 4},
        key="quantization",
    ),
    "mlx-tied": Layout(
        linear=mlx(4), table=mlx(4), quantization={"group_size": 32, "bits": 4}, key="quantization", tied=True
    ),
    "mlx-head-8bit": Layout(
        linear=mlx(4), head=mlx(8), table=mlx(8), quantization={"group_size": 32, "bits": 4}, key="quantization"
    ),
    "mlx-wrong-bits": Layout(
        linear=mlx(4), head=mlx(4), table=mlx(4), quantization={"group_size": 32, "bits": 8}, key="quantization"
    ),
    "mlx-nested": Layout(
        linear=mlx(4),
        head=mlx(4),
        table=mlx(4),
        quantization={"group_size": 32, "bits": 4},
        key="quantization",
        nested=True,
    ),
    **{
        f"hqq-{bits}bit": Layout(linear=hqq(bits), quantization={"quant_method": "hqq", "quant_config": {}})
        for bits in (2, 3, 4, 8)
    },
    "hqq-no-config": Layout(linear=hqq(4), config=False),
    "torchao-int8": Layout(linear=torchao(torch.int8), quantization={"quant_method": "torchao"}),
    "torchao-grouped": Layout(linear=torchao(torch.int8, 32), quantization={"quant_method": "torchao"}),
    "torchao-float8": Layout(linear=torchao(_E4M3), quantization={"quant_method": "torchao"}),
    **{f"quanto-{bits}bit": Layout(linear=quanto(bits), quantization={"quant_method": "quanto"}) for bits in (2, 4, 8)},
    "bitnet": Layout(linear=bitnet, quantization={"quant_method": "bitnet"}),
    "bitnet-tied": Layout(linear=bitnet, quantization={"quant_method": "bitnet"}, tied=True),
    **{f"kernel-{name}": Layout(linear=packer, config=False) for name, packer in KERNELS.items()},
    "vptq": Layout(
        linear=VPTQ,
        quantization={
            "quant_method": "vptq",
            "config_for_layers": {
                f"model.layers.0.{name}": {"out_features": outputs, "in_features": inputs}
                for name, (outputs, inputs) in LINEAR.items()
            },
        },
    ),
}
