"""Before and after: two pictures of one place between which objects came and went."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rscovlm.scenes.scene import Scene, SceneConfig, make_scene, place_objects, render


@dataclass(frozen=True, eq=False)
class ScenePair:
    """Two scenes of one place.

    Attributes:
        before: The earlier scene.
        after: The later one, in other light and with shadows in another direction.
        removed: Positions in ``before.objects`` of those that are gone.
        added: Positions in ``after.objects`` of those that are new.
    """

    before: Scene
    after: Scene
    removed: tuple[int, ...]
    added: tuple[int, ...]

    def mask(self) -> NDArray[np.uint8]:
        """(height, width) 0 where nothing changed, 1 where an object is gone, 2 where one is new."""
        out = np.zeros(self.before.water.shape, np.uint8)
        for i in self.removed:
            out[self.before.mask(i)] = 1
        for i in self.added:
            out[self.after.mask(i)] = 2
        return out

    def sentence(self) -> str:
        """What changed, in words."""
        gone = [f"the {self.before.objects[i].colour} {self.before.objects[i].label} is gone" for i in self.removed]
        new = [f"a {self.after.objects[i].colour} {self.after.objects[i].label} is new" for i in self.added]
        parts = gone + new
        return (", ".join(parts)[:1].upper() + ", ".join(parts)[1:] + ".") if parts else "Nothing changed."


def make_change(
    rng: np.random.Generator | int, config: SceneConfig | None = None, *, max_changes: int = 2
) -> ScenePair:
    """Make a pair of scenes; the same seed gives the same bytes.

    Args:
        rng: A random generator, which advances, or a seed.
        config: What the scenes hold; ``max_objects`` holds for both.
        max_changes: Largest number of objects removed, and of objects added.

    Raises:
        ValueError: If ``max_changes`` is negative.

    Examples:
        >>> pair = make_change(4)
        >>> pair.before.count() - len(pair.removed) + len(pair.added) == pair.after.count()
        True
    """
    if max_changes < 0:
        raise ValueError(f"max_changes={max_changes}; give 0 or more")
    config = config or SceneConfig()
    rng = np.random.default_rng(rng)
    before = make_scene(rng, config)
    order = [int(i) for i in rng.permutation(before.count())]
    removed = tuple(sorted(order[: int(rng.integers(0, max_changes + 1))]))
    kept = [o for i, o in enumerate(before.objects) if i not in removed]
    room = min(max_changes, config.max_objects - len(kept))
    wanted = int(rng.integers(0, room + 1))
    # what is new stays clear of what is gone, so that the mask has one value a pixel
    new = place_objects(rng, before.scene_class, before.water, wanted, config, beside=before.objects)
    turn = math.atan2(before.sun[1], before.sun[0]) + float(rng.uniform(-1, 1))
    strength = math.hypot(*before.sun)
    sun = (strength * math.cos(turn), strength * math.sin(turn))
    light = float(rng.uniform(0.9, 1.1))
    ground = Image.fromarray(np.clip(np.asarray(before.background) * light, 0, 255).astype(np.uint8))
    objects = tuple(kept + new)
    after = Scene(before.scene_class, objects, ground, before.water, sun, render(ground, objects, sun))
    return ScenePair(before, after, removed, tuple(range(len(kept), len(objects))))
