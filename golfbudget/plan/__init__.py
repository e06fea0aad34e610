"""Planning: candidates encoded for real, their quality, and the verdict.

Only `verdict` and `results` do not import torch.
"""
