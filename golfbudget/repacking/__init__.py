"""Lossless repacking: the same tensors and values in fewer bytes, or a plain word that there is nothing to gain.

Reading order: `unpickle` and `saved_object` (what a container holds, as a tree and pieces), `writing` (a
`golfbudget-pack` of them), `settings` and `compressors`, `search` (the levers, one after another), `decoders` (the
Python that a submission needs to read the result), `proof`, `run` (all of it).
"""

from golfbudget.repacking.result import Lever, LeverStep, Repacked
from golfbudget.repacking.run import repack

__all__ = ["Lever", "LeverStep", "Repacked", "repack"]
