"""The plotting library, Vega, as one script that asks for nothing: what `vl-convert-python` bundles of it.

Bundling takes seconds and always gives the same text, so the text is kept in the cache under the bundler's version.
"""

from __future__ import annotations

from functools import lru_cache

from golfbudget import cache
from golfbudget.errors import MissingExtraError

#: All that pages use of it, by the name under which they find it.
_SNIPPET = "window.vegaEmbed = vegaEmbed;"
_PREFIX = "html-"
#: Entries of other versions go when there are more bytes than these.
_MOST_BYTES = 8_000_000

#: The libraries' licence asks that it goes where they go.
_LICENCE = """\
Vega, Vega-Lite and Vega-Embed: Copyright (c) 2015-2026, University of Washington Interactive Data Lab and contributors.
Redistribution and use in source and binary forms, with or without modification, are permitted provided that the
conditions of the BSD 3-Clause License are met: https://opensource.org/license/bsd-3-clause
THIS SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND; see the licence."""


@lru_cache(maxsize=1)
def library() -> str:
    """The script; `MissingExtraError` where nothing bundles it."""
    try:
        import vl_convert
    except ModuleNotFoundError:
        raise MissingExtraError(
            "html reports draw with Vega, which vl-convert-python brings and which is not installed; type: "
            "pip install 'golfbudget[html]'"
        ) from None
    from importlib.metadata import version

    folder = cache.default_folder()
    name = _PREFIX + cache.key({"bundler": version("vl-convert-python"), "snippet": _SNIPPET})
    kept = cache.read(folder, name)
    if kept is not None:
        return kept[1].decode()
    # A script ends where its text says so, even inside a string.
    made = vl_convert.javascript_bundle(_SNIPPET).replace("</script", "<\\/script").replace("<!--", "<\\!--")
    made = f"/* {_LICENCE} */\n{made}"
    cache.write(folder, name, {}, made.encode())
    cache.prune(folder, _PREFIX, _MOST_BYTES)
    return made
