"""A whole submission fitted to the cap: a synthetic model of vocabulary 8,192, by bytes and squared error."""

from __future__ import annotations

import sys
import time

import pytest

import golfbudget as gb
from golfbudget.evidence import Evidence

CAP, CODE = 16_000_000, 48_000


@pytest.mark.record
def test_a_model_of_vocabulary_8192_is_fitted_to_the_cap(capsys: pytest.CaptureFixture[str]) -> None:
    """35,943,512 weights, a file within 16 kB of what the cap leaves; under forty minutes on two cores."""
    start = time.monotonic()
    found = gb.fit("sp8192", cap=CAP, code=CODE, head="plain", jobs=2, no_cache=True)
    took, fit = time.monotonic() - start, found.fit
    codecs = {choice.coder for choice in fit.choices}
    with capsys.disabled():
        sys.stdout.write(
            f"{len(found.data):,} bytes and a loader of {fit.decoder_bytes:,} in {took:.0f} s; {sorted(codecs)}\n"
        )
    assert CAP - 16_000 <= fit.used <= CAP
    assert fit.quality.evidence is Evidence.MODELLED
    assert "rans" in codecs
    assert sum(entry.stored_bits for entry in found.ledger.entries) == 8 * len(found.data)
    assert took < 40 * 60
