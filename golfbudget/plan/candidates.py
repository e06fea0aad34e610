"""Which candidates are tried: schemes with their options, and the tensors that each replaces.

And which are tried again after a short training.  Published VQ heads are trained, those of a plan are fitted to a
finished matrix; so the best are trained before the verdict: and with them, by as many steps on the same batches and
with the same care, their rivals and the unchanged model, for what the steps alone gain is no merit of a scheme.  A
recovered VQ head wins only over rivals that were recovered.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from golfbudget import codecs, schemes
from golfbudget.evidence import ends
from golfbudget.plan.grids import (
    BY_PART,
    FITTED,
    HEAD,
    SCALAR_VARIANTS,
    TOLD,
    TRUNK,
    grid,
    input_options,
    label,
    made_by,
)
from golfbudget.plan.sharing import SHARED, sharing_candidates
from golfbudget.plan.source import PlanSource
from golfbudget.plan.structure import head_codes
from golfbudget.plan.trials import Candidate, Side, Trial, Trials
from golfbudget.schemes import Options

#: Codecs tried on the unchanged container, at their strongest.
LOSSLESS_CODECS = ("zstd", "xz", "brotli")
#: The scheme name of a candidate that changes the codec only.
REPACK = "repack"
#: … and of one that encodes nothing: every tensor as the recipe stores it.
RECIPE = "recipe"
#: Words that `--schemes` takes beside names of schemes.
ALL, DEFAULT = "all", "default"
#: What a tied model's input table can become once its head is a matrix of its own.
INPUT_SCHEMES = ("factorised", "hashed", "binary-codes")

#: Trunk matrices by what they are in, from the names in use.
_PARTS = {
    "attention": re.compile(r"(^|[._])(attn|attention|self_attn|c_q|c_k|c_v|[qkvo]_proj)([._]|$)"),
    "mlp": re.compile(r"(^|[._])(mlp|ffn|feed_forward|fc|experts?)([._]|\d|$)"),
}
#: Widths at which the default choice tries attention and MLP alone.
_HALVES_BITS = (7, 6)
#: What the default choice tries of head grids besides the whole one of scalars and of integer codebooks, by position: a
#: plain codebook as published, a bias and own rows where codebooks are large, and the best known of the rest.
_DEFAULT_HEADS: dict[str, tuple[int, ...]] = {
    "vq-logits": (-3,), "vq-logits-bias": (-3, -2), "vq-logits-explicit": (0, -1), "tiers": (0,), "factorised": (-1,)
}  # fmt: skip
#: … and, where calibration text is given, of codebooks that are made from what it says of states, for untied and for
#: tied models: by place among those with maps of information, and among those that are fitted only.  A tied model reads
#: its codebook, too, and tokens alike to predict are not alike to read: there a map by distance keeps more of both.
_DEFAULT_TOLD: dict[bool, dict[str, tuple[int, ...]]] = {
    False: {"vq-logits-int": (-2,), "vq-logits-bias": (-3, -2), "vq-logits-explicit": (0, -1)},
    True: {"vq-logits-bias": (-2,)},
}
_DEFAULT_FITTED: dict[bool, dict[str, tuple[int, ...]]] = {
    False: {}, True: {"vq-logits-bias": (-3, -2), "vq-logits-explicit": (0,)}
}  # fmt: skip
#: Codebooks that grow with what is planted in the matrix, and not with its size.
_CODEBOOKS = ("vq-logits", "vq-logits-int", "vq-logits-bias")
#: Trunk matrices by how the recipe stores them, where it does both: what is free on one is not free on the other.
_STORED = ("quantised", "kept")
#: The number of a matrix's block.
_BLOCK = re.compile(r"(?:^|[./])(\d+)(?=[./])")
#: VQ-Logits whose tokens take a bias when they are trained, the scheme that has one, and its bits.
_BIASED, _WITH_BIAS, _BIAS_BITS = ("vq-logits", "vq-logits-int"), "vq-logits-bias", 8
_NEEDS = {"counts": "token counts (--counts, or --tokens to count)", "moment": "calibration text (--calibration)",
          "gguf": "a GGUF file, or --recipe gguf-q8_0",
          "compressed-tensors": "--recipe safetensors-int8"}  # fmt: skip


def parts(trunk: Sequence[str], kept: Collection[str] = ()) -> dict[str, tuple[str, ...]]:
    """Matrices of attention, of MLPs, of the early and the late half of the blocks, and those kept and not.

    None is empty or the whole.

    >>> parts(["blocks.0.mlp.fc.weight", "blocks.1.mlp.fc.weight"])
    {'early': ('blocks.0.mlp.fc.weight',), 'late': ('blocks.1.mlp.fc.weight',)}
    """
    found = {part: tuple(name for name in trunk if pattern.search(name)) for part, pattern in _PARTS.items()}
    block = {name: int(number[1]) for name in trunk if (number := _BLOCK.search(name))}
    numbers = sorted(set(block.values()))
    early = set(numbers[: len(numbers) // 2])
    found["early"] = tuple(name for name in trunk if block.get(name) in early)
    found["late"] = tuple(name for name in trunk if name in block and block[name] not in early)
    found["quantised"] = tuple(name for name in trunk if name not in kept)
    found["kept"] = tuple(name for name in trunk if name in kept)
    return {part: owners for part, owners in found.items() if 0 < len(owners) < len(trunk)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """The candidates of a plan, and notes on what was left out."""

    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _CandidateMaker:
    """Collects candidates of a source."""

    source: PlanSource
    found: list[Candidate] = field(default_factory=list)
    planted: tuple[int, ...] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.source.reference[self.source.head].shape
        return rows, columns

    def structural(self, name: str) -> list[Options]:
        """Options of a scheme at the codebook sizes that the head itself speaks for, where these save bytes."""
        if self.planted is None:
            self.planted = head_codes(self.source)
        scheme, (rows, columns) = schemes.get(name), self.shape
        more = {} if name == "vq-logits" else dict(grid(HEAD, scheme, rows, columns)[0])
        tried: list[Options] = [{**more, "codes": codes} for codes in self.planted]
        return [options for options in tried if scheme.raw_bytes(self.shape, options) < rows * (columns + 2)]

    def head(self, scheme: str, options: Options, input_side: str = "shared") -> None:
        """A head candidate; an untied model's input table is another matrix and stays as it is."""
        source, name = self.source, f"head-{label(schemes.get(scheme), options)}"
        if not source.tied:
            self.add(name, Side.HEAD, scheme, options, (source.head,))
        elif input_side == "shared":
            suffix = "" if scheme == "scalar" else "-shared"
            self.add(name + suffix, Side.HEAD, scheme, options, (source.head,), input_side)
        elif input_side == "dense":
            self.add(f"{name}-dense", Side.HEAD, scheme, options, (source.head_owner,), input_side)
        else:
            owners = (source.head_owner, source.head)
            self.add(f"{name}-input-{input_side}", Side.HEAD, scheme, options, owners, input_side)

    def heads(self, scheme: str, tried: Sequence[Options], places: Iterable[int]) -> None:
        """Head candidates at some places of what may be tried, the first where there are too few."""
        for place in places if tried else ():
            self.head(scheme, tried[max(place, -len(tried))])

    def trunk(
        self, scheme: str, options: Options, *, by_part: bool = False, halves: bool = False, stored: bool = False
    ) -> None:
        trunk, text = self.source.trunk, label(schemes.get(scheme), options)
        if trunk:
            self.add(f"trunk-{text}", Side.TRUNK, scheme, options, trunk)
        for part, owners in parts(trunk, self.source.kept).items():
            if by_part or (halves and part in _PARTS) or (stored and part in _STORED):
                self.add(f"{part}-{text}", Side.TRUNK, scheme, options, owners)

    def add(
        self,
        name: str,
        side: Side,
        scheme: str,
        options: Options,
        owners: tuple[str, ...],
        input_side: str | None = None,
    ) -> None:
        if any(candidate.name == name for candidate in self.found):
            return
        extra = input_options(input_side, *self.shape) if input_side in INPUT_SCHEMES else {}
        self.found.append(
            Candidate(
                name=name, side=side, scheme=scheme, options=options, owners=owners, input_side=input_side,
                input_options=extra,
            )
        )  # fmt: skip


