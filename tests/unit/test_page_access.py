"""The report page for everybody: axe-core finds nothing in a real browser, and bars and words stand out."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.report_page import evidence, report
from uniner_dist.reporting.html import render

#: The page's background and cards, and what is drawn on them.
_GROUNDS, _BARS, _WORDS = ("back", "card"), ("found", "none", "bad", "loading"), ("ink", "soft", "accent")
_AXE = "axe-core@4.10.3"


def _themes() -> list[dict[str, str]]:
    page = render(report(), evidence())
    light, dark = re.findall(r":root \{(.*?)\}", page, re.DOTALL)[:2]
    return [dict(re.findall(r"--(\w+): (#\w+)", theme)) for theme in (light, dark)]


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    """Of two colours, as WCAG 2 reckons it."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_bars_and_words_stand_out_in_both_themes() -> None:
    assert contrast("#fff", "#000") == pytest.approx(21)
    for theme in _themes():
        for ground in _GROUNDS:
            weak = [name for name in _BARS if contrast(theme[name], theme[ground]) < 3]
            weak += [name for name in _WORDS if contrast(theme[name], theme[ground]) < 4.5]
            assert weak == [], (ground, theme[ground])


def test_every_value_has_the_name_of_its_column_where_rows_are_stacked() -> None:
    page = render(report(), evidence(), report())
    for rules in re.findall(r"@media [^{]*max-width.*?\n(?=@media)", page, re.DOTALL):
        assert "display: none" not in rules
    for table in re.findall(r"<table.*?</table>", page, re.DOTALL):
        columns = re.findall(r"<th role=\"columnheader\"[^>]*>(.*?)</th>", table)
        rows = re.findall(r"<tr role=\"row\">(.*?)</tr>", table.partition("<tbody")[2], re.DOTALL)
        for row in rows:
            named = re.findall(r"<td[^>]* data-name=\"(.*?)\"", row)
            assert columns[len(columns) - len(named) :] == named
            assert len(named) == row.count("<td") >= len(columns) - 1
    assert page.count("<table") == 6


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core."""
    if shutil.which("npm") is None or shutil.which("chromium") is None:
        pytest.skip("needs npm and chromium")
    folder = tmp_path_factory.mktemp("axe")
    done = subprocess.run(["npm", "pack", "--silent", _AXE], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"npm cannot fetch {_AXE}")
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


_RUN = """axe.run().then(found => {
  document.documentElement.style.width = "400px";
  const wide = [...document.querySelectorAll("body, main, .scroll, pre, figure")].filter(
    one => one.getBoundingClientRect().right > 400 || one.scrollWidth > one.clientWidth + 1);
  document.documentElement.innerHTML = "";
  const place = document.createElement("pre");
  place.textContent = JSON.stringify({passes: found.passes.length,
    wide: wide.map(one => one.outerHTML.slice(0, 200)), violations: found.violations.map(
    one => [one.id, ...one.nodes.slice(0, 3).map(node => node.html)])});
  document.documentElement.append(place);
})"""


def _look(axe: str, page: str, folder: Path, *options: str) -> dict[str, Any]:
    """What axe-core says of a page of 400 pixels in a browser."""
    open_page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)  # which would stop axe, too
    scripts = "".join(f"<script>{source}</script>" for source in (axe.replace("</script", "<\\/script"), _RUN))
    file = folder / "page.html"
    file.write_text(open_page.replace("</body>", f"{scripts}</body>"))
    browser = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile"]
    shown = subprocess.run(
        [*browser, "--virtual-time-budget=20000", "--window-size=400,900", *options, "--dump-dom", file.as_uri()],
        capture_output=True,
        text=True,
        timeout=1200,
    )
    [found] = re.findall(r"<pre>(\{.*\})</pre>", shown.stdout)
    result: dict[str, Any] = json.loads(html.unescape(found))
    return result


@pytest.mark.parametrize("options", [(), ("--blink-settings=preferredColorScheme=0",)], ids=["light", "dark"])
def test_axe_core_finds_nothing(axe: str, tmp_path: Path, options: tuple[str, ...]) -> None:
    found = _look(axe, render(report(), evidence(types=12), report()), tmp_path, *options)
    assert found["violations"] == []
    assert found["wide"] == []  # nothing to scroll to
    assert found["passes"] > 15


def test_axe_core_would_find_something(axe: str, tmp_path: Path) -> None:
    spoilt = render(report(), evidence()).replace('<html lang="en">', "<html>")
    assert "html-has-lang" in str(_look(axe, spoilt, tmp_path)["violations"])
