"""The conformance kit: what every registered codec, format and scheme must do.

A registry member without a case fails `test_conformance`, so nothing is added untested.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from golfbudget.codecs import Codec, Method, attribute, decode
from golfbudget.codecs.base import Exact
from golfbudget.formats import Format
from golfbudget.ledger import check_tiling
from golfbudget.schemes import Context, Encoded, Options, Scheme
from support import rans_walker, zstd_walker

#: For each codec of method `exact`, what stored bytes and boundaries must give, by a decoder of the tests' own.
ORACLES: dict[str, Callable[[bytes, Sequence[int]], list[int]]] = {
    "rans": rans_walker.walked_costs,
    "zstd": zstd_walker.walked_costs,
}


def brute_force(codec: Codec, stored: bytes, offsets: Sequence[int]) -> list[int]:
    """C at each offset by feeding one byte at a time: how many stored bytes it takes to produce that many."""
    decoder = codec.decoder()
    made, found, waiting = 0, [0] * len(offsets), [i for i, offset in enumerate(offsets) if offset > 0]
    for fed in range(1, len(stored) + 1):
        made += len(decoder.feed(stored[fed - 1 : fed]))
        while not decoder.drained:
            made += len(decoder.feed(b""))
        while waiting and offsets[waiting[0]] <= made:
            found[waiting.pop(0)] = fed
        if decoder.finished or not waiting:
            break
    return found


def check_codec(codec: Codec, payload: bytes, *, seed: int = 0) -> None:
    """Round trip, determinism, sums, and, where the codec claims it, attribution exact to the byte or bit."""
    stored = codec.encode(payload, codec.default_level)
    assert stored == codec.encode(payload, codec.default_level)
    stream = decode(codec, stored, where="kit")
    assert bytes(stream.decoded) == payload
    assert len(stream.trailing) == 0
    inner = sorted(random.Random(seed).choices(range(len(payload) + 1), k=24))
    cuts = [0, *inner, len(payload)]
    costs = attribute(stream, cuts)
    assert sum(costs.ranges) + costs.framing == 8 * len(stored)
    assert min(costs.ranges) >= 0
    assert costs.trailing == 0
    for cost, (start, stop) in zip(costs.ranges, pairwise(cuts), strict=True):
        assert start < stop or cost == 0
    assert isinstance(codec, Exact) == (codec.method is Method.EXACT)
    if codec.method is Method.EXACT:
        assert ORACLES[codec.name](stored, cuts) == list(costs.ranges)
    if codec.method is Method.BYTE_EXACT and payload:
        header = codec.header_length(stored, 0)
        exact = [max(header, fed) for fed in brute_force(codec, stored, cuts)]
        assert [8 * (b - a) for a, b in pairwise(exact)] == list(costs.ranges)


def check_format(found: Format, data: bytes) -> None:
    """Sniffed, and every byte in exactly one region; tensors lie inside the data."""
    contents = found.read(data, where="kit")
    assert contents is not None
    assert contents.format == found.name
    check_tiling(len(data), [region.span for region in contents.regions], "kit")
    named = {tensor.name for tensor in contents.tensors}
    assert {region.name for region in contents.regions if region.tensor} <= named
    for tensor in contents.tensors:
        assert tensor.offset is None or 0 <= tensor.offset <= len(data)


def collisions(scheme: Scheme, encoded: Encoded) -> int:
    """Rows that come out equal, bias included, to an earlier row: tokens whose logits can never differ."""
    decoded, bias = scheme.decode(encoded), scheme.bias(encoded)
    if bias is not None:
        decoded = torch.cat((decoded, bias[:, None]), dim=1)
    return decoded.shape[0] - int(torch.unique(decoded, dim=0).shape[0])


def check_scheme(scheme: Scheme, matrix: Tensor, options: Options, context: Context) -> Encoded:
    """Deterministic, decodes to the right shape, and the decoder a submission would carry agrees."""
    encoded = scheme.encode(matrix, options, context)
    again = scheme.encode(matrix.clone(), options, context)
    for table, same in zip(encoded.tables, again.tables, strict=True):
        assert torch.equal(table.tensor, same.tensor)
        assert table.raw_bytes == len(table.tensor.numpy().tobytes())
    decoded = scheme.decode(encoded)
    rows, columns = encoded.shape
    most = scheme.raw_bytes((rows, columns), options)
    # Rows that repeat may leave tables smaller than the formula says; nothing may make them larger.
    exact = not scheme.sized_by_values and rows > 1 and len(torch.unique(matrix, dim=0)) == rows
    assert encoded.raw_bytes == most if exact else encoded.raw_bytes <= most
    bound = scheme.rank_bound((rows, columns), options)
    # A product of factors is exact up to its rounding to float32.
    assert int(torch.linalg.matrix_rank(decoded.double(), rtol=1e-6)) <= bound <= min(rows, columns)
    assert 0 <= collisions(scheme, encoded) < rows
    assert decoded.shape == matrix.shape
    assert decoded.dtype is torch.float32
    assert bool(torch.isfinite(decoded).all())
    if scheme.decoder_source:
        tables = {table.name: table.tensor.numpy() for table in encoded.tables}
        namespace: dict[str, object] = {"n": np, "t": tables, "R": rows, "C": columns}
        exec(scheme.decoder_source, namespace)  # noqa: S102  (the decoder a submission carries is run as it stands)
        assert np.array_equal(np.asarray(namespace["w"], dtype=np.float32), decoded.numpy())
    return encoded
