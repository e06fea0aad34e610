"""k-means kept for the tests: the same rows, weights and settings are fitted once, in whichever test comes first.

Fitting takes most of the time of a plan, and tests plan few models many times.  Tests of schemes go without it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from golfbudget import cache

Fit = Callable[..., Any]


def fitted_once(fit: Fit) -> Fit:
    """`KMeans.fit` that takes its centres from the tests' cache where it has fitted the same before."""

    def fitted(model: Any, rows: Any, y: Any = None, sample_weight: Any = None) -> Any:  # noqa: ANN401
        given = [np.ascontiguousarray(array) for array in (rows, sample_weight) if array is not None]
        facts = {
            "settings": model.get_params(),
            "arrays": [(str(array.dtype), array.shape, hashlib.sha256(array.tobytes()).hexdigest()) for array in given],
        }
        folder, name = cache.default_folder(), f"kmeans-{cache.key(facts)}"
        found = cache.read(folder, name)
        if found is None:
            fit(model, rows, y, sample_weight)
            cache.write(folder, name, {}, np.asarray(model.cluster_centers_, dtype="<f8").tobytes())
        else:
            model.cluster_centers_ = np.frombuffer(found[1], dtype="<f8").reshape(model.n_clusters, -1).copy()
        return model

    return fitted
