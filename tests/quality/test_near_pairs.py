"""Pictures that look alike, held against the comparison of all pairs."""

from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from rscovlm.quality import fingerprints
from rscovlm.quality.fingerprints import Print, fingerprint, near_pairs
from rscovlm.quality.lint import lint
from rscovlm.records.record import ImageRef, Record


def _alike(scenes: int, copies: int, noise: float, seed: int) -> list[Image.Image]:
    """Scenes of blocks, each a few times with noise, mixed."""
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(scenes):
        blocks = np.kron(rng.integers(0, 255, (16, 16)), np.ones((8, 8)))
        for _ in range(copies):
            noisy = np.clip(blocks + rng.normal(0, noise, blocks.shape), 0, 255)
            pictures.append(Image.fromarray(noisy.astype(np.uint8)))
    return [pictures[k] for k in rng.permutation(len(pictures))]


def _pairs(prints: list[Print]) -> set[tuple[int, int]]:
    """The rule, word for word."""
    found = set()
    for i, j in combinations(range(len(prints)), 2):
        one, other = prints[i], prints[j]
        fine = float((one.fine.astype(float) * other.fine).mean()) / 40**2
        if (one.bits ^ other.bits).bit_count() <= 7 and (one.look * other.look).sum() >= 0.97 and fine >= 0.3:
            found.add((i, j))
    return found


@pytest.mark.parametrize(("rows", "columns", "pairs"), [(128, 4096, 2048), (3, 5, 2)])
@pytest.mark.parametrize("noise", [8.0, 60.0])
def test_each_is_paired_once_with_each_kind_that_has_one_like_it(
    noise: float, rows: int, columns: int, pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("_ROWS", rows), ("_COLUMNS", columns), ("_PAIRS", pairs)):
        monkeypatch.setattr(fingerprints, name, value)
    for seed in range(4):
        prints = [fingerprint(picture) for picture in _alike(5, 9, noise, seed)]
        kinds = [("train", "val", "test")[k] for k in np.random.default_rng(seed).integers(0, 3, len(prints))]
        expected, found = _pairs(prints), list(near_pairs(prints, kinds=kinds))
        assert expected and set(found) <= expected
        covered = [(j, kinds[i]) for i, j in found]
        assert len(covered) == len(set(covered))
        assert set(covered) == {(j, kinds[i]) for i, j in expected}
    assert len(found) < len(expected)


def test_a_crowd_of_look_alikes_is_a_finding_a_picture_and_its_leak_is_found(tmp_path: object) -> None:
    folder = str(tmp_path)
    pictures = _alike(1, 30, 8.0, 0)
    records = []
    for number, picture in enumerate(pictures):
        picture.save(f"{folder}/{number}.png")
        image = ImageRef(f"{number}.png", width=128, height=128)
        split = "test" if number == 20 else "train"
        records.append(Record(str(number), "made", split, "classification", (image,), classes=("a",)))
    report = lint(records, folder)
    # Every later one with one of its split, the one of the other split twice: with an earlier one, and from a later one.
    leaks = report.worst("leak")
    assert {leak.place for leak in leaks} >= {"made/test/20"}
    assert report.counts["near image"] == 28 and report.counts["leak"] == 10 and "shared ground" not in report.counts


def _of_bits(bits: list[int], seed: int) -> list[Print]:
    """Fingerprints with these bits that agree in all else."""
    rng = np.random.default_rng(seed)
    look = rng.normal(0, 1, (16, 16)).astype(np.float32)
    fine = np.where(rng.random((64, 64)) < 0.5, 40, -40).astype(np.int8)
    return [Print("", one, look / np.linalg.norm(look), fine) for one in bits]


def _changed(bits: int, places: int, rng: np.random.Generator) -> int:
    for place in rng.choice(64, places, replace=False).tolist():
        bits ^= 1 << place
    return bits


@pytest.mark.parametrize("equal", [1, 2, 3])
@pytest.mark.parametrize("distance", [0, 1, 4, 7])
@pytest.mark.parametrize("crowd", [1, 3, 64])
def test_pairs_of_near_bits_are_those_of_comparing_all(
    equal: int, distance: int, crowd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprints, "_least_equal", lambda *_: equal)
    monkeypatch.setattr(fingerprints, "_CROWD", crowd)
    for seed in range(6):
        rng = np.random.default_rng(seed)
        bases = [int(base) for base in rng.integers(0, 1 << 63, 12)]
        # Pairs at every number of differing bits around the limit, some in one band alone, and strangers.
        bits = [_changed(bases[k % 12], k // 12, rng) for k in range(12 * 11)]
        bits += [bases[k] ^ (0x7F << 7 * k) for k in range(9)] + [int(base) for base in rng.integers(0, 1 << 63, 40)]
        bits = [bits[k] for k in rng.permutation(len(bits))]
        kinds = [("train", "test")[k] for k in rng.integers(0, 2, len(bits))]
        found = list(near_pairs(_of_bits(bits, seed), kinds=kinds, distance=distance))
        alike = [(i, j) for i, j in combinations(range(len(bits)), 2) if (bits[i] ^ bits[j]).bit_count() <= distance]
        covered = [(j, kinds[i]) for i, j in found]
        assert set(found) <= set(alike) and len(covered) == len(set(covered))
        assert set(covered) == {(j, kinds[i]) for i, j in alike}


def test_more_bands_must_agree_where_there_are_more_pictures() -> None:
    assert [fingerprints._least_equal(count, 7) for count in (100, 100_000, 10_000_000)] == [1, 2, 3]
    for count in range(1, 12):
        bands = fingerprints._bands(count)
        assert [low for low, _ in bands] == [sum(width for _, width in bands[:k]) for k in range(count)]
        assert sum(width for _, width in bands) == 64


def test_every_near_pair_is_a_candidate_once() -> None:
    rng = np.random.default_rng(0)
    bits = np.array(
        [_changed(int(base), k, rng) for base in rng.integers(0, 1 << 63, 150) for k in (0, 2, 5)], np.uint64
    )
    kind, covered = np.zeros(len(bits), int), np.zeros((len(bits), 1), bool)
    near = np.triu(np.bitwise_count(bits[:, None] ^ bits[None]) <= 7, 1)
    found = [pair for i, j in fingerprints._candidates(bits, kind, covered, 7) for pair in zip(i.tolist(), j.tolist())]
    assert sorted(found) == sorted(map(tuple, np.argwhere(near).tolist()))
