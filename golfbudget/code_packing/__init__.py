"""Code as small as it can ship: minified, compressed, and spelled as a program that unpacks and executes itself.

Reading order: `source` (what is packed, and what makes two programs the same), `minifier`, `payload` (compressors and
stubs of printable text), `numerals` and `forms` (smaller ones), `unpacking` (the way back), `pack` (the search for the
smallest).  No program is executed here.
"""

from golfbudget.code_packing.forms import FORMS
from golfbudget.code_packing.pack import PackedProgram, PackingStep, pack_code
from golfbudget.code_packing.payload import OPTIONAL
from golfbudget.code_packing.source import LONGEST, load

__all__ = ["FORMS", "LONGEST", "OPTIONAL", "PackedProgram", "PackingStep", "load", "pack_code"]
