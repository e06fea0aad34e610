"""What is estimated: a model's tensors under a recipe, checked against each other."""

from __future__ import annotations

from dataclasses import dataclass

from golfbudget.models import Model
from golfbudget.recipe.config import Recipe, check_patterns


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A model and the recipe it is exported by.  `ConfigError` for a rule that fits no tensor of the model."""

    model: Model
    recipe: Recipe

    def __post_init__(self) -> None:
        check_patterns(self.recipe, [spec.name for spec in self.model.tensors], f"recipe {self.recipe.name}")

    @property
    def parameters(self) -> int:
        """Elements of all tensors, float or not."""
        return self.model.parameters
