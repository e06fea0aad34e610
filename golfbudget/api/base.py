"""What every result can do: be shown short, be shown whole, and be written as the JSON that its command prints."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from golfbudget.report.document import Document


class Result(ABC):
    """A value that stands for a whole report; `str` of it is the report as text, `repr` one line."""

    __slots__ = ()

    @abstractmethod
    def document(self) -> Document:
        """The report as its renderers take it."""

    @abstractmethod
    def summary(self) -> str:
        """The result in one line, without its name."""

    def to_json(self) -> str:
        """The text that the command writes with `--format json`; a saved one is a baseline for `compare`."""
        from golfbudget.report.formats import ReportFormat
        from golfbudget.report.render import rendered

        return rendered(self.document(), ReportFormat.JSON)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return dict(json.loads(self.to_json()))

    def to_markdown(self) -> str:
        """The text that the command writes with `--format markdown`."""
        from golfbudget.report.formats import ReportFormat
        from golfbudget.report.render import rendered

        return rendered(self.document(), ReportFormat.MARKDOWN)

    def __str__(self) -> str:
        from golfbudget.report.formats import ReportFormat
        from golfbudget.report.render import rendered

        return rendered(self.document(), ReportFormat.TABLE).rstrip("\n")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.summary()}>"

    def _repr_html_(self) -> str:
        from golfbudget.report.render import html_fragment

        return html_fragment(self.document())
