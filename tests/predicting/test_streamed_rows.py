"""GeoJSON of many rows is written as the rows come."""

import json
import tracemalloc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from rscovlm.geometry import Frame
from rscovlm.predicting.placed_rows import write_objects
from rscovlm.tasks.boxes import frame_row


class Made(Mapping[str, Any]):
    """Rows that are made when they are asked for."""

    def __init__(self, count: int, frame: Frame) -> None:
        self._count, self._frame = count, frame_row(frame)

    def __getitem__(self, name: str) -> Any:
        box = [int(name), 10, int(name) + 5, 20]
        objects = [{"box": box, "kind": "hbb", "label": "ship"} for _ in range(20)]
        return {"objects": objects, "frame": self._frame}

    def __iter__(self) -> Iterator[str]:
        return map(str, range(self._count))

    def __len__(self) -> int:
        return self._count


@pytest.mark.parametrize("crs", ["EPSG:32633", None])
def test_memory_does_not_grow_with_the_objects(crs: str | None, tmp_path: Path) -> None:
    world = (0.5, 0, 500000, 0, -0.5, 4000000) if crs else None
    frame = Frame(2000, 1000, root_to_world=world, crs=crs)
    peaks = []
    for count in (10, 50, 300):
        tracemalloc.start()
        written, left_out = write_objects(Made(count, frame), tmp_path / "objects.geojson", overwrite=True)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert (written, left_out) == (20 * count, 0)
    # A feature takes about a kilobyte and a half: 5,000 more would take 7 MB.
    assert peaks[2] < peaks[1] + 1_000_000
    found = json.loads((tmp_path / "objects.geojson").read_text())
    assert [feature["id"] for feature in found["features"]] == list(range(6_000))
    assert ("coordinates" in found) == (crs is None)
