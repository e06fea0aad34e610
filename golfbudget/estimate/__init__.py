"""Bytes before a training run: a model file and a recipe file in, exact container and estimated artifact out.

request     what is estimated: a model's tensors, a recipe, and the changes to both that a user or a sweep asks for
dependence  whether an artifact's size follows from the recipe, or depends on what training does to the weights
modelled    the entropy formula, without torch
synthetic   weights drawn from a stated distribution
measured    those weights through the recipe's own quantisers, layout, filter and codec
chance      the chance to fit, given how artifacts of one recipe differ from seed to seed
run         one estimate; sweep: a table of them
"""
