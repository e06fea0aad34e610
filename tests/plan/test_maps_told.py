"""What the VQ answer says of its best candidate's map and codebook."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_advice import trial

from golfbudget.evidence import Evidence
from golfbudget.plan.candidates import _DEFAULT_FITTED, _DEFAULT_TOLD
from golfbudget.plan.grids import HEAD, made_by
from golfbudget.plan.maps import with_map
from golfbudget.plan.results import Answer, VqAnswer
from golfbudget.plan.trials import Information, Side, Trials
from golfbudget.plan.verdict import UNTRAINED

ANSWER = VqAnswer(answer=Answer.NO, best="head-vq", control=None, margin_bytes=-1, reason=f"it lost {UNTRAINED}")


def trials(value: float, *, fitted: bool = False, input_side: str | None = None) -> Trials:
    made = trial("head-vq", Side.HEAD, 100, 0.3)
    lost = Information(value=value, unit="bits-per-byte", evidence=Evidence.MEASURED, tokens=16)
    options = {"codebook": "fitted"} if fitted else {}
    candidate = replace(made.candidate, options=options, input_side=input_side)
    return Trials((replace(made, candidate=candidate, information=lost),))


def test_a_failure_is_explained_by_what_the_map_loses() -> None:
    told = with_map(ANSWER, trials(0.1234)).reason
    assert told.endswith("of its map would still lose 0.1234 bits per byte over this trunk (measured)")
    assert with_map(ANSWER, trials(0.001)) == ANSWER
    won = replace(ANSWER, answer=Answer.YES)
    assert with_map(won, trials(0.1234)) == won
    assert with_map(replace(ANSWER, best=None), trials(0.1234)).reason == ANSWER.reason


@pytest.mark.parametrize(("side", "only"), [("shared", True), ("dense", False), (None, False)])
def test_a_fitted_codebook_is_called_so(side: str | None, *, only: bool) -> None:
    told = with_map(ANSWER, trials(0.0, fitted=True, input_side=side)).reason
    assert "fitted to the loss on calibration text, the trunk frozen" in told
    assert UNTRAINED not in told
    assert ("as an output head only" in told) is only


def test_what_the_default_takes_from_grids_is_there() -> None:
    for wanted in (*_DEFAULT_TOLD.values(), *_DEFAULT_FITTED.values()):
        for name, places in wanted.items():
            made = [options for options in HEAD[name](1024, 128) if made_by(options)]
            assert len(made) >= -min(places)
