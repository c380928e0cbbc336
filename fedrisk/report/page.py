"""Pages: jinja templates as one HTML file each, in the language that is spoken, without anything from outside.

Pages extend ``base.html.jinja``; their parts (tiles, tables, plots, folded sections) are macros of another template,
``parts.html.jinja``.
"""

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from fedrisk.files import write_atomic
from fedrisk.language import PLACE, _, either, language, listed, of_kind
from fedrisk.report.words import cell, sentence, together, word


def render_page(
    template: str, /, *, filters: Mapping[str, Callable[..., Any]] | None = None, **values: Any
) -> str:
    """A page of ``templates/``: its values, and the filters and words that all pages have.

    A text of a template is ``{{ _("text") }}`` or ``{% trans %}text{% endtrans %}``, with values as ``%(name)s``.
    filters: those that this page alone has. ``notice``: where true, the page says in red that it is of a run
    without privacy.
    """
    environment = _with_filters(tuple((filters or {}).items()))
    return environment.get_template(template).render(**{"notice": None, "place": PLACE[language()], **values})


@lru_cache(maxsize=8)
def _with_filters(filters: tuple[tuple[str, Callable[..., Any]], ...]) -> Environment:
    """The environment with further filters; kept, because filters are looked up when a template is compiled."""
    environment = _environment()
    if filters:
        environment = environment.overlay()
        environment.filters = {**environment.filters, **dict(filters)}
    return environment


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("fedrisk.report"),
        autoescape=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        _, lambda one, many, n: either(one, many, n), newstyle=True, pgettext=of_kind
    )
    environment.filters.update(cell=cell, sentence=sentence, listed=listed, together=together)
    environment.globals.update(word=word)
    return environment


def write_page(path: Path, content: str, *, private: bool = True) -> Path:
    """Write a page whole, for its owner alone, also where it takes the place of one that others can read.

    private: false for a page that whoever has the model may have; then the umask says who can read it. StoreError names
    the file.
    """
    write_atomic(path, content.encode("utf-8"), private=private)
    return path
