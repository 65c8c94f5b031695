import random

from hypothesis import given, settings
from hypothesis import strategies as st

from rscovlm.engines import RepeatGuard


@settings(max_examples=30)
@given(st.integers(1, 192), st.integers(0, 300), st.randoms())
def test_every_period_is_noticed_once_it_was_said_often_enough(period: int, before: int, rng: random.Random) -> None:
    guard = RepeatGuard()
    block = [1000 + rng.randrange(10) for _ in range(period - 1)] + [7]  # 7 once a block: no shorter period
    tokens = [10 + rng.randrange(900) for _ in range(before)] + block * 200
    needed = before + period * max(guard.times, -(-guard.least // period))
    assert guard.endless(tokens[:needed])
    assert not guard.endless(tokens[: needed - period])


def test_true_lists_are_no_repetition() -> None:
    rng = random.Random(1)
    guard = RepeatGuard()
    for _ in range(30):  # lines of one shape, as a dense detection writes them, at two places twice the same
        lines = [[*(rng.randrange(10) for _ in range(24)), 50, 51] for _ in range(40)]
        lines[20] = lines[21] = lines[22]
        tokens = [token for line in lines for token in line]
        assert not any(guard.endless(tokens[:length]) for length in range(100, len(tokens), 29))
    assert not guard.endless([]) and not guard.endless([3] * (guard.least - 1))
