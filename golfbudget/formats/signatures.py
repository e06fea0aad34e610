"""What files begin with, and the lengths up to which they are read: what recognising a file shares with reading it."""

from __future__ import annotations

ZIP, EMPTY_ZIP = b"PK\x03\x04", b"PK\x05\x06"
NPY = b"\x93NUMPY"
GGUF = b"GGUF"
PACK = b"GBPK"
PGRP = b"PGRP"
#: Protocols of pickles that are read; protocols 0 and 1 have no signature.
PICKLE_PROTOCOLS = range(2, 6)
PICKLES = tuple(bytes((0x80, protocol)) for protocol in PICKLE_PROTOCOLS)
#: The number that torch's layout before 1.6 begins with, as a pickle.
TORCH_LEGACY = 0x1950A86A20F9469CFC6C
#: Bytes of the length that a safetensors file begins with, and the reference implementation's limit on its header.
SAFETENSORS_LENGTH, SAFETENSORS_HEADER_LIMIT = 8, 100_000_000
#: Longer Python source is not parsed.
LONGEST_SOURCE = 64_000_000
