"""What a number in a log is, by the words that name it: code, model, total, and under which label.

Two phrases are the public scripts' own, and may carry any label.  Every word of another name has to be known: `total`
alone says nothing, as people print totals of tokens, of layers and of what they saved.
"""

from __future__ import annotations

import re
from functools import lru_cache

_I = re.IGNORECASE
#: Words of sizes that are no part of an artifact.
_OTHER = frozenset({
    "payload", "limit", "cap", "remaining", "headroom", "memory", "mem", "param", "params", "parameters",
    "token", "tokens", "dataset", "vocab", "batch", "left", "tokenizer", "time", "target", "max", "peak",
    "allocated", "reserved", "vram", "ratio", "shard", "shards", "data", "step", "steps", "cache", "gpu",
    "pickle", "difference", "delta", "iter", "epoch", "lr", "ms", "seconds", "dim", "layers",
    "heads", "loss", "bpb", "activation", "activations",
})  # fmt: skip
#: Words that make a number a change, a limit or a hope, whatever stands beside them.
_NOT_A_SIZE = frozenset({
    "savings", "saving", "reduction", "reduced", "decrease", "decreased", "increase", "increased", "change", "changed",
    "diff", "by", "grew", "shrank", "smaller", "larger", "over", "under", "fewer", "more", "less", "excess", "overhead",
    "gain", "than", "previous", "prior", "expected", "estimated", "maximum", "allowed", "most", "least", "below",
    "above", "must", "should", "required", "average", "mean", "min", "minimum", "per", "each", "margin", "slack",
})  # fmt: skip
_CODE = frozenset({"code", "script", "source", "program", "wrapper"})
_TOTAL = frozenset({"total", "submission", "budget", "combined", "sum"})
_NOUNS = frozenset({"model", "weights", "checkpoint", "blob"})
_MODEL = _NOUNS | {"quantized", "compressed"}
_RAW = frozenset({
    "raw", "fp32", "float32", "bf16", "bfloat16", "fp16", "float16", "float", "uncompressed", "unquantized",
    "full", "torch", "pt", "pth", "npz", "original", "unpacked", "dense", "saved", "checkpoint",
})  # fmt: skip
_CODEC = re.compile(
    r"zlib|zstd|lzma|brotli|xz|gzip|bz2|ptz|int\d|u?quant|tern|binar|nf4|lz4|ppmd|pack|compress|\bbr\b", _I
)
#: Other words of the names of sizes.
_PLAIN = frozenset({
    "artifact", "artifacts", "bytes", "byte", "size", "sizes", "length", "serialized", "exported", "final", "file",
    "files", "zip", "is", "are", "of", "the", "this", "our", "and", "plus", "with", "used", "wrote", "written", "on",
    "disk", "in", "all", "export", "output", "counted", "actual", "exact", "to", "as", "at", "minified", "pergroup",
})  # fmt: skip
#: Words of how weights were made small, and of which weights they are.
_MADE = frozenset({
    "gptq", "awq", "hqq", "lqer", "qat", "trellis", "hadamard", "rotated", "vq", "fp8", "fp4", "mxfp4",
    "nvfp4", "rans", "ans", "huffman", "arithmetic", "entropy", "coded", "calibrated", "clipped", "mixed", "precision",
    "grouped", "rowwise", "ema", "swa", "averaged", "after", "shipped", "produced",
})  # fmt: skip
#: How finely something is scaled, and no average or part of it.
_SCALED_PER = re.compile(r"\bper[-_](?:row|group|channel|tensor|block|column|matrix)s?\b", _I)
#: Words that may stand before a name without being part of it.
_BEFORE = frozenset({"rank", "worker", "node", "process", "proc", "pid", "main", "stdout", "stderr", "train", "seed"})
#: The same with a number: `GPU0`, `rank3`.
_NUMBERED = re.compile(r"(?:gpu|cuda|device|rank|worker|node|host|proc|process)\d+")
#: The name that public scripts give a figure: what follows is its label.
_PHRASE = re.compile(
    r"(?:serialized|exported)[ _]*model|total[ _]submission[ _]size|code[ _]size|model[ _]bytes|code[ _]bytes", _I
)
_FILE_NAME = re.compile(
    r"[\w./+\-]*\.(?:py|ptz?|pth|np[yz]|bin|xz|zstd?|br|lzma|gz|bz2|zip|safetensors|pgrp|hgz|gguf|q)\b", _I
)
_NOUN = {
    "code": re.compile(r"(?:code|script|source|program|wrapper)(?:[ _]+(?:size|bytes|length))?", _I),
    "model": re.compile(
        r"(?:(?:serialized|saved|exported)[ _]*)?(?:model|weights|checkpoint|blob)(?:[ _]+(?:size|bytes))?", _I
    ),
    "total": re.compile(r"(?:total|combined|budget|submission|sum)(?:[ _]+(?:submission|artifact|size|bytes))*", _I),
}


