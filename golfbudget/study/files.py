"""A run's files: its tensors, head structure included, fitted to each of a ladder of budgets.

A head's structure is tensors of its own: shared rows, factors and biases are matrices and vectors like any other, and
codes are packed integers that are kept as they are.  So `fit` chooses for all matrices alike, by what their errors
are measured to cost this very model, between trellises of a ladder of steps, int8 as the recipe has it, and fp16.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from golfbudget.artifact import open_bytes
from golfbudget.code_packing import pack_code
from golfbudget.errors import UsageError
from golfbudget.example.heads.arms import Arm
from golfbudget.example.heads.model import HEAD_PREFIX
from golfbudget.fit.bench import FittingBench, bench, matrices
from golfbudget.fit.container import shorter_loader
from golfbudget.fit.costs import MenuCosts
from golfbudget.fit.filling import FULL
from golfbudget.fit.menu import AS_IS, KEPT, MatrixChoice, steps
from golfbudget.plan.building import EncoderInputs
from golfbudget.plan.prepare import BUILTIN, Prepared
from golfbudget.plan.request import PlanRequest
from golfbudget.plan.results import Inputs
from golfbudget.plan.source import PlanSource
from golfbudget.progress import Progress, unwatched
from golfbudget.quality.baseline_model import EMBEDDING, Shape
from golfbudget.quality.recovery import Training
from golfbudget.quality.text import Text
from golfbudget.recipe.config import load_recipe
from golfbudget.recipe.decoded import read_back
from golfbudget.recipe.export import quantise
from golfbudget.roles import assign, load_roles
from golfbudget.rules import LOADER_BYTES
from golfbudget.schemes.threads import one_thread
from golfbudget.study.evaluator import StudyEvaluator, covariances
from golfbudget.study.structure import structure_source

RECIPE = "int8-zlib-small"
_LOADER_NAME = "decode.py"
_ROUNDS = 4
#: Every second step, from where a weight takes about six bits; in a trial few of them.
_FIRST_STEP, EVERY, FEW = 3, 2, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedFile:
    """One file of at most `budget` bytes with its loader and the structure's code; `state` is what it decodes to."""

    budget: int
    data: bytes
    loader_bytes: int
    structure_bytes: int
    head_bytes: int
    input_bytes: int
    trunk_bytes: int
    choices: Mapping[str, str]
    state: Mapping[str, Tensor]

    @property
    def counted_bytes(self) -> int:
        return len(self.data) + self.loader_bytes + self.structure_bytes

    @property
    def container_bytes(self) -> int:
        """What belongs to no tensor alone."""
        return len(self.data) - self.head_bytes - self.input_bytes - self.trunk_bytes


def fitted_files(
    arm: Arm,
    shape: Shape,
    state: Mapping[str, Tensor],
    chooses: Text,
    reports: Text,
    budgets: Sequence[int],
    *,
    effort: int = 1,
    every: int = EVERY,
    proved: bool = False,
    progress: Progress = unwatched,
) -> Iterator[FittedFile]:
    """The files of a run, smallest first; budgets that no file fits are passed over.

    Every file is read back by this package's reader.  Where it is to be `proved`, the loader that is counted is run on
    it in an interpreter of its own, too, which takes minutes for a large one.
    """
    if not budgets:
        return
    prepared = _prepared(arm, shape, state, chooses, reports)
    with bench(prepared, progress, jobs=1) as own:
        costs = own.costs({owner: _menu(own, owner, every) for owner in matrices(prepared.source)})
        for budget in sorted(budgets):
            try:
                found = _fitted(own, costs, arm, budget, effort)
            except UsageError as error:
                progress(f"{budget} bytes: {error}", 1)
                continue
            if proved:
                with shorter_loader(found.data) as composed:
                    composed.prove()
            yield found


