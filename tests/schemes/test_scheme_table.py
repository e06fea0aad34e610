"""The table of every scheme on real heads: formulas hold, every byte has an owner, and raw size is no file size."""

from __future__ import annotations

from pathlib import Path

import pytest
from scheme_table import OWN, Row, head_alone, rows, show

from golfbudget import example, schemes
from golfbudget.plan.grids import HEAD


def checked(artifact: Path, folder: Path) -> dict[str, Row]:
    found = list(rows(head_alone(artifact, folder)))
    assert len(found) == 1 + len(HEAD) - len([name for name in HEAD if "moment" in schemes.get(name).needs])
    for row in found:
        # A mask of what is not zero, and codes that no token uses, are smaller than the formula's most.
        assert 0 < row.raw <= row.formula
        if not row.name.startswith(("ternary-bitmask", "vq")):
            assert row.raw == row.formula, row.name
        assert row.ledger == row.file, row.name
        assert 0 <= row.error < 1
    table = show(found).splitlines()
    assert len(table) == 1 + len(found)
    assert all(any(line.startswith(f"{row.name} ") for line in table) for row in found)
    return {row.name: row for row in found}


@pytest.mark.slow
def test_every_scheme_on_the_examples_head(tmp_path: Path) -> None:
    found = checked(example.ARTIFACT, tmp_path)
    # Fewer raw bytes do not make a smaller file: integers of a byte each pack better than bits already packed.
    assert found["ternary"].raw > 4 * found["ternary-packed"].raw
    assert found["ternary"].file < 1.3 * found["ternary-packed"].file


@pytest.mark.slow
def test_every_scheme_on_a_public_head_and_the_product_codes_trap(tmp_path: Path, corpus: Path) -> None:
    """128 groups of 256 fp16 codes: 25 % fewer raw bytes than the int8 table, and more in the file."""
    found = checked(corpus / "int8_zlib_4mb" / "final_model.int8.ptz", tmp_path)
    trap, own = found["product-g128-k256-b16"], found[OWN]
    assert (trap.raw, own.raw) == (393_216, 524_288 + 2 * 1024)
    assert own.file < 165_000
    assert 1.1 * own.file < trap.file < 1.3 * own.file
