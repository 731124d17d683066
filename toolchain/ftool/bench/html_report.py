"""Write the benchmark report as one self-contained HTML page."""

from pathlib import Path

from ftool.bench.report import BenchReport
from ftool.bench.scale import number
from ftool.report.figures import times
from ftool.report.html_page import Page, Tile, write_page
from ftool.report.sections.circumstances import circumstances
from ftool.report.sections.speed import speed, titled


def write_html(report: BenchReport, path: Path) -> None:
    """Write the report to the HTML file `path`, which is replaced whole or not at all."""
    data = titled(report.to_json())
    subject = data["engines"][data["subject"]]
    page = Page(
        kind="Benchmark",
        title=data["subject"],
        lead=f"{data['task']} · timed beside {', '.join(data['ratios']) or 'nothing else'}",
        tiles=[
            Tile(name="one input at a time, median", value=f"{number(subject['latency_ms']['p50'])} ms"),
            *(
                Tile(name=f"as fast as {name}", value=times(ratio["latency_p50"]))
                for name, ratio in data["ratios"].items()
            ),
            Tile(name="all texts in one call", value=f"{subject['throughput_per_s']:,.0f} texts/s"),
            Tile(name="peak memory", value=f"{subject['peak_memory_mb']:,.0f} MB"),
            Tile(name="size", value=f"{number(subject['size_mb'])} MB"),
        ],
        sections=[speed(data), circumstances(data["machine"], {}, data["engines"])],
    )
    write_page(page, path)
