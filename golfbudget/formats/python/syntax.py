"""Python source as a syntax tree: the same whichever Python reads it, for syntax newer than its own too."""

from __future__ import annotations

import ast
import codecs
import warnings


def parse(data: bytes) -> ast.Module:
    """The syntax tree of source, by `ast`, or by a parser that knows later versions where `ast` refuses.

    Raises `SyntaxError` where neither can, with the line if it is known; nothing else.
    """
    try:
        with warnings.catch_warnings():
            # Escapes that Python will refuse one day are the author's business.
            warnings.simplefilter("ignore")
            return ast.parse(data)
    except SyntaxError as error:
        text = data.removeprefix(codecs.BOM_UTF8)
        if b"\0" in text:
            raise error from None  # No Python takes it, and the other parser takes minutes to say so.
        try:
            text.decode()
        except UnicodeDecodeError:
            raise error from None
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise SyntaxError(str(error) or type(error).__name__) from None
    from golfbudget.formats.python.newer import parse_newer

    try:
        return parse_newer(text)
    except (RecursionError, MemoryError, KeyError, IndexError, ValueError) as error:
        raise SyntaxError(str(error) or type(error).__name__) from None
