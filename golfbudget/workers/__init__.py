"""Run one function over many tasks side by side, and hand results over as they are done.

Processes for arithmetic: libraries set their numbers of threads for a whole process, so that threads would disturb
each other's.  They are this machine's, or whatever an executor (`concurrent.futures`) has.  Threads for codecs.
"""

from golfbudget.workers.elsewhere import WorkerDiedError, WorkerDiffersError, shared_folder
from golfbudget.workers.executors import LOCAL, Where, check_spelling, working_on
from golfbudget.workers.processes import Processes
from golfbudget.workers.threads import in_threads

__all__ = [
    "LOCAL",
    "Processes",
    "Where",
    "WorkerDiedError",
    "WorkerDiffersError",
    "check_spelling",
    "in_threads",
    "shared_folder",
    "working_on",
]
