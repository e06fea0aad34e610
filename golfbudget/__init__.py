"""golfbudget: the byte accountant for language models under a size cap.

>>> import golfbudget as gb
>>> from golfbudget import example
>>> gb.inspect(example.ARTIFACT).passed
True

`inspect`, `compare`, `check`, `estimate`, `plan`, `fit`, `repack` and `decoder` do what the commands of these names do,
and are imported when they are first named.
"""

from __future__ import annotations

import sys
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from golfbudget.api.check import CheckResult, check
    from golfbudget.api.compare import CompareResult, compare
    from golfbudget.api.decoder import DecoderResult, decoder
    from golfbudget.api.estimate import EstimateResult, SweepResult, estimate
    from golfbudget.api.fit import FitResult, fit
    from golfbudget.api.inspect import InspectResult, inspect
    from golfbudget.api.plan import PlanResult, plan
    from golfbudget.api.repack import RepackResult, repack
    from golfbudget.errors import GolfbudgetError, MissingExtraError
    from golfbudget.ledger import Account, Ledger, Role
    from golfbudget.rollup import Totals, roll_up
    from golfbudget.version import __version__

__all__ = [
    "Account",
    "CheckResult",
    "CompareResult",
    "DecoderResult",
    "EstimateResult",
    "FitResult",
    "GolfbudgetError",
    "InspectResult",
    "Ledger",
    "MissingExtraError",
    "PlanResult",
    "RepackResult",
    "Role",
    "SweepResult",
    "Totals",
    "__version__",
    "check",
    "compare",
    "decoder",
    "estimate",
    "fit",
    "inspect",
    "plan",
    "repack",
    "roll_up",
]

#: Where each name is, by module under `golfbudget`.
_HOMES = {
    "api.check": ("CheckResult", "check"),
    "api.compare": ("CompareResult", "compare"),
    "api.decoder": ("DecoderResult", "decoder"),
    "api.estimate": ("EstimateResult", "SweepResult", "estimate"),
    "api.fit": ("FitResult", "fit"),
    "api.inspect": ("InspectResult", "inspect"),
    "api.plan": ("PlanResult", "plan"),
    "api.repack": ("RepackResult", "repack"),
    "errors": ("GolfbudgetError", "MissingExtraError"),
    "ledger": ("Account", "Ledger", "Role"),
    "rollup": ("Totals", "roll_up"),
    "version": ("__version__",),
}
_MODULES = {name: f"golfbudget.{module}" for module, names in _HOMES.items() for name in names}


class _Package(ModuleType):
    """Imports a name when it is first asked for, and keeps functions in front of packages that are called the same.

    Without the latter, the import of `golfbudget.plan` would put that package in the place of the function.
    """

    def __getattr__(self, name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module 'golfbudget' has no attribute {name!r}")
        from importlib import import_module

        found = getattr(import_module(_MODULES[name]), name)
        super().__setattr__(name, found)
        return found

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _MODULES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return __all__


sys.modules[__name__].__class__ = _Package
