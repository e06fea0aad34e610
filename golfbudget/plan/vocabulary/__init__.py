"""`plan --vocab`: vocabulary and head scheme together, in bytes and certificates; no model is run.

`figures` are the vocabularies, `model` the tensors with a vocabulary axis, `heads` the schemes that are tried; `run`
makes the table and its certificates, `results` is what it says, also as JSON.
"""

from golfbudget.plan.vocabulary.results import VocabularyPlan
from golfbudget.plan.vocabulary.run import VocabularyRequest, plan_vocabularies

__all__ = ["VocabularyPlan", "VocabularyRequest", "plan_vocabularies"]
