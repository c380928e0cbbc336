"""A watched month's page, as commands write it."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedrisk.clients.node import Node
    from fedrisk.watching.history import Kept
    from fedrisk.watching.month import Month
    from fedrisk.watching.run import WritePage


def page_writer(node: "Node") -> "WritePage":
    """Writes the page of a month of this bank, and its figures for programs beside it, where the watch keeps pages."""

    def write(kept: "Kept", month: "Month") -> Path:
        from fedrisk.report.watch_page import write_watch_page
        from fedrisk.watching.figures import month_figures

        return write_watch_page(kept.pages, month_figures(node, kept, month))

    return write
