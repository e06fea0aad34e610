"""Where a program fetches files from the net: they are not in its folder, and nobody counts them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from golfbudget.submission.needs import RUNNERS
from golfbudget.submission.nodes import nodes as all_nodes
from golfbudget.submission.paths import called

_FETCHERS = {
    "urlretrieve", "urlopen", "hf_hub_download", "snapshot_download", "load_state_dict_from_url",
    "download_url_to_file", "cached_download", "download_file_from_google_drive", "gdown",
}  # fmt: skip
#: Methods whose names say too little without that of their module.
_OF_MODULES = {"requests": ("get",), "httpx": ("get",), "gdown": ("download",), "wget": ("download",)}
_COMMAND = re.compile(
    r"(?:^|[\s;&|/])(?:wget|curl|gdown|aria2c|git clone|(?:huggingface-cli|hf) download|gsutil|aws s3)\s"
)


def fetching_line(nodes: Iterable[ast.AST]) -> int | None:
    """The first line that fetches what is no data set; None where no line does.

    >>> programs = "os.system('wget -q x.y/w')", "urlretrieve('x')", "snapshot_download('x', repo_type='dataset')"
    >>> [fetching_line(ast.walk(ast.parse(program))) for program in programs]
    [1, 1, None]
    """
    for node in nodes:
        if isinstance(node, ast.Call) and _fetches(node) and not _data_set(node):
            return node.lineno
    return None


def _fetches(node: ast.Call) -> bool:
    name, function = called(node), node.func
    if name in RUNNERS:
        words = (one.value for argument in node.args for one in all_nodes(argument) if isinstance(one, ast.Constant))
        return bool(_COMMAND.search(f"{' '.join(word for word in words if isinstance(word, str))} "))
    owner = getattr(function.value, "id", "") if isinstance(function, ast.Attribute) else ""
    return name in _FETCHERS or name in _OF_MODULES.get(owner, ())


def _data_set(node: ast.Call) -> bool:
    """Whether it says that it fetches a data set, which every submission is given."""
    kinds = (keyword.value for keyword in node.keywords if keyword.arg == "repo_type")
    return any(isinstance(kind, ast.Constant) and kind.value == "dataset" for kind in kinds)
