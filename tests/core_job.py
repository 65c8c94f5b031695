"""What works where nothing but the core is installed; run by `test_core.py` with the other packages hidden."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import tempfile
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

OPTIONAL = (
    "torch",
    "torchvision",
    "trl",
    "peft",
    "accelerate",
    "datasets",
    "evaluate",
    "rasterio",
    "pyarrow",
    "pandas",
    "starlette",
    "uvicorn",
    "prometheus_client",
    "mcp",
    "sahi",
    "geopandas",
    "supervision",
)
NEED_AN_EXTRA = (
    "rscovlm.experiments.embedded",
    "rscovlm.experiments.learning",
    "rscovlm.experiments.packed_rows",
    "rscovlm.experiments.policies",
    "rscovlm.experiments.segmenting",
    "rscovlm.experiments.set_of_points",
    "rscovlm.agents.tool_server",
    "rscovlm.demo",
    "rscovlm.training",
    "rscovlm.engines.constrained",
    "rscovlm.engines.prefixes",
    "rscovlm.engines.transformers",
    "rscovlm.predicting.sahi_model",
    "rscovlm.serving.bodies",
    "rscovlm.serving.connections",
    "rscovlm.serving.metrics",
    "rscovlm.serving.replying",
    "rscovlm.serving.server",
)


class Hiding(MetaPathFinder):
    """Asks another finder, but finds no optional package, as on a machine that has none.

    Args:
        finder: One of `sys.meta_path`.
    """

    def __init__(self, finder: Any) -> None:
        self._finder = finder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module, unless it is optional."""
        if fullname.partition(".")[0] in OPTIONAL:
            return None
        found: ModuleSpec | None = self._finder.find_spec(fullname, path, target)
        return found


def modules() -> list[str]:
    """Name every module of the package that must import without the optional packages."""
    import rscovlm

    names = [module.name for module in pkgutil.walk_packages(rscovlm.__path__, "rscovlm.")]
    return [name for name in names if not name.startswith(NEED_AN_EXTRA) and not name.endswith("__main__")]


def job(folder: Path) -> None:
    """Make a scene, keep it as a GeoTIFF and as records, read both, write and read boxes as text, and measure."""
    import rscovlm
    from rscovlm.data.sources import sources
    from rscovlm.data.storage import read_records, write_records
    from rscovlm.mixtures.mixture import Mixture, Subset
    from rscovlm.records.record import ImageRef, Record
    from rscovlm.scenes import SceneConfig, make_scene, write_geotiff

    scene = make_scene(3, SceneConfig(min_objects=2, max_objects=3, covers=("airfield",)))
    file = folder / "scene.tif"
    write_geotiff(file, scene.frame, lambda *box: scene.image.crop(box))
    raster = rscovlm.open_image(file)
    view = raster.overview(42 * 42)
    assert raster.read((0, 0, 40, 30)).image.size == (40, 30)

    objects = scene.truth
    codec = rscovlm.Codec.preset("rscovlm-v1")
    read = codec.decode(codec.encode(objects, scene.frame), scene.frame).objects
    truth = {"boxes": objects.as_kind("quad").boxes, "labels": objects.labels}
    found = {"boxes": read.boxes, "labels": read.labels}
    assert rscovlm.metrics.ap_nc([found], [truth])["ap_nc50"]["mean"] == 1
    assert read.to(view.frame).boxes.coords.max() <= 42

    record = Record("a", "core", "train", "classification", (ImageRef("scene.tif"),), classes=("airfield",))
    write_records([record] * 3, folder / "records.jsonl")
    rows = list(read_records(folder / "records.jsonl"))
    assert Mixture([Subset("scenes", rows)], seed=1, length=10**9)[10**6].classes == ("airfield",)
    assert rscovlm.plan_size(84, 84, min_pixels=56 * 56) == (84, 84)
    assert rscovlm.RSCoVLMImageProcessor()(images=[view.image], return_tensors="np")["pixel_values"].ndim == 2
    assert len(sources()) > 20


if __name__ == "__main__":
    if sys.argv[1:] == ["hide"]:
        sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
    for name in modules():
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as name:
        job(Path(name))
    sys.stdout.write(" ".join(sorted({name for name in OPTIONAL if name in sys.modules} | {"done"})))
