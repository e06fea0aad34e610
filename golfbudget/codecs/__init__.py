"""Codecs: small files, and one feeder (`stream`) that serves them all.

Importing this package fills the registry, in the order in which content is sniffed: signatures first; deflate
and brotli, which have none, are tried last and in this order, as only brotli is an import.
"""

from golfbudget.codecs import standard  # noqa: F401, I001  (registry order)
from golfbudget.codecs.zstd import codec as _zstd  # noqa: F401
from golfbudget.codecs.rans import codec as _rans  # noqa: F401
from golfbudget.codecs import unsigned  # noqa: F401
from golfbudget.codecs.base import Buffer, Codec, Method, Sniff, get, registered
from golfbudget.codecs.feeding import Foresee, Foresight
from golfbudget.codecs.stream import DECODED_LIMIT, Costs, Stream, attribute, beginning, decode

__all__ = ["DECODED_LIMIT", "Buffer", "Codec", "Costs", "Foresee", "Foresight", "Method", "Sniff", "Stream"]
__all__ += ["attribute", "beginning", "decode", "get", "registered"]
