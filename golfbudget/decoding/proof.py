"""A decoder run by an interpreter of its own, and what it gives compared with the reader's, tensor by tensor.

In that interpreter golfbudget cannot be imported, so that the source stands by itself.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from golfbudget.decoding.framework import Framework
from golfbudget.decoding.numbers import widened
from golfbudget.errors import CorruptError, MissingExtraError
from golfbudget.recipe.export import dtype_name

#: Digests of all tensors of a nested value, by names with slashes, as JSON.  A NaN is one whatever its payload.
_DRIVER = """
import hashlib,json,sys
sys.modules['golfbudget']=None
g={'__name__':'decode'}
exec(compile(open(sys.argv[1]).read(),'decode.py','exec'),g)
found={}
def walk(v,name):
 if hasattr(v,'dtype'):
  kind=str(v.dtype).replace('torch.','');shape=[*v.shape]
  v=v.detach().reshape(-1) if hasattr(v,'detach') else v.reshape(-1)
  if 'float' in kind:
   v=v.clone() if hasattr(v,'clone') else v.copy();v[v!=v]=float('nan')
  raw=v.view(g['n'].uint8).numpy() if hasattr(v,'detach') else v
  found[name]=[kind,shape,hashlib.sha256(raw.tobytes()).hexdigest()]
 elif isinstance(v,dict):
  for k in v:walk(v[k],name+[str(k)])
 elif isinstance(v,(list,tuple)):
  for k in range(len(v)):walk(v[k],name+[str(k)])
class Found(dict):
 def __setitem__(self,name,value):super().__setitem__('/'.join(name),value)
found=Found()
walk(g['load'](open(sys.argv[2],'rb').read()),[])
print(json.dumps(found))
"""
_Digest = tuple[str, tuple[int, ...], str]


def prove(source: str, path: Path, expected: Mapping[str, Tensor], framework: Framework, tied: Collection[str]) -> int:
    """How many tensors the source gives; `CorruptError` where they are not those expected, to the last bit.

    More tensors than that are let through only where the file stores some under several names, of which `tied` lists
    the further ones.
    """
    found = _run(source, path)
    for name, tensor in expected.items():
        given, wanted = found.get(name), _digest(tensor, framework)
        if given != wanted:
            what = "no such tensor" if given is None else f"{given[0]} {list(given[1])} of other content"
            raise CorruptError(
                f"{path}: the decoder made for it gives {what} for {name[:80]!r}, where this file's reader has "
                f"{wanted[0]} {list(wanted[1])}; nothing is written: please report this file"
            )
    more = sorted(found.keys() - expected.keys())
    if more and not tied:
        raise CorruptError(f"{path}: the decoder made for it gives {more[0][:80]!r}, which its reader does not know")
    return len(found)


def _run(source: str, path: Path) -> dict[str, _Digest]:
    with tempfile.TemporaryDirectory() as folder:
        written, driver = Path(folder, "decode.py"), Path(folder, "driver.py")
        written.write_text(source, encoding="utf-8")
        driver.write_text(_DRIVER, encoding="utf-8")
        done = subprocess.run(  # noqa: S603  (this interpreter, and source made here)
            [sys.executable, str(driver), str(written), str(path.resolve())],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        if last.startswith("ModuleNotFoundError"):
            raise MissingExtraError(f"{path}: the decoder made for it cannot be tried here: {last}; install that first")
        raise CorruptError(f"{path}: the decoder made for it does not run: {last}; nothing is written")
    return msgspec.json.decode(done.stdout, type=dict[str, _Digest])


def _digest(tensor: Tensor, framework: Framework) -> _Digest:
    """Dtype, shape and digest as the driver has them."""
    if framework is Framework.NUMPY and widened((dtype_name(tensor),)):
        tensor = tensor.float()
    flat = tensor.detach().reshape(-1).clone()
    if tensor.is_floating_point():
        flat[flat != flat] = float("nan")  # noqa: PLR0124  (NaN alone differs from itself)
    raw: NDArray[np.uint8] = flat.view(torch.uint8).numpy() if flat.numel() else np.empty(0, np.uint8)
    return dtype_name(tensor), tuple(tensor.shape), hashlib.sha256(raw.tobytes()).hexdigest()
