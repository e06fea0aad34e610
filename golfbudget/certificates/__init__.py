"""Certificates: what no training run can change, computed from counts, maps and sizes alone.

Nothing here imports torch, opens a file or looks at a weight.  Losses are nats per token of the text whose counts
are given; bytes are stored bytes.
"""

from golfbudget.certificates.base import (
    DEFAULT_PRICE,
    DEFAULT_PRICE_SOURCE,
    Certificate,
    allowance,
    bits_per_byte,
    marks_loser,
    nats_per_token,
    price_of,
    tied_rows,
)
from golfbudget.certificates.best_floor import BestPartition, best_partition, best_partitions, biased_bound
from golfbudget.certificates.floors import (
    CEILING_BITS,
    best_biased_floor,
    best_tie_floor,
    biased_floor,
    biased_floor_nats,
    ceiling,
    structure_found,
    tie_floor,
    tie_floor_nats,
)

__all__ = [
    "CEILING_BITS",
    "DEFAULT_PRICE",
    "DEFAULT_PRICE_SOURCE",
    "BestPartition",
    "Certificate",
    "allowance",
    "best_biased_floor",
    "best_partition",
    "best_partitions",
    "best_tie_floor",
    "biased_bound",
    "biased_floor",
    "biased_floor_nats",
    "bits_per_byte",
    "ceiling",
    "marks_loser",
    "nats_per_token",
    "price_of",
    "structure_found",
    "tie_floor",
    "tie_floor_nats",
    "tied_rows",
]
