"""Who does the work does not matter: tiles cover a batch once, threads agree to the last bit,
random numbers as well.
"""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

import glowlite.arrays.randomness
import glowlite.fast.threads
from glowlite import Glow, GlowConfig, GlowliteError, Memory
from glowlite.arrays.parameters import ParameterStore
from glowlite.arrays.randomness import generator, normal, uniform
from glowlite.bijectors.affine_coupling import AffineCoupling
from glowlite.bijectors.chain import Chain
from glowlite.fast.threads import Workers
from glowlite.fast.tiles import Tiles
from glowlite.models.steps import flow_step
from glowlite.objective import loss_gradients

SMALL_TILE = 256 / 2**18  # MB: 256 numbers


PIXELS = st.sampled_from([1, 4, 16, 64, 256, 1024, 4096, 65536])
WIDTHS = st.sampled_from([4, 32, 128, 512])


@given(st.integers(1, 300), PIXELS, WIDTHS)
def test_tiles_cover_every_image_once_and_in_order(images, pixels, width):
    workers = Workers(1)
    cut = workers.tiles(images, pixels, width)
    sizes = [len(range(images)[tile]) for tile in cut]
    assert [i for tile in cut for i in range(images)[tile]] == list(range(images))
    assert max(sizes) - min(sizes) <= 1 and min(sizes) >= 1
    assert len(cut) >= min(2, images)  # a batch is always shared, and one image never is
    assert max(sizes) == 1 or (images // len(cut)) * pixels * width <= workers.tile_numbers


@pytest.mark.parametrize("megabytes", [0.3, 0.75, 3, 5, 6.5, 8])
def test_a_tile_is_of_the_size_that_is_asked_for(megabytes):
    """Of any size: as few tiles as hold the batch, in a power of two; and as few blocks as hold an
    image.
    """
    workers, width = Workers(1, megabytes), 128
    most = megabytes * 2**18  # numbers of float32
    assert abs(workers.tile_numbers - most) < 1
    for images, pixels in ((48, 1024), (100, 256), (513, 64), (31, 4096)):
        count = len(workers.tiles(images, pixels, width))
        assert count == images or (
            count & (count - 1) == 0 and images * pixels * width <= count * most
        )
        assert count == 2 or images * pixels * width > count / 2 * most
    for pixels in (1 << 14, 1 << 16):
        blocks = len(workers.blocks(1, pixels, width))
        assert pixels * width <= blocks * most and (
            blocks == 2 or pixels * width > (blocks - 1) * most
        )


@pytest.mark.parametrize("images", [1, 7])
def test_tiles_of_any_size_change_a_model_by_rounding_only(images):
    """Against a batch in as few tiles as can be: latents, log-determinants, images, and gradients,
    in float64.
    """
    rng, results = np.random.default_rng(0), []
    x, config = rng.random((images, 8, 8, 3)) - 0.5, GlowConfig((8, 8, 3), K=1, L=2, width=12)
    for numbers in (1 << 20, 500, 333, 100):
        model = Glow(config, dtype="float64", workers=Workers(2, numbers / 2**18))
        model.store.theta[...] += 0.05 * np.random.default_rng(1).standard_normal(len(model.store))
        latents, logdet, kept = model.forward_with_cache(x)
        rebuilt, dx = model.backward(latents, *loss_gradients(latents, images), kept)
        results.append([*latents, logdet, rebuilt, dx, model.store.grad, model.inverse(latents)])
    for other in results[1:]:
        for got, expected in zip(other, results[0], strict=True):
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-11 * np.abs(expected).max())


