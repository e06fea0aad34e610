"""Every error golfbudget raises on purpose; anything else that escapes is a bug and keeps its traceback.

A message names the file, the byte offset or key, what was found, what was expected and what to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class GolfbudgetError(Exception):
    """Root of all expected failures; the command line turns it into one line and exit code 2."""


class LedgerError(GolfbudgetError):
    """The law would be broken: bytes counted twice, or not at all."""


class CorruptError(GolfbudgetError):
    """The bytes contradict the format or codec they claim to be; `progress` bytes were decoded before that showed."""

    def __init__(self, message: str, *, progress: int = 0) -> None:
        super().__init__(message)
        self.progress = progress


class UnsupportedError(GolfbudgetError):
    """The bytes may be sound, but golfbudget does not read this form of them."""


class LimitError(GolfbudgetError):
    """Reading on would take more memory than the caller allowed."""


class ConfigError(GolfbudgetError):
    """A rules, roles or recipe file does not say what it must."""


class UsageError(GolfbudgetError):
    """The command cannot do what was asked with what it was given."""


class NotAtHandError(GolfbudgetError):
    """Bytes are asked for that were never fetched; `needed` is how long the file's beginning would have to be."""

    def __init__(self, message: str, *, needed: int) -> None:
        super().__init__(message)
        self.needed = needed


class ModelError(GolfbudgetError):
    """A model cannot be built from, or run on, the tensors at hand."""


class MissingExtraError(GolfbudgetError):
    """What was asked takes packages that the plain install leaves out."""


#: The way out that every refusal of a file names.
AS_OPAQUE = "--as opaque counts the file as a whole"


#: Modules of each extra, as they are imported, and what brings them.
PLAN_MODULES = frozenset({"faiss", "scipy", "sklearn", "threadpoolctl", "torch"})
HUB_MODULES = frozenset({"compressed_tensors", "gguf", "huggingface_hub", "tokenizers", "transformers"})
DASK_MODULES = frozenset({"distributed"})
SLURM_MODULES = frozenset({"submitit"})
INSTALL = "pip install 'golfbudget[plan]'"
INSTALL_HUB = "pip install 'golfbudget[hf]'"
_INSTALLS = {
    **dict.fromkeys(PLAN_MODULES, INSTALL),
    **dict.fromkeys(HUB_MODULES, INSTALL_HUB),
    **dict.fromkeys(DASK_MODULES, "pip install 'golfbudget[dask]'"),
    **dict.fromkeys(SLURM_MODULES, "pip install 'golfbudget[slurm]'"),
}


@contextmanager
def readable(path: object) -> Iterator[None]:
    """What the system says of a path, or of one below it, in here is a `UsageError`: it cannot be read, and why."""
    try:
        yield
    except OSError as error:
        place = error.filename if isinstance(error.filename, str) else path
        raise UsageError(f"{place}: cannot be read: {error.strerror}") from None


@contextmanager
def explained() -> Iterator[None]:
    """A missing module of an extra is a `MissingExtraError` in here; anything else passes."""
    try:
        yield
    except ModuleNotFoundError as error:
        install = _INSTALLS.get(error.name or "")
        if install is None:
            raise
        raise MissingExtraError(f"this needs {error.name}, which is not installed; type: {install}") from error
