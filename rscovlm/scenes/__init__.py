"""Generated overhead scenes with complete truth: what tests, demo and tutorials run on. Nothing is downloaded."""

from rscovlm.scenes.change import ScenePair, make_change
from rscovlm.scenes.data_set import write_data_set
from rscovlm.scenes.geotiff import write_geotiff
from rscovlm.scenes.large import LargeScene, write_large_scene
from rscovlm.scenes.layout import LayoutConfig, SceneLayout
from rscovlm.scenes.objects import CLASSES, COLOURS, SceneObject, as_objects
from rscovlm.scenes.pad import GLYPHS, Pad
from rscovlm.scenes.questions import TASKS, SceneQuestion, questions, references
from rscovlm.scenes.scene import Scene, SceneConfig, make_scene, render
from rscovlm.scenes.textures import COVERS
from rscovlm.scenes.zoom import ZoomScene, make_zoom_scene

__all__ = [
    "CLASSES",
    "COLOURS",
    "COVERS",
    "GLYPHS",
    "TASKS",
    "LargeScene",
    "LayoutConfig",
    "Pad",
    "Scene",
    "SceneConfig",
    "SceneLayout",
    "SceneObject",
    "ScenePair",
    "SceneQuestion",
    "ZoomScene",
    "as_objects",
    "make_change",
    "make_scene",
    "make_zoom_scene",
    "questions",
    "references",
    "render",
    "write_data_set",
    "write_geotiff",
    "write_large_scene",
]
