"""Images larger than memory: opening, overviews, windows, map coordinates."""

from rscovlm.rasters.errors import MissingRasterError, RasterError
from rscovlm.rasters.limits import Limits
from rscovlm.rasters.opening import open_image
from rscovlm.rasters.raster import Raster
from rscovlm.rasters.stretch import Stretch
from rscovlm.rasters.view import View

__all__ = ["Limits", "MissingRasterError", "Raster", "RasterError", "Stretch", "View", "open_image"]
