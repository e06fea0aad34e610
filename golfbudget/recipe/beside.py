"""What has to stand beside a written file so that a library loads it: its config.json."""

from __future__ import annotations

import json
from pathlib import Path

from golfbudget.artifact import Artifact
from golfbudget.artifact.files import read_json
from golfbudget.errors import UsageError
from golfbudget.recipe.layouts.flat import QUANTIZATION_CONFIG

CONFIG, WEIGHTS = "config.json", "model.safetensors"


def folder_files(artifact: Artifact, data: bytes, source: Path) -> dict[str, bytes]:
    """The files of a folder that `transformers` loads, by name, from a written artifact and its source.

    `UsageError` where the artifact is none that it loads, or the source has no configuration.
    """
    told = artifact.values.get(QUANTIZATION_CONFIG)
    if not isinstance(told, str):
        raise UsageError(
            f"{artifact.path}: transformers loads folders of layout compressed-tensors (--recipe safetensors-int8), "
            "and this file is of another; give a file's name to write it alone"
        )
    path = (source if source.is_dir() else source.parent) / CONFIG
    config = read_json(path) if path.is_file() else None
    if not isinstance(config, dict):
        raise UsageError(f"{path}: expected the configuration of the plan's source; write the file alone: -o FILE")
    whole = {**config, "quantization_config": json.loads(told)}
    return {WEIGHTS: data, CONFIG: (json.dumps(whole, indent=2) + "\n").encode()}
