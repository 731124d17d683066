"""Write the frontier as one self-contained HTML page: a picture of accuracy against cost, and the table."""

from ftool.ladder.frontier import Frontier
from ftool.report.figures import metric_name, plural
from ftool.report.html_page import Page, write_page
from ftool.report.sections.circumstances import circumstances
from ftool.report.sections.ladder_picture import ladder_picture


def write_frontier(frontier: Frontier) -> None:
    """Write the frontier to its HTML file, which is replaced whole or not at all. Raises OSError."""
    found = frontier.to_json()
    chosen = found["chosen"] or "none"
    page = Page(
        kind="Ladder of precisions",
        title=frontier.subject,
        lead=(
            f"{plural(len(found['candidates']), 'candidate')}, judged by {metric_name(frontier.metric)}; "
            f"chosen: {chosen}"
        ),
        sections=[
            ladder_picture(found),
            circumstances(found["timings"]["machine"], {}, found["timings"]["engines"]),
        ],
    )
    write_page(page, frontier.page)
