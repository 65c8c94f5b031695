"""What a fingerprint is made of, by hand."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from rscovlm.quality.fingerprints import fingerprint, near_pairs


def _picture(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Image.Image:
    return Image.fromarray(pixels)


def test_bits_say_where_it_grows_brighter_row_by_row() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 9), dtype=np.uint8)
    text = "".join("1" if pixels[row, k + 1] > pixels[row, k] else "0" for row in range(8) for k in range(8))
    assert fingerprint(_picture(pixels)).bits == int(text, 2)
    # As many pixels of each: a miniature is a mean.
    assert fingerprint(_picture(np.kron(pixels, np.ones((5, 7), np.uint8)))).bits == int(text, 2)


def test_a_look_is_the_miniature_centred_and_of_length_1() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (16, 16), dtype=np.uint8)
    centred = pixels - pixels.mean()
    np.testing.assert_allclose(
        fingerprint(_picture(pixels)).look, centred / np.sqrt((centred**2).sum()), rtol=0, atol=1e-5
    )
    # 16 x 16 pixels that all lie c levels from their mean have a length of 16 c: up to two levels it is noise.
    board = np.indices((16, 16)).sum(axis=0) % 2
    for step, seen in ((4, False), (6, True)):
        assert fingerprint(_picture((100 + step * board).astype(np.uint8))).look.any() == seen
    flat = fingerprint(_picture(np.full((20, 30), 7, np.uint8)))
    assert flat.plain and flat.bits == 0 and not flat.look.any()


def test_a_digest_is_of_pixels_and_size() -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (6, 4, 3), dtype=np.uint8)
    picture = _picture(pixels)
    assert fingerprint(picture).digest == hashlib.sha256(pixels.tobytes() + b"(4, 6)").hexdigest()[:16]
    assert fingerprint(_picture(pixels.reshape(4, 6, 3))).digest != fingerprint(picture).digest


@pytest.mark.parametrize("distance", [0, 3, 7])
def test_pairs_are_those_of_comparing_all(distance: int) -> None:
    rng = np.random.default_rng(3)
    scenes = [rng.integers(0, 256, (24, 27), dtype=np.uint8) for _ in range(4)]
    pictures = []
    for scene in scenes:
        for amount in (0, 2, 8, 20, 60):
            noisy = np.clip(scene + rng.normal(0, amount, scene.shape), 0, 255).astype(np.uint8)
            pictures.append(fingerprint(_picture(np.kron(noisy, np.ones((3, 3), np.uint8)))))
    found = dict.fromkeys(j for _, j in near_pairs(pictures, distance=distance))
    alike = [
        [
            (one.bits ^ other.bits).bit_count() <= distance
            and float((one.look * other.look).sum()) >= 0.97
            and float((one.fine.astype(float) * other.fine).sum()) / (64 * 64 * 40**2) >= 0.3
            for other in pictures
        ]
        for one in pictures
    ]
    expected = {j for j in range(len(pictures)) if any(alike[i][j] for i in range(j))}
    assert set(found) == expected and expected
    assert all(alike[i][j] and i < j for i, j in near_pairs(pictures, distance=distance))
