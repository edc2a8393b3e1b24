"""The order of images, what is done to them, and the thread that goes ahead."""

import threading
import time

import numpy as np
import pytest
from small_runs import images

from glowlite.data.batches import AHEAD, Augmentation, ahead, batches
from glowlite.data.images import ArrayImages
from glowlite.errors import GlowliteError


def numbered(n=12):
    return ArrayImages(np.arange(n, dtype=np.uint8).reshape(n, 1, 1, 1))


def test_batches_visit_every_image_once_an_epoch_in_an_order_of_the_seed():
    visited = [
        batch.images.ravel().tolist() for batch in batches(numbered(), 4, 0, 6, 3, "float32")
    ]
    first, second = np.concatenate(visited[:3]).tolist(), np.concatenate(visited[3:]).tolist()
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second
    assert visited == [
        batch.images.ravel().tolist() for batch in batches(numbered(), 4, 0, 6, 3, "float32")
    ]
    assert visited != [
        batch.images.ravel().tolist() for batch in batches(numbered(), 4, 0, 6, 4, "float32")
    ]


@pytest.mark.parametrize("first", [1, 5, 7])
def test_batches_from_the_middle_are_those_of_the_whole(first):
    source, augmentation = ArrayImages(images(20)), Augmentation(flip=True, shift=0.25)
    whole = list(batches(source, 6, 0, 9, 0, "float32", augmentation))
    rest = list(batches(source, 6, first, 9, 0, "float32", augmentation))
    assert [batch.step for batch in rest] == list(range(first, 9))
    for one, other in zip(whole[first:], rest, strict=True):
        assert (
            one.images.tobytes() == other.images.tobytes()
            and one.noise.tobytes() == other.noise.tobytes()
        )


def test_no_augmentation_changes_nothing():
    part = images(3)
    assert Augmentation().apply(part, np.full((3, 5), 0.3)) is part


def test_flips_are_those_of_half_the_images():
    part = images(3)
    flipped = Augmentation(flip=True).apply(
        part, np.array([[0.49, 0, 0], [0.5, 0, 0], [0.0, 0, 0]])
    )
    assert np.array_equal(flipped, [part[0, :, ::-1], part[1], part[2, :, ::-1]])


def test_shifts_repeat_the_edge_and_reach_the_part_of_a_side_they_say():
    part = np.arange(2 * 10 * 20, dtype=np.uint8).reshape(2, 10, 20, 1)
    shift = Augmentation(shift=0.1)
    down_left = shift.apply(part, np.array([[0, 0.999, 0.0], [0, 0.5, 0.5]]))
    assert np.array_equal(down_left[1], part[1])  # the middle of the draws: no shift
    # 1 of 10 down, 2 of 20 to the left
    assert np.array_equal(down_left[0, 1:, :-2], part[0, :-1, 2:])
    assert np.array_equal(down_left[0, 0, :-2], part[0, 0, 2:])
    assert np.array_equal(down_left[0, 1:, -1], part[0, :-1, -1])
    draws = np.random.default_rng(0).random((4000, 3))
    wide = np.broadcast_to(np.arange(20, dtype=np.uint8)[:, None], (4000, 10, 20, 1))
    moved = 10 - shift.apply(wide, draws)[:, 5, 10, 0].astype(int)
    values, counts = np.unique(moved, return_counts=True)
    assert values.tolist() == [-2, -1, 0, 1, 2] and counts.min() > 4000 / 5 * 0.85


@pytest.mark.parametrize("shift", [-0.1, 1.0, float("nan")])
def test_a_shift_by_more_than_the_image_is_refused(shift):
    with pytest.raises(GlowliteError, match="shift is a fraction of a side and must be"):
        Augmentation(shift=shift)


def test_ahead_gives_the_same_items_and_stops_going_ahead_when_nobody_asks():
    made = []

    def items():
        for i in range(100):
            made.append(i)
            yield i

    source = ahead(items())
    assert [next(source) for _ in range(3)] == [0, 1, 2]
    time.sleep(0.3)
    assert 3 <= len(made) <= 3 + AHEAD + 1
    source.close()
    assert not [t for t in threading.enumerate() if t.name == "batches ahead"]
    assert list(ahead(iter(range(50)))) == list(range(50))


def test_an_exception_ahead_comes_out_where_the_item_would():
    def items():
        yield 1
        raise GlowliteError("photo.png: damaged")

    source = ahead(items())
    assert next(source) == 1
    with pytest.raises(GlowliteError, match=r"photo\.png"):
        next(source)
    assert not [t for t in threading.enumerate() if t.name == "batches ahead"]
