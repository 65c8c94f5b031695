"""The self-check is surer of right detections than of wrong ones, and both arms differ in what is turned round alone."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from rscovlm.codec import Codec
from rscovlm.codec.dialect import Dialect
from rscovlm.engines.engine import Reply
from rscovlm.experiments.embedded import STAGES, budget, scene_config
from rscovlm.experiments.set_of_points.cyclic import ARMS, build_pointing_mixture, cyclic_table, self_check
from rscovlm.geometry import Boxes, Objects
from rscovlm.scenes import Scene, make_scene


class Cyclic:
    """Detects one thing that is not there besides the true ones, calls everything by its colour, and finds what is there."""

    def __init__(self, scenes: Sequence[Scene]) -> None:
        self.codec, self.dialect, self.budget = Codec.preset("rscovlm-v1"), Dialect.preset("rscovlm-v1"), budget()
        self.scenes = {scene.image.tobytes(): scene for scene in scenes}

    def generate(self, conversations: Sequence[Any], **_: Any) -> list[Reply]:
        return [Reply(self._answer(*self._asked(one))) for one in conversations]

    def _asked(self, conversation: Any) -> tuple[Scene, str]:
        content = conversation.messages[-1]["content"]
        return self.scenes[content[0]["image"].tobytes()], content[-1]["text"]

    def _answer(self, scene: Scene, text: str) -> str:
        if "plane, ship, tank" in text:
            ghost = Objects(Boxes([[0, 0, 9, 0, 9, 9, 0, 9]], "quad", scene.frame), ("plane",))
            return self.codec.encode(Objects.concatenate([scene.truth, ghost]), scene.frame, kind="quad")
        if text.startswith("Describe"):
            corner = json.loads(text[text.index("[") : text.index("]") + 1])[:2]
            thing = min(scene.objects, key=lambda one: abs(one.quad.min(axis=0) - corner).sum())
            return f"a {thing.colour} {thing.label}."
        (thing,) = [one for one in scene.objects if text == f"find the {one.colour} {one.label}"]
        box = [*thing.quad.min(axis=0), *thing.quad.max(axis=0)]
        return self.codec.encode(Objects(Boxes([box], "hbb", scene.frame), ("it",)), scene.frame, kind="hbb")


def test_the_self_check_is_sure_of_what_is_there() -> None:
    drawn = (make_scene(seed, scene_config(STAGES[-1])) for seed in range(30))
    scenes = [one for one in drawn if len({(thing.colour, thing.label) for thing in one.objects}) == len(one.objects)]
    right, sure = self_check(Cyclic(scenes), scenes)
    assert len(right) == sum(len(scene.objects) + 1 for scene in scenes)
    assert right.count(False) == len(scenes)
    assert min(value for value, is_right in zip(sure, right, strict=True) if is_right) > 0.9
    assert max(value for value, is_right in zip(sure, right, strict=True) if not is_right) < 0.3


@pytest.mark.parametrize("arm", ARMS)
def test_the_arms_see_the_same_scenes(arm: str) -> None:
    mixtures = [build_pointing_mixture(seed=4, cyclic=share) for share in (0.0, ARMS[arm])]
    answers = []
    for position in range(60):
        one, other = (mixture[position] for mixture in mixtures)
        assert one["images"][0].image == other["images"][0].image
        answers.append(other["messages"][-1]["content"][0]["text"][0].isdigit())
    # Empty scenes are answered with no box either.
    assert (sum(answers) < 48) == (arm == "with")


def test_the_table_has_a_row_an_arm() -> None:
    rows = {"without": [{"comprehension": 0.5}, {"comprehension": 0.7}], "with": [{"comprehension": 1.0}] * 2}
    assert cyclic_table(rows).splitlines()[2:] == ["| 0% | 0.600 ± 0.141 |", "| 50% | 1.000 ± 0.000 |"]
