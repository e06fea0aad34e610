"""torch.save's two layouts: a zip archive since 1.6, a run of pickles and storages before."""
