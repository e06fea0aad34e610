"""Models as `transformers` saves them are read as the model objects answer.  Takes minutes: `make architectures`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.architecture_answers import Verdict, compared

pytestmark = pytest.mark.architectures
#: Of those that can be built: at least so many, and at most so many read otherwise.
LEAST = {"causal": 150, "masked": 40, "seq2seq": 20}
MOST_WRONG = {"causal": 3, "masked": 1, "seq2seq": 1}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Sequence[Verdict]]:
    if find_spec("transformers") is None:
        pytest.skip("transformers is not installed: pip install 'golfbudget[architectures]'")
    folder = tmp_path_factory.mktemp("architectures")
    subprocess.run([sys.executable, Path(__file__).parents[1] / "architectures.py", folder], check=True)
    return compared(folder)


@pytest.mark.parametrize("kind", LEAST)
def test_models_are_read_as_they_answer(kind: str, verdicts: Mapping[str, Sequence[Verdict]]) -> None:
    wrong = {verdict.name: verdict.wrong for verdict in verdicts[kind] if verdict.wrong}
    assert len(verdicts[kind]) >= LEAST[kind]
    assert len(wrong) <= MOST_WRONG[kind], wrong


def test_no_untied_model_is_called_tied(verdicts: Mapping[str, Sequence[Verdict]]) -> None:
    every = [verdict for of_kind in verdicts.values() for verdict in of_kind]
    assert [verdict.name for verdict in every if verdict.tied is True and not verdict.answer.tied] == []
