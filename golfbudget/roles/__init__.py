"""What bytes are for: stored names to model tensors, model tensors to roles, and the ledger that says so.

rules          the patterns of a roles file, and which one matches
model_tensors  which stored tensors together make one model tensor; its parameters, nominal and packed bits
detect         what names do not tell: tied heads, id maps and codebooks by shape and values
assign         an opened artifact to a ledger
explain        why an owner has its role
"""

from golfbudget.roles.assign import Assignment, assign
from golfbudget.roles.model_tensors import ModelTensor
from golfbudget.roles.rules import Roles, load_roles

__all__ = ["Assignment", "ModelTensor", "Roles", "assign", "load_roles"]
