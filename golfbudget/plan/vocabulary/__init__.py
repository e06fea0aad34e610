"""`plan --vocab`: vocabulary and head scheme together, in bytes and certificates; no model is run.

results  the table as a value, vocabulary_json the table as JSON
figures  vocabularies: tokenizers measured on a text, or claimed figures
model    the tensors with a vocabulary axis, at any vocabulary
drawn    codebook heads as if trained in that form
heads    which schemes are tried, and their bytes on synthetic weights through the recipe's codec
run      the table, its certificates and what follows from it
"""

from golfbudget.plan.vocabulary.results import VocabularyPlan
from golfbudget.plan.vocabulary.run import VocabularyRequest, plan_vocabularies

__all__ = ["VocabularyPlan", "VocabularyRequest", "plan_vocabularies"]
