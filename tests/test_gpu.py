"""On a real GPU: pytest -m gpu. What the other tests hold on a stand-in,
on the hardware it stands for.
"""

import numpy as np
import pytest
from layers import LAYERS
from small_runs import dataset
from test_kernels import COUPLINGS, three_passes
from test_training import Record

from glowlite import Glow, GlowConfig
from glowlite.arrays.device import device_namespace
from glowlite.arrays.parameters import ParameterStore
from glowlite.bijectors.affine_coupling import AffineCoupling
from glowlite.bijectors.coupling import AdditiveCoupling
from glowlite.distributed.allreduce import CudaAwareAllreduce, NcclAllreduce, StagedAllreduce
from glowlite.distributed.communicator import OneProcess
from glowlite.errors import GlowliteError
from glowlite.fast import columns as host_columns
from glowlite.fast.accelerate import retyped
from glowlite.fast.cuda import columns
from glowlite.fast.cuda.affine_coupling import CudaAffineCoupling
from glowlite.fast.cuda.coupling import CudaAdditiveCoupling
from glowlite.fast.cuda.upload import Staging
from glowlite.fast.threads import Workers
from glowlite.objective import dequantize
from glowlite.training.loop import train
from glowlite.training.optimizers import Adam, Adamax
from glowlite.training.run import Settings, Training

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def cupy():
    try:
        return device_namespace("gpu")
    except GlowliteError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    "name",
    [name for name in LAYERS if name.startswith(("affine-", "additive", "conv1x1", "lu", "act"))],
)
def test_a_layer_gives_what_it_gives_on_the_host(cupy, name):
    shape = (2, 6, 4, 6)
    host, device = (LAYERS[name][1](shape, np.random.default_rng(0)) for _ in range(2))
    ParameterStore(host, "float64")
    ParameterStore(device, "float64", cupy)
    rng = np.random.default_rng(1)
    x, dy, dlogdet = (
        rng.standard_normal(shape),
        rng.standard_normal(shape),
        rng.standard_normal(shape[0]),
    )
    y, logdet = host.forward(x)
    device_y, device_logdet = device.forward(cupy.asarray(x))
    pairs = [(device_y, y), (device_logdet, logdet), (device.inverse(device_y), x)]
    pairs += zip(
        device.backward(device_y, cupy.asarray(dy), cupy.asarray(dlogdet)),
        host.backward(y, dy, dlogdet),
        strict=True,
    )
    pairs += [(device.parameters()[key].grad, p.grad) for key, p in host.parameters().items()]
    for got, expected in pairs:
        np.testing.assert_allclose(got.get(), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kernels_are_their_twins(cupy, dtype):
    x = np.random.default_rng(0).standard_normal((3, 7, 5, 4)).astype(dtype)
    assert np.array_equal(
        columns.gather(cupy.asarray(x), True, True).get(),
        host_columns.gather(x, True, True),
    )
    sent = np.random.default_rng(1).standard_normal((36, 105)).astype(dtype)
    got = columns.scatter(cupy.asarray(sent), x.shape).get()
    np.testing.assert_allclose(got, host_columns.scatter(sent.copy(), x.shape), atol=1e-5)


@pytest.mark.parametrize("changed", ["first", "second"])
@pytest.mark.parametrize("name", COUPLINGS)
def test_couplings_are_their_twins(cupy, name, changed):
    rng, coupling = np.random.default_rng(0), COUPLINGS[name](changed)
    x, dy = rng.standard_normal((2, 3, 4, 5, 6))
    raw, dlogdet = (
        rng.standard_normal((3, 4, 5, 3 if name == "additive" else 6)),
        rng.standard_normal(3),
    )
    expected = three_passes(coupling, x, raw, dy, dlogdet)
    fast = retyped(
        coupling,
        {AdditiveCoupling: CudaAdditiveCoupling, AffineCoupling: CudaAffineCoupling}[
            type(coupling)
        ],
    )
    got = three_passes(fast, *(cupy.asarray(a) for a in (x, raw, dy, dlogdet)))
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one.get(), other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", [Adam, Adamax])
def test_optimisers_are_their_twins(cupy, kind):
    rng = np.random.default_rng(0)
    theta, grads = rng.standard_normal(1000), rng.standard_normal((4, 1000))
    host, device = kind(theta.copy()), kind(cupy.asarray(theta))
    for grad in grads:
        host.step(grad, 1e-2, 0.5)
        device.step(cupy.asarray(grad), 1e-2, cupy.full(1, 0.5))
    np.testing.assert_allclose(device.theta.get(), host.theta, rtol=1e-10)


def test_batches_arrive_whole_and_in_turn(cupy):
    staging, rng = Staging(cupy), np.random.default_rng(0)
    for _ in range(20):
        images, noise = (
            rng.integers(0, 256, (64, 32, 32, 3)).astype(np.uint8),
            rng.random((64, 32, 32, 3), np.float32),
        )
        on_device = staging.upload(noise, images)
        x = dequantize(on_device[1], 5, on_device[0])
        staging.release()
        assert np.array_equal(x.get(), dequantize(images, 5, noise))


def test_a_run_follows_one_on_the_host(cupy):
    losses = []
    for xp in (np, cupy):
        model = Glow(
            GlowConfig((8, 8, 3), K=2, L=2, width=16), dtype="float64", workers=Workers(1), xp=xp
        )
        seen = Record()
        train(
            Training(model, Settings(steps=8, batch=8, log_every=1, evaluate_every=4)),
            dataset(),
            [seen],
        )
        losses.append([m.train_bits_per_dim for m in seen.metrics])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-8)


@pytest.mark.parametrize("kind", [StagedAllreduce, CudaAwareAllreduce, NcclAllreduce])
def test_an_allreduce_of_one_rank_changes_nothing(cupy, kind):
    if kind is NcclAllreduce and not getattr(cupy.cuda.nccl, "available", False):
        pytest.skip("this CuPy has no NCCL")
    vector = cupy.arange(700_000, dtype=cupy.float32)
    kind(OneProcess(), cupy).sum_in_place(vector)
    assert np.array_equal(vector.get(), np.arange(700_000, dtype=np.float32))
