"""What a run came to, as values and as the JSON files that the page is made from.

Losses are kept in blocks of neighbouring windows of the held-out text, so that intervals, and differences between runs,
can be computed from the files alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from golfbudget.errors import UsageError
from golfbudget.quality.intervals import Interval, ratio_interval

SCHEMA = "golfbudget/trained-heads/1"
#: Blocks of the held-out text: as fine as small result files allow, since neighbouring windows are alike.
BLOCKS = 500
SEED = 0
_DIGITS = 4

Values = NDArray[np.float64]


class FileResult(msgspec.Struct, frozen=True, kw_only=True):
    """One file and what it loses: `nats` [blocks]; bytes of `container` are codec, records and names."""

    budget: int
    counted_bytes: int
    file_bytes: int
    loader_bytes: int
    structure_bytes: int
    head_bytes: int
    input_bytes: int
    trunk_bytes: int
    container_bytes: int
    bits_per_byte: float
    nats: list[float]
    choices: dict[str, str]


class Ties(msgspec.Struct, frozen=True, kw_only=True):
    """Of a map of tokens to codes: `floor` H(W|C) in nats a token, certified, of the held-out text.

    `information` is I(W;H|C) under the dense tied run of that seed, measured on `tokens` tokens; None without that run.
    """

    codes: int
    floor: float
    information: float | None = None
    tokens: int | None = None


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """A run: `float` losses before any rounding, and its files."""

    schema: str
    scale: str
    arm: str
    kind: str
    input_side: str
    seed: int
    vocabulary: int
    head_parameters: int
    input_parameters: int
    trunk_parameters: int
    code_bytes: int
    held_out_tokens: int
    block_bytes: list[int]
    nats: list[float]
    bits_per_byte: float
    files: list[FileResult]
    facts: dict[str, int | float | str]
    ties: Ties | None = None

    @property
    def parameters(self) -> int:
        """Weights of the whole model, each once."""
        return self.head_parameters + self.input_parameters + self.trunk_parameters

    @property
    def name(self) -> str:
        return f"{self.scale}-{self.arm}-{self.seed}"

    @property
    def nats_per_token(self) -> float:
        return sum(self.nats) / self.held_out_tokens

    def at(self, budget: int) -> FileResult | None:
        """The file of a budget."""
        return next((file for file in self.files if file.budget == budget), None)


def in_blocks(windows: Values, most: int = BLOCKS) -> Values:
    """Sums over blocks of neighbouring windows [windows] of about equal number, [blocks]."""
    blocks = min(most, len(windows))
    starts = np.arange(blocks) * len(windows) // blocks
    found: Values = np.add.reduceat(windows, starts)
    return found


def bits_per_byte(nats: Sequence[float], block_bytes: Sequence[int]) -> float:
    """Of nats lost in blocks and the bytes of these."""
    return sum(nats) / math.log(2) / sum(block_bytes)


def interval(nats: Sequence[float], block_bytes: Sequence[int]) -> Interval:
    """Bits per byte with its interval by the circular block bootstrap."""
    amounts, weights = np.array(nats) / math.log(2), np.array(block_bytes, dtype=np.float64)
    return ratio_interval(amounts, weights, seed=SEED).rounded(_DIGITS)


def difference(base: Sequence[float], new: Sequence[float], block_bytes: Sequence[int]) -> Interval:
    """New minus base, bits per byte, paired block by block."""
    amounts = (np.array(new) - np.array(base)) / math.log(2)
    return ratio_interval(amounts, np.array(block_bytes, dtype=np.float64), seed=SEED).rounded(_DIGITS)


def write(folder: Path, result: RunResult) -> Path:
    """One file a run, through a temporary one."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.name}.json"
    text = msgspec.json.format(msgspec.json.encode(result, order="deterministic"), indent=1).decode()
    partial = path.with_suffix(".part")
    partial.write_text(_short(text) + "\n", encoding="utf-8")
    partial.replace(path)
    return path


def _short(text: str) -> str:
    """Lists of numbers on one line."""
    lines, held = list[str](), list[str]()
    for line in text.split("\n"):
        bare = line.strip()
        if held or line.endswith(": ["):
            held.append(line if not held else bare)
            if bare.startswith("]") or bare.endswith(("{", "[]")):
                lines.append("".join(held) if bare.startswith("]") else "\n".join(held))
                held = []
        else:
            lines.append(line)
    return "\n".join(lines + held)


def load(folder: Path) -> list[RunResult]:
    """Every result in a folder by name; `UsageError` names a file that is none."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=RunResult))
        except msgspec.DecodeError as error:
            raise UsageError(f"{path}: no result of the study: {error}") from error
        if found[-1].schema != SCHEMA:
            raise UsageError(f"{path}: schema {found[-1].schema!r}, expected {SCHEMA}; make it again")
    return found
