"""Programs that unpack and execute themselves, in every spelling that leaves the unpacked program alone.

The payload is base 85: ASCII, so that a program which reads its own file as UTF-8 still can, and free of quotes and
backslashes.  `from lzma import *` would be short, but puts another `open` in the program's way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

_Spelling = Callable[[str, str, str], str]


def _plain(module: str, text: str, arguments: str) -> str:
    return f'import {module},base64\nexec({module}.decompress(base64.b85decode("{text}"){arguments}))'


def _aliases(module: str, text: str, arguments: str) -> str:
    return f'import {module} as L,base64 as B\nexec(L.decompress(B.b85decode("{text}"){arguments}))'


def _nameless(module: str, text: str, arguments: str) -> str:
    call = f'__import__("base64").b85decode("{text}")'
    return f'exec(__import__("{module}").decompress({call}{arguments}))'


#: From (module, base-85 text, further arguments of decompress) to the program, in order of preference.
SPELLINGS: Mapping[str, _Spelling] = MappingProxyType({
    "import": _plain,
    "import as": _aliases,
    "__import__": _nameless,
})  # fmt: skip
