"""Files and a port that must stay untouched, and what tells when one was."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.rasters.files import write_tiff

SECRET = 222
"""The only value of the canary's pixels; no other picture here holds it."""
LISTEN = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    print("called", flush=True)
    connection.close()
"""
_OPENED = 0x20 | 0x1  # IN_OPEN, IN_ACCESS


@dataclass
class Canaries:
    """A folder of canaries watched by the kernel, and a listening port.

    Attributes:
        folder: Where the canaries lie.
        port: The port on the loopback.
    """

    folder: Path
    port: int
    _watch: int
    _calls: int

    def touched(self) -> list[str]:
        """Return what was opened or called since this was asked last."""
        names: list[str] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                events, start = os.read(self._watch, 65536), 0
                while start < len(events):
                    _, mask, _, length = struct.unpack_from("iIII", events, start)
                    name = events[start + 16 : start + 16 + length].rstrip(b"\0").decode()
                    if name and mask & _OPENED:
                        names.append(name)
                    start += 16 + length
        with contextlib.suppress(BlockingIOError):
            names += os.read(self._calls, 65536).decode().split()
        return names

    def targets(self) -> list[str]:
        """Return names of every canary that a file might state: paths, virtual paths, addresses, XML."""
        tif, port, url = self.folder / "secret.tif", self.port, f"http://127.0.0.1:{self.port}"
        return [
            str(tif),
            f"file://{tif}",
            f"/vsisubfile/0_,{tif}",
            f"/vsicurl/{url}/a.tif",
            f"/vsicurl_streaming/{url}/a.tif",
            f"/vsicurl?url={url}/a.tif",
            f"/vsizip//vsicurl/{url}/a.zip/a.tif",
            f"/vsis3/bucket/a.tif?endpoint=127.0.0.1:{port}",
            f"{url}/a.tif",
            f"WMS:{url}/wms?SERVICE=WMS&LAYERS=a",
            str(self.folder / "secret.vrt"),
            str(self.folder / "secret.wms"),
            f"GTIFF_DIR:1:{tif}",
            f"vrt://{tif}?bands=1",
            f"DERIVED_SUBDATASET:AMPLITUDE:{tif}",
            (
                f'<VRTDataset rasterXSize="50" rasterYSize="50"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
                f"<SourceFilename>{tif}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
                f"</VRTDataset>"
            ),
            (
                f'<GDAL_WMS><Service name="TMS"><ServerUrl>{url}/${{x}}</ServerUrl></Service><DataWindow><UpperLeftX>0'
                "</UpperLeftX><UpperLeftY>50</UpperLeftY><LowerRightX>50</LowerRightX><LowerRightY>0</LowerRightY>"
                "<SizeX>50</SizeX><SizeY>50</SizeY></DataWindow><BandsCount>1</BandsCount></GDAL_WMS>"
            ),
            f":::BASE:::../{self.folder.name}/secret.tif",
            f"../{self.folder.name}/secret.tif",
        ]

    def systems(self) -> list[str]:
        """Return definitions of coordinate systems that name a canary."""
        grid, init, text = (str(self.folder / name) for name in ("secret.gsb", "secret.init", "secret.prj"))
        geographic = (
            'GEOGCS["g",DATUM["d",SPHEROID["s",6378137,298]{}],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925]{}]'
        )
        projected = 'PROJCS["p",' + geographic.format("", "") + ',PROJECTION["{}"],UNIT["metre",1]{}]'
        return [
            text,
            f"file://{text}",
            f"http://127.0.0.1:{self.port}/a.prj",
            f"/vsicurl/http://127.0.0.1:{self.port}/a.prj",
            f"+init={init}:key",
            f"+proj=longlat +ellps=bessel +nadgrids={grid} +no_defs +type=crs",
            f"+proj=longlat +ellps=bessel +nadgrids=@{grid},null +no_defs +type=crs",
            f"+proj=utm +zone=33 +geoidgrids={grid} +type=crs",
            f"+proj=pipeline +step +proj=hgridshift +grids={grid}",
            geographic.format(f',EXTENSION["PROJ4_GRIDS","{grid}"]', ""),
            geographic.format("", f',EXTENSION["PROJ4","+proj=longlat +nadgrids={grid} +no_defs"]'),
            projected.format("Transverse_Mercator", f',EXTENSION["PROJ4","+init={init}:key"]'),
            projected.format("custom_proj4", f',EXTENSION["PROJ4","+proj=utm +zone=33 +nadgrids={grid}"]'),
            (
                f'BOUNDCRS[SOURCECRS[GEOGCRS["g",DATUM["d",ELLIPSOID["s",6378137,298]],CS[ellipsoidal,2],AXIS["lat",north],'
                f'AXIS["lon",east],ANGLEUNIT["degree",0.0174532925]]],TARGETCRS[GEOGCRS["w",DATUM["World Geodetic System '
                f'1984",ELLIPSOID["WGS 84",6378137,298.257223563]],CS[ellipsoidal,2],AXIS["lat",north],AXIS["lon",east],'
                f'ANGLEUNIT["degree",0.0174532925]]],ABRIDGEDTRANSFORMATION["t",METHOD["NTv2",ID["EPSG",9615]],'
                f'PARAMETERFILE["Latitude and longitude difference file","{grid}"]]]'
            ),
        ]


@contextlib.contextmanager
def canaries(folder: Path) -> Iterator[Canaries]:
    """Make the canaries in a folder, watch it, and listen; skips the test where the kernel has no inotify."""
    folder.mkdir()
    write_tiff(folder / "secret.tif", np.full((50, 50, 3), SECRET, dtype=np.uint8))
    (folder / "secret.vrt").write_text(
        '<VRTDataset rasterXSize="50" rasterYSize="50"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        '<SourceFilename relativeToVRT="1">secret.tif</SourceFilename><SourceBand>1</SourceBand></SimpleSource>'
        "</VRTRasterBand></VRTDataset>"
    )
    (folder / "secret.wms").write_text("<GDAL_WMS></GDAL_WMS>")
    (folder / "secret.prj").write_text('LOCAL_CS["secret"]')
    (folder / "secret.init").write_text("<key> +proj=utm +zone=33 <>\n")
    (folder / "secret.gsb").write_bytes(bytes(500))
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "inotify_init1"):
        pytest.skip("the kernel does not tell which files are opened")
    watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert libc.inotify_add_watch(watch, os.fsencode(folder), _OPENED) >= 0
    # A process of its own: GDAL waits for an answer while it keeps this process from giving one.
    listener = subprocess.Popen([sys.executable, "-c", LISTEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert listener.stdout is not None and listener.stdin is not None
    try:
        port = int(listener.stdout.readline())
        os.set_blocking(listener.stdout.fileno(), False)
        yield Canaries(folder, port, watch, listener.stdout.fileno())
    finally:
        listener.stdin.close()
        listener.stdout.close()
        listener.kill()
        listener.wait()
        os.close(watch)
