"""`golfbudget.repack`: the same tensors in fewer bytes, with what each lever gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from golfbudget.api.base import COMPRESSIONS, Result, StrPath, Watch, cache_folder, here, watched, within
from golfbudget.errors import UsageError
from golfbudget.repacking import Lever, Repacked
from golfbudget.repacking import repack as search
from golfbudget.repacking.result import REBUILT, SAME_CONTAINER

if TYPE_CHECKING:
    from golfbudget.report.document import Document

DEFAULT_JOBS = 2


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RepackResult(Result):
    """The smallest file found."""

    repacked: Repacked

    @property
    def data(self) -> bytes | None:
        """The file, as it may be written; None where there is nothing to gain."""
        return self.repacked.data

    @property
    def decoder(self) -> str:
        """The Python that undoes the packing, as it is counted; empty where nothing was packed."""
        return self.repacked.decoder_source

    @property
    def saved(self) -> int:
        """Bytes of the file that repacking saves; the decoder is not counted here."""
        return self.repacked.saved

    def document(self) -> Document:
        from golfbudget.report.repack import document

        return document(self.repacked)

    def summary(self) -> str:
        from golfbudget.report.numbers import count, printable

        found = self.repacked
        told = f"{count(found.packed_bytes)} bytes, {count(self.saved)} saved" if found.data else "nothing to gain"
        return f"{printable(found.path)}: {count(found.original_bytes)} bytes; {told}"


def repack(
    path: StrPath,
    *,
    levers: str | Sequence[str] | None = None,
    same_container: bool = False,
    jobs: int = DEFAULT_JOBS,
    cache: StrPath | None = None,
    no_cache: bool = False,
    progress: Watch = False,
) -> RepackResult:
    """Find the smallest file that holds the same tensors and values; `levers` are those to try, all without it.

    The result was opened again and compared in full, and is never larger than the input; writing it is up to you:
    `Path("smaller.gbpk").write_bytes(result.data)`.  Raises a `GolfbudgetError` for what is no artifact.
    """
    within("--jobs", jobs, COMPRESSIONS)
    chosen = chosen_levers(levers, same_container=same_container)
    kept = cache_folder(cache, off=no_cache)
    place = here(path, progress)
    with watched(progress, "repack") as told:
        return RepackResult(repacked=search(place, levers=chosen, jobs=jobs, cached=kept, progress=told))


def chosen_levers(given: str | Sequence[str] | None, *, same_container: bool) -> list[Lever]:
    """Levers by name, in their own order; `UsageError` for one that does not exist, or that contradicts another."""
    known = [str(lever) for lever in Lever]
    parts = given.split(",") if isinstance(given, str) else given
    names = known if parts is None else [name.strip() for name in parts]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"--levers: no lever is called {unknown[0]!r}; known: {', '.join(known)}")
    chosen = [lever for lever in Lever if lever in names]
    if same_container:
        if given is not None and not set(chosen).isdisjoint(REBUILT):
            raise UsageError(
                "--same-container allows codec and filter only, and --levers names others; give one of them"
            )
        chosen = [lever for lever in chosen if lever in SAME_CONTAINER]
    if not set(chosen).isdisjoint(REBUILT) and Lever.CONTAINER not in chosen:
        raise UsageError(
            "--levers: streams, shuffle, dtype, order, rows, coder and settings need container, which rebuilds the file"
        )
    return chosen
