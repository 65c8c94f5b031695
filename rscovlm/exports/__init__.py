"""Results as files, pictures and maps: GeoJSON, GeoPackage, GeoParquet, COCO, DOTA, YOLO, drawings, a map page."""

from rscovlm.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
