"""Every scheme on one head: raw bytes, what they come to in a real file, and the error.

    python tests/scheme_table.py [ARTIFACT]

takes the head out of an artifact of the baseline's layout (by default the embedded example's), alone in a file, so that
the file's bytes are the head's.  `test_scheme_table` runs the same over the example and a public artifact.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from golfbudget import example
from golfbudget.artifact import open_artifact, open_bytes
from golfbudget.ledger import Role
from golfbudget.plan.building import EncoderInputs, baseline_file, build
from golfbudget.plan.candidates import ALL, candidates
from golfbudget.plan.grids import HEAD, grid, label
from golfbudget.plan.prepare import prepare
from golfbudget.plan.request import PlanRequest
from golfbudget.plan.source import PlanSource
from golfbudget.plan.trials import Candidate, Side
from golfbudget.recipe.artifacts import artifact_bytes, read_export
from golfbudget.recipe.config import load_recipe
from golfbudget.recipe.decoded import read_back
from golfbudget.report.numbers import count
from golfbudget.roles import assign, load_roles
from golfbudget.schemes import get

HEAD_NAME, OWN = "tok_emb.weight", "the artifact's own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One candidate: bytes of its tables before the codec, bytes of its file, squared error over the energy.

    `formula` is the raw size that the scheme publishes, `ledger` the bytes of the file that have an owner.
    """

    name: str
    raw: int
    file: int
    error: float
    formula: int
    ledger: int


def head_alone(artifact: Path, folder: Path) -> PlanSource:
    """A source that has the artifact's head and nothing else, in its own int8 layout, zlib level 9."""
    export = read_export(open_artifact(artifact))
    alone = replace(
        export,
        quantized={HEAD_NAME: export.quantized[HEAD_NAME]},
        scales={HEAD_NAME: export.scales[HEAD_NAME]},
        dtypes={HEAD_NAME: export.dtypes[HEAD_NAME]},
        passthrough={},
        kept_dtypes={},
    )
    path = folder / "head.int8.ptz"
    path.write_bytes(artifact_bytes(alone, load_recipe()))
    return prepare(PlanRequest(path=path, cap=16_000_000)).source


def tried(source: PlanSource, skip: Collection[str] = ()) -> Iterator[Candidate]:
    """One candidate of each head scheme, from the middle of its grid; of product codes the known trap."""
    shape = tuple(source.reference[source.head].shape)
    known = ("counts",)
    found = {c.name: c for c in candidates(source, (ALL,), known).candidates if c.side is Side.HEAD}
    for name in HEAD:
        if name in skip or "moment" in get(name).needs:
            continue
        scheme = get(name)
        options = [o for o in grid(HEAD, scheme, *shape) if set(scheme.needs_for(o)) <= set(known)]
        text = label(get(name), options[0 if name == "product" else len(options) // 2])
        yield found[f"head-{text}" if name == "scalar" else f"head-{text}-shared"]


def rows(source: PlanSource, skip: Collection[str] = ()) -> Iterator[Row]:
    """The recipe's own table first, then every scheme; counts fall as one over the token's number."""
    reference = source.reference[source.head]
    table = source.export.quantized[source.head]
    scales = source.export.scales[source.head]
    raw = table.numel() + scales.numel() * scales.element_size()
    own = baseline_file(source)
    yield Row(name=OWN, raw=raw, file=len(own), error=0.0, formula=raw, ledger=_owned(own))
    known = EncoderInputs(counts=(1_000_000 / (torch.arange(len(reference)) + 2.7)).long())
    for candidate in tried(source, skip):
        built = build(source, candidate, known)
        back = read_back(built.data, candidate.name)
        (owner,) = candidate.owners
        matrix = source.matrix(owner).double()
        missed = float((back.state[owner].double() - matrix).square().sum() / matrix.square().sum())
        yield Row(
            name=candidate.name.removeprefix("head-").removesuffix("-shared"),
            raw=sum(t.raw_bytes for t in built.tables),
            file=len(built.data),
            error=missed,
            formula=get(candidate.scheme).raw_bytes((matrix.shape[0], matrix.shape[1]), candidate.options),
            ledger=_owned(built.data),
        )


def _owned(data: bytes) -> int:
    """Bytes of a file that its ledger gives to the head or to the file as a whole."""
    ledger = assign(open_bytes(data, name="head"), load_roles()).ledger
    return sum(entry.stored_bits for entry in ledger.entries if entry.role in (Role.HEAD, Role.SHARED)) // 8


def show(found: Collection[Row]) -> str:
    """The rows as a table, smallest file first."""
    lines = [f"{'scheme':<34} {'raw bytes':>10} {'file bytes':>10} {'error':>9}"]
    lines += [
        f"{row.name:<34} {count(row.raw):>10} {count(row.file):>10} {100 * row.error:>7.3f} %"
        for row in sorted(found, key=lambda row: row.file)
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        given = Path(sys.argv[1]) if len(sys.argv) > 1 else example.ARTIFACT
        print(show(list(rows(head_alone(given, Path(made))))))
