"""The tensors with a vocabulary axis, at any vocabulary: from a model file, a checkpoint or an artifact."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from golfbudget import codecs
from golfbudget.artifact import locate
from golfbudget.errors import ConfigError, UsageError
from golfbudget.estimate.describe import describe
from golfbudget.estimate.modelled import Formula
from golfbudget.estimate.request import EstimateRequest, dependence
from golfbudget.estimate.settings import make_request
from golfbudget.evidence import Evidence
from golfbudget.ledger import Role
from golfbudget.models import TensorSpec
from golfbudget.plan.source import PlanSource, marked_head, open_source
from golfbudget.plan.vocabulary.results import Trunk
from golfbudget.recipe import layouts
from golfbudget.recipe.artifacts import artifact_bytes
from golfbudget.recipe.config import Recipe, matching, recipe_from
from golfbudget.recipe.export import Export, dtype_name
from golfbudget.roles import Roles

#: Variables of a model file that may be its vocabulary, in the order in which one is taken.
VARIABLES = ("vocabulary", "vocab_size", "vocab")
#: Tables of hashed n-grams and positions have rows of their own number, even where it is the vocabulary's.
_OTHER_ROWS = re.compile(r"(^|[._])(bigram|trigram|ngram|hash|wpe|pos|position|engram)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """The tensors with a vocabulary axis at one vocabulary: the head, and the others."""

    head: TensorSpec
    others: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What the table is about.

    `shapes` gives the vocabulary's tensors at a size; `ranged` names those whose coded size depends on training;
    `rest` gives the bytes of all other tensors, a container's once left out.
    """

    source: str
    recipe: Recipe
    tied: bool
    ranged: frozenset[str]
    shapes: Callable[[int], Shapes]
    rest: Callable[[], Trunk]
    notes: tuple[str, ...]


def open_subject(path: str, *, recipe: str | None, roles: Roles, limit: int = codecs.DECODED_LIMIT) -> Subject:
    """A model file or shipped name, else a checkpoint or artifact; `UsageError` for one without a vocabulary."""
    file = Path(path)
    if file.suffix != ".toml" and file.exists():
        return _from_file(file, recipe, roles, limit)
    return _from_config(path, recipe, roles)


def alone(recipe: Recipe, names: Mapping[str, object]) -> Recipe:
    """The recipe for a file of these tensors only: rules for others are no mistake, corrections of others go."""
    return msgspec.structs.replace(
        recipe,
        tensors=tuple(msgspec.structs.replace(rule, optional=True) for rule in recipe.tensors),
        corrections=tuple(correction for correction in recipe.corrections if matching(correction.match, names)),
    )


def empty_bytes(recipe: Recipe) -> int:
    """A coded file without tensors: what a container costs once."""
    empty = Export(quantized={}, scales={}, dtypes={}, passthrough={}, kept_dtypes={})
    return len(artifact_bytes(empty, recipe))


def _from_config(path: str, recipe: str | None, roles: Roles) -> Subject:
    request = make_request(path, recipe)
    model = request.model
    variable = next((name for name in VARIABLES if name in model.variables), None)
    if variable is None:
        known = ", ".join(model.variables) or "none"
        raise UsageError(
            f"{model.path}: has no variable for the vocabulary: looked for {', '.join(VARIABLES)}, found {known}; "
            "write its vocabulary tensors with such a variable"
        )
    now = int(model.variables[variable])
    own = _grown(request, make_request(path, recipe, {variable: 2 * now}))
    if not own:
        raise UsageError(f"{model.path}: variables.{variable}: no tensor's shape changes with it")
    names = [spec.name for spec in own if len(spec.shape) == 2]
    marked = marked_head(names, roles, str(model.path))
    if marked is None:
        raise UsageError(
            f"{model.path}: looked for an output head or token table, by the names in --roles, among the matrices with "
            f"a vocabulary axis: {', '.join(names) or 'none'}"
        )
    head, tied = marked
    depends = dependence(request)

    def shapes(vocabulary: int) -> Shapes:
        specs = {spec.name: spec for spec in make_request(path, recipe, {variable: vocabulary}).model.tensors}
        missing = [spec.name for spec in own if spec.name not in specs]
        if missing:
            raise UsageError(f"{model.path}: with {variable} = {vocabulary:,} there is no tensor {missing[0]!r}")
        others = tuple(specs[spec.name] for spec in own if spec.name != head)
        return Shapes(head=specs[head], others=others)

    def rest() -> Trunk:
        names = {spec.name for spec in own}
        formula = Formula(request.recipe, "gaussian", depends.tensors)
        try:
            found = formula.of(spec for spec in model.tensors if spec.name not in names)
        except ConfigError:
            return Trunk(bytes=None, known=Evidence.UNKNOWN)
        return Trunk(bytes=found.value - formula.of(()).value, known=Evidence.MODELLED)

    notes = list(depends.reasons)
    if depends.reasons:
        notes.append("so the heads and the trunk are those of the upper end, weights beyond any scale floor")
    if model.tied is not None and tied != model.tied:
        notes.append(f"the model file says {'tied' if model.tied else 'untied'}, its tensors' names the opposite")
    return Subject(
        source=model.name,
        recipe=request.recipe,
        tied=tied,
        ranged=depends.tensors,
        shapes=shapes,
        rest=rest,
        notes=tuple(notes),
    )


