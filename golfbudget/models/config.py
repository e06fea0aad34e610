"""Model files, validated: variables, and tensors in state-dict order."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Expression = Annotated[str, Meta(min_length=1, max_length=500, description="arithmetic on variables")]
Amount = int | float | Expression
Size = Annotated[int, Meta(ge=1)] | Expression

Dtype = Literal[
    "float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "int64", "int32", "int16", "int8", "uint8", "bool"
]


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Either one tensor, or a group of tensors (`tensors`); either may be repeated over an index.

    A name may hold the index in braces: `blocks.{i}.attn.c_q.weight`.  Elements of float tensors are drawn with
    standard deviation `deviation` around `mean` where an artifact of synthetic weights is made.
    """

    name: (
        Annotated[str, Meta(min_length=1, max_length=300, description="the tensor's name in the state dict")] | None
    ) = None
    shape: Annotated[tuple[Size, ...], Meta(max_length=8, description="sizes: numbers or expressions")] | None = None
    dtype: Dtype = "float32"
    deviation: Annotated[Amount, Meta(description="standard deviation of the weights before training")] = 1.0
    mean: Annotated[Amount, Meta(description="mean of the weights before training")] = 0.0
    when: Annotated[Amount, Meta(description="left out where this is 0 or false")] = 1
    repeat: Annotated[Amount, Meta(description="how many times, the index counting from `first`")] | None = None
    first: Amount = 0
    index: Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=40)] = "i"
    tensors: Annotated[tuple[Group, ...], Meta(min_length=1, description="a group's tensors, in order")] | None = None


class Base(msgspec.Struct, frozen=True):
    """The one key that decides how the rest of a model file is read."""

    base: str | None = None


class ModelFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A model file.

    One with a `base` takes from that file what it leaves out, all but the name; its variables are laid over the base's.
    """

    name: str
    tensors: Annotated[tuple[Group, ...], Meta(min_length=1, description="in state-dict order")]
    append: Annotated[tuple[Group, ...], Meta(description="tensors after those of the base")] = ()
    base: Annotated[str, Meta(description="a shipped model's name, or a .toml path beside this file")] | None = None
    summary: str = ""
    tied: Annotated[bool, Meta(description="whether one matrix is input table and output head")] = True
    recipe: Annotated[
        str | dict[str, Any] | None,
        Meta(description="the export: a recipe's name, a .toml path beside this file, or the recipe itself"),
    ] = None
    variables: dict[str, Amount] = {}
