"""Gather the pages of the documentation site in one folder, so that every link between them works there.

    python docs/site/build.py FOLDER        # then: zensical build --strict --config-file FOLDER/mkdocs.yml

The pages are docs/, the README files of the examples and of the runtime, and the files that they link to, such as
benchmark results. Links that leave docs/ point to the copies, and formulas become MathML, so that the site needs no
script for them. The reference of the Python packages is made from their docstrings by mkdocstrings. Raises SystemExit,
and names the page and the line, for a link to a file that is missing.
"""

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
DOCS: Final = REPOSITORY / "docs"
SITE: Final = DOCS / "site"
COPIES: Final = "repository"  # the folder of what lies outside docs/
_LINK: Final = re.compile(r"(\]\()(?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?(\))")
_CODE_SPAN: Final = re.compile(r"(`+[^`]+`+)")
_DISPLAY: Final = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
_INLINE: Final = re.compile(r"(?<![\\$\w])\$(?![\s$])([^$\n]+?)(?<!\s)\$(?![\w$])")
_FENCE: Final = re.compile(r"^\s*(```|~~~)")


def site_path(path: Path) -> Path:
    """Return where a file of the repository lies in the site."""
    if path.is_relative_to(SITE / "pages"):
        return path.relative_to(SITE / "pages")
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS)
    return Path(COPIES) / path.relative_to(REPOSITORY)


class Gathering:
    """Copies pages to a folder, and follows their links to files outside docs/."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.missing: list[str] = []
        self._done: set[Path] = set()

    def add(self, path: Path) -> None:
        """Copy a file, and what it links to if it is a page."""
        if path in self._done:
            return
        self._done.add(path)
        place = self.target / site_path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix != ".md":
            shutil.copyfile(path, place)
            return
        place.write_text(self._with_links(path), encoding="utf-8")

    def _with_links(self, page: Path) -> str:
        """Return the page's text with links to the copies and formulas as MathML; code stays as it is."""
        done: list[str] = []
        prose: list[str] = []
        fenced = False
        lines = page.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, start=1):
            boundary = bool(_FENCE.match(line))
            if fenced or boundary or line.startswith("    "):
                done += [*_with_formulas(prose), line]
                prose = []
            else:
                prose.append(_LINK.sub(lambda found, at=number: self._link(page, at, found), line))
            fenced ^= boundary
        return "\n".join([*done, *_with_formulas(prose)]) + "\n"

    def _link(self, page: Path, number: int, found: re.Match[str]) -> str:
        path = (page.parent / found[2]).resolve()
        if path.is_dir():
            path = path / "README.md"
            if not path.is_file() and path.is_relative_to(DOCS):
                self._list(path)
                return f"{found[1]}{_relative(site_path(path), site_path(page).parent)}{found[4]}"
        if not path.is_file():
            self.missing.append(f"{page.relative_to(REPOSITORY)}:{number}: {found[2]} does not exist")
            return found[0]
        self.add(path)
        start = site_path(page).parent
        return f"{found[1]}{_relative(site_path(path), start)}{found[3] or ''}{found[4]}"

    def _list(self, place: Path) -> None:
        """Write a page that lists the pages of the folder of `place`, such as the decisions, by their titles."""
        pages = sorted(place.parent.glob("*.md"))
        titles = [page.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ") for page in pages]
        lines = [f"- [{title}]({page.name})" for title, page in zip(titles, pages, strict=True)]
        target = self.target / site_path(place)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("\n".join([f"# {place.parent.name.upper()}", "", *lines, ""]), encoding="utf-8")


def _with_formulas(prose: list[str]) -> list[str]:
    """Return lines without code blocks with their formulas, `$...$` and `$$...$$`, as MathML."""
    parts = _CODE_SPAN.split("\n".join(prose))
    for place in range(0, len(parts), 2):  # the others are code spans
        text = _DISPLAY.sub(lambda found: _mathml(found[1], "block"), parts[place])
        parts[place] = _INLINE.sub(lambda found: _mathml(found[1], "inline"), text)
    return "".join(parts).split("\n") if prose else []


def _mathml(formula: str, display: str) -> str:
    from latex2mathml.converter import convert

    found = str(convert(" ".join(formula.split()), display=display))
    # At the beginning of a line, Markdown takes a formula alone for a block, which would end a paragraph or a list.
    return found if display == "block" else f"<span>{found}</span>"


def _relative(path: Path, start: Path) -> str:
    """Return `path` as seen from the folder `start`; both are relative to the site."""
    return Path(os.path.relpath(path, start)).as_posix()


def gather(target: Path) -> None:
    """Write the pages and the site's settings into the folder `target`; an earlier site there is replaced."""
    if target.exists():
        if not (target / "mkdocs.yml").is_file() or REPOSITORY.is_relative_to(target):
            raise SystemExit(f"{target} exists and is no site that this script made; name another folder")
        shutil.rmtree(target)
    gathering = Gathering(target / "docs")
    for page in sorted([*DOCS.rglob("*.md"), *(SITE / "pages").rglob("*")]):
        if page.is_file() and (not page.is_relative_to(SITE) or page.is_relative_to(SITE / "pages")):
            gathering.add(page)
    if gathering.missing:
        raise SystemExit("\n".join(gathering.missing))
    shutil.copyfile(SITE / "mkdocs.yml", target / "mkdocs.yml")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    gather(Path(sys.argv[1]).resolve())
