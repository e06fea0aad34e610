"""Which of several files is the artifact: by content first, and by name where content leaves several.

A compressed stream of any suffix may be the artifact; a checkpoint that no codec has gone over is the weights before
export.  Tables, caches, tokenizers, logs and data are none, however they are compressed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from golfbudget import codecs
from golfbudget.artifact.files import read_file
from golfbudget.artifact.peel import known
from golfbudget.codecs import Buffer, Sniff
from golfbudget.errors import GolfbudgetError
from golfbudget.formats.base import PACK

#: Smaller files are placeholders.
_SMALLEST = 1024
_HEAD = 32
#: Decoded bytes after which a stream without a signature, under a name that promises one, is believed.
_CONVINCING = 1024
_BROTLI = re.compile(r"\.(?:br|brotli)\b", re.IGNORECASE)
_MODEL = re.compile(
    r"model|weight|artifact|checkpoint|ckpt|quant|ternary|binar|submission|\bint\d|state[_\-]?dict|\.ptz|\.pt\b",
    re.IGNORECASE,
)
_OTHER = re.compile(
    r"n-?gram|table|cache|tokeni[sz]er|token|vocab|bpe|sentencepiece|prefix|dataset|fineweb|shard|corpus|lookup|\blut\b|"
    r"stats|optimizer|\.(?:log|txt|json|jsonl|csv|tsv|md|py|tar|html)(?:\.|$)|\.tgz",
    re.IGNORECASE,
)


def named_like_model(name: str) -> bool:
    """Whether a name speaks of a model.

    >>> [named_like_model(name) for name in ("final_model.int6.br", "bigram_table.bin", "out.zst")]
    [True, False, False]
    """
    return bool(_MODEL.search(name)) and not _OTHER.search(name)


def named_otherwise(name: str) -> bool:
    """Whether a name says that a file is an input, a record or code."""
    return bool(_OTHER.search(name))


def compressed(path: Path) -> bool:
    """Whether a file is a compressed stream of a known codec; False where it cannot be read or is a placeholder."""
    try:
        if path.stat().st_size < _SMALLEST:
            return False
        data = read_file(path)
    except (GolfbudgetError, OSError):
        return False
    return _compressed(data, path.name)


def _compressed(data: Buffer, name: str) -> bool:
    head = bytes(data[:_HEAD])
    if head.startswith(PACK):  # Its streams are compressed inside.
        return True
    for codec in codecs.registered().values():
        sniff = codec.sniff(head)
        if sniff is Sniff.NO:
            continue
        promised = codec.name == "brotli" and _BROTLI.search(name)
        if sniff is Sniff.UNSIGNED and not promised:
            if known(codecs.beginning(codec, data, _HEAD)):
                return True
        elif len(codecs.beginning(codec, data, _CONVINCING)) == _CONVINCING:
            return True
    return False


def distinct_files(paths: Sequence[Path]) -> list[Path]:
    """The files without copies of earlier ones."""
    kept: dict[tuple[int, bytes], Path] = {}
    sizes = [path.stat().st_size for path in paths]
    for path, size in zip(paths, sizes, strict=True):
        digest = b"" if sizes.count(size) == 1 or not size else _digest(path)
        kept.setdefault((size, digest), path)
    return list(kept.values())


def _digest(path: Path) -> bytes:
    # Few folders have files of one size, and the library takes longer to load than most of what is here.
    import hashlib

    return hashlib.sha256(read_file(path)).digest()


def artifacts_among(paths: Sequence[Path]) -> list[Path]:
    """Of files of one folder those that may be the artifact, without copies.

    Compressed ones, of them those named like a model, if there are any; otherwise all that were given and not named as
    something else.  Raises the errors of `read_file`.
    """
    usable = [path for path in paths if not named_otherwise(path.name)]
    packed = [path for path in usable if compressed(path)]
    found = [path for path in packed if named_like_model(path.name)] or packed or usable
    return distinct_files(found)
