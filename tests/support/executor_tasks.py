"""What the workers of `test_executors` do; nothing here imports what takes long."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path


def square(offset: int, number: int) -> int:
    if number == 13:
        raise ValueError("an unlucky number")
    return offset + number * number


def dying(marks: Path, number: int) -> int:
    """Its process is killed while it is at work on it, once for each number over ten."""
    if number > 10 and not (marks / str(number)).exists():
        (marks / str(number)).touch()
        time.sleep(0.3)  # Other tasks are handed over by then.
        os.kill(os.getpid(), signal.SIGKILL)
    return number + 1


def slow(marks: Path, number: int) -> int:
    (marks / str(number)).touch()
    time.sleep(0.05)
    return number


def busy_alone(marks: Path, _number: int) -> int:
    mark = marks / "busy"
    mark.mkdir()  # It would be there, were another at work.
    time.sleep(0.01)
    mark.rmdir()
    return 1


def threads_of_torch(_shared: None, _number: int) -> int:
    """As many as a task has that is not the first."""
    torch = sys.modules["torch"]
    found = torch.get_num_threads()
    return int(found)
