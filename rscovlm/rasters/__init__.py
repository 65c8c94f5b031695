"""Images larger than memory: opening, overviews, windows, map coordinates; and results as files, pictures and maps."""

from rscovlm.rasters.drawing import draw_objects, draw_steps
from rscovlm.rasters.errors import MissingRasterError, RasterError
from rscovlm.rasters.exports import to_coco, to_dota, to_supervision, to_yolo_obb
from rscovlm.rasters.geojson import to_geojson
from rscovlm.rasters.limits import Limits
from rscovlm.rasters.map_page import map_page
from rscovlm.rasters.opening import open_image
from rscovlm.rasters.raster import Raster
from rscovlm.rasters.stretch import Stretch
from rscovlm.rasters.vectors import to_geopackage, to_geoparquet
from rscovlm.rasters.view import View

__all__ = [
    "Limits",
    "MissingRasterError",
    "Raster",
    "RasterError",
    "Stretch",
    "View",
    "draw_objects",
    "draw_steps",
    "map_page",
    "open_image",
    "to_coco",
    "to_dota",
    "to_geojson",
    "to_geopackage",
    "to_geoparquet",
    "to_supervision",
    "to_yolo_obb",
]