@given(st.integers(1, 20), PIXELS, WIDTHS)
def test_blocks_cover_every_pixel_once_and_only_cut_a_single_image(images, pixels, width):
    workers = Workers(1)
    cut = workers.blocks(images, pixels, width)
    edges = [0, *(block.stop for block in cut)]
    assert [block.start for block in cut] == edges[:-1] and edges[-1] == images * pixels
    assert images == 1 or len(cut) == 1
    assert images > 1 or -(-pixels // len(cut)) * width <= workers.tile_numbers + width


def random_glow(threads, memory="reversible", seed=0, **options):
    config = GlowConfig((8, 8, 3), **{"K": 2, "L": 2, "width": 8, **options})
    model = Glow(
        config, dtype="float32", memory=Memory.parse(memory), workers=Workers(threads, SMALL_TILE)
    )
    rng = np.random.default_rng(seed)
    model.store.theta[...] += 0.05 * rng.standard_normal(len(model.store)).astype(np.float32)
    return model, (rng.random((21, 8, 8, 3)) - 0.5).astype(np.float32)


@pytest.mark.bits
@pytest.mark.parametrize("memory", ["reversible", "anchored:2", "stored"])
def test_one_two_and_three_threads_agree_to_the_last_bit(memory):
    assert len(Workers(1, SMALL_TILE).tiles(21, 16, 8)) == 16
    results = []
    for threads in (1, 2, 3):
        model, x = random_glow(threads, memory)
        for _ in range(2):
            latents, logdet, kept = model.forward_with_cache(x)
            rebuilt, dx = model.backward(latents, *loss_gradients(latents, len(x)), kept)
        results.append([*latents, logdet, rebuilt, dx, model.store.grad, model.inverse(latents)])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_tiles_change_a_layer_by_rounding_only():
    """A layer on tiles against the same layer on the whole batch: gradients are sums over tiles in
    another order.
    """
    rng = np.random.default_rng(1)
    plain = Chain(
        {f"step{k}": flow_step(GlowConfig((8, 8, 3), width=8), 6, 0, rng) for k in range(2)}
    )
    store = ParameterStore(plain, "float64")
    store.theta[...] += 0.1 * rng.standard_normal(len(store))
    tiled = Tiles(plain, Workers(2, SMALL_TILE), 8)
    assert list(tiled.parameters()) == list(plain.parameters())
    x, dy, dlogdet = (
        rng.standard_normal((19, 4, 4, 6)),
        rng.standard_normal((19, 4, 4, 6)),
        rng.standard_normal(19),
    )
    results = []
    for layer in (plain, tiled):
        store.grad[...] = 1.0  # gradients add
        y, logdet = layer.forward(x)
        results.append(
            [y, logdet, layer.inverse(y), *layer.backward(y, dy, dlogdet), store.grad.copy()]
        )
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-11, atol=1e-12 * np.abs(a).max())


def test_replicas_follow_parameters_that_move():
    """Scratch memory and stores may be replaced between two passes.

    Gradients must land in the store of the day.
    """
    rng = np.random.default_rng(2)
    tiled = Tiles(
        Chain({"step": flow_step(GlowConfig((8, 8, 3), width=8), 4, 0, rng)}), Workers(2), 8
    )
    x, dy, dlogdet = (
        rng.standard_normal((6, 4, 4, 4)),
        rng.standard_normal((6, 4, 4, 4)),
        np.ones(6),
    )
    gradients = []
    for _ in range(3):
        store = ParameterStore(tiled, "float64")  # moves every parameter to new memory
        tiled.backward(tiled.forward(x)[0], dy, dlogdet)
        gradients.append(store.grad)
    assert gradients[0].any()
    np.testing.assert_array_equal(gradients[1], gradients[0])
    np.testing.assert_array_equal(gradients[2], gradients[0])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_results_come_in_order_from_all_threads(threads):
    workers = Workers(threads)
    together = threading.Barrier(threads)  # broken unless as many tasks as threads run side by side

    def task(i):
        together.wait(timeout=30)
        return i * i, threading.current_thread().name

    results = workers.map(task, range(2 * threads))
    assert [square for square, _ in results] == [i * i for i in range(2 * threads)]
    assert len({name for _, name in results}) == threads
    assert workers.map(task, []) == []


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_first_exception_of_a_task_is_raised_and_the_pool_lives_on(threads):
    workers = Workers(threads)

    def task(i):
        if i >= 3:
            raise ValueError(f"task {i}")
        return i

    with pytest.raises(ValueError, match="task 3"):
        workers.map(task, range(6))
    assert workers.map(task, range(3)) == [0, 1, 2]


def test_an_exception_inside_a_layer_surfaces(monkeypatch):
    """Also where other tiles wait for their turn after the one that fails."""
    model, x = random_glow(2)
    latents, _ = model.forward(x)
    backward, calls = AffineCoupling.backward, []

    def fail_late(self, y, *arguments):
        calls.append(len(y))
        if len(calls) == 10:
            raise FloatingPointError("in a coupling")
        return backward(self, y, *arguments)

    monkeypatch.setattr(AffineCoupling, "backward", fail_late)
    with pytest.raises(FloatingPointError, match="in a coupling"):
        model.backward(latents, *loss_gradients(latents, len(x)))


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_blas_runs_in_one_thread_inside_and_as_before_outside():
    workers, before = Workers(2), blas_threads()
    with workers, workers:
        assert blas_threads() == {1}
        assert workers.map(lambda _: blas_threads(), range(2)) == [{1}, {1}]
        assert blas_threads() == {1}  # `map` ends its own block, not this one
    assert blas_threads() == before
    with pytest.raises(ValueError, match="inside"), workers:
        raise ValueError("inside")
    assert blas_threads() == before


