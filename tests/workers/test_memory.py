"""Memory that a process no longer needs is the system's again."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

#: Blocks with small ones between them that stay: what is freed then is no end of the heap.
PROGRAM = """
from pathlib import Path
from golfbudget.workers.memory import give_back
def held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
blocks = [(bytearray(60_000), bytearray(1_000)) for _ in range(2_000)]
small = [one for _, one in blocks]
full = held()
del blocks
freed = held()
give_back()
print(full, freed, held())
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library has no such call"
)
def test_gaps_in_the_heap_are_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    full, freed, after = map(int, done.stdout.split())
    assert freed > full - 20_000_000
    assert after < full - 100_000_000
