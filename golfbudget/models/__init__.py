"""Model files (`configs/models/*.toml`): the tensors of a model as names, shapes and dtypes, before any training.

expressions  arithmetic on a model's variables, parsed and bounded
config       the file, validated
expand       variables resolved, groups repeated: the tensors in state-dict order
"""

from golfbudget.models.config import ModelFile
from golfbudget.models.expand import Model, TensorSpec, load_model

__all__ = ["Model", "ModelFile", "TensorSpec", "load_model"]
