"""Open a file: peel codecs and filters, let formats explain what is inside, price every part in stored bits.

    places   which file or files a path means
    peel     one stream: codecs and filters off, from the outside in
    opening  the layer tree: peel, read, and again for every stream inside a container
    price    stored bits of every part, through all layers
    model    what comes out: layers, leaves and parts

It knows no tensor names: `roles` turns what is found here into a ledger.
"""

from golfbudget.artifact.model import Artifact, Layer, Leaf, Part, Source
from golfbudget.artifact.opening import OPAQUE, open_artifact, open_bytes
from golfbudget.artifact.places import locate

__all__ = ["OPAQUE", "Artifact", "Layer", "Leaf", "Part", "Source", "locate", "open_artifact", "open_bytes"]
