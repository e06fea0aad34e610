"""Bytes before a training run: a model file and a recipe file in, exact container and estimated artifact out.

request   a model's tensors under a recipe, the payload, and whether size depends on what training does to the weights
settings  the changes to both that a user or a sweep asks for
modelled  the entropy formula, without torch; bins: bits per value
measured  weights of a stated distribution through the recipe's own quantisers, layout, filter and codec
run       one estimate, or a table of them; results: what it says, and the chance to fit
describe  the other way: the config of an artifact
"""
