"""The page in a real browser: nothing overflows on a phone, and the first plot is in its first screen."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cifake_ray.reporting.report import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ROOT = Path(__file__).parent.parent.parent
PHONE = (390, 844)  # CSS pixels
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
  const page = frame.contentDocument, plot = page.querySelector("figure svg").getBoundingClientRect();
  document.getElementById("out").textContent = JSON.stringify({{
    overflow: page.documentElement.scrollWidth - frame.contentWindow.innerWidth, top: plot.top,
    texts: [...page.querySelectorAll("figure svg text")].map(t => t.getBoundingClientRect().height).filter(h => h > 0),
  }});
}};
frame.srcdoc = {page};
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
def test_on_a_phone_nothing_overflows_and_the_first_plot_is_in_the_first_screen(tmp_path: Path) -> None:
    write_report(sorted((ROOT / "results" / "studies").iterdir()), tmp_path / "out", images=False)
    page = json.dumps((tmp_path / "out" / "report.html").read_text()).replace("</script", "<\\\\/script")
    (tmp_path / "frame.html").write_text(FRAME.format(width=PHONE[0], height=PHONE[1], page=page))
    command = [str(CHROMIUM), *QUIET, f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "frame.html").as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = json.loads(re.search(r'<pre id="out">(.*?)</pre>', dom, re.DOTALL)[1])  # type: ignore[index]
    assert found["overflow"] <= 0
    assert found["top"] < PHONE[1] / 2 + 100
    assert min(found["texts"]) >= 8