@pytest.mark.parametrize("threads", [0, -2])
def test_fewer_than_one_thread_is_refused(threads):
    with pytest.raises(GlowliteError, match=f"threads must be from 1 to 1024, got {threads}"):
        Workers(threads)


def test_scratch_belongs_to_its_thread_and_is_reused():
    workers = Workers(2)
    first = workers.scratch(10, np.dtype("float32"))
    assert first.size >= 10 and first.dtype == np.float32
    assert np.shares_memory(workers.scratch(6, np.dtype("float32")), first)
    assert workers.scratch(11, np.dtype("float32")).size >= 11
    assert workers.scratch(11, np.dtype("float64")).dtype == np.float64
    together = threading.Barrier(2)

    def task(_):
        mine = workers.scratch(10, np.dtype("float32"))
        together.wait(timeout=30)
        return mine

    one, other = workers.map(task, range(2))
    assert not np.shares_memory(one, other)


def test_a_map_inside_a_task_stays_in_its_thread():
    workers = Workers(2)

    def outer(_):
        here = threading.current_thread()
        return here, workers.map(lambda _: threading.current_thread(), range(3))

    for here, inside in workers.map(outer, range(4)):
        assert inside == [here] * 3


@pytest.mark.parametrize("tile", [0, -1, 1e9, float("nan")])
def test_a_tile_of_no_size_or_larger_than_memory_is_refused(tile):
    with pytest.raises(
        GlowliteError, match="tile must be positive and smaller than this machine's memory"
    ):
        Workers(1, tile)


SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))


@given(SHAPES, st.data(), st.sampled_from(("float32", "float64")))
def test_a_slice_of_a_batch_gets_the_noise_of_that_slice(shape, data, dtype):
    """What makes n processes on one global batch do what one process does."""
    start = data.draw(st.integers(0, shape[0] - 1))
    stop = data.draw(st.integers(start + 1, shape[0]))
    first = data.draw(st.integers(0, 1000))
    whole = uniform(7, "dequantise", 3, first, shape, dtype)
    part = uniform(7, "dequantise", 3, first + start, (stop - start, *shape[1:]), dtype)
    np.testing.assert_array_equal(part, whole[start:stop])
    assert whole.shape == shape and whole.dtype == dtype


def test_noise_is_uniform_below_one_and_the_same_for_both_dtypes():
    wide = uniform(0, "dequantise", 0, 0, (100, 10, 10, 3), "float64")
    narrow = uniform(0, "dequantise", 0, 0, (100, 10, 10, 3), "float32")
    np.testing.assert_array_equal(narrow, wide.astype(np.float32))
    assert wide.min() >= 0 and wide.max() < 1
    # 30,000 draws: the standard error of the mean is 0.289 / sqrt(30,000) = 0.0017, of the variance
    # 0.00043
    assert abs(wide.mean() - 0.5) < 5 * 0.0017 and abs(wide.var() - 1 / 12) < 5 * 0.00043


def test_float32_noise_that_rounds_to_one_stays_below_one(monkeypatch):
    class Highest:
        bit_generator = np.random.Philox(0)

        def random(self, size):
            return np.full(size, np.nextafter(1.0, 0.0))  # float32 rounds this to 1

    monkeypatch.setattr(glowlite.arrays.randomness, "generator", lambda *_: Highest())
    for dtype in ("float32", "float64"):
        u = uniform(0, "dequantise", 0, 0, (1, 2, 2, 1), dtype)
        assert (
            u.dtype == dtype
            and (u == np.nextafter(np.dtype(dtype).type(1), np.dtype(dtype).type(0))).all()
        )


def test_streams_differ_by_seed_purpose_and_index_and_by_nothing_else():
    keys = [
        (0, "shuffle", 1),
        (1, "shuffle", 1),
        (0, "dequantise", 1),
        (0, "shuffle", 0),
        (0, "shuffle", 2),
    ]
    draws = [generator(*key).random(4).tolist() for key in keys]
    assert len({tuple(draw) for draw in draws}) == len(keys)
    assert draws == [generator(*key).random(4).tolist() for key in keys]


def test_normal_noise_is_the_same_for_both_dtypes():
    wide = normal(5, "sample", 1, (50, 4, 4, 6), "float64")
    np.testing.assert_array_equal(
        normal(5, "sample", 1, (50, 4, 4, 6), "float32"), wide.astype(np.float32)
    )
    assert not np.array_equal(normal(5, "sample", 2, (50, 4, 4, 6), "float64"), wide)
    # 4,800 draws: standard errors 0.0144 and 0.0204
    assert abs(wide.mean()) < 5 * 0.0144 and abs(wide.var() - 1) < 5 * 0.0204
