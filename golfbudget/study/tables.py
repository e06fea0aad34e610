"""The study's tables and its answer as markdown, from results alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from golfbudget.evidence import ends
from golfbudget.example.heads.arms import BY_NAME, SHARED, Arm, Kind, share
from golfbudget.example.heads.runs import REFERENCE
from golfbudget.quality.intervals import Interval
from golfbudget.study.comparing import CLOSE, DENSE, FIRST_SEED, SCALES, VERDICTS, Against, ArmSide, Study, verdict
from golfbudget.study.measuring import LADDERS
from golfbudget.study.results import RunResult, difference, interval

#: What the shipped example's checkpoint loses, before rounding: golfbudget/example/data/provenance.json.
_EXAMPLE = 1.1079


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def described(arm: Arm, vocabulary: int, width: int) -> str:
    """An arm's head in words."""
    shared, explicit = share(vocabulary, arm.rows), share(vocabulary, arm.explicit)
    own = "" if arm.input_side == SHARED else ", input table of its own"
    if arm.kind is Kind.DENSE:
        narrow = "" if arm.width == (1, 1) else f", width {share(width, arm.width)}"
        return f"dense, {'tied' if not own else 'untied'}{narrow}"
    if arm.kind is Kind.LOW_RANK:
        return f"low-rank, rank {share(width, arm.rank)}{own}"
    if arm.kind is Kind.PRODUCT:
        return f"product codes, {arm.groups} of {share(vocabulary, arm.codes)}{own}"
    if arm.kind is Kind.TWO_LEVEL:
        return f"two-level, {shared:,} classes{own}"
    rows = f" and {explicit:,} explicit rows" if explicit else ""
    return f"VQ, K = {shared:,}{rows}{own}{'' if arm.informed else ', codes by nearness'}"


def _signed(found: Interval) -> str:
    return f"{found.delta:+.4f} {ends(found.low, found.high)}"


def losses(study: Study, scale: str) -> str:
    """Bits per byte before rounding and at each budget, and the difference from dense tied at the same bytes.

    Beside a budget, what it is for each weight of the dense tied model, in bits.
    """
    ladder = LADDERS[scale]
    header = ["head", "before rounding", *(f"{budget:,} bytes{_each(study, scale, budget)}" for budget in ladder)]
    rows = []
    for result in study.first_seed(scale):
        before = interval(result.nats, result.block_bytes)
        cells = [_name(result), f"{before.delta:.4f} [{before.low:.4f}, {before.high:.4f}]"]
        for budget in ladder:
            file, against = result.at(budget), study.against_dense(result, budget)
            if file is None:
                cells.append("no file so small")
            elif result.arm == DENSE or against is None:
                own = interval(file.nats, result.block_bytes)
                cells.append(f"{own.delta:.4f} [{own.low:.4f}, {own.high:.4f}]")
            else:
                cells.append(f"{file.bits_per_byte:.4f}, {_signed(against.interval)}")
        rows.append(cells)
    return "\n\n".join([_table(header, rows), *_other_seeds(study, scale)])


def _other_seeds(study: Study, scale: str) -> list[str]:
    """What the same heads come to from other seeds, a line each."""
    return [
        f"Seed {result.seed} of `{result.arm}`: {result.bits_per_byte:.4f} before rounding, "
        + ", ".join(f"{file.bits_per_byte:.4f} at {file.budget:,} bytes" for file in result.files)
        + "."
        for result in study.results
        if result.scale == scale and result.seed != FIRST_SEED
    ]


def _bits(study: Study, scale: str, budget: int) -> float | None:
    """Bits that a budget has for each weight of the dense tied model."""
    dense = study.of(scale, DENSE)
    return None if dense is None else 8 * budget / dense.parameters


def _each(study: Study, scale: str, budget: int) -> str:
    bits = _bits(study, scale, budget)
    return "" if bits is None else f" ({bits:.1f} bits a weight)"


