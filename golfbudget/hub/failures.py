"""What goes wrong between here and the Hub, each in one line: the library's errors in, ours out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from golfbudget.errors import UsageError, explained
from golfbudget.hub.addresses import HubAddress

#: Characters of what a server says that are shown.
_LONGEST = 200
_PRIVATE = (401, 403)


@contextmanager
def told_in_a_line(address: HubAddress) -> Iterator[None]:
    """Whatever the library raises in here is a `UsageError` that names the address and what to do."""
    with explained():
        from huggingface_hub import constants
        from huggingface_hub.errors import (
            EntryNotFoundError,
            GatedRepoError,
            HfHubHTTPError,
            OfflineModeIsEnabled,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
    # The root of all errors of the library's HTTP client, whichever client that is.
    transport, *_ = HfHubHTTPError.__bases__
    token = "set HF_TOKEN, or type: hf auth login"  # noqa: S105  (words, no token)
    try:
        yield
    except GatedRepoError:
        page = f"{constants.ENDPOINT}/{address.repository}"
        raise UsageError(f"{address}: the repository is gated: ask for access at {page}, then {token}") from None
    except RepositoryNotFoundError:
        raise UsageError(
            f"{address}: {constants.ENDPOINT} has no such repository, or it is private ({token})"
        ) from None
    except RevisionNotFoundError:
        raise UsageError(f"{address}: the repository has no revision {address.revision or 'main'!r}") from None
    except OfflineModeIsEnabled:
        way = f"unset it, or name a folder of {constants.HF_HUB_CACHE}"
        raise UsageError(f"{address}: HF_HUB_OFFLINE is set, so that no server is asked; {way}") from None
    except EntryNotFoundError as error:
        raise UsageError(f"{address}: {one_line(error)}") from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        way = f" ({token})" if status in _PRIVATE else ""
        raise UsageError(
            f"{address}: {constants.ENDPOINT} answers {status}{way}{_told(error.server_message)}"
        ) from None
    except (transport, ConnectionError, TimeoutError) as error:
        raise UsageError(f"{address}: {constants.ENDPOINT} cannot be reached: {one_line(error)}") from None
    except OSError as error:
        raise UsageError(f"{address}: {one_line(error)}") from None


def _told(message: str | None) -> str:
    """What the server says of it, if anything."""
    return f": {' '.join(message.split())[:_LONGEST]}" if message else ""


def one_line(error: Exception) -> str:
    """What an error says, on one line and not too long; its kind where it says nothing."""
    return " ".join(str(error).split())[:_LONGEST] or type(error).__name__
