"""The embedded example: a small language model really trained by `train`, its artifact by `build`, and its text.

This module only says where the files are.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "data"
CHECKPOINT = FOLDER / "checkpoint.safetensors"
ARTIFACT = FOLDER / "artifact.int8.ptz"
EVALUATION = FOLDER / "evaluation.safetensors"
#: How often the training text has each token.
COUNTS = FOLDER / "counts.npy"
RECIPE = "int8-zlib-small"
MODEL = "builtin:example"
FILES = (CHECKPOINT, ARTIFACT, EVALUATION, COUNTS)