def _prepared(arm: Arm, shape: Shape, state: Mapping[str, Tensor], chooses: Text, reports: Text) -> Prepared:
    recipe = load_recipe(RECIPE)
    with one_thread():
        export = quantise(state, recipe)
    head = next(name for name, tensor in state.items() if name.startswith(HEAD_PREFIX) and tensor.ndim == 2)
    source = PlanSource(
        artifact=None, recipe=recipe, reference=dict(state), export=export, head=head, tied=False, trunk=(), kept=(),
        notes=(),
    )  # fmt: skip
    heads = frozenset(name for name in state if name.startswith(HEAD_PREFIX))
    found = covariances(arm, shape, state, chooses)
    # There are no token counts here, and none are to be made of the calibration text: head rows are no tokens.
    request = PlanRequest(path=Path("study"), cap=0, model=f"{BUILTIN}study", counts=Path("none"), jobs=1)
    inputs = Inputs(
        source_path="study", source_bytes=0, source_sha256="", recipe=RECIPE, recipe_argument=RECIPE, seed=0,
        counts=None, roles=None,
    )  # fmt: skip
    return Prepared(
        request=request,
        source=source,
        roles=load_roles(),
        inputs=inputs,
        encoders=EncoderInputs(covariances=found, training=Training(text=chooses)),
        evaluator=StudyEvaluator(reports, arm, shape, heads),
        spread=0,
    )


def _menu(own: FittingBench, owner: str, every: int) -> tuple[MatrixChoice, ...]:
    fed = owner in own.desk.inputs.covariances
    scheme = "trellis-gptq" if fed else "trellis"
    return (AS_IS, *KEPT, *(MatrixChoice.of(scheme, {"step": step}) for step in steps()[_FIRST_STEP::every]))


def _fitted(own: FittingBench, costs: MenuCosts, arm: Arm, budget: int, effort: int) -> FittedFile:
    """A file that with all its code uses up the budget; `UsageError` where there is none."""
    target = budget - LOADER_BYTES
    found, best = own.best(costs, target, effort), None
    for _ in range(_ROUNDS):
        assembled = own.full(found, target)
        loader, code = _code_bytes(assembled.data, arm)
        room = budget - len(assembled.data) - loader - code
        if room >= 0 and (best is None or len(assembled.data) > len(best[0].data)):
            best = assembled, (loader, code)
        if 0 <= room <= (1 - FULL) * budget:
            break
        # What the loader takes is known by now; a little too small is taken, too large is not.
        target += room - (8 if room < 0 else 0)
        if room < 0:
            found = own.best(found.costs, target, 0)
    if best is None:
        raise UsageError(f"no file with its loader came out within {budget:,} bytes")
    assembled, used = best
    choices = {owner: choice.name for owner, choice in assembled.choices.items()}
    return _told(own, assembled.data, used, budget, choices)


def _code_bytes(data: bytes, arm: Arm) -> tuple[int, int]:
    """What the packed loader of a file takes, and what the structure's code adds to it."""
    with shorter_loader(data) as composed:
        loader = pack_code(composed.source.encode(), name=_LOADER_NAME).length
        structure = structure_source(arm)
        if not structure:
            return loader, 0
        return loader, pack_code((composed.source + structure).encode(), name=_LOADER_NAME).length - loader


def _told(own: FittingBench, data: bytes, code: tuple[int, int], budget: int, choices: Mapping[str, str]) -> FittedFile:
    ledger = assign(open_bytes(data, name="study"), own.prepared.roles).ledger
    bits = {"head": 0, "input": 0, "trunk": 0}
    names = set(own.prepared.source.reference)
    for entry in ledger.entries:
        if entry.owner in names:
            side = "head" if entry.owner.startswith(HEAD_PREFIX) else "trunk"
            bits["input" if entry.owner == EMBEDDING else side] += entry.stored_bits
    return FittedFile(
        budget=budget,
        data=data,
        loader_bytes=code[0],
        structure_bytes=code[1],
        head_bytes=bits["head"] // 8,
        input_bytes=bits["input"] // 8,
        trunk_bytes=bits["trunk"] // 8,
        choices=dict(choices),
        state=read_back(data, "study").state,
    )
