"""Model files (`configs/models/*.toml`): the tensors of a model as names, shapes and dtypes, before any training.

`expressions` is arithmetic on a model's variables; `expand` has the file, and its tensors in state-dict order.
"""

from golfbudget.models.expand import Model, ModelFile, TensorSpec, load_model

__all__ = ["Model", "ModelFile", "TensorSpec", "load_model"]
