"""golfbudget: the byte accountant for language models under a size cap."""

__version__ = "0.1.0"
