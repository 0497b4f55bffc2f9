"""The page in a real browser: nothing overflows on a phone, and the first plot is in its first screen."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cifake_ray.reporting.report import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ROOT = Path(__file__).parent.parent.parent
PHONE, DESK = (390, 844), (1300, 900)  # CSS pixels
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--virtual-time-budget=5000",
    "--dump-dom",
)  # fmt: skip
# A window has a least width, so the phone is a frame. It measures what it holds once it has been laid out.
FRAME = """<!DOCTYPE html><iframe id="f" width="{width}" height="{height}" style="border:0"></iframe>
<pre id="out"></pre>
<script>
const frame = document.getElementById("f");
frame.onload = () => {{
  const page = frame.contentDocument, all = (what) => [...page.querySelectorAll(what)];
  const box = (one) => one.getBoundingClientRect(), cut = (one) => one.scrollWidth - one.clientWidth;
  document.getElementById("out").textContent = JSON.stringify({{
    overflow: page.documentElement.scrollWidth - frame.contentWindow.innerWidth,
    top: box(all("figure svg")[0]).top,
    right: Math.max(...all("figure svg").map(one => box(one).right)),
    cut: Math.max(...all(".board li, .plot").map(cut)), tables: Math.max(...all(".scroll").map(cut)),
    texts: all("figure svg text").map(one => box(one).height).filter(height => height > 0),
    ends: all(".figures").map(one => [...one.children].map(column => box(column.lastElementChild).bottom)),
  }});
}};
frame.srcdoc = {page};
</script>"""


def measured(folder: Path, size: tuple[int, int]) -> dict[str, Any]:
    """What a browser with a window of this size makes of the committed studies' report."""
    write_report(sorted((ROOT / "results" / "studies").iterdir()), folder / "out", images=False)
    page = json.dumps((folder / "out" / "report.html").read_text()).replace("</script", "<\\\\/script")
    (folder / "frame.html").write_text(FRAME.format(width=size[0], height=size[1], page=page))
    command = [str(CHROMIUM), *QUIET, f"--user-data-dir={folder / 'profile'}", (folder / "frame.html").as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found: dict[str, Any] = json.loads(re.search(r'<pre id="out">(.*?)</pre>', dom, re.DOTALL)[1])  # type: ignore[index]
    return found


@pytest.mark.skipif(CHROMIUM is None, reason="the page is measured in chromium, which is not installed here")
def test_on_a_phone_nothing_overflows_and_the_first_plot_starts_in_the_first_screen(tmp_path: Path) -> None:
    found = measured(tmp_path, PHONE)
    assert found["overflow"] <= 0
    assert found["top"] < PHONE[1] / 2 + 100
    assert found["right"] <= PHONE[0]  # no plot is wider than the screen
    assert found["cut"] <= 0
    assert min(found["texts"]) >= 9


@pytest.mark.skipif(CHROMIUM is None, reason="the page is measured in chromium, which is not installed here")
def test_on_a_desk_no_table_is_cut_and_columns_of_plots_end_evenly(tmp_path: Path) -> None:
    found = measured(tmp_path, DESK)
    assert found["overflow"] <= 0
    assert found["tables"] <= 0
    assert all(max(ends) - min(ends) < 1 for ends in found["ends"])
