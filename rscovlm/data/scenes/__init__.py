"""Generated overhead scenes with complete truth: what tests, demo and tutorials run on. Nothing is downloaded."""

from .objects import CLASSES, COLOURS, SceneObject
from .questions import TASKS, Question, questions, references
from .scene import Scene, SceneConfig, make_scene, render
from .textures import COVERS
from .zoom import GLYPHS, Pad, ZoomScene, make_zoom_scene

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
