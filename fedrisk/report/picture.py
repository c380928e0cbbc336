"""A figure of matplotlib that a notebook shows as SVG, in its own fonts, and that is saved in one call."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from fedrisk.errors import StoreError


class Picture(Figure):
    """A figure with a text of what it shows (``alt``)."""

    alt: str = ""

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write the picture to a file: ``.png``, ``.svg`` or ``.pdf``, as its name ends; StoreError names it.

        options: as of matplotlib's ``savefig``, for example ``dpi=300``.
        """
        from fedrisk.report.figure_style import style

        file = Path(path)
        try:
            with style():
                self.savefig(file, **options)
        except OSError as error:
            raise StoreError(
                f"the picture {file} cannot be written: {error.strerror}; check path and space"
            ) from None
        except ValueError as error:
            raise StoreError(
                f"the picture {file} cannot be written: {error}; name a .png, .svg or .pdf"
            ) from None
        return file

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from fedrisk.report.figure_style import figure_svg

        return figure_svg(self, self.alt).svg
