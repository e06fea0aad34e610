"""What a plan starts from: reference matrices, the recipe's own export of them, and which of them is the head.

From a checkpoint or an artifact; or from a model file's synthetic weights, those of `golfbudget estimate`: independent
Gaussian ones, without structure that a codebook could find or loss that could be measured.  A preview writes every file
through a fast codec instead of the recipe's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
from torch import Tensor

from golfbudget import codecs, configs, schemes
from golfbudget.artifact import Artifact, Layer, open_artifact
from golfbudget.errors import UsageError
from golfbudget.estimate.measured import draw
from golfbudget.estimate.request import EstimateRequest, dependence
from golfbudget.estimate.settings import Value, make_request
from golfbudget.plan.matrices import check_head, check_matrices, trunk_of
from golfbudget.quality.baseline_model import HEAD
from golfbudget.recipe import layouts
from golfbudget.recipe.artifacts import artifact_bytes
from golfbudget.recipe.config import Keep, Recipe, Shuffle, load_recipe
from golfbudget.recipe.decoded import Decoded, ReadFile
from golfbudget.recipe.export import Export, dtype_name, quantise
from golfbudget.recipe.export import decode as decode_export
from golfbudget.recipe.layouts import Layout
from golfbudget.recipe.layouts.int8_clean import FORMAT_KEY
from golfbudget.recipe.sharing import without_tied
from golfbudget.recipe.state import checkpoint_state
from golfbudget.roles import Roles
from golfbudget.roles.packed import find_packed
from golfbudget.schemes.threads import one_thread

CAVEAT = (
    "weights are synthetic, so this says nothing certain of a trained model: there the verdict is modelled at most, "
    "and a checkpoint of it decides"
)


@dataclass(frozen=True, slots=True)
class Preview:
    """The codec that stands in for the recipe's."""

    codec: str
    level: int

    def __str__(self) -> str:
        return f"{self.codec}-{self.level}"

    @property
    def caveat(self) -> str:
        """What a verdict reached on such bytes has to say."""
        return f"bytes are those of a preview codec, {self}; the cap is not decided by it: plan again without --preview"

    def note(self, recipe: Recipe) -> str:
        return (
            f"preview: every file is written by {self} instead of the recipe's {recipe.codec}-{recipe.level}, so "
            "bytes, savings and what fits are not the recipe's; lossless packings are left out"
        )


def parse_preview(text: str) -> Preview:
    """`CODEC-LEVEL`, such as `zstd-3`; `UsageError` lists what there is.

    >>> parse_preview("zstd-3")
    Preview(codec='zstd', level=3)
    """
    known = codecs.registered()
    written = re.fullmatch(r"(.+?)-(-?[0-9]{1,3})", text)
    name = "" if written is None else written[1]
    if written is None or name not in known:
        raise UsageError(f"--preview {text}: write CODEC-LEVEL, as in zstd-3; known codecs: {', '.join(sorted(known))}")
    levels = known[name].levels
    level = int(written[2])
    if level not in levels:
        raise UsageError(f"--preview {text}: {name} takes levels {levels.start} to {levels.stop - 1}")
    return Preview(name, level)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSource:
    """A model to plan for.

    `reference` are the matrices that errors are taken against: the checkpoint's, or an artifact's decoded ones.
    `head` names the output matrix, `trunk` the trunk's, of which the recipe stores those in `kept` as floats.
    `artifact` is the opened file, where there is one in this process.  `preview` is the codec that stands in for the
    recipe's own, as CODEC-LEVEL; `caveats` are what every verdict on this source has to say.  `decoded`: the reference
    is what the export decodes to.
    """

    artifact: Artifact | None
    recipe: Recipe
    reference: Mapping[str, Tensor]
    export: Export
    head: str
    tied: bool
    trunk: tuple[str, ...]
    kept: tuple[str, ...]
    notes: tuple[str, ...]
    preview: str | None = None
    caveats: tuple[str, ...] = ()
    decoded: bool = False

    @property
    def as_read(self) -> ReadFile | None:
        """An artifact's export with its decoded tensors; None of a checkpoint, whose reference no export decodes to."""
        if not self.decoded:
            return None
        return ReadFile(export=self.export, decoded=Decoded(state=self.reference, biases={}))

    def dtype(self, name: str) -> str:
        """A tensor's original dtype, in which a decoder gives it back."""
        if name in self.export.dtypes:
            return self.export.dtypes[name]
        return self.export.kept_dtypes.get(name) or dtype_name(self.reference[name])

    @property
    def rows(self) -> int:
        return self.reference[self.head].shape[0]

    @property
    def head_owner(self) -> str:
        """The name an untied head takes."""
        return HEAD if self.tied else self.head

    def original(self, owner: str) -> str:
        """The name of the matrix behind an owner; an untied copy of a tied head starts from the tied matrix."""
        return self.head if owner == self.head_owner else owner

    def matrix(self, owner: str) -> Tensor:
        """The reference matrix behind an owner, [rows, columns]."""
        return self.reference[self.original(owner)]

    def head_bias(self, decoded: Decoded) -> Tensor | None:
        """What a file's head adds to its logits, [vocabulary], under whichever of its names; None for nothing."""
        return decoded.bias_of(self.head_owner, self.head)


