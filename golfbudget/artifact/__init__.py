"""Open a file: peel codecs and filters, let formats explain what is inside, attribute stored bits to every part.

    locating     which file or files a path means, and the configuration beside them
    folders      which of a folder's files are the checkpoint
    indexes      checkpoints in several files, listed or numbered
    files        whole files: mapped bytes, JSON, pointers that stand in for one
    joining      several files as one artifact
    peel         one stream: codecs and filters off, from the outside in, and stored bits through all of them
    opening      the layer tree: peel, read, and again for every stream inside a container
    repositories which files of a repository of the Hub a path means
    beginnings   the same artifact from the headers of its files, their values left where they are
    model        what comes out: layers, leaves and parts

It knows no tensor names: `roles` turns what is found here into a ledger.
"""

from golfbudget.artifact.locating import locate
from golfbudget.artifact.model import Artifact, Layer, Leaf, OpenedFile, Part, Remote, RemoteFile
from golfbudget.artifact.opening import OPAQUE, PROGRAMS, open_artifact, open_bytes

__all__ = [
    "OPAQUE",
    "PROGRAMS",
    "Artifact",
    "Layer",
    "Leaf",
    "OpenedFile",
    "Part",
    "Remote",
    "RemoteFile",
    "locate",
    "open_artifact",
    "open_bytes",
]
