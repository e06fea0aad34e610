"""Write the example's int8 artifact from its checkpoint: `python -m golfbudget.example.build`."""

from __future__ import annotations

from golfbudget.artifact import open_artifact
from golfbudget.example import ARTIFACT, CHECKPOINT, RECIPE
from golfbudget.recipe.artifacts import artifact_bytes
from golfbudget.recipe.config import load_recipe
from golfbudget.recipe.export import quantise
from golfbudget.recipe.state import checkpoint_state


def artifact() -> bytes:
    """The artifact's bytes, by the example's recipe."""
    state = checkpoint_state(open_artifact(CHECKPOINT))
    recipe = load_recipe(RECIPE)
    return artifact_bytes(quantise(state, recipe), recipe)


if __name__ == "__main__":
    ARTIFACT.write_bytes(artifact())
    print(f"{ARTIFACT}: {ARTIFACT.stat().st_size} bytes")
