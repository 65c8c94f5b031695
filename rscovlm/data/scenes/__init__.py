"""Generated overhead scenes with complete truth: what tests, demo and tutorials run on. Nothing is downloaded."""

from rscovlm.data.scenes.objects import CLASSES, COLOURS, SceneObject
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
    "Pad",
    "Question",
    "Scene",
    "SceneConfig",
    "SceneObject",
    "ZoomScene",
    "make_scene",
    "make_zoom_scene",
    "questions",
    "references",
    "render",
]