#: Names that are remembered: a log prints a few of them again and again.
_MOST_REMEMBERED = 1024


@lru_cache(_MOST_REMEMBERED)
def words_of(name: str) -> frozenset[str]:
    """The words of a name, in small letters."""
    return frozenset(word for word in re.split(r"[^a-z0-9]+", _SCALED_PER.sub(" ", name).lower()) if word)


@lru_cache(_MOST_REMEMBERED)
def what_is(name: str, *, used: bool = False) -> tuple[str, str] | None:
    """What a number of this name is (`raw`, `code`, `model`, `total`, `artifact`), and its label; None for any other.

    `used`: the number is given as one of two, so that even that of a budget is what is used of it.

    >>> what_is("Total submission size int8+zlib"), what_is("Total eval bytes"), what_is("total code bytes")
    (('total', 'int8+zlib'), None, ('code', ''))
    >>> what_is("codebook total"), what_is("vq total"), what_is("total vq+zlib")
    (None, None, ('total', 'vq+zlib'))
    """
    words = words_of(name)
    what = _what(words)
    if what is None or not _understood(name) or ("budget" in words and not used):
        return None
    if what == "total" and _of_a_part(name, words):
        return None
    label = _label(what, name, words)
    if what == "model" and _is_raw(label, words, name):
        return "raw", ""
    return what, label


def _understood(name: str) -> bool:
    """Whether every word of a name is known, but for the label that follows a name as public scripts give it."""
    phrase = _PHRASE.search(name)
    before = _FILE_NAME.sub(" ", name[: phrase.start()] if phrase else name)
    known = _PLAIN | _MADE | _CODE | _TOTAL | _MODEL | _RAW | _BEFORE
    return all(
        word in known or word[0].isdigit() or _CODEC.search(word) or _NUMBERED.fullmatch(word)
        for word in words_of(before)
    )


def _of_a_part(name: str, words: frozenset[str]) -> bool:
    """Whether a total is one of what was made some way (`vq total`), and nothing says of what whole."""
    noun = _NOUN["total"].search(name)
    front = name[: noun.start()] if noun else ""
    return not words & {"submission", "artifact"} and bool(words_of(front) & _MADE)


def _what(words: frozenset[str]) -> str | None:
    """What a number is, by the words of its name."""
    code, total = bool(words & _CODE), bool(words & _TOTAL)
    if words & (_OTHER | _NOT_A_SIZE) or ("saved" in words and (code or total)) or ("wrote" in words and code):
        return None
    nouns = words & (_NOUNS if total else _MODEL)
    if code:
        return "total" if words & {"model", "weights"} else "code"
    if total and (not nouns or "artifact" in words or {"total", "submission"} <= words):
        return "total"
    return "artifact" if "artifact" in words else "model" if nouns else None


def _label(what: str, name: str, words: frozenset[str]) -> str:
    noun = _NOUN.get(what)
    match = noun.search(name) if noun else None
    rest = name[match.end() :] if match else ""
    rest = re.sub(r"(?:^|[ _])(?:size|bytes)\b", " ", rest).strip(" ()_.-+")
    if what == "total" and re.fullmatch(r"[a-z ]*(?:code|model)[a-z ]*[+&,/a-z ]*", rest, _I):
        return ""
    if what in ("code", "model") and not rest and match:
        front = {"compressed", "packed", "uncompressed", "quantized", "minified", "raw"} & words
        return next(iter(sorted(front)), "")
    return rest


def _is_raw(label: str, words: frozenset[str], name: str) -> bool:
    """Whether a model is the unquantised one: by its label, or for want of one where the public scripts have one."""
    if _CODEC.search(label) and "uncompressed" not in words and "unquantized" not in words:
        return False
    if label:
        return bool(words & _RAW)
    return bool(words & _RAW) or "serialized" in name.lower()
