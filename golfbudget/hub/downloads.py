"""Files of a repository whole, by `snapshot_download`: in the library's own cache, once for every revision."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from golfbudget.hub.addresses import HubAddress
from golfbudget.hub.failures import told_in_a_line


def offline() -> bool:
    """Whether the library asks no server and takes what its cache has."""
    from huggingface_hub import constants

    return bool(constants.is_offline_mode())


def download(address: HubAddress, names: Iterable[str], *, shown: bool) -> Path:
    """The folder of a revision in the cache, with these files in it; `shown` lets the library draw its bars.

    `UsageError` in one line for whatever stands against it.
    """
    with told_in_a_line(address), _bars(shown=shown):
        from huggingface_hub import constants, snapshot_download

        return Path(
            snapshot_download(
                address.repository,
                revision=address.revision,
                allow_patterns=[glob.escape(name) for name in names],
                etag_timeout=constants.HF_HUB_ETAG_TIMEOUT,
                local_files_only=offline(),
            )
        )


@contextmanager
def _bars(*, shown: bool) -> Iterator[None]:
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if shown or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
