"""Keys of rows and images, held against the published generator and against the same sums in plain integers."""

import hashlib
import struct

import numpy as np

from rscovlm.metrics.content import image_keys, mixed, numbered, random_orders, row_keys, score_tiers, streams
from rscovlm.metrics.detections import read_items

STEP, MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1


def _mixed(value: int) -> int:
    value = (value + STEP) & MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def test_bits_are_mixed_as_splitmix64_mixes_them() -> None:
    # The first numbers of SplitMix64 from state 1234567, as Vigna's reference implementation (splitmix64.c) gives them.
    first = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    states = np.array([(1234567 + turn * STEP) & MASK for turn in range(5)], dtype=np.uint64)
    assert mixed(states).tolist() == first == [_mixed(int(state)) for state in states]


def test_keys_of_rows_and_images_are_these_sums() -> None:
    # A different key would give another random order, and so another value for the same seed, than earlier versions gave.
    quads = [[1.0, 2, 9, 2, 9, 7, 1, 7], [30.0, 20, 39, 20, 39, 27, 30, -0.0], [1.0, 2, 9, 2, 9, 7, 1, 7]]
    items = [{"boxes": quads[:2], "labels": ["ship", "plane"]}, {"boxes": quads[2:], "labels": ["ship"]}]
    found, true, classes = read_items(items, items[::-1], None)
    keys = row_keys(found, classes)
    expected = []
    for label, numbers in zip(["ship", "plane", "ship"], found.quads.tolist(), strict=True):
        key = _mixed(_hashed(label))
        for number in (*numbers, 0.0):
            key = _mixed(key ^ struct.unpack("<Q", struct.pack("<d", number + 0.0))[0])
        expected.append(key)
    assert keys.tolist() == expected
    mine = [_mixed(expected[0]) + _mixed(expected[1]), _mixed(expected[2])]
    pairs = [_mixed(_mixed(one & MASK) ^ (other & MASK)) for one, other in zip(mine, mine[::-1], strict=True)]
    assert image_keys(found, keys, true, row_keys(true, classes), 2).tolist() == pairs


def test_equal_rows_are_numbered_by_score() -> None:
    keys = np.array([5, 9, 5, 5, 9], dtype=np.uint64)
    scores = np.array([0.1, 0.5, 0.9, 0.5, 0.7])
    assert numbered(keys, scores).tolist() == [
        _mixed(k ^ (n * STEP & MASK)) for k, n in ((5, 2), (9, 1), (5, 0), (5, 1), (9, 0))
    ]
    assert numbered(keys).tolist() == [
        _mixed(k ^ (n * STEP & MASK)) for k, n in ((5, 0), (9, 0), (5, 1), (5, 2), (9, 1))
    ]


def test_draws_and_orders_follow_the_seed() -> None:
    draws = streams(3, 7)
    assert draws.tolist() == [_mixed((_hashed("7") + k * STEP) & MASK) for k in range(3)]
    keys = mixed(np.arange(13, dtype=np.uint64))
    tier = score_tiers(np.array([0.9, 0.1, 0.5] * 4 + [0.5]))
    assert tier.tolist() == [0, 2, 1] * 4 + [1]
    for number, draw in enumerate(draws.tolist()):
        chance = [_mixed(int(key) ^ draw) for key in keys]
        plain = sorted((value >> 4, row) for row, value in enumerate(chance))
        assert random_orders(keys, draws)[number].tolist() == [row for _, row in plain]
        tiers = sorted((tier[row], value >> 6, row) for row, value in enumerate(chance))
        assert random_orders(keys, draws, tier)[number].tolist() == [row for *_, row in tiers]


def test_classes_come_in_order_of_their_names() -> None:
    names = [f"class {chr(number)}" for number in range(ord("z"), ord("a") - 1, -1)]
    items = [{"boxes": [[0, 0, 4, 0, 4, 3, 0, 3]] * len(names), "labels": names}]
    found, _, classes = read_items(items, items, None)
    assert list(classes) == names[::-1]
    assert [classes[row] for row in found.label] == names
