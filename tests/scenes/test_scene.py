"""Small scenes: truth agrees with the picture, and the same seed gives the same bytes."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from rscovlm.scenes import CLASSES, COLOURS, COVERS, Scene, SceneConfig, make_scene, render

FULL = SceneConfig(min_objects=1, max_objects=4, min_length=24, max_length=36)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    rng = np.random.default_rng(11)
    return [make_scene(rng, FULL) for _ in range(150)]


def test_every_class_colour_and_cover_occurs(scenes: list[Scene]) -> None:
    assert {s.scene_class for s in scenes} == set(COVERS)
    assert {o.label for s in scenes for o in s.objects} == set(CLASSES)
    assert {o.colour for s in scenes for o in s.objects} == set(COLOURS)


def test_same_seed_same_bytes_and_other_seed_other_bytes() -> None:
    pictures = {seed: make_scene(seed, FULL).image.tobytes() for seed in range(30)}
    assert len(set(pictures.values())) == 30
    assert all(make_scene(seed, FULL).image.tobytes() == picture for seed, picture in pictures.items())
    assert make_scene(np.random.default_rng(4), FULL).image.tobytes() == pictures[4]


def test_texture_seed_changes_the_ground_only() -> None:
    config = SceneConfig(covers=("field", "desert"), min_objects=2, max_objects=2, max_length=30)
    other = SceneConfig(covers=("field", "desert"), min_objects=2, max_objects=2, max_length=30, texture_seed=9)
    one, two = make_scene(5, config), make_scene(5, other)
    assert [o.centre for o in one.objects] == [o.centre for o in two.objects]
    assert one.background.tobytes() != two.background.tobytes()


def test_an_objects_pixels_have_its_colour(scenes: list[Scene]) -> None:
    names, values = list(COLOURS), np.array(list(COLOURS.values()), float)
    for scene in scenes:
        image = np.asarray(scene.image).astype(float)
        for i, thing in enumerate(scene.objects):
            middle = np.median(image[scene.mask(i)], axis=0)
            assert names[int(np.argmin(np.linalg.norm(values - middle, axis=1)))] == thing.colour


def test_an_object_changes_only_its_mask_and_shadow(scenes: list[Scene]) -> None:
    for scene in scenes[:80]:
        image = np.asarray(scene.image)
        for i, thing in enumerate(scene.objects):
            rest = [o for o in scene.objects if o is not thing]
            changed = (np.asarray(render(scene.background, rest, scene.sun)) != image).any(axis=2)
            allowed = [thing.polygon] if thing.shape.flat else [thing.polygon, thing.polygon + scene.sun]
            rows, columns = np.nonzero(changed)
            centres = shapely.points(columns + 0.5, rows + 0.5)
            away = shapely.distance(shapely.union_all([shapely.Polygon(p) for p in allowed]), centres)
            assert away.max() < 1.0  # a pixel that is only touched has its centre up to 0.71 away
            mask = scene.mask(i)
            assert (changed & mask).sum() > 0.9 * mask.sum()


def test_masks_are_disjoint_and_inside(scenes: list[Scene]) -> None:
    for scene in scenes:
        masks = scene.masks()
        assert masks.shape == (scene.count(), FULL.size, FULL.size)
        assert masks.sum(axis=0).max() == 1
        for thing in scene.objects:
            assert thing.quad.min() >= 0
            assert thing.quad.max() <= FULL.size


def test_quads_hold_their_polygons_tightly_in_contract_order(scenes: list[Scene]) -> None:
    for thing in (o for s in scenes for o in s.objects):
        quad = thing.quad
        assert tuple(quad[0][::-1]) == min(tuple(c[::-1]) for c in quad)
        following = np.roll(quad, -1, axis=0)
        area = np.sum(quad[:, 0] * following[:, 1] - quad[:, 1] * following[:, 0]) / 2
        assert area == pytest.approx(thing.length * thing.width)
        edges = following - quad
        inward = np.stack([-edges[:, 1], edges[:, 0]], axis=1) / np.linalg.norm(edges, axis=1, keepdims=True)
        distances = np.einsum("kid,id->ki", thing.polygon[:, None] - quad[None], inward)
        np.testing.assert_allclose(distances.min(axis=0), 0, atol=1e-6)


def test_truth_is_the_objects_as_labelled_quads(scenes: list[Scene]) -> None:
    for scene in scenes[:30]:
        assert scene.truth.labels == tuple(o.label for o in scene.objects)
        for quad, thing in zip(scene.truth.boxes.coords, scene.objects, strict=True):
            np.testing.assert_array_equal(quad.reshape(4, 2), thing.quad)
    empty = make_scene(0, SceneConfig(max_objects=0))
    assert len(empty.truth) == 0
    assert empty.masks().shape == (0, 84, 84)


def test_polygon_area_is_the_masks(scenes: list[Scene]) -> None:
    for scene in scenes[:60]:
        for i, thing in enumerate(scene.objects):
            outline = shapely.Polygon(thing.polygon)
            assert abs(scene.mask(i).sum() - outline.area) < 0.25 * outline.length


def test_ships_lie_on_water_and_the_rest_does_not() -> None:
    rng = np.random.default_rng(3)
    config = SceneConfig(covers=("harbour",), min_objects=1, max_objects=3)
    for scene in (make_scene(rng, config) for _ in range(60)):
        for i, thing in enumerate(scene.objects):
            share = scene.water[scene.mask(i)].mean()
            assert share > 0.97 if thing.label == "ship" else share < 0.03


def test_objects_stand_out_from_the_ground(scenes: list[Scene]) -> None:
    for scene in scenes:
        ground = np.asarray(scene.background).astype(float)
        for thing in scene.objects:
            assert np.linalg.norm(np.median(ground, axis=(0, 1)) - thing.tint) > 55


def test_number_of_objects_is_spread_and_none_is_allowed() -> None:
    rng = np.random.default_rng(0)
    counts = [make_scene(rng).count() for _ in range(200)]
    assert set(counts) == {0, 1, 2, 3}
    assert min(np.bincount(counts)) > 25  # 50 each, less those for which there was no room
    assert all(make_scene(rng, SceneConfig(max_objects=0)).count() == 0 for _ in range(5))


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"classes": ("car",)}, "car"),
        ({"covers": ()}, "covers"),
        ({"min_objects": 3, "max_objects": 2}, "min_objects"),
        ({"max_length": 80.0}, "max_length"),
        ({"size": 20}, "20"),
        ({"classes": ("ship",), "min_objects": 1}, "plausible"),
    ],
)
def test_a_wrong_configuration_says_what_to_do(kwargs: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SceneConfig(**kwargs)  # type: ignore[arg-type]


def test_too_many_objects_is_an_error() -> None:
    with pytest.raises(ValueError, match="no place"):
        make_scene(0, SceneConfig(min_objects=30, max_objects=30))
