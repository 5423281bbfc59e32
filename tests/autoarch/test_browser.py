"""The report in a real browser, Debian's chromium without a screen and without a network: that it is whole, legible, and works.

Screenshots are kept where LAYERKIT_SCREENSHOTS says, for a person to look at.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from autoarch.report import write

pytestmark = pytest.mark.heavy

WIDTHS = {"desktop": 1280, "phone": 390}
NAMES = ("chromium", "chromium-browser", "google-chrome")

WATCH = """<script>
window.faults = [];
addEventListener("error", e => faults.push(e.message || "cannot be loaded: " + (e.target.src || e.target.href)), true);
</script>"""

PROBE = """<script>
addEventListener("load", () => {
  const overlaps = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1.5 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3;
  const touching = [], outside = [], sizes = [];
  for (const svg of document.querySelectorAll("figure > svg")) {
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].map(t => [t.textContent, t.getBoundingClientRect()]);
    for (const [text, box] of texts) {
      sizes.push(parseFloat(getComputedStyle(svg.querySelector("text")).fontSize) * frame.width / svg.viewBox.baseVal.width);
      if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 2 || box.bottom > frame.bottom + 2) outside.push(text);
    }
    texts.forEach(([a, p], i) => texts.slice(i + 1).forEach(([b, q]) => { if (overlaps(p, q)) touching.push(a + " / " + b); }));
  }
  const board = document.querySelector("table.sortable");
  const column = [...board.tHead.rows[0].cells].findIndex(c => c.textContent.trim() === "parameters");
  const read = () => [...board.tBodies[0].rows].map(r => r.cells[column].textContent);
  const button = board.tHead.rows[0].cells[column].querySelector("button");
  button.click();
  const up = read();
  button.click();
  const found = {
    faults, touching, outside, smallest: Math.min(...sizes), up, down: read(),
    wider: document.documentElement.scrollWidth - innerWidth,
    loaded: performance.getEntriesByType("resource").map(r => r.name).filter(n => !n.startsWith("data:")),
    pictures: [...document.images].map(i => i.naturalWidth),
    headings: [...document.querySelectorAll("h2")].map(h => h.textContent),
    charts: document.querySelectorAll("figure > svg").length,
  };
  const out = document.createElement("pre");
  out.id = "found";
  out.textContent = JSON.stringify(found);
  document.body.append(out);
});
</script>"""


@pytest.fixture(scope="module")
def chromium():
    """The browser; it is installed where that is possible."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None and shutil.which("apt-get") and os.geteuid() == 0:
        for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
            ended = subprocess.run(["apt-get", "-q", *command], capture_output=True, text=True, check=False)
            if ended.returncode:
                pytest.skip(
                    f"chromium cannot be installed: {ended.stderr.strip()[-200:] or ended.stdout.strip()[-200:]}"
                )
        path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium, and this system has no apt-get, or the user may not install with it")
    return path


@pytest.fixture
def browse(chromium, tmp_path):
    """Opens a file without a network; what the browser printed, and what went to its console."""
    offline = ["unshare", "--net"] if subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode == 0 else []  # fmt: skip

    def run(path: Path, width: int, *arguments: str) -> tuple[str, list[str]]:
        command = [
            *offline, chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-dev-shm-usage",
            "--enable-logging=stderr", "--proxy-server=127.0.0.1:9", f"--user-data-dir={tmp_path / 'profile'}",
            f"--window-size={width},6000", *arguments, path.as_uri(),
        ]  # fmt: skip
        ended = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)  # ends what hangs
        return ended.stdout, re.findall(r"CONSOLE.*file://.*", ended.stderr)  # not of the browser's own pages

    return run


RESIDUALS = {"mean": 0.1, "mean_absolute": 0.5, "explained": 0.7, "sample": {"true": [[1.0], [2.0], [4.0]], "predicted": [[1.5], [2.0], [3.0]]}}  # fmt: skip
CONFUSION = [[9 * (i == j) + (i == 3) for j in range(10)] for i in range(10)]
CLASSES = {"classes": [f"class {i}" for i in range(10)], "confusion": CONFUSION}
RUNS = {
    "classes": {"trials": 150, "spaces": ("images_cnn", "images_mlp", "images_transformer"), "costs": True, **CLASSES},
    "numbers": {"trials": 30, "choice": "", "measure": "mean_squared_error", "residuals": RESIDUALS},
    "stopped": {"trials": 6, "finished": False},
}
SHOWN = [("classes", "desktop"), ("classes", "phone"), ("numbers", "phone"), ("stopped", "desktop")]


@pytest.mark.parametrize(("kind", "width"), SHOWN)
def test_the_report_in_a_browser(kind, width, made_run, browse, tmp_path):
    path = write(made_run(**RUNS[kind]))
    text = path.read_text(encoding="utf-8")
    probed = tmp_path / "probed.html"
    probed.write_text(text.replace("<head>", "<head>" + WATCH).replace("</body>", PROBE + "</body>"), encoding="utf-8")
    shot = Path(os.environ.get("LAYERKIT_SCREENSHOTS", tmp_path)) / f"{kind}-{width}.png"
    printed, console = browse(probed, WIDTHS[width], "--dump-dom", f"--screenshot={shot}")
    found = json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', printed, re.DOTALL)[1]))
    assert console == []
    assert found["faults"] == []
    assert found["loaded"] == []
    assert found["headings"] == re.findall("<h2>(.*?)</h2>", text)
    assert found["charts"] >= 6
    assert all(width > 0 for width in found["pictures"])
    assert found["touching"] == []
    assert found["outside"] == []
    assert found["smallest"] > 9.5
    assert found["wider"] <= 0
    numbers = [int(v.replace(",", "")) for v in found["up"] if v]
    assert numbers == sorted(numbers)
    assert [int(v.replace(",", "")) for v in found["down"] if v] == numbers[::-1]
    assert struct.unpack(">I", shot.read_bytes()[16:20])[0] == WIDTHS[width]
