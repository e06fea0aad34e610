"""The decoder as Python that travels with an artifact: a function `r` from a stream's bytes to its symbols."""

from __future__ import annotations

_START = "def r(d):\n w={words};K=w[0];p=K+2;x=w[2:p]<<16|w[p:p+K];p+=K;y=[]\n for _ in range(w[1]):\n"
_RUN = "  R,i,a,e{more}=w[p:p+{count}];R+=i<<16;p+=7;q=p+e;f={array}([*d[2*p:2*q]])**2;p=q;g=f.cumsum(0)\n"
_BLOCK = "  for i in range(0,R,K):{indented}z=x[:R-i];"
_STEP = "m=z<1040400;q=p+m.sum();z[m]=z[m]<<16|w[p:q];p=q;q=z%65025{parity};c={find};z[:]=(z//65025+1)*f[c]+q-g[c];"
_ROW = "y+=(c+a&255).tolist()\n"
_COLUMNS = "s=(2*s+(c^s^s//k//2)%2)%(4*k);Y+=c%b+a&255,\n   y+=n.stack(Y,1).ravel().tolist()\n"
_END = " return bytes(y)\n"
_NUMPY = {"words": "n.int_(n.frombuffer(d,'H'))", "array": "n.int_", "find": "n.digitize(q,g)"}
_TORCH = {
    "words": "n.tensor([*memoryview(d).cast('H')])",
    "array": "n.tensor",
    "find": "n.bucketize(q,g,right=True)",
}


def source(*, numpy: bool, trellis: bool) -> str:
    """With numpy or, without it, torch as `n`; one that knows no `trellis` reads only runs of one column.

    `d` are bytes, on a little-endian machine.
    """
    names = _NUMPY if numpy else _TORCH
    if not trellis:
        form = _START + _RUN + _BLOCK + _STEP + _ROW + _END
        return form.format(more="", count=4, indented="", parity="", **names)
    form = _START + _RUN + _BLOCK + "s=z*0;Y=[]\n   for _ in range(C):" + _STEP + _COLUMNS + _END
    return form.format(more=",C,k,b", count=7, indented="\n   ", parity="+s//k%2*65025", **names)
