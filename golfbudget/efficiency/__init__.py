"""What is left to gain in a file's tensors, and by which lever: its coder, its quantiser, or its container.

results    the values that reports read
limits     what a Gaussian row of some error takes, and what integers take whose state is known
matrices   stored tensors to numbers, for the layouts that are known here
measuring  both, for every tensor of an opened artifact

Nothing is imported here, because reports read `results` without numpy.
"""
