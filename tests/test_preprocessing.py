"""What images pass before a flow: the logit, against three RealNVPs of others, and the whitening,
by what it is to do.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import strict_device
from safetensors import safe_open

from glowlite import Chain, Flow, GlowliteError, Logit, Scaling, Whitening
from glowlite.errors import ShapeError
from glowlite.files.storage import read_arrays, write_arrays
from glowlite.objective import bits_per_dim, dequantize

GOLDEN = Path(__file__).parent / "golden" / "family"


def golden(name):
    with safe_open(GOLDEN / f"{name}.safetensors", "np") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


# --- Logit ---


@pytest.mark.parametrize(
    ("name", "levels", "tolerance"),
    [("realnvp_chute_eval_8x8", 255, 1e-12), ("realnvp_authors_eval_8x8", 1, 2e-6)],
)
def test_the_logit_of_dequantised_images_is_that_of_other_codes(name, levels, tolerance):
    """Theirs are (N, C, H, W) in one of the files, which makes no difference to it."""
    arrays = golden(name)
    pixels = np.rint(levels * arrays["x_raw"]).astype(np.uint8)
    x = dequantize(pixels, 8, arrays["noise"])
    np.testing.assert_allclose(x + 0.5, arrays["x_pre"], rtol=0, atol=tolerance)
    y, logdet = Logit().forward(x)
    np.testing.assert_allclose(y, arrays["x"], rtol=0, atol=10 * tolerance)
    np.testing.assert_allclose(logdet, arrays["pre_logdet"], rtol=tolerance)
    np.testing.assert_allclose(Logit().inverse(arrays["x"]), x, rtol=0, atol=tolerance)
    if "bits_per_dim_raw" in arrays:  # what they report
        found = bits_per_dim(arrays["log_prob"] + logdet, x[0].size, 8).mean()
        assert found == pytest.approx(arrays["bits_per_dim_raw"][0], rel=1e-12)


def test_a_logit_is_accurate_at_the_ends_of_the_range():
    """In float32, where 1 - p alone would keep three digits of 1e-5."""
    off = np.linspace(1e-5, 2e-5, 20)[:, None]
    x = np.array([-0.5, 0.5]) + np.array([1, -1]) * off
    for layer in (Logit(0, 1), Logit(0.05, 0.95)):
        exact, exact_logdet = layer.forward(x)
        y, logdet = layer.forward(x.astype(np.float32))
        nearest = layer.forward(x.astype(np.float32).astype(np.float64))
        np.testing.assert_allclose(y, nearest[0], rtol=1e-6)
        np.testing.assert_allclose(logdet, nearest[1], rtol=1e-6)
        np.testing.assert_allclose(layer.inverse(exact), x, rtol=0, atol=1e-15)
    assert exact_logdet == pytest.approx(2 * np.log(0.9 / (0.05 * 0.95)), rel=1e-3)


def test_an_x_beyond_the_range_is_infinite_and_then_nan():
    x = np.array([[-0.5, 0.25], [0.0, 0.6]])
    with np.errstate(all="ignore"):
        y, logdet = Logit(0, 1).forward(x)
    assert y[0, 0] == -np.inf and np.isnan(y[1, 1]) and logdet[0] == np.inf and np.isnan(logdet[1])
    assert np.isfinite(Logit().forward(np.array([[-0.55, 0.55]]))[0]).all()
    assert (Logit(0, 1).inverse(np.array([[-np.inf, np.inf]])) == [[-0.5, 0.5]]).all()


@pytest.mark.parametrize(
    "ends", [(0.5, 0.5), (0.9, 0.1), (-0.1, 0.9), (0, 1.1), (np.nan, 1), ("0", 1)]
)
def test_the_ends_of_a_logit_are_checked(ends):
    with pytest.raises(GlowliteError, match=r"Logit: (low|high) must be"):
        Logit(*ends)


# --- Whitening ---


def correlated(n=400, D=12, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, D)) @ rng.standard_normal((D, D)) + rng.standard_normal(D)


def covariance(y):
    rows = y.reshape(len(y), -1) - y.reshape(len(y), -1).mean(axis=0)
    return rows.T @ rows / len(rows)


@pytest.mark.parametrize("shape", [(12,), (2, 3, 2)])
@pytest.mark.parametrize("n", [400, 2500])  # in one block of rows, and in several
def test_whitened_data_have_mean_0_and_covariance_1(n, shape):
    x = correlated(n).reshape(n, *shape)
    layer = Whitening.from_data(x, ridge=0)
    y, logdet = layer.forward(x)
    assert y.shape == x.shape
    assert abs(y.mean(axis=0)).max() < 1e-10
    np.testing.assert_allclose(covariance(y), np.eye(12), rtol=0, atol=1e-9)
    np.testing.assert_allclose(logdet, -np.linalg.slogdet(covariance(x))[1] / 2, rtol=1e-9)


def test_a_whitening_is_the_symmetric_one():
    """Of all matrices that whiten, U' y for any rotation U', the one nearest to the identity: it
    does not turn the data.
    """
    x = correlated()
    layer = Whitening.from_data(x, ridge=0)
    W = layer.forward(np.eye(12) + layer.mean.value)[0]
    np.testing.assert_allclose(W, W.T, rtol=0, atol=1e-10)
    assert (np.linalg.eigvalsh(W) > 0).all()


def test_a_ridge_keeps_dead_pixels_and_few_samples_invertible():
    x = correlated(5)  # fewer than D
    x[:, 3] = 0.25  # a pixel that never varies
    with pytest.raises(GlowliteError, match="has no inverse; give a ridge above 0"):
        Whitening.from_data(x[:, [3]], ridge=0)
    layer = Whitening.from_data(x, ridge=1e-3)
    y, logdet = layer.forward(x)
    np.testing.assert_allclose(layer.inverse(y), x, rtol=0, atol=1e-12)
    assert layer.log_scale.value.max() == pytest.approx(-np.log(1e-3) / 2, rel=1e-9)
    assert np.isfinite(logdet).all()
    # v / (v + ridge), along every direction in which the data have the variance v
    v = np.linalg.eigvalsh(covariance(x))
    np.testing.assert_allclose(np.linalg.eigvalsh(covariance(y)), v / (v + 1e-3), atol=1e-9)


@pytest.mark.parametrize("xp", [np, strict_device.xp])
def test_the_first_batch_sets_a_whitening_and_from_data_keeps_its_own(xp):
    data, batch = correlated(seed=1), correlated(20, seed=2)
    for layer, expected in (
        (Whitening(12), Whitening.from_data(batch)),
        (Whitening.from_data(data), Whitening.from_data(data)),
    ):
        flow = Flow(Chain({"whitening": layer, "scaling": Scaling((12,))}), dtype="float64", xp=xp)
        flow.initialize(xp.asarray(batch))
        z = flow.encode(xp.asarray(data))[0]
        z = z if xp is np else z.get()
        np.testing.assert_allclose(z, expected.forward(data)[0], rtol=0, atol=1e-9)


def test_parts_of_the_data_on_two_processes_whiten_as_all_of_them():
    x = correlated(50)
    barrier, given, parts = threading.Barrier(2), {}, (x[:13], x[13:])

    def process(rank):
        def total(vector):
            assert vector.dtype == np.float64 and vector.ndim == 1
            given[rank] = vector
            barrier.wait(10)
            added = given[0] + given[1]
            barrier.wait(10)
            return added

        return Whitening.from_data(parts[rank], total=total)

    with ThreadPoolExecutor(2) as pool:
        layers = list(pool.map(process, range(2)))
    whole = Whitening.from_data(x).forward(x)[0]
    for layer in layers:
        np.testing.assert_allclose(layer.forward(x)[0], whole, rtol=0, atol=1e-10)


def test_a_whitening_is_saved_with_the_weights_and_checked_when_it_is_loaded(tmp_path):
    x = correlated().astype(np.float32)
    flow = Flow(Chain({"whitening": Whitening(12), "scaling": Scaling((12,))}))
    flow.initialize(x)
    flow.save(tmp_path / "a.safetensors")

    def layers():
        return Chain({"whitening": Whitening(12), "scaling": Scaling((12,))})

    again = Flow.load(tmp_path / "a.safetensors", layers())
    assert np.array_equal(again.log_prob(x), flow.log_prob(x))
    arrays, header = read_arrays(tmp_path / "a.safetensors")
    for name in ("mean", "rotation", "log_scale"):
        damaged = {key: value.copy() for key, value in arrays.items()}
        damaged[f"whitening/{name}"].flat[0] = np.nan
        write_arrays(tmp_path / "b.safetensors", damaged, header)
        with pytest.raises(
            GlowliteError, match=f"whitening/{name} contains numbers that are not fin"
        ):
            Flow.load(tmp_path / "b.safetensors", layers())


def test_what_cannot_be_whitened_is_said_in_one_line():
    with pytest.raises(ShapeError, match=r"Whitening.forward: expected .* 12 numbers .* \(3, 11\)"):
        Whitening(12).forward(np.zeros((3, 11)))
    with pytest.raises(GlowliteError, match="not finite"):
        Whitening.from_data(np.array([[1.0, np.inf], [0.0, 1.0]]))
    with pytest.raises(GlowliteError, match="dimensions must be a whole number of at least 1"):
        Whitening(0)
    with pytest.raises(GlowliteError, match="ridge must be a finite number of at least 0"):
        Whitening(2, ridge=-1.0)
