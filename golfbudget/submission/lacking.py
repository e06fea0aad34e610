"""What a program needs and its folder does not hold: modules, and files of which the whole path is known."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import PurePosixPath

from golfbudget.rules import Files
from golfbudget.submission.folder import for_people, matches
from golfbudget.submission.needs import How, Need
from golfbudget.submission.paths import ROOT

_SOURCES = (".py", ".pyx", ".c", ".cc", ".cpp", ".cu", ".cuh")
#: Libraries that a machine may have; they count where a path says that they lie beside the program.
_LIBRARIES = (".so", ".dylib", ".pyd", ".h", ".hpp")
#: Weights that a program may go on with, and has no need of.
_RESUMED = (".pt", ".pth", ".safetensors", ".ckpt")
#: Folders of what every submission is given.
_GIVEN = ("data", "datasets", "tokenizers")
#: Packages that programs of the contest import, wherever they are installed.
_PACKAGES = frozenset({
    "torch", "torchvision", "torchao", "numpy", "scipy", "pandas", "sklearn", "numba", "triton", "flash_attn",
    "flash_attn_interface", "flash_attn_2_cuda", "flash_attn_3", "xformers", "apex", "transformer_engine", "cutlass",
    "sentencepiece", "tiktoken", "tokenizers", "transformers", "datasets", "huggingface_hub", "safetensors", "brotli",
    "zstandard", "zstd", "lz4", "python_minifier", "tqdm", "psutil", "einops", "mlx", "jax", "flax", "optax", "wandb",
    "yaml", "requests", "matplotlib", "mamba_ssm", "causal_conv1d", "fla", "bitsandbytes", "setuptools", "Cython",
    "pyximport", "modal", "pybind11", "google",
})  # fmt: skip


def lacking(need: Need, folders: Sequence[PurePosixPath], patterns: Files) -> str | None:
    """The name of what no file of the folder is; None where that is given, installed, or not known whole.

    `folders` are those in which modules are looked for.

    >>> here, above = PurePosixPath(), PurePosixPath("..")
    >>> from golfbudget.rules import load_rules
    >>> files = load_rules().files
    >>> lacking(Need(How.IMPORTED, "base", 1), [here], files), lacking(Need(How.IMPORTED, "base", 1), [above], files)
    (None, 'base')
    >>> [lacking(Need(How.READ, path, 1), [here], files) for path in ("a.cpp", "//../a.py", "t.bin", "data/t.bin")]
    ['a.cpp', '../a.py', 't.bin', None]
    """
    if need.how is How.IMPORTED:
        return _module(need, folders)
    path = PurePosixPath(need.path.removeprefix(ROOT))
    if need.how not in (How.READ, How.RUN) or not path.suffix[1:2].isalpha() or not _plain(need.path):
        return None
    if path.parts[0] in _GIVEN:
        return None
    suffix = path.suffix.lower()
    if suffix in _SOURCES:
        return str(path)
    if suffix in _LIBRARIES:
        beside = need.path.startswith((ROOT, "./")) and ".." not in path.parts
        return str(path) if beside else None
    return str(path) if need.how is How.READ and _is_data(path, suffix, patterns) else None


def _module(need: Need, folders: Sequence[PurePosixPath]) -> str | None:
    """A module that can lie nowhere else than in the submission, or in a folder around it that is looked in."""
    first = need.path.partition(".")[0]
    if need.level:
        # `from . import x` may mean a name of the package: the one of a module is followed by another.
        return "." * need.level + first if "." in need.path and first else None
    above = any(folder.is_absolute() or folder.parts[:1] == ("..",) for folder in folders)
    installed = first in sys.stdlib_module_names or first in _PACKAGES or not first.isidentifier()
    return first if above and not installed else None


def _plain(text: str) -> bool:
    return not any(sign in text for sign in " *?[]{}<>|:;$=,\n\t\"'\\") and not text.startswith("-")


def _is_data(path: PurePosixPath, suffix: str, patterns: Files) -> bool:
    """Whether a path is of data that the program has with it, and of none that is given, written or made for people."""
    above = path.is_absolute() or ".." in path.parts
    kinds = (patterns.claims, patterns.data, patterns.tokenizer, patterns.model, patterns.log[:1])
    known = suffix in _RESUMED or for_people(str(path)) or any(matches(str(path), kind) for kind in kinds)
    return not above and not known
