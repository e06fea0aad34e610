"""A decoder's source as it grows.  Its text is short by construction: nothing is in it that the file does not use."""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import indent

from golfbudget.artifact import Artifact
from golfbudget.codecs import Buffer
from golfbudget.decoding.framework import Framework
from golfbudget.recipe.export import Export


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What is to be read: an opened file, its container's bytes, and its layout's parts; none where none is known."""

    artifact: Artifact
    container: Buffer
    layout: str | None
    export: Export | None
    framework: Framework

    @property
    def numpy(self) -> bool:
        return self.framework is Framework.NUMPY

    @property
    def dtypes(self) -> set[str]:
        """Dtypes of what is stored."""
        return {tensor.dtype for tensor in self.artifact.tensors}


_MAIN = """if __name__=='__main__':
 import sys
 """
_LISTED = "for k,v in load(open(sys.argv[1],'rb').read()).items():print(k,v.dtype,*v.shape)\n"
_WHOLE = "print(load(open(sys.argv[1],'rb').read()))\n"


@dataclass(slots=True)
class Loader:
    """`load(d)`, from bytes to `result`, in lines; `n` is the framework and `o` what the container holds.

    Functions have capital names, which no line of `load` uses for anything else.
    """

    framework: Framework
    imports: set[str] = field(default_factory=set)
    defined: dict[str, str] = field(default_factory=dict)
    body: list[str] = field(default_factory=list)
    result: str = "s"

    def add(self, source: str) -> None:
        """Lines of `load`; imports among them that are not indented go to the top."""
        for line in source.splitlines():
            if line.startswith("import "):
                self.imports |= set(line.removeprefix("import ").split(",")) - {f"{self.framework} as n"}
            else:
                self.body.append(line)

    def define(self, name: str, source: str) -> str:
        """A function at the top, once; its name."""
        self.defined[name] = source
        return name

    @property
    def modules(self) -> set[str]:
        """Modules that it imports, besides the framework."""
        inner = {"numpy" for source in self.defined.values() if "import numpy as n" in source}
        return self.imports | inner

    def text(self, comment: str, *, flat: bool) -> str:
        """The whole loader, under one line that says what it reads; `flat` says that it holds nothing but tensors."""
        modules = ",".join([*sorted(self.imports), f"{self.framework} as n"])
        parts = (f"# {comment}", f"import {modules}", *(source.rstrip("\n") for source in self.defined.values()))
        return "\n".join(
            (*parts, "def load(d):", indent("\n".join((*self.body, f"return {self.result}")), " "), _MAIN)
        ) + (_LISTED if flat else _WHOLE)
