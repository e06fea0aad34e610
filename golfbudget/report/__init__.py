"""Reports: pure functions from results to documents, and the formats in which documents are rendered."""

from __future__ import annotations

from enum import StrEnum


class ReportFormat(StrEnum):
    """How a document is rendered.

    `github` annotates a run of GitHub Actions; `speedscope` is for viewers of flame graphs, and `inspect`'s alone.
    """

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"
    CSV = "csv"
    GITHUB = "github"
    HTML = "html"
    SPEEDSCOPE = "speedscope"
