"""The page in headless Chromium: on a phone, a laptop and paper, in light and dark."""

from collections.abc import Iterator
from pathlib import Path

import pypdf
import pytest
from tests.helpers.chromium import Chromium, Size, browser, running
from tests.helpers.cli import told

if browser() is None:
    pytest.skip("needs chromium", allow_module_level=True)

PHONE, LAPTOP = Size(390, 844), Size(1280, 800)
PAPER = Size(688, 1000)  # A4 at 96 dots an inch, without its margins
THEMES = pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
SIZES = pytest.mark.parametrize("size", [PHONE, LAPTOP], ids=["phone", "laptop"])

# What stands beyond the right edge of the page, apart from what can be scrolled.
BEYOND = """[...document.querySelectorAll('body *')]
    .filter(one => !one.closest('.scroll') && one.getBoundingClientRect().right > innerWidth + 1)
    .map(one => one.tagName + ': ' + one.textContent.slice(0, 60))"""
TOUCHING = """(() => {
    const boxes = [...document.querySelectorAll('svg text.label')].map(one => one.getBoundingClientRect());
    return boxes.flatMap((a, i) => boxes.slice(i + 1).filter(b =>
        a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 2 && b.top < a.bottom - 2)).length;
})()"""
CONTRAST = """(() => {
    const light = text => {
        const [r, g, b] = text.match(/\\d+(\\.\\d+)?/g).map(one => {
            const share = one / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const style = selector => getComputedStyle(document.querySelector(selector));
    const ground = light(style('body').backgroundColor);
    const ratio = text => { const one = light(text);
        return (Math.max(one, ground) + 0.05) / (Math.min(one, ground) + 0.05) };
    return {ground, ink: ratio(style('body').color), soft: ratio(style('.explain').color),
        lines: ['s1', 's2', 's3', 's4', 's5', 's6'].map(name => {
            const probe = document.createElement('i');
            probe.className = name; probe.style.color = 'var(--c)'; document.body.append(probe);
            const found = ratio(getComputedStyle(probe).color); probe.remove(); return found })};
})()"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with running() as found:
        yield found


@pytest.fixture
def page(hostile: Path) -> Path:
    """The report of a folder in which everything was measured, with hostile texts."""
    return Path(told("report", hostile)["report"])


@SIZES
@THEMES
def test_nothing_overflows_and_no_request_leaves_the_page(
    chromium: Chromium, page: Path, size: Size, dark: bool
) -> None:
    chromium.open(page, size, dark=dark)
    assert chromium.ask("document.scrollingElement.scrollWidth <= innerWidth")
    assert chromium.ask(BEYOND) == []
    assert chromium.requests() == []
    assert chromium.ask("document.title") == "model · Model report"
    text = chromium.ask("document.body.innerText")
    for title in (
        "Quality",
        "Mistakes to read",
        "Calibration",
        "Slices and bias",
        "Speed",
        "Accuracy against speed",
    ):
        assert title in text
    assert "<script>document.title='stolen'</script>" in text


@THEMES
def test_colours_are_readable_and_follow_the_theme(chromium: Chromium, page: Path, dark: bool) -> None:
    chromium.open(page, LAPTOP, dark=dark)
    found = chromium.ask(CONTRAST)
    assert (found["ground"] < 0.1) == dark
    assert found["ink"] >= 7  # WCAG 2.2, level AAA for text
    assert found["soft"] >= 4.5  # level AA
    assert min(found["lines"]) >= 3  # for graphics


@SIZES
def test_labels_in_charts_do_not_touch(chromium: Chromium, page: Path, size: Size) -> None:
    chromium.open(page, size)
    assert chromium.ask("document.querySelectorAll('svg text.label').length") == 8
    assert chromium.ask(TOUCHING) == 0


@SIZES
def test_the_text_in_charts_has_one_size_on_every_screen(chromium: Chromium, page: Path, size: Size) -> None:
    chromium.open(page, size)
    heights = chromium.ask(
        "[...document.querySelectorAll('.plot .grid text')].map(one => one.getBoundingClientRect().height)"
    )
    assert heights
    assert min(heights) >= 12


def test_it_can_be_printed(chromium: Chromium, page: Path, tmp_path: Path) -> None:
    chromium.open(page, PAPER, dark=True, media="print")
    assert chromium.ask("document.scrollingElement.scrollWidth <= innerWidth")
    assert chromium.ask(BEYOND.replace("!one.closest('.scroll') && ", "")) == []  # paper can't be scrolled
    assert chromium.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    chromium.pdf(tmp_path / "page.pdf")
    pages = pypdf.PdfReader(tmp_path / "page.pdf").pages
    text = " ".join(page.extract_text() for page in pages)
    assert 2 <= len(pages) <= 15
    assert "Machine and versions" in text


def test_the_ladder_fits_on_a_phone(chromium: Chromium, page: Path) -> None:
    chromium.open(page, PHONE)
    box = "document.querySelector('#ladder .scroll')"
    assert chromium.ask(f"{box}.scrollWidth <= {box}.clientWidth")
    text = chromium.ask(f"{box}.innerText")
    assert "int8-4bit-embeddings" in text
    assert "kept, but slower" in text
    # every figure stands below the name of its column
    assert chromium.ask(
        f"[...{box}.querySelectorAll('tr.chosen td[data-name]')].map(one => one.dataset.name)"
    ) == ["accuracy", "lost", "at most (95%)", "ms", "faster", "MB", "texts/s"]
    assert chromium.ask(
        f"[...{box}.querySelectorAll('td[data-name]')].every(one => "
        "getComputedStyle(one, '::before').content.includes(one.dataset.name))"
    )
