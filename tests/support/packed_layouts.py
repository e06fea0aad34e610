"""What a linear layer becomes in each packed layout that is published, tensor by tensor, with noise for values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from golfbudget.ledger import Account

_EXPERTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A stored tensor and what is true of it; `parameters` are those that are counted with it."""

    tensor: Tensor
    owner: str
    account: Account = Account.WEIGHTS
    parameters: int = 0


#: Settings that HQQ stores beside every matrix: numbers of one byte, and words.
_HQQ_FLAGS = (
    "view_as_float", "quant_scale", "quant_zero", "offload_meta", "encoded_state_dict", "stores_quant_config",
    "channel_wise", "optimize", "round_zero",
)  # fmt: skip
_HQQ_WORDS = {"packing": b"4bit_u8", "unpack_view_dtype": b"torch.uint8", "compute_dtype": b"torch.bfloat16"}

#: What a linear layer of a name, outputs and inputs is stored as.
Packer = Callable[[str, int, int], Iterator[tuple[str, Stored]]]


def plain(name: str, outputs: int, inputs: int) -> Iterator[tuple[str, Stored]]:
    """A matrix that is not packed."""
    yield f"{name}.weight", Stored(tensor=noise(outputs, inputs), owner=f"{name}.weight", parameters=outputs * inputs)


def vector(name: str, length: int) -> Iterator[tuple[str, Stored]]:
    yield name, Stored(tensor=noise(length), owner=name, parameters=length)


def noise(*shape: int, dtype: torch.dtype = torch.float16) -> Tensor:
    """Values of any dtype."""
    if dtype.is_floating_point and dtype.itemsize > 1:
        return torch.randn(shape).to(dtype)
    raw = torch.randint(0, 127, (*shape, dtype.itemsize), dtype=torch.uint8)
    return raw.view(dtype).reshape(shape)