def candidates(
    source: PlanSource, chosen: Sequence[str] | None = None, known: Collection[str] = (), *, measured: bool = False
) -> Tried:
    """Every candidate of the chosen schemes: by name, `all`, or `default` (which None means).

    Where losses are `measured`, scalars are tried with more ways to round, too: no error says which loses least.
    `known` are the needs that can be met: `counts`, `moment`.  Schemes with others are left out, and a note says so.
    """
    maker, missing = _CandidateMaker(source), dict[str, list[str]]()
    for name in _named(chosen):
        if name == DEFAULT:
            _default(maker, known, missing)
        elif name == REPACK:
            maker.found += _lossless(source)
        elif _possible(name, known, missing):
            _scheme(maker, name, known, missing)
    if measured and any(candidate.scheme == "scalar" for candidate in maker.found):
        for options in SCALAR_VARIANTS:
            maker.head("scalar", options)
            maker.trunk("scalar", options)
    notes = [
        f"left out, because they need {_NEEDS[need]}: {', '.join(dict.fromkeys(names))}"
        for need, names in missing.items()
    ]
    if source.preview is not None:
        # Against a stand-in's bytes no codec's saving means anything.
        maker.found = [candidate for candidate in maker.found if candidate.scheme != REPACK]
    return Tried(candidates=tuple(maker.found), notes=tuple(notes))


