"""Run by the tests with an interpreter that has gradio and playwright: clicks through the demo Space in a real browser.

Prints as JSON what a person would see, and leaves screenshots where they are asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

from rscovlm.demo.space_page import engine_of
from tests.serving.loopback import served


def visit(folder: Path, chromium: str, image: str, room: Path) -> dict[str, Any]:
    """Serve the page, use it, and return what it says."""
    playwright_api = importlib.import_module("playwright.sync_api")
    spec = importlib.util.spec_from_file_location("demo_app", folder / "app.py")
    assert spec is not None and spec.loader is not None
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    _, address, _ = app.page.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    seen: dict[str, Any] = {"widths": {}}
    with playwright_api.sync_playwright() as playwright, served(engine_of("", "")) as server:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(90_000)
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(address)

        def answered(before: str) -> str:
            page.wait_for_function(
                "before => { const now = document.querySelector('#answer textarea').value; return now && now !== before }",
                arg=before,
            )
            page.wait_for_selector("#map iframe")
            return str(page.input_value("#answer textarea"))

        def complaint() -> str:
            page.click("#run")
            page.wait_for_selector("[data-testid=toast-body]")
            said = str(page.inner_text("[data-testid=toast-body]"))
            page.click("[data-testid=toast-close]")
            page.wait_for_selector("[data-testid=toast-body]", state="detached")
            return said

        page.wait_for_selector("#text textarea, #text input")
        page.fill("#text textarea, #text input", "Is there a ship?")
        seen["without an image"] = complaint()
        choose(page, "a pad with a marking")
        page.click("#run")
        seen["answer"] = answered("")
        seen["pictures"] = page.locator("#pictures img").count()
        for width in (1280, 400):
            page.set_viewport_size({"width": width, "height": 900})
            page.locator("#map iframe").scroll_into_view_if_needed()
            page.wait_for_timeout(800)
            seen["widths"][str(width)] = page.evaluate("() => document.documentElement.scrollWidth")
            page.screenshot(path=str(room / f"demo-{width}.png"), full_page=True)
        page.set_viewport_size({"width": 1280, "height": 900})
        choose(page, "an airfield")
        page.click("#job label:has-text('detect')")
        page.fill("#text textarea, #text input", "plane, ship, tank")
        page.click("#run")
        seen["found"] = answered(seen["answer"])
        with page.expect_download() as download:
            page.click("#geojson")
        seen["geojson"] = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
        frame = page.frame_locator("#map iframe")
        frame.locator(".leaflet-container").first.wait_for()
        seen["map"] = frame.locator("canvas, .leaflet-overlay-pane *").count()
        page.screenshot(path=str(room / "demo-found.png"), full_page=True)
        page.click("#file button[aria-label='Clear']")
        page.set_input_files("#file input[type=file]", image)
        page.wait_for_selector("#file :text('mine')")
        page.click("#job label:has-text('ground')")
        page.fill("#text textarea, #text input", "the plane")
        page.click("#run")
        seen["pointed"] = answered(seen["found"])
        page.click("text=Another model")
        page.fill("#server textarea, #server input", f"http://127.0.0.1:{server.port}/v1")
        seen["without a name"] = complaint()
        page.fill("#model textarea, #model input", "rscovlm")
        page.click("#job label:has-text('detect')")
        page.fill("#text textarea, #text input", "plane, ship, tank")
        page.click("#run")
        seen["by a server"] = answered(seen["pointed"])
        seen["asked"] = server.engine.batches
        seen["faults"] = faults
        browser.close()
    app.page.close()
    return seen


def choose(page: Any, scene: str) -> None:
    """Choose a drawn scene and wait until its file is there."""
    page.click("#scene input")
    page.click(f"[role=option]:has-text('{scene}')")
    page.wait_for_selector(f"#file :text('{scene.replace(' ', '_')[:8]}')")


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    print(json.dumps(visit(Path(job["folder"]), job["chromium"], job["image"], Path(job["room"]))))
