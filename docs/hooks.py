"""What the site has besides docs/: pages that lie elsewhere in the repository, notebooks, and links out of it.

A hook of mkdocs. Benchmarks keep their README beside what redoes them, and the site shows them all. A notebook becomes
a page with its cells and what they gave. A link to a file that is no page, such as a template of configs/, becomes the
file's path; a link whose words are a file's name gets the title of that page.
"""

import json
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")


def elsewhere() -> dict[str, str]:
    """Pages of the site by the path of the file, within the repository, that they are made from."""
    pages = {f: f for f in ("CONTRIBUTING.md", "CHANGELOG.md")}
    pages["sim_institutions/README.md"] = "sim_institutions.md"
    pages["benchmarks/README.md"] = "benchmarks/index.md"
    for readme in sorted((ROOT / "benchmarks").glob("*/README.md")):
        pages[readme.relative_to(ROOT).as_posix()] = f"benchmarks/{readme.parent.name}.md"
    return pages


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere; that of all benchmarks gets a list of them."""
    pages = elsewhere()
    texts = {page: (ROOT / source).read_text(encoding="utf-8") for source, page in pages.items()}
    single = [page for page in texts if page.startswith("benchmarks/") and page != "benchmarks/index.md"]
    rows = [f"- [{_title(texts[page])}]({posixpath.basename(page)})" for page in single]
    for source, page in pages.items():
        text = _linked(texts[page], source, page)
        if page == "benchmarks/index.md":
            text += "\n## All benchmarks\n\n" + "\n".join(rows) + "\n"
        files.append(File.generated(config, page, content=text))
    for notebook in sorted((ROOT / "docs").glob("*.ipynb")):
        text = cells_of(notebook)
        files.append(File.generated(config, f"{notebook.stem}.md", content=text))
    return files


def cells_of(notebook: Path) -> str:
    """A notebook as a page: its text, its code, and the texts, tables and plots that are kept in it."""
    parts = []
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            text = "".join(output.get("text", data.get("text/plain", "")))
            if "text/html" in data:
                parts.append(f'<div class="output">{_plain_html("".join(data["text/html"]))}</div>')
            elif text.strip():
                parts.append(f"```text\n{text.rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links of the pages of docs/ that lead out of it."""
    if page.file.generated_by is not None:
        return markdown
    return _linked(markdown, f"docs/{page.file.src_uri}", page.file.src_uri)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """The theme's field for searching, named for those who hear the page."""
    unnamed = '<div class="md-search" data-md-component="search" role="dialog"'
    return output.replace(unnamed, f'{unnamed} aria-label="Search"')


def _plain_html(text: str) -> str:
    """What a cell shows, without a style and a class of its own, so that tables look as all tables of the site."""
    text = re.sub(r"(?s)<style.*?</style>", "", text)
    text = re.sub(r'<table border="1" class="dataframe">', "<table>", text)
    return re.sub(r"\s*\n\s*", " ", text)


def _title(text: str) -> str:
    return next(line.lstrip("# ") for line in text.splitlines() if line.startswith("# "))


def _linked(text: str, source: str, page: str) -> str:
    """A page's text with links as the site has them. source: within the repository; page: within the site."""
    pages = elsewhere()

    def link(found: re.Match[str]) -> str:
        words, target = found.groups()
        if re.match(r"[a-z]+:|#", target):
            return found[0]
        path, _, anchor = target.partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if (ROOT / path).is_dir():
            path = f"{path}/README.md"
        path = f"{path.removesuffix('.ipynb')}.md" if path.endswith(".ipynb") else path
        place = pages.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if place is None:
            path = path.removesuffix("/README.md")
            return words if words.strip("`") == path else f"{words} (`{path}`)"
        if re.fullmatch(r"[\w./-]+\.md", words) and (ROOT / path).is_file():
            words = _title((ROOT / path).read_text(encoding="utf-8"))
        way = posixpath.relpath(place, posixpath.dirname(page) or ".")
        return f"[{words}]({way}{'#' + anchor if anchor else ''})"

    return LINK.sub(link, text)
