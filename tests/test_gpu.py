"""On a real GPU: pytest -m gpu. What the other tests hold on a stand-in, on the hardware it stands for."""

import numpy as np
import pytest
from layers import LAYERS
from small_runs import dataset
from test_training import Record

from glowlite import Glow, GlowConfig
from glowlite.backend import device_namespace
from glowlite.communicator import Alone
from glowlite.conditioners.patches import patch_matrix, scatter_columns
from glowlite.errors import GlowliteError
from glowlite.exchange import DirectExchange, NcclExchange, StagedExchange
from glowlite.parameters import ParameterStore
from glowlite.trainer import train
from glowlite.training import Settings, Training
from glowlite.workers import Workers

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def cupy():
    try:
        return device_namespace("gpu")
    except GlowliteError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    "name", [name for name in LAYERS if name.startswith(("affine-", "additive", "conv1x1", "lu", "act"))]
)
def test_a_layer_gives_what_it_gives_on_the_host(cupy, name):
    shape = (2, 6, 4, 6)
    host, device = (LAYERS[name][1](shape, np.random.default_rng(0)) for _ in range(2))
    ParameterStore(host, "float64")
    ParameterStore(device, "float64", cupy)
    rng = np.random.default_rng(1)
    x, dy, dlogdet = rng.standard_normal(shape), rng.standard_normal(shape), rng.standard_normal(shape[0])
    y, logdet = host.forward(x)
    device_y, device_logdet = device.forward(cupy.asarray(x))
    pairs = [(device_y, y), (device_logdet, logdet), (device.inverse(device_y), x)]
    pairs += zip(
        device.backward(device_y, cupy.asarray(dy), cupy.asarray(dlogdet)), host.backward(y, dy, dlogdet), strict=True
    )
    pairs += [(device.parameters()[key].grad, p.grad) for key, p in host.parameters().items()]
    for got, expected in pairs:
        np.testing.assert_allclose(got.get(), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kernels_are_their_twins(cupy, dtype):
    x = np.random.default_rng(0).standard_normal((3, 7, 5, 4)).astype(dtype)
    assert np.array_equal(patch_matrix(cupy.asarray(x), True, True).get(), patch_matrix(x, True, True))
    sent = np.random.default_rng(1).standard_normal((36, 105)).astype(dtype)
    got = scatter_columns(cupy.asarray(sent), x.shape).get()
    np.testing.assert_allclose(got, scatter_columns(sent.copy(), x.shape), atol=1e-5)


def test_a_run_follows_one_on_the_host(cupy):
    losses = []
    for xp in (np, cupy):
        model = Glow(GlowConfig((8, 8, 3), K=2, L=2, width=16), dtype="float64", workers=Workers(1), xp=xp)
        seen = Record()
        train(Training(model, Settings(steps=8, batch=8, log_every=1, evaluate_every=4)), dataset(), [seen])
        losses.append([m.train_bits_per_dim for m in seen.metrics])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-8)


@pytest.mark.parametrize("kind", [StagedExchange, DirectExchange, NcclExchange])
def test_an_exchange_of_one_rank_changes_nothing(cupy, kind):
    if kind is NcclExchange and not getattr(cupy.cuda.nccl, "available", False):
        pytest.skip("this CuPy has no NCCL")
    vector = cupy.arange(700_000, dtype=cupy.float32)
    kind(Alone(), cupy).add_up(vector)
    assert np.array_equal(vector.get(), np.arange(700_000, dtype=np.float32))
