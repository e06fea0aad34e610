"""A user's own model: found, fitted or refused by name, and scored like any other."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from golfbudget.errors import UsageError
from golfbudget.quality.evaluate import Evaluator
from golfbudget.quality.text import Text
from golfbudget.quality.user_model import UserEvaluator, UserModel, is_split

VOCABULARY, WIDTH = 12, 4

SOURCE = """
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class Sizes:
    vocabulary: int = 12
    width: int = 4


class Plain(nn.Module):
    \"\"\"Logits from the running mean of embeddings.\"\"\"

    def __init__(self, sizes=None):
        super().__init__()
        sizes = sizes or Sizes()
        self.emb = nn.Embedding(sizes.vocabulary, sizes.width)
        self.head = nn.Linear(sizes.width, sizes.vocabulary, bias=False)
        self.calls = 0

    def states(self, ids):
        self.calls += 1
        x = self.emb(ids)
        return torch.tanh(x.cumsum(1) / torch.arange(1, ids.size(1) + 1)[:, None])

    def forward(self, ids):
        return self.head(self.states(ids))


class Split(Plain):
    def hidden(self, ids):
        return self.states(ids)

    def logits(self, hidden):
        return self.head(hidden)


class Liar(Split):
    def logits(self, hidden):
        return self.head(hidden) + 1


class Tied(Plain):
    def __init__(self):
        super().__init__()
        self.head.weight = self.emb.weight


class Loss(Plain):
    def forward(self, ids):
        return self.head(self.states(ids)).mean()


class Pair(Plain):
    def forward(self, ids):
        return self.head(self.states(ids)), None


class Narrow(Plain):
    def forward(self, ids):
        return self.head(self.states(ids))[..., :-1]


class Raises(Plain):
    def forward(self, ids):
        raise ValueError("no such\\nposition")


def from_state(state):
    vocabulary, width = state["emb.weight"].shape
    return Plain(Sizes(vocabulary, width))


def greedy(state, device):
    return Plain()


def wrong():
    return 5


def fails():
    return 1 / 0


class Space:
    inner = Split


instance = Split()
number = 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path


