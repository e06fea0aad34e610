"""Candidates to files: each written once, in processes side by side, and kept for the next plan of the source."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from golfbudget.plan.building import Built, EncoderInputs, Encodings, build, recoded
from golfbudget.plan.candidates import batches
from golfbudget.plan.measuring import Measurer
from golfbudget.plan.result_cache import ResultCache
from golfbudget.plan.source import PlanSource
from golfbudget.plan.trials import Candidate, TableSize
from golfbudget.workers import Processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What every process that writes and measures files has: the source (not its opened file), and where files lie.

    Files lie in `folder` by the SHA-256 of their bytes while the plan is made, so that none is sent or held.
    """

    source: PlanSource
    encoders: EncoderInputs
    cache: ResultCache
    folder: Path
    measurer: Measurer | None

    def keep(self, data: bytes) -> str:
        """Lay a file down; its hash."""
        sha256 = hashlib.sha256(data).hexdigest()
        (self.folder / sha256).write_bytes(data)
        return sha256

    def data(self, sha256: str) -> bytes:
        return (self.folder / sha256).read_bytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFile:
    """A candidate's file by its hash, and the tables in it."""

    candidate: Candidate
    sha256: str
    tables: tuple[TableSize, ...]


def written(processes: Processes[Bench], bench: Bench, tried: Sequence[Candidate], jobs: int) -> Iterator[WrittenFile]:
    """Every candidate's file: those kept from before first, the others as they are done."""
    missing = []
    for candidate in tried:
        built = bench.cache.file(candidate)
        if built is None:
            missing.append(candidate)
        else:
            yield _placed(bench, candidate, built)
    for _, files in processes.results(_write, batches(missing), jobs):
        yield from files


def _write(bench: Bench, batch: Sequence[Candidate]) -> list[WrittenFile]:
    """The files of candidates that share their encodings, each kept as soon as it is written."""
    encodings: Encodings = {}
    files = []
    for candidate in batch:
        built = build(bench.source, candidate, bench.encoders, encodings)
        bench.cache.keep_file(candidate, built)
        files.append(_placed(bench, candidate, built))
    return files


def _placed(bench: Bench, candidate: Candidate, built: Built) -> WrittenFile:
    return WrittenFile(candidate=candidate, sha256=bench.keep(built.data), tables=built.tables)


def recoded_length(bench: Bench, task: tuple[WrittenFile, tuple[str, int]]) -> int:
    """How long a file is through another codec at some level, nothing encoded again."""
    file, codec = task
    built = bench.cache.file(file.candidate, codec)
    if built is None:
        built = Built(data=recoded(bench.data(file.sha256), bench.source, codec), tables=file.tables)
        bench.cache.keep_file(file.candidate, built, codec)
    return len(built.data)
