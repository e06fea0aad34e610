"""Model files, validated, and their tensors: variables resolved, groups repeated, every size checked."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from golfbudget import configs
from golfbudget.dtypes import element_bytes
from golfbudget.errors import ConfigError
from golfbudget.models.expressions import ExpressionError, Number, evaluate, names_in

MOST_TENSORS = 100_000
MOST_ELEMENTS = 10**12
_DEEPEST = 8
_INDEX = re.compile(r"\{([^{}]*)\}")

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
    tied: Annotated[
        bool | None, Meta(description="whether one matrix is input table and output head; absent: as the names say")
    ] = None
    recipe: Annotated[
        str | dict[str, Any] | None,
        Meta(description="the export: a recipe's name, a .toml path beside this file, or the recipe itself"),
    ] = None
    variables: dict[str, Amount] = {}


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """A tensor of a model that need not exist: `shape` in elements, weights of `mean` and standard `deviation`."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    deviation: float = 1.0
    mean: float = 0.0

    @cached_property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def floating(self) -> bool:
        return "float" in self.dtype

    @property
    def bytes_per_element(self) -> int:
        return element_bytes(self.dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model's tensors in state-dict order; `recipe` as the file gives it, `path` the file."""

    name: str
    summary: str
    tied: bool | None
    recipe: str | Mapping[str, Any] | None
    variables: Mapping[str, Number]
    tensors: tuple[TensorSpec, ...]
    path: Path

    @property
    def parameters(self) -> int:
        """Elements of all tensors, float or not."""
        return sum(spec.elements for spec in self.tensors)


def load_model(name: str | Path, *, variables: Mapping[str, Amount] | None = None) -> Model:
    """A model by shipped name or path, with some variables changed; `ConfigError` names file and key path."""
    path = configs.find("models", name)
    return expand(_load(path), path, variables or {})


def _load(path: Path) -> ModelFile:
    base = configs.load(path, Base, whole=ModelFile).base
    if base is None:
        return configs.load(path, ModelFile)
    below = path.parent / base if base.endswith(".toml") else configs.find("models", base)
    if configs.load(below, Base).base is not None:
        raise ConfigError(f"{path}: base: {base!r} has a base of its own; name that one, and repeat the changes here")
    return configs.load(path, ModelFile, base=below, required=("name", "summary"))


def expand(file: ModelFile, path: Path, changed: Mapping[str, Amount]) -> Model:
    """A model from its file; `path` is for messages; `ConfigError` for what it cannot be made from."""
    for key in changed:
        if key not in file.variables:
            known = ", ".join(file.variables) or "none"
            raise ConfigError(f"{path}: variables: nothing is called {key!r}; known: {known}")
    variables = _resolve({**file.variables, **changed}, path)
    expander = _Expander(path)
    for key, groups in (("tensors", file.tensors), ("append", file.append)):
        for number, group in enumerate(groups):
            expander.add(group, variables, f"{key}[{number}]", 0)
    if not expander.specs:
        raise ConfigError(f"{path}: tensors: every tensor is left out by its `when`; a model has at least one")
    return Model(
        name=file.name,
        summary=file.summary,
        tied=file.tied,
        recipe=file.recipe,
        variables=variables,
        tensors=tuple(expander.specs.values()),
        path=path,
    )


def _resolve(given: Mapping[str, Amount], path: Path) -> dict[str, Number]:
    """Every variable's value, whatever the order they are written in; a cycle is refused."""
    done: dict[str, Number] = {}
    under_way: list[str] = []

    def value(name: str) -> Number:
        if name in done:
            return done[name]
        if name in under_way:
            cycle = " -> ".join((*under_way[under_way.index(name) :], name))
            raise ConfigError(f"{path}: variables.{name}: depends on itself: {cycle}")
        under_way.append(name)
        amount = given[name]
        if isinstance(amount, str):
            with _place(path, f"variables.{name}"):
                for other in sorted(names_in(amount) & given.keys()):
                    value(other)
                known = {key: done.get(key, 0) for key in given}
                done[name] = evaluate(amount, known)
        else:
            done[name] = amount
        under_way.pop()
        return done[name]

    for name in given:
        if not name.isidentifier():
            raise ConfigError(f"{path}: variables.{name}: a variable's name is letters, digits and underscores")
        value(name)
    return {name: done[name] for name in given}


@contextmanager
def _place(path: Path, key: str) -> Iterator[None]:
    """Turns what an expression raises into an error that names file and key path."""
    try:
        yield
    except ExpressionError as error:
        raise ConfigError(f"{path}: {key}: {error}") from None


class _Expander:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.specs: dict[str, TensorSpec] = {}
        self.elements = 0

    def add(self, group: Group, variables: Mapping[str, Number], key: str, depth: int) -> None:
        """A tensor or group, as often as it is repeated."""
        if depth > _DEEPEST:
            raise self.error(key, f"groups lie deeper than {_DEEPEST}")
        if group.tensors is None and (group.name is None or group.shape is None):
            raise self.error(key, "has neither name and shape (a tensor) nor tensors (a group)")
        if group.tensors is not None and (group.name is not None or group.shape is not None):
            raise self.error(key, "has tensors of its own, so it is a group and takes no name and shape")
        for inner in self.rounds(group, variables, key):
            if not self.amount(group.when, inner, f"{key}.when"):
                continue
            for number, member in enumerate(group.tensors or ()):
                self.add(member, inner, f"{key}.tensors[{number}]", depth + 1)
            if group.tensors is None:
                self.tensor(group, inner, key)

    def rounds(self, group: Group, variables: Mapping[str, Number], key: str) -> Iterator[Mapping[str, Number]]:
        """The variables of each repetition, the index among them."""
        if group.repeat is None:
            yield variables
            return
        count = self.whole(group.repeat, variables, f"{key}.repeat")
        first = self.whole(group.first, variables, f"{key}.first")
        if not 0 <= count <= MOST_TENSORS:
            raise self.error(f"{key}.repeat", f"is {count:,}, expected 0 to {MOST_TENSORS:,}")
        if group.index in variables:
            raise self.error(f"{key}.index", f"{group.index!r} is a variable already; choose another")
        for number in range(first, first + count):
            yield {**variables, group.index: number}

    def tensor(self, group: Group, variables: Mapping[str, Number], key: str) -> None:
        name = self.named(group.name or "", variables, f"{key}.name")
        if name in self.specs:
            raise self.error(f"{key}.name", f"{name!r} stands for a second tensor; does the name lack an index?")
        shape = tuple(self.size(s, variables, f"{key}.shape[{i}]") for i, s in enumerate(group.shape or ()))
        deviation = float(self.amount(group.deviation, variables, f"{key}.deviation"))
        if deviation < 0:
            raise self.error(f"{key}.deviation", f"is {deviation}, expected 0 or more")
        mean = float(self.amount(group.mean, variables, f"{key}.mean"))
        spec = TensorSpec(name=name, shape=shape, dtype=group.dtype, deviation=deviation, mean=mean)
        self.elements += spec.elements
        if len(self.specs) >= MOST_TENSORS or self.elements > MOST_ELEMENTS:
            raise self.error(key, f"the model goes beyond {MOST_TENSORS:,} tensors or {MOST_ELEMENTS:,} elements")
        self.specs[name] = spec

    def named(self, template: str, variables: Mapping[str, Number], key: str) -> str:
        return _INDEX.sub(lambda found: str(self.whole(found[1], variables, key)), template)

    def amount(self, amount: Amount, variables: Mapping[str, Number], key: str) -> Number:
        if not isinstance(amount, str):
            return amount
        with _place(self.path, key):
            return evaluate(amount, variables)

    def whole(self, amount: Amount, variables: Mapping[str, Number], key: str) -> int:
        value = self.amount(amount, variables, key)
        if value != int(value):
            raise self.error(key, f"{amount!r} is {value}, expected a whole number; // divides without a remainder")
        return int(value)

    def size(self, amount: Amount, variables: Mapping[str, Number], key: str) -> int:
        value = self.whole(amount, variables, key)
        if value < 1:
            raise self.error(key, f"{amount!r} is {value}, expected 1 or more")
        return value

    def error(self, key: str, message: str) -> ConfigError:
        return ConfigError(f"{self.path}: {key}: {message}")
