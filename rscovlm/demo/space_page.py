"""The page of the demo Space."""

from __future__ import annotations

import tempfile
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rscovlm.demo.space_jobs import SCENES, run_job, write_scene

if TYPE_CHECKING:
    from rscovlm.engines import Engine

_ABOUT = """\
# Remote-sensing images, looked at closely
Upload an image or a GeoTIFF, or take a drawn scene; then ask, point at something, or find every object of some classes. The model in
the package (a million parameters, trained on drawn scenes alone) answers on the CPU; a server of your own does real images.
"""
_TEXTS = {"ask": "Question", "ground": "What to point at", "detect": "Class names, with commas"}
_FILES = [".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2", ".webp"]


@cache
def engine_of(server: str, model: str) -> Engine:
    """Return the embedded model's engine, or that of an OpenAI-compatible server; one of each is kept.

    Raises:
        ValueError: The server's address or the model's name is missing or wrong.
    """
    from rscovlm.serving.loading import load_engine

    return load_engine(model, endpoints=[server]) if server else load_engine()


def demo_page() -> Any:
    """Return the page as `gradio.Blocks`; needs the extra `spaces`.

    Raises:
        ModuleNotFoundError: gradio is not installed.
    """
    import gradio as gr

    from rscovlm.engines import ServerError

    room = Path(tempfile.mkdtemp(prefix="rscovlm-space-"))

    def chosen(scene: str | None) -> tuple[str | None, str, str]:
        if not scene:
            return None, "", "ask"
        return str(write_scene(scene, room)), SCENES[scene][1], "ask"

    def run(
        path: str | None, job: str, text: str | None, zoom: bool, server: str | None, model: str | None
    ) -> tuple[Any, ...]:
        try:
            if path is None:
                raise ValueError("there is no image; upload one, or choose a drawn scene")
            # A field that nobody has opened or filled in is None.
            shown = run_job(engine_of((server or "").strip(), (model or "").strip()), path, job, text or "", zoom=zoom)
        except (ValueError, OSError, ServerError) as error:
            raise gr.Error(str(error)) from None
        # The map page stands in a frame without rights: it cannot reach this page.
        frame = f'<iframe sandbox="allow-scripts" srcdoc="{escape(shown.map, quote=True)}" title="Map"></iframe>'
        return shown.text, shown.pictures, frame, gr.update(value=shown.geojson, visible=shown.geojson is not None)

    css = "#map iframe { width: 100%; height: 520px; border: 1px solid #8888; border-radius: 6px; }"
    with gr.Blocks(title="rscovlm") as page:
        gr.HTML(f"<style>{css}</style>", padding=False)
        gr.Markdown(_ABOUT)
        with gr.Row():
            with gr.Column(min_width=300):
                scene = gr.Dropdown(list(SCENES), value=None, label="A drawn scene", elem_id="scene")
                file = gr.File(label="Image or GeoTIFF", type="filepath", file_types=_FILES, height=150, elem_id="file")
                job = gr.Radio(list(_TEXTS), value="ask", label="What to do", elem_id="job")
                text = gr.Textbox(label=_TEXTS["ask"], elem_id="text")
                zoom = gr.Checkbox(True, label="Let the model look closer", elem_id="zoom")
                with gr.Accordion("Another model", open=False):
                    server = gr.Textbox(label="Server", placeholder="http://127.0.0.1:8000/v1", elem_id="server")
                    model = gr.Textbox(label="Name of its model", placeholder="rscovlm", elem_id="model")
                button = gr.Button("Run", variant="primary", elem_id="run")
            with gr.Column(min_width=300, scale=2):
                answer = gr.Textbox(label="Answer", interactive=False, elem_id="answer")
                pictures = gr.Gallery(
                    label="What was looked at", columns=2, height="auto", object_fit="contain", elem_id="pictures"
                )
        found = gr.HTML(label="Map", elem_id="map")
        download = gr.DownloadButton("Download GeoJSON", visible=False, elem_id="geojson")
        scene.change(chosen, scene, [file, text, job])
        job.change(lambda name: gr.update(label=_TEXTS[name]), job, text, show_progress="hidden")
        button.click(
            run, [file, job, text, zoom, server, model], [answer, pictures, found, download], concurrency_limit=1
        )
    return page
