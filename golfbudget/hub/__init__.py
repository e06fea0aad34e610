"""Repositories of models on the Hugging Face Hub, by `huggingface_hub`: its spelling, token, proxies and cache.

    addresses    what hf://org/name[@revision][/path] says
    failures     what can go wrong between here and there, each in one line
    listings     the files of a revision, with the lengths and hashes that the server states
    ranges       bytes of a file from here to there, and no more
    downloads    files whole, into the library's own cache

Importing this package imports nothing of the library, which takes longer than reading a file.
"""

from golfbudget.hub.addresses import HubAddress, is_hub_path, parse_address, refuse_hub_path

__all__ = ["HubAddress", "is_hub_path", "parse_address", "refuse_hub_path"]
