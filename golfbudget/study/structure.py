"""The code that a head's structure takes to be read back, beside the loader of the file: it is counted with it.

Each is `head(d, R, C)`: of the file's tensors by name, for R tokens and C columns, it gives the vocabulary's rows, or
for a two-level head each token's class and member.  Codes are packed without gaps.
"""

from __future__ import annotations

from golfbudget.example.heads.arms import Arm, Kind

_START = "def head(d,R,C):\n import numpy as n\n d={k:n.asarray(v)for k,v in d.items()}\n"
_BITS = (
    " def m(x,c,N):\n"
    "  b=max(1,(N-1).bit_length())\n"
    "  return n.unpackbits(x,count=c*b,bitorder='little').reshape(c,b)@(1<<n.arange(b))\n"
)
_SHARED = _START + _BITS + " c=d['head.codebook'];return c[m(d['head.map'],R,len(c))]\n"
_EXPLICIT = (
    _START
    + _BITS
    + (
        " c=d['head.codebook'];o=m(d['head.explicit'],R,2)>0;s=int(o.sum());i=n.empty(R,int)\n"
        " i[o]=n.arange(s);i[~o]=m(d['head.map'],R-s,len(c)-s)+s;return c[i]\n"
    )
)
_PRODUCT = (
    _START
    + _BITS
    + (
        " c=d['head.codebook'];M=d['head.map'];j=n.arange(C)\n"
        " return c[n.stack([m(x,R,len(c))for x in M],1)[:,j*len(M)//C],j]\n"
    )
)
_TWO_LEVEL = (
    _START
    + _BITS
    + " return(m(d['head.class_map'],R,len(d['head.classes'])),m(d['head.member_map'],R,len(d['head.members'])))\n"
)
_LOW_RANK = "def head(d,R,C):return d['head.left']@d['head.right']\n"


def structure_source(arm: Arm) -> str:
    """Python that follows a loader; empty for a dense head."""
    if arm.kind is Kind.VQ:
        return _EXPLICIT if arm.explicit[0] else _SHARED
    return {Kind.DENSE: "", Kind.LOW_RANK: _LOW_RANK, Kind.PRODUCT: _PRODUCT, Kind.TWO_LEVEL: _TWO_LEVEL}[arm.kind]
