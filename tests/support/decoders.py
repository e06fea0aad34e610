"""Runs decoders as a submission would: an interpreter with nothing but one framework, and no golfbudget."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from golfbudget.decoding.framework import Framework

SITE = Path(np.__file__).parents[1]
#: For each (source, file): [dtype, shape, bytes in hex] by name of what `load` gives.
_BARE = """
import sys
sys.path.append(sys.argv[1])
for name in sys.argv[2:]: sys.modules[name] = None
import json
def told(value):
    kind, shape = str(value.dtype).removeprefix('torch.'), [*value.shape]
    if hasattr(value, 'numpy'):
        import torch
        value = value.reshape(-1).view(torch.uint8).numpy() if value.numel() else value.new_empty(0).float().numpy()
    return [kind, shape, value.tobytes().hex()]
found = []
for source, file in json.loads(sys.stdin.read()):
    space = {'__name__': 'bare'}
    with open(source) as text: exec(compile(text.read(), source, 'exec'), space)
    with open(file, 'rb') as data: found.append({k: told(v) for k, v in space['load'](data.read()).items()})
print(json.dumps(found))
"""
Told = tuple[str, tuple[int, ...], bytes]


def bare(pairs: Sequence[tuple[Path, Path]], framework: Framework, folder: Path) -> list[dict[str, Told]]:
    """What each source gives for its file, all in one interpreter that sees only the framework's packages."""
    without = ["golfbudget", *(["torch"] if framework is Framework.NUMPY else [])]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _BARE, str(SITE), *without],
        input=json.dumps([(str(source), str(file)) for source, file in pairs]),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    return [{k: (kind, tuple(shape), bytes.fromhex(raw)) for k, (kind, shape, raw) in one.items()} for one in found]


def told(tensor: Tensor, framework: Framework) -> Told:
    """A tensor of the reader's as `bare` tells it; what numpy lacks is float32 there."""
    if framework is Framework.NUMPY and tensor.dtype in (torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2):
        tensor = tensor.float()
    flat: NDArray[np.uint8] = np.empty(0, np.uint8)
    if tensor.numel():
        flat = tensor.contiguous().reshape(-1).view(torch.uint8).numpy()
    return str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), flat.tobytes()