def open_source(
    path: Path, *, recipe: str | None, roles: Roles, limit: int, preview: Preview | None = None, jobs: int = 1
) -> PlanSource:
    """Open a checkpoint (under a recipe) or an artifact of a known layout (its recipe recognised).

    Raises `UsageError` when there is no matrix that is the output head, or the layout is not known.
    """
    artifact = open_artifact(path, limit=limit)
    # What opening a file leaves open, a plan of it does too: a config.json that was no JSON, a part of a checkpoint.
    notes = list(artifact.notes)
    layout = layouts.recognise(artifact)
    if layout is not None:
        if recipe is not None:
            raise UsageError(f"{path}: an artifact's recipe is recognised from the file; leave out --recipe")
        export = without_tied(layout.read(artifact), roles)
        encoded = [name for name, one in export.schemes.items() if layout.name not in schemes.get(one.scheme).layouts]
        if encoded:
            raise UsageError(f"{path}: the artifact already holds encoded matrices ({', '.join(encoded)})")
        # Under a preview nothing is written through the artifact's own codec, not even to recognise its level.
        found, note = _recognise(artifact, layout, export) if preview is None else (_base(artifact, layout), None)
        notes += [note] if note else []
        reference = decode_export(export)
    else:
        _refuse_unknown_layouts(artifact, path)
        found = load_recipe(recipe or "int8-zlib")
        reference = checkpoint_state(artifact)
        export = quantise(reference, found, jobs=jobs)
    source = source_of(reference, export, found, roles=roles, where=str(path), notes=notes, preview=preview)
    return replace(source, artifact=artifact, decoded=layout is not None)


def source_of(
    reference: Mapping[str, Tensor],
    export: Export,
    recipe: Recipe,
    *,
    roles: Roles,
    where: str,
    notes: Sequence[str] = (),
    preview: Preview | None = None,
) -> PlanSource:
    """A source from its matrices and the recipe's export of them; `where` names them in messages."""
    head, tied = _find_head(reference, roles, where)
    check_matrices(reference, (head,), where)
    trunk = trunk_of(reference, export, roles, where)
    own = [*notes, *check_head(reference, head, roles, where), *trunk.notes]
    if head in export.passthrough:
        own.append(f"the recipe keeps {head} in {dtype_name(export.passthrough[head])}; its candidates quantise it")
    return PlanSource(
        artifact=None,
        recipe=recipe if preview is None else replace_codec(recipe, preview.codec, preview.level),
        reference=reference,
        export=export,
        head=head,
        tied=tied,
        trunk=trunk.names,
        kept=trunk.kept,
        notes=tuple(own if preview is None else [*own, preview.note(recipe)]),
        preview=None if preview is None else str(preview),
        caveats=() if preview is None else (preview.caveat,),
    )


def _recognise(artifact: Artifact, layout: Layout, export: Export) -> tuple[Recipe, str | None]:
    """The recipe that wrote an artifact: its codec from the file, its level by writing the file again."""
    streams: list[Layer] = [layer for layer in artifact.layers if layer.kind == "codec"]
    if len(streams) > 1:
        raise UsageError(f"{artifact.path}: the container lies inside {len(streams)} codecs; planning knows one")
    name = streams[0].name if streams else "none"
    codec = codecs.get(name)
    base = replace_codec(_base(artifact, layout), name, codec.default_level)
    lengths = {}
    for level in dict.fromkeys((codec.default_level, 6 if 6 in codec.levels else codec.default_level)):
        recipe = replace_codec(base, name, level)
        lengths[level] = len(artifact_bytes(export, recipe))
        if lengths[level] == artifact.size:
            return recipe, None
    return base, (
        f"the source file has {artifact.size:,} bytes; written again by this {name} at level {codec.default_level} it "
        f"has {lengths[codec.default_level]:,}, and savings are taken against that"
    )


def replace_codec(recipe: Recipe, codec: str, level: int) -> Recipe:
    """The same recipe with another codec."""
    same = codec == recipe.codec and level == recipe.level
    name = recipe.name if same else f"{recipe.name}+{codec}-{level}"
    return msgspec.structs.replace(recipe, name=name, codec=codec, level=level)


def _base(artifact: Artifact, layout: Layout) -> Recipe:
    """What an artifact of a layout shows of its recipe; how it was quantised is in its values, not in rules."""
    public = load_recipe("int8-zlib")
    if layout.name == public.layout:
        return public
    rest = Keep(name="rest", match=("*",), dtype="original")
    return Recipe(
        name=layout.name, layout=layout.name, filter=_filter(artifact), codec="none", level=0, tensors=(rest,)
    )


