"""Generated overhead scenes with complete truth: what tests, demo and tutorials run on. Nothing is downloaded."""

from rscovlm.data.scenes.change import Change, make_change
from rscovlm.data.scenes.geotiff import write_geotiff
from rscovlm.data.scenes.large import LargeScene, write_large_scene
from rscovlm.data.scenes.layout import Layout, LayoutConfig
from rscovlm.data.scenes.objects import CLASSES, COLOURS, SceneObject, as_objects
from rscovlm.data.scenes.pad import GLYPHS, Pad
from rscovlm.data.scenes.questions import TASKS, Question, questions, references
from rscovlm.data.scenes.scene import Scene, SceneConfig, make_scene, render
from rscovlm.data.scenes.textures import COVERS
from rscovlm.data.scenes.zoom import ZoomScene, make_zoom_scene

__all__ = [
    "CLASSES",
    "COLOURS",
    "COVERS",
    "GLYPHS",
    "TASKS",
    "Change",
    "LargeScene",
    "Layout",
    "LayoutConfig",
    "Pad",
    "Question",
    "Scene",
    "SceneConfig",
    "SceneObject",
    "ZoomScene",
    "as_objects",
    "make_change",
    "make_scene",
    "make_zoom_scene",
    "questions",
    "references",
    "render",
    "write_geotiff",
    "write_large_scene",
]
