"""Run by the tests with an interpreter that has gradio and playwright: uses a metric Space's page in a real browser.

Prints as JSON what a person would see after pasting, after dropping two files, and after pasting nonsense.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

SHOWN = """() => [
    [...document.querySelectorAll('#results td')].map(cell => cell.textContent).join('|'),
    [...document.querySelectorAll('#picture polygon, #picture li')].map(one => one.outerHTML).join('')
]"""

CUT = """() => [...document.querySelectorAll('#results *, #picture *')]
    .filter(one => one.clientWidth && one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display != 'inline')
    .map(one => one.tagName)"""


def visit(folder: Path, chromium: str, pasted: list[str], dropped: list[str], screenshots: str) -> dict[str, Any]:
    """Serve the page, use it, and return its tables, pictures and complaints."""
    playwright_api = importlib.import_module("playwright.sync_api")
    spec = importlib.util.spec_from_file_location("space_app", folder / "app.py")
    assert spec is not None and spec.loader is not None
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    _, address, _ = app.page.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    seen: dict[str, Any] = {}
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(90_000)
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(address)

        def press() -> None:
            page.click("#evaluate")

        page.wait_for_selector("#predictions textarea")
        seen["first"] = [page.input_value(f"#{name} textarea") for name in ("predictions", "references")]
        page.click("#example")
        page.wait_for_function("() => document.querySelector('#references textarea').value")
        seen["example"] = [page.input_value(f"#{name} textarea") for name in ("predictions", "references")]
        press()
        page.wait_for_selector("#picture .drawing svg, #picture .drawing ol")
        seen["keys"] = page.locator("#picture .legend .key").count()
        picture, table = (page.locator(name).bounding_box() for name in ("#picture", "#results"))
        seen["picture above table"] = picture["y"] < table["y"]
        seen["widths"], seen["cut"] = {}, []
        seen["links in the title"] = page.locator("h1 a").count()
        for width in (1280, 400):
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(300)
            seen["widths"][str(width)] = page.evaluate("() => document.documentElement.scrollWidth")
            seen["cut"] += page.evaluate(CUT)
            if screenshots:
                page.screenshot(path=f"{screenshots}-{width}.png", full_page=True)
        page.set_viewport_size({"width": 1280, "height": 900})
        shown = page.evaluate(SHOWN)
        for name, text in zip(("predictions", "references"), pasted, strict=True):
            page.fill(f"#{name} textarea", text)
        press()
        page.wait_for_function(f"before => ({SHOWN})()[1] !== before[1]", arg=shown)
        seen["pasted"] = look(page)
        for name, file in zip(("predictions_file", "references_file"), dropped, strict=True):
            page.set_input_files(f"#{name} input[type=file]", file)
            page.wait_for_selector(f"#{name} .file-preview, #{name} .file-name, #{name} a")
        # While it works, the page puts a veil over its parts: only new numbers and a new picture say that it is done.
        before = page.evaluate(SHOWN)
        press()
        page.wait_for_function(
            f"before => {{ const [a, b] = ({SHOWN})(); return a !== before[0] && b !== before[1] }}", arg=before
        )
        seen["dropped"] = look(page)
        page.reload()
        page.wait_for_selector("#predictions textarea")
        page.fill("#predictions textarea", "no json")
        press()
        page.wait_for_selector("text=this is no JSON")
        seen["complaint"] = page.inner_text("[data-testid=toast-body]")
        seen["faults"] = faults
        browser.close()
    app.page.close()
    return seen


def look(page: Any) -> dict[str, Any]:
    """Return the table's cells, the shapes drawn and the answers listed."""
    page.wait_for_function("() => [...document.querySelectorAll('#results td')].some(cell => cell.textContent.trim())")
    return {
        "cells": [cell.strip() for cell in page.locator("#results td").all_text_contents()],
        "shapes": page.eval_on_selector_all("#picture polygon", "all => all.map(one => one.getAttribute('class'))"),
        "answers": page.eval_on_selector_all("#picture li", "all => all.map(one => one.getAttribute('class'))"),
    }


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    print(json.dumps(visit(Path(job["folder"]), job["chromium"], job["pasted"], job["dropped"], job["screenshots"])))
