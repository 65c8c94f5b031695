from .errors import MissingRasterError as MissingRasterError
from .errors import RasterError as RasterError
from .limits import PixelLimits as PixelLimits
from .opening import open_image as open_image
from .raster import Raster as Raster
from .stretch import Stretch as Stretch
from .turned import Orientation as Orientation
from .view import View as View