def _grown(small: EstimateRequest, large: EstimateRequest) -> list[TensorSpec]:
    shapes = {spec.name: spec.shape for spec in large.model.tensors}
    return [spec for spec in small.model.tensors if shapes.get(spec.name) != spec.shape]


def _from_file(path: Path, recipe: str | None, roles: Roles, limit: int) -> Subject:
    source = open_source(locate(path), recipe=recipe, roles=roles, limit=limit)
    vocabulary = int(source.reference[source.head].shape[0])
    own = {name: _spec(source, name) for name in source.reference if _follows(source, name, vocabulary, roles)}
    found, notes = source.recipe, []
    if source.artifact is not None and layouts.recognise(source.artifact) is not None:
        # How an artifact was quantised is in its values, not in the recipe that only writes it again.
        described = describe(source.artifact, name=path.stem, tied=source.tied)["recipe"]
        found = recipe_from(described, f"{path}: the recipe read from it")
        notes.append("the head's clip is fitted to the artifact's own levels (as inspect --as-config writes it)")

    def shapes(size: int) -> Shapes:
        sized = {name: _resized(spec, vocabulary, size) for name, spec in own.items()}
        return Shapes(head=sized.pop(source.head), others=tuple(sized.values()))

    def rest() -> Trunk:
        export = source.export
        for name in own:
            export = export.without(name)
        left = len(artifact_bytes(export, source.recipe)) - empty_bytes(source.recipe)
        return Trunk(bytes=left, known=Evidence.MEASURED)

    return Subject(
        source=str(path),
        recipe=found,
        tied=source.tied,
        ranged=frozenset(),
        shapes=shapes,
        rest=rest,
        notes=tuple(notes),
    )


def _follows(source: PlanSource, name: str, vocabulary: int, roles: Roles) -> bool:
    """Whether a tensor of a file has a vocabulary axis: by its role and its first axis, as no file says it."""
    shape, rule = source.reference[name].shape, roles.rule_of(name)
    if name == source.head:
        return True
    if rule is None or rule.role not in (Role.HEAD, Role.EMBEDDING) or not shape or shape[0] != vocabulary:
        return False
    return not _OTHER_ROWS.search(name)


def _spec(source: PlanSource, name: str) -> TensorSpec:
    """A tensor's shape and dtype, and its own mean and deviation."""
    tensor = source.reference[name]
    if not tensor.is_floating_point():
        return TensorSpec(name=name, shape=tuple(tensor.shape), dtype=dtype_name(tensor))
    values = tensor.double()
    return TensorSpec(
        name=name,
        shape=tuple(tensor.shape),
        dtype=dtype_name(tensor),
        deviation=float(values.std(unbiased=False)),
        mean=float(values.mean()),
    )


def _resized(spec: TensorSpec, old: int, new: int) -> TensorSpec:
    return replace(spec, shape=(new, *spec.shape[1:]) if spec.shape[0] == old else spec.shape)
