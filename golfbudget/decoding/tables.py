"""Encoded matrices, decoded by the source that each scheme brings along and that its bytes are counted by."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import indent

from golfbudget import schemes
from golfbudget.decoding.loader import Held, Loader
from golfbudget.decoding.numbers import cast
from golfbudget.errors import UnsupportedError
from golfbudget.schemes.base import Encoded

#: Tables are numpy's in a scheme's source, whatever the state dict is made of.
_TO_NUMPY = "import numpy as n\nt={a:n.asarray(b)for a,b in t.items()}\n"


def matrices(loader: Loader, held: Held, encodings: Mapping[str, Encoded], *, tables: str, dtype: str = "") -> str:
    """The statements that set `s[k]`, and a bias beside it, from the encoding `e`.

    `tables` and `dtype` are the expressions of its tables and of the dtype that the matrix had.
    """
    names: dict[str, str] = {}
    biased = any(one.bias() is not None for one in encodings.values())
    for encoded in encodings.values():
        if encoded.scheme not in names:
            names[encoded.scheme] = _function(loader, held, encoded, f"F{len(names)}", biased=biased)
    known = ",".join(f"{scheme!r}:{name}" for scheme, name in names.items())
    used = next(iter(names.values())) if len(names) == 1 else f"{{{known}}}[e['scheme']]"
    wanted = {held.export.dtypes[name] for name in encodings} if held.export else set()
    called = f"{used}({tables},*e['shape'])"
    value = ("w" if biased else called) if held.numpy else f"n.from_numpy({'w' if biased else called})"
    value = cast(loader, held, wanted, value, dtype)
    if not biased:
        return f"s[k]={value}"
    bias = f"{{k.removesuffix('.weight')+'.bias':{'b' if held.numpy else 'n.from_numpy(b)'}}}"
    # Only some of several schemes have one.
    more = bias if len(names) == 1 else f"{{}}if b is None else{bias}"
    return f"w,b={called};s[k]={value};s|={more}"


def _function(loader: Loader, held: Held, encoded: Encoded, name: str, *, biased: bool) -> str:
    scheme = schemes.get(encoded.scheme)
    if not scheme.decoder_source:
        raise UnsupportedError(
            f"{held.artifact.path}: it has a matrix in scheme {scheme.name}, which brings no decoder source along"
        )
    own = encoded.bias() is not None
    bias = f",{'bias' if own else None}" if biased else ""
    body = f"{'' if held.numpy else _TO_NUMPY}{scheme.decoder_source.rstrip()}\nreturn w.astype('f'){bias}"
    return loader.define(name, f"def {name}(t,R,C):\n{indent(body, ' ')}\n")