def _named(chosen: Sequence[str] | None) -> list[str]:
    """Names with `all` spelled out; `default` stays."""
    if chosen is None:
        return [DEFAULT]
    if ALL not in chosen:
        return list(dict.fromkeys(chosen))
    ours = list(dict.fromkeys((*HEAD, *TRUNK)))
    return [*ours, *(name for name in schemes.registered() if name not in ours), REPACK]


def _possible(name: str, known: Collection[str], missing: dict[str, list[str]]) -> bool:
    """Whether everything that a scheme needs is known; what is not is noted."""
    unmet = [need for need in schemes.get(name).needs if need not in known]
    for need in unmet:
        missing.setdefault(need, []).append(name)
    return not unmet


def _told_enough(name: str, options: Options, known: Collection[str], missing: dict[str, list[str]]) -> bool:
    """Whether everything that these options need is known; what is not, beyond what the scheme needs, is noted."""
    scheme = schemes.get(name)
    unmet = [need for need in scheme.needs_for(options) if need not in known]
    for need in unmet:
        if need not in scheme.needs:
            missing.setdefault(need, []).append(f"{name} {'-'.join(str(word) for word in made_by(options).values())}")
    return not unmet


def _scheme(maker: _CandidateMaker, name: str, known: Collection[str], missing: dict[str, list[str]]) -> None:
    scheme, shape = schemes.get(name), maker.shape
    heads = [options for options in grid(HEAD, scheme, *shape) if _told_enough(name, options, known, missing)]
    for options in (*heads, *(maker.structural(name) if name in _CODEBOOKS else ())):
        maker.head(name, options)
        if name == "vq-logits" and maker.source.tied:
            maker.head(name, options, "dense")
    if heads and maker.source.tied and name != "scalar":
        maker.head(name, heads[len(heads) // 2], "dense")
    # A head of few rows has no codebook to try.
    if heads and name in ("scalar", "vq-logits") and maker.source.tied:
        for input_side in INPUT_SCHEMES:
            maker.head(name, heads[len(heads) // 2], input_side)
    for options in grid(TRUNK, scheme, *shape):
        maker.trunk(name, options, by_part=name in BY_PART)


def _default(maker: _CandidateMaker, known: Collection[str], missing: dict[str, list[str]]) -> None:
    """A choice that takes little time: controls and integer codebooks at every size, and the best known of the rest."""
    rows, columns = maker.shape
    for options in grid(HEAD, schemes.get("scalar"), rows, columns):
        maker.head("scalar", options)
    codebooks = _untold("vq-logits-int", rows, columns)
    for options in (*codebooks, *maker.structural("vq-logits-int")):
        maker.head("vq-logits-int", options)
    for options in codebooks[:1] if maker.source.tied else ():
        # The smallest says what every head that is untied by its codebook adds to the file at least.
        maker.head("vq-logits-int", options, "dense")
    for options in maker.structural("vq-logits"):
        # At what is planted, rounding a codebook to integers is the whole error: there fp16 may be worth its bytes.
        maker.head("vq-logits", options)
    for name, places in _DEFAULT_HEADS.items():
        if _possible(name, known, missing):
            maker.heads(name, _untold(name, rows, columns), places)
    _default_told(maker, known, missing)
    for name in ("scalar", "ternary", "ternary-packed"):
        for options in grid(TRUNK, schemes.get(name), rows, columns):
            # Halves of the trunk on their own are what the joint choice is made from.
            halves = name == "scalar" and options["bits"] in _HALVES_BITS
            maker.trunk(name, options, halves=halves, stored=name in ("scalar", "ternary-packed"))
    for name in ("clipped", "grouped-scalar"):
        maker.trunk(name, grid(TRUNK, schemes.get(name), rows, columns)[2 if name == "clipped" else 1])
    maker.found += _lossless(maker.source)


def _lossless(source: PlanSource) -> list[Candidate]:
    """Other codecs, and equal matrices stored once."""
    return [*(_repack(codec) for codec in LOSSLESS_CODECS if codec != source.recipe.codec), *sharing_candidates(source)]


def _default_told(maker: _CandidateMaker, known: Collection[str], missing: dict[str, list[str]]) -> None:
    """Codebooks that are made from states: few, for they take seconds each."""
    for made, wanted in ((TOLD, _DEFAULT_TOLD), (FITTED, _DEFAULT_FITTED)):
        for name, places in wanted[maker.source.tied].items():
            tried = [options for options in grid(HEAD, schemes.get(name), *maker.shape) if made_by(options) == made]
            if tried and _told_enough(name, tried[0], known, missing):
                maker.heads(name, tried, places)


def _untold(name: str, rows: int, columns: int) -> list[Options]:
    """A head scheme's grid without codebooks that are made from states."""
    return [options for options in grid(HEAD, schemes.get(name), rows, columns) if not made_by(options)]


def _repack(codec: str) -> Candidate:
    options: Options = {"codec": codec, "level": codecs.get(codec).default_level}
    return Candidate(
        name=f"lossless-{codec}-{options['level']}", side=Side.LOSSLESS, scheme=REPACK, options=options, owners=()
    )


def batches(tried: Iterable[Candidate]) -> list[tuple[Candidate, ...]]:
    """Candidates that share their encodings, together: those that differ in the input side only.

    The strongest codecs take longest, and then the largest codebooks, so they come first, and no process is left alone
    with one at the end.
    """

    def order(candidate: Candidate) -> tuple[bool, int]:
        return candidate.scheme != REPACK, -int(candidate.options.get("codes", 0))

    found: dict[object, list[Candidate]] = {}
    for candidate in sorted(tried, key=order):
        found.setdefault((candidate.scheme, candidate.side, tuple(candidate.options.items())), []).append(candidate)
    return [tuple(batch) for batch in found.values()]


def again(candidate: Candidate, steps: int) -> Candidate:
    """The candidate with training after its encoding, and a bias per token where its scheme can have one.

    Published VQ heads tie the tokens of a code; what training moves apart most cheaply is their frequencies.
    """
    trained = replace(candidate, name=f"{candidate.name}{_suffix(steps)}", steps=steps)
    if candidate.scheme not in _BIASED:
        return trained
    known = [parameter.name for parameter in schemes.get(_WITH_BIAS).parameters]
    options = {name: value for name, value in candidate.options.items() if name in known}
    return replace(trained, scheme=_WITH_BIAS, options={**options, "bias_bits": _BIAS_BITS})


def _suffix(steps: int) -> str:
    return f"+recovered-{steps}"


def baseline(steps: int) -> Candidate:
    """The control of all recovery: the recipe's own file, trained.

    It changes head and trunk, so its side is `joint`, and it is on neither side of the verdict.
    """
    return again(Candidate(name="baseline", side=Side.JOINT, scheme=RECIPE, options={}, owners=()), steps)


def worth_recovering(trials: Trials, steps: int, *, must_save: int) -> list[Candidate]:
    """The unchanged model, and of VQ-Logits heads, of other heads and of the trunk those that training may decide.

    Over the cap that is the one that loses least of those that fit.  Under it, the one that saves most at no loss, and
    the one that loses least of those that save more: training may make that free.  What a certificate rules out is
    left out: no training saves it.
    """
    chosen: list[Trial | None] = []
    # What is stored once parts as soon as it is trained.
    trunk = trials.trunk.where(lambda trial: trial.candidate.scheme != SHARED)
    for group in (trials.vq, trials.control, trunk):
        if must_save:
            chosen.append(group.fitting.least_lossy())
        else:
            best = group.most_saved()
            chosen += [best, group.saving(1 + (0 if best is None else best.saved_bytes)).least_lossy()]
    named = {trial.name: trial.candidate for trial in chosen if trial is not None}
    return [baseline(steps), *(again(candidate, steps) for candidate in named.values())]


def explained(trials: Trials) -> list[str]:
    """A line for the unchanged model and each recovered candidate: its loss before and after, and over that model's."""
    recovered = sorted((trial for trial in trials if trial.candidate.steps), key=lambda trial: trial.name)
    control = next((trial for trial in recovered if trial.candidate.scheme == RECIPE), None)
    if control is None:
        return []
    steps = control.candidate.steps
    gain = f"{control.loss:+.4f} bits per byte, which is no merit of any scheme"
    lines = [f"recovered: at most {steps} steps on the calibration text change the unchanged model by {gain}"]
    for trial in recovered:
        name = trial.name.removesuffix(_suffix(steps))
        before = trials.named(name)
        if trial is control or before is None or not trial.known:
            continue
        over = trials.compare(control, trial)
        bias = " with a bias per token" if trial.candidate.scheme != before.candidate.scheme else ""
        lines.append(
            f"recovered: {name} goes from {before.loss:+.4f} to {trial.loss:+.4f}{bias}, which is "
            f"{ends(over.low, over.high)} over the unchanged model after as many steps"
        )
    return lines
