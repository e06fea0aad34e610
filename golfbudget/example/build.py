"""Write the example's int8 artifact from its checkpoint, and the token counts of its training text.

    python -m golfbudget.example.build

The text is that of one version of Python (`provenance.json`), which has to run this.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from numpy.typing import NDArray

from golfbudget.artifact import open_artifact
from golfbudget.example import ARTIFACT, CHECKPOINT, COUNTS, FOLDER, RECIPE
from golfbudget.example.train import encode, is_held_out, library_files, read
from golfbudget.recipe.artifacts import artifact_bytes
from golfbudget.recipe.config import load_recipe
from golfbudget.recipe.export import quantise
from golfbudget.recipe.state import checkpoint_state


def artifact() -> bytes:
    """The artifact's bytes, by the example's recipe."""
    state = checkpoint_state(open_artifact(CHECKPOINT))
    recipe = load_recipe(RECIPE)
    return artifact_bytes(quantise(state, recipe), recipe)


def counts() -> NDArray[np.int32]:
    """How often the training text has each token, [vocabulary]; `SystemExit` under another Python than it is of."""
    known = json.loads((FOLDER / "provenance.json").read_text(encoding="utf-8"))
    text = read([path for path in library_files() if not is_held_out(path)])
    tokens, lengths = encode(text, FOLDER / "tokenizer.model")
    if len(tokens) != known["training_tokens"]:
        version = sys.version.split()[0]
        raise SystemExit(f"the example's text is of Python {known['python']}: that of {version} is another")
    return np.bincount(tokens, minlength=len(lengths)).astype(np.int32)


if __name__ == "__main__":
    np.save(COUNTS, counts())
    ARTIFACT.write_bytes(artifact())
    print(f"{ARTIFACT}: {ARTIFACT.stat().st_size} bytes")
