"""A page as headless Chromium shows it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Runs in the page, and leaves what it sees in the title.
LOOK = """<script>addEventListener("load", () => { document.title = JSON.stringify({
  wide: document.documentElement.scrollWidth, screen: document.documentElement.clientWidth,
  back: getComputedStyle(document.body).backgroundColor, fore: getComputedStyle(document.body).color,
  cells: [...document.querySelectorAll("td")].map(cell => cell.innerText.trim()),
  unseen: [...document.querySelectorAll("figure svg, table")].filter(it => !it.getBoundingClientRect().width).length,
  asked: performance.getEntriesByType("resource").map(entry => entry.name),
  text: document.body.innerText}) })</script>"""


def seen(page: str, directory: Path, *, width: int = 1200, dark: bool = False) -> dict[str, Any]:
    """What a browser makes of ``page``: its text and cells, widths in pixels, colours, and what it asked the network for."""
    assert CHROMIUM is not None
    (directory / "page.html").write_text(page.replace("</body>", LOOK + "</body>"))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={directory / 'profile'}",
               f"--window-size={width},900", f"--blink-settings=preferredColorScheme={0 if dark else 1}",
               "--dump-dom", (directory / "page.html").as_uri()]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    found = re.search(r"<title>(.*?)</title>", dom, re.DOTALL)
    assert found is not None
    looked: dict[str, Any] = json.loads(unescape(found[1]))
    return looked
