"""A source that was never trained: synthetic weights of a model file, exported by the file's own recipe.

The weights are those of `golfbudget estimate`: independent Gaussian ones of the means and deviations that the file
states.  They have no structure that a codebook could find, and no loss that could be measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from golfbudget import configs
from golfbudget.errors import UsageError
from golfbudget.estimate.measured import draw
from golfbudget.estimate.request import Request, dependence
from golfbudget.estimate.settings import Value, make_request
from golfbudget.plan.preview import Preview
from golfbudget.plan.source import PlanSource, source_of
from golfbudget.quality.threads import one_thread
from golfbudget.recipe.export import quantise
from golfbudget.roles import Roles

#: Layouts whose files have no place for the labels of encoded matrices, which most candidates are.
_NO_PLACE = ("state-dict",)

CAVEAT = (
    "weights are synthetic, so this says nothing certain of a trained model: there the verdict is modelled at most, "
    "and a checkpoint of it decides"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedModelFile:
    """A model file as the user named it, with changed variables and recipe fields."""

    name: str
    settings: Mapping[str, Value] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        """Where it lies."""
        return configs.find("models", self.name)


def named_model(path: Path, settings: Mapping[str, Value] | None = None) -> NamedModelFile | None:
    """The model file that a path or a shipped name means, None where it means a checkpoint or an artifact.

    A shipped name gives way to a file or folder of that name; `./NAME.toml` and the like are always a model file.
    """
    shipped = path.parent == Path() and path.name in configs.names("models") and not path.exists()
    if path.suffix == ".toml" or shipped:
        return NamedModelFile(name=str(path), settings=dict(settings or {}))
    if settings:
        raise UsageError(f"--set {next(iter(settings))}: {path} is no model file, so it has no variables to set")
    return None


def model_source(
    model: NamedModelFile, *, recipe: str | None, seed: int, roles: Roles, preview: Preview | None = None
) -> PlanSource:
    """The source that a model file stands for; `seed` draws its weights.

    `UsageError` when the recipe's layout has no place for encoded matrices, or no matrix is the output head.
    """
    request = make_request(model.name, recipe, model.settings)
    if request.recipe.layout in _NO_PLACE:
        raise UsageError(
            f"{model.name}: layout {request.recipe.layout} of recipe {request.recipe.name} has no place for encoded "
            "matrices; give a --recipe of layout w-m, safetensors, packed or int8_clean_per_row_v1"
        )
    with one_thread():
        reference = dict(draw(request.model.tensors, seed))
        export = quantise(reference, request.recipe, seed)
    found = source_of(
        reference, export, request.recipe, roles=roles, where=model.name, notes=_notes(request, seed), preview=preview
    )
    notes = found.notes
    if found.tied != request.model.tied:
        told = "tied" if request.model.tied else "untied"
        notes = (*notes, f"the model file says {told}, its tensors' names say the opposite")
    return replace(found, notes=notes, caveats=(*found.caveats, CAVEAT))


def _notes(request: Request, seed: int) -> list[str]:
    model = request.model
    drawn = (
        f"weights are synthetic: {model.name}, {model.parameters:,} parameters, drawn with seed {seed} and never "
        "trained; bytes are those of independent Gaussian weights of the stated deviations, and so are errors, "
        "equal-error conclusions and what structure is found or missed"
    )
    return [drawn, *(f"bytes depend on training: {reason}" for reason in dependence(request).reasons)]
