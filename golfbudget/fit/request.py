"""What a user asks a fit for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from golfbudget.plan.request import PlanRequest


class HeadKind(StrEnum):
    """Which ways to store the head are open: all, none that restructures it, VQ-Logits alone, or any restructuring."""

    ANY = "any"
    PLAIN = "plain"
    VQ = "vq"
    RESTRUCTURED = "restructured"


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRequest:
    """The options of `golfbudget fit`.

    `plan` has those that a plan has too: source, recipe, cap, code, model, texts, seed, jobs.  `effort` is how many
    times neighbours of the choice are measured (0: none).
    """

    plan: PlanRequest
    effort: int = 1
    head: HeadKind = HeadKind.ANY