def _name(result: RunResult) -> str:
    width = int(result.facts["width"])
    arm = BY_NAME[result.arm]
    # The full width, of which an arm's may be a share.
    return described(arm, result.vocabulary, width * arm.width[1] // arm.width[0])


def bytes_table(study: Study, scale: str) -> str:
    """Where the bytes of the files of each budget's middle are."""
    budget = LADDERS[scale][len(LADDERS[scale]) // 2]
    header = ["head", "head", "input table", "trunk", "codec and container", "decoder", "counted"]
    rows = [
        [
            _name(result),
            *(f"{n:,}" for n in (file.head_bytes, file.input_bytes, file.trunk_bytes, file.container_bytes)),
            f"{file.loader_bytes + file.structure_bytes:,}",
            f"{file.counted_bytes:,}",
        ]
        for result in study.first_seed(scale)
        if (file := result.at(budget)) is not None
    ]
    return f"Files of at most {budget:,} bytes:\n\n{_table(header, rows)}"


def ties(study: Study, scale: str) -> str:
    """What is certain and what is measured of every VQ run's map, in nats a token."""
    header = ["head", "seed", "floor H(W\\|C)", "I(W;H\\|C)", "more than dense tied", "loss"]
    rows = []
    for result in study.results:
        if result.scale == scale and result.ties is not None:
            dense = study.of(scale, DENSE, result.seed)
            more = None if dense is None else result.nats_per_token - dense.nats_per_token
            information = result.ties.information
            rows.append(
                [
                    _name(result),
                    str(result.seed),
                    f"{result.ties.floor:.4f}",
                    "" if information is None else f"{information:.4f}",
                    "" if more is None else f"{more:+.4f}",
                    f"{result.nats_per_token:.4f}",
                ]
            )
    return _table(header, rows)


def training(study: Study, scale: str) -> str:
    """What each run was trained on, and how long it took."""
    header = ["head", "seed", "parameters", "tokens trained on", "tokens whose code changed", "seconds"]
    rows = [
        [
            _name(result),
            str(result.seed),
            f"{result.parameters:,}",
            f"{result.facts['training_tokens']:,}",
            f"{result.facts['tokens_moved']:,}",
            f"{float(result.facts['training_seconds']):,.0f}",
        ]
        for result in sorted(study.results, key=lambda result: result.seed)
        if result.scale == scale
    ]
    return _table(header, rows)


def missing(study: Study) -> str:
    """What has no result, and why."""
    lines = []
    for scale in SCALES:
        absent = study.missing(scale)
        if absent:
            names = ", ".join(f"`{name}`" for name in absent)
            lines.append(
                f"- vocabulary {int(scale):,}: {names}. Not run yet: two cores with other work had no time for them."
            )
        twice = study.repeated(scale)
        if not twice:
            lines.append(f"- vocabulary {int(scale):,}: second seeds, so that what seeds move is not known.")
        elif len(twice) < len(study.first_seed(scale)):
            names = ", ".join(f"`{name}`" for name in twice)
            lines.append(f"- vocabulary {int(scale):,}: second seeds of all heads but {names}.")
    if study.of(REFERENCE, DENSE) is None:
        lines.append(
            "- the reference run of the shipped example's own shape and budget, an hour of a core "
            "(`--only reference`): whether this trainer reaches the example's loss is not shown yet."
        )
    return "\n".join(lines) if lines else "Nothing: every arm has its result."


def reference(study: Study) -> str:
    """How the trainer compares with the one that made the shipped example."""
    found = [result for result in study.results if result.scale == REFERENCE]
    if not found:
        return "The reference run is not there yet."
    told = ", ".join(f"{result.bits_per_byte:.4f} (seed {result.seed})" for result in found)
    return (
        f"At the shipped example's own shape and budget the dense tied head comes to {told} bits per byte before "
        f"rounding; the shipped example has {_EXAMPLE:.4f} on the same text."
    )


def answer(study: Study) -> str:
    """Whether, where and by how much a VQ head wins."""
    found = {scale: _best(study, scale) for scale in SCALES}
    if not any(found.values()):
        return "No VQ head has been held against a dense one yet, so nothing is answered."
    told: dict[str, dict[str, list[int]]] = {}
    for scale in SCALES:
        for budget, best in found[scale].items():
            told.setdefault(_standing(study, scale, budget, best), {}).setdefault(scale, []).append(budget)
    lead = ["Nowhere yet is a trained VQ head shown to be the best of its counted bytes."]
    if _BEST in told:
        run = ", of those run," if any(study.missing(scale) for scale in told[_BEST]) else ""
        lead = [f"A trained VQ head is the best head of its counted bytes{run} {_places(told[_BEST])}."]
        lead.append(_squeezed(study, told[_BEST]))
    if _ALONE in told:
        lead.append(
            f"It beats the dense tied head {_places(told[_ALONE])}, where its other rivals, a narrower dense one "
            "first, are not run yet."
        )
    if _EVEN in told:
        lead.append(
            f"It beats the dense tied head {_places(told[_EVEN])}, and is no further from the best other head there "
            "than intervals or seeds move."
        )
    if _BEHIND in told:
        lead.append(
            f"It beats the dense tied head {_places(told[_BEHIND])}, and a head that is no VQ does better there."
        )
    if not told.keys() - {_NO_WIN}:
        lead.append("It does not beat the dense tied head anywhere.")
    if any(map(study.missing, SCALES)):
        twice = dict.fromkeys(arm for scale in SCALES for arm in study.repeated(scale))
        seeds = f"only {_joined([f'`{arm}`' for arm in twice])}" if twice else "none"
        lead.append(f"Not all heads have been run, and {seeds} with a second seed.")
    return "\n\n".join(
        [" ".join(lead), *(text for scale in SCALES if (text := _scale_answer(study, scale, found[scale])))]
    )


#: How the best VQ head of a budget stands.
_BEST, _EVEN, _ALONE, _BEHIND, _NO_WIN = "best", "even", "alone", "behind", "no win"


def _standing(study: Study, scale: str, budget: int, best: Against) -> str:
    if verdict(best, _moved(study, scale, budget, best)) != "wins":
        return _NO_WIN
    ahead = _ahead(study, scale, budget, best)
    if ahead is None:
        return _ALONE
    own = study.spread(scale, budget, best.result.arm)
    return {"wins": _BEST, CLOSE: _EVEN}.get(verdict(ahead, own), _BEHIND)


def _moved(study: Study, scale: str, budget: int, best: Against) -> float | None:
    """What seeds move of the two that are held against each other."""
    return study.spread(scale, budget, best.result.arm, DENSE)


def _ahead(study: Study, scale: str, budget: int, best: Against) -> Against | None:
    """The VQ head's loss less that of the best head that is neither VQ nor dense tied; None without one."""
    other = study.best(scale, budget, ArmSide.OTHER)
    own, rival = best.result.at(budget), None if other is None else other.result.at(budget)
    if own is None or rival is None:
        return None
    found = difference(rival.nats, own.nats, best.result.block_bytes)
    return Against(result=best.result, budget=budget, interval=found)


def _squeezed(study: Study, told: Mapping[str, Sequence[int]]) -> str:
    """By how much VQ wins, and how far rounding has to go where it does, in words."""
    places = [(scale, budget) for scale, budgets in told.items() for budget in budgets]
    heads = [(best, place) for place in places if (best := study.best(*place, ArmSide.VQ)) is not None]
    ahead = [-found.interval.delta for best, place in heads if (found := _ahead(study, *place, best)) is not None]
    bits = [each for place in places if (each := _bits(study, *place)) is not None]
    return (
        f"There it loses {_range(ahead, 3)} bits per byte less than the best that is neither VQ nor dense tied, and "
        f"the dense tied model has {_range(bits, 1)} bits for each of its weights."
    )


def _range(values: Sequence[float], digits: int) -> str:
    least, most = (f"{value:.{digits}f}" for value in (min(values), max(values)))
    return least if least == most else f"{least} to {most}"


def _places(told: Mapping[str, Sequence[int]]) -> str:
    """Budgets by vocabulary, in words."""
    return "; ".join(
        f"at {_joined([f'{budget:,}' for budget in budgets])} bytes with a vocabulary of {int(scale):,}"
        for scale, budgets in told.items()
    )


def _joined(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _best(study: Study, scale: str) -> dict[int, Against]:
    """The best VQ head at each budget."""
    each = {budget: study.best(scale, budget, ArmSide.VQ) for budget in LADDERS[scale]}
    return {budget: best for budget, best in each.items() if best is not None}


def _scale_answer(study: Study, scale: str, best: dict[int, Against]) -> str:
    if not best:
        return ""
    of = {budget: verdict(found, _moved(study, scale, budget, found)) for budget, found in best.items()}
    budgets = {told: [budget for budget, own in of.items() if own == told] for told in VERDICTS}
    parts = [f"{'is ' * (told == CLOSE)}{told} {_at(own, best)}" for told, own in budgets.items() if own]
    text = f"At a vocabulary of {int(scale):,} the best of them {'; it '.join(parts)}."
    return text + _rivals(study, scale, budgets["wins"])


def _at(budgets: Sequence[int], best: dict[int, Against]) -> str:
    return ", ".join(
        f"at {budget:,} bytes by {_signed(best[budget].interval)} bits per byte (`{best[budget].result.arm}`)"
        for budget in budgets
    )


def _rivals(study: Study, scale: str, wins: Sequence[int]) -> str:
    """Whether another head does better still, where VQ wins."""
    told = []
    for budget in wins:
        other, own = study.best(scale, budget, ArmSide.OTHER), study.best(scale, budget, ArmSide.VQ)
        if other is not None and own is not None:
            ahead = other.interval.delta < own.interval.delta
            told.append(
                f" At {budget:,} bytes `{other.result.arm}` is at {_signed(other.interval)}, "
                f"{'better than' if ahead else 'behind'} VQ."
            )
    return "".join(told)