def random_state(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    names = ("emb.weight", "head.weight")
    return {name: torch.randn(VOCABULARY, WIDTH, generator=generator) for name in names}


def text(windows: int = 5, length: int = 7) -> Text:
    ids = torch.randint(0, VOCABULARY, (windows, length + 1), generator=torch.Generator().manual_seed(3))
    return Text(windows=ids, bytes_per_window=torch.full((windows,), 20), counts=torch.bincount(ids.flatten()))


def reference_probabilities(
    state: dict[str, Tensor], ids: list[int]
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Softmax over the vocabulary after each token, in plain numpy."""
    emb, head = (state[name].double().numpy() for name in ("emb.weight", "head.weight"))
    rows = []
    for stop in range(1, len(ids) + 1):
        scores = np.exp(head @ np.tanh(emb[ids[:stop]].mean(axis=0)))
        rows.append(scores / scores.sum())
    return np.array(rows)


def evaluator(file: Path, name: str, head: frozenset[str] = frozenset({"head.weight"})) -> UserEvaluator:
    return UserEvaluator(text(), UserModel(f"{file}:{name}"), vocabulary=VOCABULARY, head=head)


@pytest.mark.parametrize("name", ["Plain", "Split", "from_state", "instance", "Space.inner"])
def test_losses_are_the_models_cross_entropy(file: Path, name: str) -> None:
    scored = evaluator(file, name)
    for seed in (0, 1):
        state = random_state(seed)
        found = scored.token_losses(state)
        assert found.shape == (5, 7)
        for row, window in zip(found, text().windows.tolist(), strict=True):
            shares = reference_probabilities(state, window[:-1])
            expected = [-math.log(share[target]) for share, target in zip(shares, window[1:], strict=True)]
            assert row == pytest.approx(expected, abs=1e-5)
        assert scored.losses(state) == pytest.approx(found.sum(1))


@pytest.mark.parametrize("name", ["Plain", "Split", "from_state", "instance"])
def test_divergences_take_each_state_for_what_it_is(file: Path, name: str) -> None:
    base, new = random_state(0), random_state(1)
    found = evaluator(file, name).divergences(base, new)
    for row, window in zip(found, text().windows.tolist(), strict=True):
        p, q = (reference_probabilities(state, window[:-1]) for state in (base, new))
        assert row == pytest.approx((p * np.log(p / q)).sum(axis=1), abs=1e-5)


def test_hidden_states_are_reused_for_heads_and_for_nothing_else(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored, base = evaluator(file, "Split"), random_state()
    scored.losses(base, keep=True)
    ran: list[int] = []
    real = scored.model.hidden

    def counted(module: nn.Module, ids: Tensor) -> Tensor:
        ran.append(len(ids))
        return real(module, ids)

    monkeypatch.setattr(scored.model, "hidden", counted)
    head = {**base, "head.weight": random_state(1)["head.weight"]}
    trunk = {**base, "emb.weight": random_state(1)["emb.weight"]}
    for state, windows in ((head, [1]), (base, [1]), (trunk, [1, 5]), (trunk, [1]), (head, [1])):
        ran.clear()
        assert scored.losses(state) == pytest.approx(evaluator(file, "Plain").losses(state), rel=1e-6)
        assert ran == windows


def test_a_false_claim_about_the_head_is_seen_and_not_relied_on(file: Path) -> None:
    scored, base = evaluator(file, "Split", frozenset({"emb.weight"})), random_state()
    scored.losses(base, keep=True)
    changed = {**base, "emb.weight": random_state(1)["emb.weight"]}
    assert scored.losses(changed) == pytest.approx(evaluator(file, "Plain").losses(changed), rel=1e-6)


def test_hidden_and_logits_that_are_not_the_model_are_refused(file: Path) -> None:
    with pytest.raises(UsageError, match=r"differ by up to 1; they must be the same"):
        evaluator(file, "Liar").losses(random_state())


def test_a_user_model_may_be_the_builtin_one(tmp_path: Path) -> None:
    from test_quality import random_state as baseline_state
    from test_quality import small_text

    path = tmp_path / "mine.py"
    path.write_text("from golfbudget.quality.baseline_model import BaselineModel as Mine\nmake = Mine.from_state\n")
    scored = UserEvaluator(small_text(), UserModel(f"{path}:make"), vocabulary=50)
    state = baseline_state(tied=False)
    assert scored.losses(state) == pytest.approx(Evaluator(small_text()).losses(state), rel=1e-6)
    new = baseline_state(seed=1, tied=False)
    expected = Evaluator(small_text()).divergences(state, new)
    assert scored.divergences(state, new) == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head.weight": None}, r"head\.weight: missing, expected \[12, 4\]"),
        ({"extra": torch.zeros(2, 3)}, r"\(3 tensors, the model has 2\): extra: unexpected, \[2, 3\]"),
        ({"emb.weight": torch.zeros(11, 4)}, r"emb\.weight: expected \[12, 4\], found \[11, 4\]"),
        ({f"t{i}": torch.zeros(1) for i in range(10)}, "t7: unexpected, .*; and 2 more"),
    ],
)
def test_a_state_dict_that_does_not_fit_is_refused_by_name(
    file: Path, change: dict[str, Tensor | None], message: str
) -> None:
    state = {name: tensor for name, tensor in (random_state() | change).items() if tensor is not None}
    with pytest.raises(UsageError, match=message):
        UserModel(f"{file}:Plain").on(state)


def test_a_tied_model_takes_one_name_or_both_but_not_two_values(file: Path) -> None:
    model, state = UserModel(f"{file}:Tied"), random_state()
    matrix = state["emb.weight"]
    for fitting in ({"emb.weight": matrix}, {"head.weight": matrix}, {"emb.weight": matrix, "head.weight": +matrix}):
        module = model.on(fitting)
        assert torch.equal(module.get_parameter("emb.weight"), matrix)
        assert torch.equal(module.get_parameter("head.weight"), matrix)
    with pytest.raises(UsageError, match=r"emb\.weight and head\.weight: one tensor in the model, two that differ"):
        model.on(state)
    with pytest.raises(UsageError, match=r"emb\.weight: missing"):
        model.on({})


def test_each_state_has_a_module_of_its_own_in_evaluation_mode(file: Path) -> None:
    for name in ("Split", "instance", "from_state"):
        model = UserModel(f"{file}:{name}")
        one, other = model.on(random_state(0)), model.on(random_state(1))
        assert torch.equal(one.get_parameter("emb.weight"), random_state(0)["emb.weight"])
        assert torch.equal(other.get_parameter("emb.weight"), random_state(1)["emb.weight"])
        assert not one.training
        assert is_split(one) == (name != "from_state")


def test_half_precision_states_are_widened(file: Path) -> None:
    state = {name: tensor.bfloat16() for name, tensor in random_state().items()}
    module = UserModel(f"{file}:Plain").on(state)
    assert module.get_parameter("emb.weight").dtype is torch.float32


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Absent", r"the file has no Absent; it defines Plain, Split, Liar"),
        ("Space.absent", r"the file has no Space\.absent"),
        ("number", "number is of type int; expected an nn.Module"),
        ("greedy", "it needs state, device; name a function"),
    ],
)
def test_objects_that_are_no_model_are_refused(file: Path, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        UserModel(f"{file}:{name}")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrong", "expected an nn.Module, it made one of type int"),
        ("fails", r"making the model failed: ZeroDivisionError: division by zero \(mine\.py, line \d+\)"),
        ("Loss", r"module\(ids\) gave torch\.float32 \[\], expected floats \[5, 7, 12\]"),
        ("Pair", "gave one of type tuple, expected a tensor .*; return logits, not a loss or a tuple"),
        ("Narrow", r"gave torch\.float32 \[5, 7, 11\], expected floats \[5, 7, 12\]"),
        ("Raises", r"module\(ids\) failed: ValueError: no such \(mine\.py, line \d+\)$"),
    ],
)
def test_models_that_do_not_run_as_they_must_are_refused(file: Path, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        evaluator(file, name).losses(random_state())


@pytest.mark.parametrize("spec", ["model.py", ":Model", "model.py:", ""])
def test_what_is_no_file_and_object_is_refused(spec: str) -> None:
    with pytest.raises(UsageError, match="expected FILE:OBJECT"):
        UserModel(spec)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("class Broken(:\n", r"SyntaxError: .* \(line 1\)"),
        ("import os\nraise KeyError('x')\n", r"KeyError: 'x' \(mine\.py, line 2\)"),
        ("import sys\n\nsys.exit(0)\n", r"SystemExit: 0 \(mine\.py, line 3\)"),
        ("import no_such_module_at_all\n", "set PYTHONPATH for modules beside it"),
    ],
)
def test_a_file_that_cannot_be_imported_is_refused(tmp_path: Path, source: str, message: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(source)
    with pytest.raises(UsageError, match=message):
        UserModel(f"{path}:Broken")
    with pytest.raises(UsageError, match="No such file"):
        UserModel(f"{tmp_path / 'absent.py'}:Model")


def test_importing_touches_nothing_but_the_named_file(file: Path) -> None:
    before = list(sys.path)
    (file.parent / "beside.py").write_text("raise SystemExit('never to be run')\n")
    UserModel(f"{file}:Plain")
    assert sys.path == before
    assert sorted(path.name for path in file.parent.iterdir()) == ["beside.py", "mine.py"]


def test_tokens_outside_the_vocabulary_are_refused(file: Path) -> None:
    largest = int(text().windows.max())
    with pytest.raises(UsageError, match=f"holds token {largest}, the model's vocabulary has {largest} tokens"):
        UserEvaluator(text(), UserModel(f"{file}:Plain"), vocabulary=largest)