def gptq(bits: int, group: int = 32, *, g_idx: bool = True) -> Packer:
    """GPTQ and AutoRound: int32 words along the inputs."""

    def pack(name: str, outputs: int, inputs: int) -> Iterator[tuple[str, Stored]]:
        owner, groups = f"{name}.weight", inputs // group
        words = noise(inputs * bits // 32, outputs, dtype=torch.int32)
        yield f"{name}.qweight", Stored(tensor=words, owner=owner, parameters=outputs * inputs)
        zeros = noise(groups, outputs * bits // 32, dtype=torch.int32)
        yield f"{name}.qzeros", Stored(tensor=zeros, owner=owner, account=Account.SCALES)
        yield f"{name}.scales", Stored(tensor=noise(groups, outputs), owner=owner, account=Account.SCALES)
        if g_idx:
            index = torch.arange(inputs, dtype=torch.int32) // group
            yield f"{name}.g_idx", Stored(tensor=index, owner=owner, account=Account.MAPPING)

    return pack


def awq(name: str, outputs: int, inputs: int, *, bits: int = 4, group: int = 32) -> Iterator[tuple[str, Stored]]:
    """AWQ: int32 words along the outputs."""
    owner, groups, columns = f"{name}.weight", inputs // group, outputs * bits // 32
    words = noise(inputs, columns, dtype=torch.int32)
    yield f"{name}.qweight", Stored(tensor=words, owner=owner, parameters=outputs * inputs)
    zeros = noise(groups, columns, dtype=torch.int32)
    yield f"{name}.qzeros", Stored(tensor=zeros, owner=owner, account=Account.SCALES)
    yield f"{name}.scales", Stored(tensor=noise(groups, outputs), owner=owner, account=Account.SCALES)


def bitsandbytes_4bit(kind: str, *, nested: bool) -> Packer:
    """bitsandbytes: two values a byte, a scale per 64, and the shape in a JSON of bytes."""

    def pack(name: str, outputs: int, inputs: int) -> Iterator[tuple[str, Stored]]:
        owner, blocks = f"{name}.weight", outputs * inputs // 64
        packed = noise(outputs * inputs // 2, 1, dtype=torch.uint8)
        yield owner, Stored(tensor=packed, owner=owner, parameters=outputs * inputs)
        state: dict[str, object] = {"quant_type": kind, "blocksize": 64, "dtype": "float16", "shape": [outputs, inputs]}
        scales = noise(blocks, dtype=torch.uint8 if nested else torch.float32)
        yield f"{owner}.absmax", Stored(tensor=scales, owner=owner, account=Account.SCALES)
        table = noise(16, dtype=torch.float32)
        yield f"{owner}.quant_map", Stored(tensor=table, owner=owner, account=Account.CODEBOOK)
        if nested:
            state |= {"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.03}
            outer = noise(-(-blocks // 256), dtype=torch.float32)
            yield f"{owner}.nested_absmax", Stored(tensor=outer, owner=owner, account=Account.SCALES)
            table = noise(256, dtype=torch.float32)
            yield f"{owner}.nested_quant_map", Stored(tensor=table, owner=owner, account=Account.CODEBOOK)
        text = torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8)
        tail = f"quant_state.bitsandbytes__{kind}"
        yield f"{owner}.{tail}", Stored(tensor=text, owner=owner, account=Account.CONTAINER)

    return pack


def bitsandbytes_int8(name: str, outputs: int, inputs: int) -> Iterator[tuple[str, Stored]]:
    """bitsandbytes LLM.int8(): a scale per row."""
    owner = f"{name}.weight"
    yield owner, Stored(tensor=noise(outputs, inputs, dtype=torch.int8), owner=owner, parameters=outputs * inputs)
    yield f"{name}.SCB", Stored(tensor=noise(outputs, dtype=torch.float32), owner=owner, account=Account.SCALES)
    layout = torch.tensor(0, dtype=torch.uint8)
    yield f"{name}.weight_format", Stored(tensor=layout, owner=owner, account=Account.CONTAINER)


def pack_quantized(
    bits: int, group: int = 32, *, symmetric: bool = True, ordered: bool = False, dense: bool = True
) -> Packer:
    """compressed-tensors `pack-quantized`: int32 words along the inputs, the shape beside them.

    `dense` values may lie in two words, as recent releases pack them; older ones fill no word with part of a value.
    """

    def words_of(values: int) -> int:
        return -(-values * bits // 32) if dense else -(-values // (32 // bits))

    def pack(name: str, outputs: int, inputs: int) -> Iterator[tuple[str, Stored]]:
        owner, groups = f"{name}.weight", inputs // group
        words = noise(outputs, words_of(inputs), dtype=torch.int32)
        yield f"{owner}_packed", Stored(tensor=words, owner=owner, parameters=outputs * inputs)
        yield f"{owner}_scale", Stored(tensor=noise(outputs, groups), owner=owner, account=Account.SCALES)
        shape = torch.tensor([outputs, inputs])
        yield f"{owner}_shape", Stored(tensor=shape, owner=owner, account=Account.CONTAINER)
        if not symmetric:
            zeros = noise(words_of(outputs), groups, dtype=torch.int32)
            yield f"{owner}_zero_point", Stored(tensor=zeros, owner=owner, account=Account.SCALES)
        if ordered:
            index = torch.arange(inputs, dtype=torch.int32) // group
            yield f"{owner}_g_idx", Stored(tensor=index, owner=owner, account=Account.MAPPING)

    return pack


def scaled(dtype: torch.dtype, scale: str, block: tuple[int, int] | None, *numbers: str) -> Packer:
    """A matrix of narrow numbers and a scale per `block`, rows by columns (None: one in all), and single numbers."""

    def pack(name: str, outputs: int, inputs: int) -> Iterator[tuple[str, Stored]]:
        owner = f"{name}.weight"
        yield owner, Stored(tensor=noise(outputs, inputs, dtype=dtype), owner=owner, parameters=outputs * inputs)
        sizes = () if block is None else (-(-outputs // block[0]), -(-inputs // block[1]))
        scales = noise(*sizes, dtype=torch.float32)
        yield f"{name}.{scale}", Stored(tensor=scales, owner=owner, account=Account.SCALES)
        for number in numbers:
            yield f"{name}.{number}", Stored(tensor=noise(dtype=torch.float32), owner=owner, account=Account.SCALES)

    return pack


def four_bit_float(stored: str, scale: torch.dtype, group: int, *numbers: str) -> Packer:
    """NVFP4 and MXFP4 of linear layers: two values a byte, a narrow scale per group, and single numbers."""

    def pack(name: str, outputs: int, inputs: int) -> Iterator[tuple[str, Stored]]:
        owner = f"{name}.weight"
        packed = noise(outputs, inputs // 2, dtype=torch.uint8)
        yield f"{name}.{stored}", Stored(tensor=packed, owner=owner, parameters=outputs * inputs)
        scales = noise(outputs, inputs // group, dtype=scale)
        yield f"{owner}_scale", Stored(tensor=scales, owner=owner, account=Account.SCALES)
        for number in numbers:
            sizes = (1,) if "global" in number else ()
            tensor = noise(*sizes, dtype=torch.float32)
            yield f"{name}.{number}", Stored(tensor=tensor, owner=owner, account=Account.SCALES)

    return pack


def gpt_oss(name: str, outputs: int, inputs: int) -> Iterator[tuple[str, Stored]]:
    """MXFP4 of transformers: the experts of a layer in one tensor of blocks, a scale exponent per 32 values."""
    if not name.endswith("gate_proj"):
        yield from plain(name, outputs, inputs)
        return
    name = name.removesuffix("gate_proj") + "experts.gate_up_proj"
    blocks = noise(_EXPERTS, outputs, inputs // 32, 16, dtype=torch.uint8)
    yield f"{name}_blocks", Stored(tensor=blocks, owner=name, parameters=_EXPERTS * outputs * inputs)
    exponents = noise(_EXPERTS, outputs, inputs // 32, dtype=torch.uint8)
    yield f"{name}_scales", Stored(tensor=exponents, owner=name, account=Account.SCALES)
    bias = Stored(
        tensor=noise(_EXPERTS, outputs), owner=f"{name}_bias", account=Account.BIAS, parameters=_EXPERTS * outputs
    )
    yield f"{name}_bias", bias


def mlx(bits: int, group: int = 32, *, mode: str = "affine") -> Packer:
    """MLX: uint32 words along the inputs, a scale per group, and in the `affine` mode an offset."""

    def pack(name: str, outputs: int, inputs: int) -> Iterator[tuple[str, Stored]]:
        owner = f"{name}.weight"
        words = noise(outputs, inputs * bits // 32, dtype=torch.uint32)
        yield owner, Stored(tensor=words, owner=owner, parameters=outputs * inputs)
        for part in ("scales", "biases") if mode == "affine" else ("scales",):
            tensor = noise(outputs, inputs // group, dtype=torch.bfloat16 if mode == "affine" else torch.uint8)
            yield f"{name}.{part}", Stored(tensor=tensor, owner=owner, account=Account.SCALES)

    return pack


def hqq(bits: int, group: int = 64) -> Packer:
    """HQQ: parts of a byte (ten values of 3 bits an int32), a scale and a zero per group, the settings as tensors."""

    def pack(name: str, outputs: int, inputs: int) -> Iterator[tuple[str, Stored]]:
        owner, groups = f"{name}.weight", outputs * inputs // group
        if bits == 3:
            packed = noise(-(-groups // 10), group, dtype=torch.int32)
        else:
            packed = noise(groups * bits // 8, group, dtype=torch.uint8)
        yield f"{name}.W_q", Stored(tensor=packed, owner=owner, parameters=outputs * inputs)
        for part in ("scale", "zero"):
            tensor = noise(groups, 1, dtype=torch.bfloat16)
            yield f"{name}.{part}", Stored(tensor=tensor, owner=owner, account=Account.SCALES)
        settings = {
            **{key: torch.tensor(value, dtype=torch.int32) for key, value in (("nbits", bits), ("group_size", group))},
            "axis": torch.tensor(1, dtype=torch.int32),
            "shape": torch.tensor([outputs, inputs]),
            **{key: torch.tensor(1, dtype=torch.uint8) for key in _HQQ_FLAGS},
            **{key: torch.tensor(list(text), dtype=torch.uint8) for key, text in _HQQ_WORDS.items()},
        }
        for key, tensor in settings.items():
            yield f"{name}.{key}", Stored(tensor=tensor, owner=owner, account=Account.CONTAINER)

    return pack


def torchao(dtype: torch.dtype, group: int | None = None) -> Packer:
    """torchao's tensor subclasses as transformers writes them: inner tensors under names of their own."""

    def pack(name: str, outputs: int, inputs: int) -> Iterator[tuple[str, Stored]]:
        owner, groups = f"{name}.weight", 1 if group is None else inputs // group
        values = noise(outputs, inputs, dtype=dtype)
        yield f"{name}._weight_qdata", Stored(tensor=values, owner=owner, parameters=outputs * inputs)
        scales = noise(outputs, groups, dtype=torch.float32)
        yield f"{name}._weight_scale", Stored(tensor=scales, owner=owner, account=Account.SCALES)
        if not dtype.is_floating_point:
            zeros = noise(outputs, groups, dtype=torch.int8)
            yield f"{name}._weight_zero_point", Stored(tensor=zeros, owner=owner, account=Account.SCALES)

    return pack


def quanto(bits: int) -> Packer:
    """optimum-quanto: a byte per value and a scale per row, or parts of a byte in groups of 128 with a shift each."""

    def pack(name: str, outputs: int, inputs: int) -> Iterator[tuple[str, Stored]]:
        owner, whole = f"{name}.weight", bits == 8
        groups = outputs if whole else outputs * inputs // 128
        shape = (outputs, inputs) if whole else (groups * bits // 8, 128)
        values = noise(*shape, dtype=torch.int8 if whole else torch.uint8)
        suffix = "_data" if whole else "_data._data"
        yield f"{owner}.{suffix}", Stored(tensor=values, owner=owner, parameters=outputs * inputs)
        for part in ("_scale",) if whole else ("_scale", "_shift"):
            tensor = noise(groups, 1, dtype=torch.bfloat16)
            yield f"{owner}.{part}", Stored(tensor=tensor, owner=owner, account=Account.SCALES)
        for part in ("input_scale", "output_scale"):
            tensor = noise(dtype=torch.bfloat16)
            yield f"{name}.{part}", Stored(tensor=tensor, owner=owner, account=Account.SCALES)

    return pack


def bitnet(name: str, outputs: int, inputs: int) -> Iterator[tuple[str, Stored]]:
    """BitNet of transformers: four ternary values a byte, along the outputs."""
    owner = f"{name}.weight"
    packed = noise(outputs // 4, inputs, dtype=torch.uint8)
    yield owner, Stored(tensor=packed, owner=owner, parameters=outputs * inputs)
    yield f"{owner}_scale", Stored(tensor=noise(1), owner=owner, account=Account.SCALES)