def _filter(artifact: Artifact) -> Shuffle | None:
    """The filter under the codec: its header's length is what the container lacks of the decoded stream."""
    leaf = artifact.leaves[0]
    names = [layer.name for layer in artifact.layers if layer.kind == "filter"]
    if not names or not leaf.streams:
        return None
    decoded = leaf.streams[0].decoded
    header = len(decoded) - len(leaf.data)
    if names != ["byte-shuffle"] or header not in (5, 6):
        raise UsageError(f"{artifact.path}: planning does not know the filter {' > '.join(names)}")
    return Shuffle(name="byte-shuffle", stride=decoded[4], header_bytes=5 if header == 5 else 6)


def _refuse_unknown_layouts(artifact: Artifact, path: Path) -> None:
    declared = artifact.values.get(FORMAT_KEY)
    if declared is not None:
        raise UsageError(f"{path}: layout {declared!r} is not known to planning; known: {_known()}")
    packed = next(iter(find_packed(artifact).values()), None)
    if packed is not None:
        raise UsageError(
            f"{path}: {packed.matrix.stored!r} holds packed weights ({packed.matrix.family}), which planning does not "
            f"unpack; give the float checkpoint, or an artifact of layout {_known()}"
        )
    small = [t.name for t in artifact.tensors if t.dtype in ("int8", "uint8") and len(t.shape) > 1]
    if small:
        raise UsageError(
            f"{path}: {small[0]!r} is {len(small)} of the file's quantised tensors, in a layout not known to planning; "
            f"give the float checkpoint, or an artifact of layout {_known()}"
        )


def _known() -> str:
    return ", ".join(layouts.registered())


def _find_head(state: Mapping[str, Tensor], roles: Roles, where: str) -> tuple[str, bool]:
    head = marked_head([name for name, tensor in state.items() if tensor.ndim == 2], roles, where)
    if head is not None:
        return head
    some = ", ".join(list(state)[:6])
    raise UsageError(
        f"{where}: no tensor is named like an output head or token table (found {some} …); say which in --roles"
    )


def marked_head(matrices: Iterable[str], roles: Roles, where: str) -> tuple[str, bool] | None:
    """The output matrix and whether it is tied: the one marked output, or else the one marked input; None for neither.

    `UsageError` where there are several of a kind.
    """
    marked: dict[str, list[str]] = {"input": [], "output": []}
    for name in matrices:
        rule = roles.rule_of(name)
        if rule is not None and rule.matrix is not None:
            marked[rule.matrix].append(name)
    for kind, tied in (("output", False), ("input", True)):
        if len(marked[kind]) == 1:
            return marked[kind][0], tied
        if marked[kind]:
            raise UsageError(
                f"{where}: several matrices could be the head: {', '.join(marked[kind])}; say which in --roles"
            )
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedModelFile:
    """A model file as the user named it, with changed variables and recipe fields."""

    name: str
    settings: Mapping[str, Value] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return configs.find("models", self.name)


def named_model(path: Path, settings: Mapping[str, Value] | None = None) -> NamedModelFile | None:
    """The model file that a path or a shipped name means, None where it means a checkpoint or an artifact.

    A shipped name gives way to a file or folder of that name; `./NAME.toml` and the like are always a model file.
    `UsageError` for settings where no model file is meant.
    """
    shipped = path.parent == Path() and path.name in configs.names("models") and not path.exists()
    if path.suffix == ".toml" or shipped:
        return NamedModelFile(name=str(path), settings=dict(settings or {}))
    if settings:
        raise UsageError(f"--set {next(iter(settings))}: {path} is no model file, so it has no variables to set")
    return None


def model_source(
    model: NamedModelFile, *, recipe: str | None, seed: int, roles: Roles, preview: Preview | None = None, jobs: int = 1
) -> PlanSource:
    """The source that a model file stands for; `seed` draws its weights.

    `UsageError` when the recipe's layout has no place for encoded matrices, or no matrix is the output head.
    """
    request = make_request(model.name, recipe, model.settings)
    # Its files have no labels, which encoded matrices need, and most candidates are such.
    if request.recipe.layout == "state-dict":
        raise UsageError(
            f"{model.name}: layout {request.recipe.layout} of recipe {request.recipe.name} has no place for encoded "
            "matrices; give a --recipe of layout w-m, safetensors, packed or int8_clean_per_row_v1"
        )
    with one_thread():
        reference = dict(draw(request.model.tensors, seed))
        export = quantise(reference, request.recipe, seed, jobs)
    found = source_of(
        reference, export, request.recipe, roles=roles, where=model.name, notes=_notes(request, seed), preview=preview
    )
    notes = found.notes
    if request.model.tied is not None and found.tied != request.model.tied:
        told = "tied" if request.model.tied else "untied"
        notes = (*notes, f"the model file says {told}, its tensors' names say the opposite")
    return replace(found, notes=notes, caveats=(*found.caveats, CAVEAT))


def _notes(request: EstimateRequest, seed: int) -> list[str]:
    model = request.model
    drawn = (
        f"weights are synthetic: {model.name}, {model.parameters:,} parameters, drawn with seed {seed} and never "
        "trained; bytes are those of independent Gaussian weights of the stated deviations, and so are errors, "
        "equal-error conclusions and what structure is found or missed"
    )
    return [drawn, *(f"bytes depend on training: {reason}" for reason in dependence(request).reasons)]
