"""The report as one page, whose links work where files have no addresses; and its charts as files."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from report.charts.files import chart_files, write_charts
from report.one_page import one_page

PAGE = '<html><body><p id="why">{}</p><a href="#why">why</a></body></html>'


def test_links_between_pages_lead_to_places_in_the_one_page(tmp_path: Path) -> None:
    (tmp_path / "data_docs").mkdir()
    links = '<a href="quality.html">Q</a> <a href="data_docs/index.html">D</a> <a href="rows.csv">rows</a>'
    (tmp_path / "release.html").write_text(PAGE.format(links))
    (tmp_path / "quality.html").write_text(PAGE.format('<a href="release.html">R</a>'))
    (tmp_path / "data_docs" / "index.html").write_text(PAGE.format('<a href="../quality.html">Q</a>'))
    found = one_page(tmp_path) or ""
    root = ElementTree.fromstring(found)
    places = {element.get("id") for element in root.iter()} - {None}
    targets = [str(element.get("href")) for element in root.iter("a")]
    assert targets and all(target.startswith("#") and target[1:] in places for target in targets), targets
    assert len([one for one in root.iter() if one.get("id") == "why"]) == 1
    assert "report/rows.csv" in found


def test_there_is_no_one_page_without_a_first(tmp_path: Path) -> None:
    assert one_page(tmp_path) is None


def test_charts_are_files_that_stand_alone(tmp_path: Path) -> None:
    figure = (
        '<figure><figcaption><strong>Loss &amp; steps</strong> a note</figcaption><div class="chart">'
        '<svg viewBox="0 0 9 9" style="min-width: 5px"><path style="fill: var(--ink)"/>'
        "</svg></div></figure>"
    )
    assert list(chart_files(figure)) == ["01-loss-steps.svg"]
    write_charts(figure, tmp_path)
    svg = ElementTree.parse(tmp_path / "plots" / "01-loss-steps.svg").getroot()
    assert (
        svg.get("viewBox") == "0 0 9 9"
        and "var(" not in (tmp_path / "plots" / "01-loss-steps.svg").read_text()
    )
