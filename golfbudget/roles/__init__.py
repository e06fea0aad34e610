"""What bytes are for: stored names to model tensors, model tensors to roles, and the ledger that says so.

rules       the patterns of a roles file, and which one matches
config_json what a config.json says of ties, vocabulary and packing
unpacking   the shapes of matrices behind packed tensors
families    the layouts of packed weights, by the names that stand together
packed      which stored tensors together are one packed matrix
resolve     every stored name to one value: owner, account, parameters, and what decided
head        which matrix is the output head, and whether it is tied, by evidence
maps        id maps and codebooks that only shapes and values give away
assign      an opened artifact to a ledger
explain     why an owner has its role
"""

from golfbudget.roles.assign import Assignment, assign
from golfbudget.roles.resolve import ModelTensor
from golfbudget.roles.rules import Roles, load_roles

__all__ = ["Assignment", "ModelTensor", "Roles", "assign", "load_roles"]
