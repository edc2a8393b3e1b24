"""Values that a user may hand to the public functions by mistake: one line that says what was
expected.
"""

import math
import os
from pathlib import Path

import numpy as np
import pytest
from small_runs import dataset, images, small_model

from glowlite import Glow, GlowConfig, GlowliteError, Memory
from glowlite.data import Preparation, load
from glowlite.errors import DataError, ShapeError
from glowlite.latent.directions import Directions
from glowlite.latent.walks import attribute_direction, flatten, interpolate, unflatten
from glowlite.objective import check_n_bits, dequantize, dequantize_midpoint, quantize, to_pixels
from glowlite.training.scoring import scores

PICTURES = images(8)
X = dequantize_midpoint(PICTURES, 5, "float32")


class OfAnotherLibrary:
    """As a tensor of torch looks to NumPy: a shape, a dtype of its own, and an index."""

    shape, ndim, dtype = X.shape, 4, "torch.float32"

    def __len__(self):
        return len(X)

    def __array__(self, dtype=None, copy=None):
        return X


@pytest.fixture(scope="module")
def model():
    model = small_model()
    model.initialize(X)
    model.n_bits = 5
    return model


TENSOR, LIST = OfAnotherLibrary(), X.tolist()
NOT_IMAGES = [
    (LIST, "expected an array of numpy, got builtins.list"),
    (None, "expected an array of numpy, got builtins.NoneType"),
    ("faces", "got builtins.str"),
    (
        TENSOR,
        r"expected an array of numpy, got test_api.OfAnotherLibrary; convert with"
        r" numpy.asarray\(x\), channels last",
    ),
    (np.ma.masked_array(X), "masked"),
    (np.ma.masked_array(PICTURES), "masked"),
    (X.astype("float64"), "expected float32, got float64"),
    (X.astype("float16"), "expected float32, got float16"),
    (X.astype(">f4"), "expected float32, got >f4"),
    (X > 0, "got bool"),
    (PICTURES.astype(int), "expected float32, got int64"),
    (X[0], "expected an array"),
    (X[:0], "expected an array"),
    (X.transpose(0, 3, 1, 2), "channels come last"),
    (X[:, :4], r"must be \(8, 8, 3\)"),
    (np.float32(1), "expected an array"),
    (np.array(["x"]), "expected an array"),
    (X + np.float32(0.5), "go from 0.* to "),
    (PICTURES.astype(np.float32), "go from 0 to "),
    (X * np.float32("nan"), "not finite"),
    (X + np.float32("inf"), "not finite"),
]


@pytest.mark.parametrize(
    ("x", "said"), NOT_IMAGES, ids=lambda value: value[:24] if isinstance(value, str) else ""
)
@pytest.mark.filterwarnings("ignore:invalid value", "ignore:overflow")
@pytest.mark.parametrize("take", ["initialize", "encode", "bits_per_dim", "log_prob"])
def test_what_are_no_images_is_said_in_one_line(take, x, said, model):
    call = {
        "initialize": lambda: small_model().initialize(x),
        "encode": lambda: model.encode(x),
        "bits_per_dim": lambda: model.bits_per_dim(x, 5),
        "log_prob": lambda: model.log_prob(x),
    }[take]
    of_values = "go from" in said or "not finite" in said
    if take == "encode" and of_values:  # a model of another code may be of another range
        with pytest.warns(UserWarning, match=f"Glow.encode: .*{said}"):
            call()
        return
    if take == "log_prob" and of_values:
        assert call().shape == (8,)  # a density has no range
        return
    with pytest.raises(GlowliteError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value) and str(caught.value).startswith("Glow.")
    assert isinstance(caught.value, (ShapeError, DataError))


def test_images_beyond_the_range_have_no_bits_per_dim_but_can_be_encoded(model):
    wide = 2 * X  # -1..1
    with pytest.raises(DataError, match=r"in \[-0.5, 0.5\), .* go from -"):
        model.bits_per_dim(wide, 5)
    assert np.isfinite(model.encode(wide)[0]).all()  # samples leave the range a little, too


def test_arrays_of_any_layout_are_taken(model):
    turned = np.ascontiguousarray(X.transpose(3, 2, 1, 0)).transpose(3, 2, 1, 0)
    assert not turned.flags.c_contiguous
    assert np.array_equal(model.log_prob(turned), model.log_prob(X))
    assert np.array_equal(
        model.encode(PICTURES[::2])[0], model.encode(np.ascontiguousarray(PICTURES[::2]))[0]
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"n": 2.0}, r"n must be a whole number of at least 1, got 2\.0"),
        ({"n": 0}, "n must be"),
        ({"n": True}, "n must be .* got True"),
        ({"n": None}, "n must be"),
        ({"n": "3"}, "n must be"),
        ({"n": [3]}, "n must be"),
        ({"n": 10**30}, "n must be a whole number"),
        ({"n": 10**15}, "do not fit into this machine's memory"),
        ({"temperature": -1}, "temperature must be a finite number of at least 0, got -1"),
        ({"temperature": math.nan}, "temperature must be"),
        ({"temperature": math.inf}, "temperature must be"),
        ({"temperature": 10**400}, "temperature must be"),
        ({"temperature": "0.7"}, "temperature must be"),
        ({"temperature": True}, "temperature must be"),
        ({"temperature": np.ones(2)}, "temperature must be .* got ndarray of shape"),
        ({"temperature": None}, "temperature must be"),
        ({"seed": -1}, "seed must be a whole number from 0 to"),
        ({"seed": None}, "seed must be"),
        ({"seed": 1.0}, "seed must be"),
        ({"seed": 2**64}, "seed must be"),
        ({"rows": 2}, "rows must be a slice"),
        ({"rows": [0, 1]}, "rows must be a slice"),
        ({"rows": slice("a")}, "rows must be a slice"),
        ({"rows": slice(0, 2, 0)}, "rows must be a slice"),
    ],
)
def test_samples_that_cannot_be_drawn_are_one_line(model, given, said):
    with pytest.raises(GlowliteError, match=f"Glow.sample: .*{said}") as caught:
        model.sample(**{"n": 2, **given})
    assert "\n" not in str(caught.value)


def test_numbers_of_numpy_are_taken(model):
    drawn = model.sample(np.int64(2), np.float32(0.5), np.uint8(3))
    assert np.array_equal(drawn, model.sample(2, 0.5, 3))
    config = GlowConfig(
        np.array([8, 8, 3]), K=np.int64(2), L=np.int32(1), width=np.uint8(8), bound=np.float32(1.5)
    )
    assert config == GlowConfig((8, 8, 3), K=2, L=1, width=8, bound=1.5)
    assert (
        all(type(getattr(config, name)) is int for name in ("K", "L", "width"))
        and type(config.image_shape[0]) is int
    )
    assert Glow(config, seed=np.int64(3)).seed == 3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        *(({"image_shape": shape}, "image_shape must"
                                   " be") for shape in ((16.9, 16, 3), (16, 16), 16, "abc",
                                   (16, 16, True))),
        *(({"image_shape": shape}, "image_shape must"
                                   " be") for shape in ((0, 16, 3), (16, -8, 3), (10**9, 16, 3))),
        *(({name: value}, f"{name} must be") for name in ("K", "L", "width") for value in (0, 1.5,
            True, "2", None, 10**29)),
        *(({"bound": value}, "bound must be") for value in (0, -1, math.nan, math.inf, "2", True,
            None, 10**400)),
        *(({"permutation": value}, "permutation must"
                                   " be") for value in (None, 5, ["lu", "lu"], "", "lu,", "LU")),
        *(({"coupling": value}, "coupling must be") for value in (None, ["affine"], np.ones(2))),
        *(({"hidden_actnorm": value}, "hidden_actnorm must be") for value in (1, "yes", None)),
        ({"image_shape": (8, 6, 3), "L": 2}, "divisible by 4"),
    ],
)  # fmt: skip
def test_a_configuration_that_cannot_be_is_one_line(given, said):
    with pytest.raises(GlowliteError, match=f"GlowConfig: .*{said}") as caught:
        GlowConfig(**{"image_shape": (8, 8, 3), "L": 1, **given})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: m.decode(None), "Glow.inverse: latents must be a list of 2 arrays"),
        (lambda m: m.decode(m.encode(X)[0]), "latents must be a list of 2 arrays"),
        (lambda m: m.decode([1, 2]), "expected an array of numpy, got builtins.int"),
        (lambda m: m.decode(m.encode(X)[:1]), "latents must have shapes"),
        (lambda m: m.decode([z.astype("float64") for z in m.encode(X)]), "expected latents of"
                                                                         " float32, got float64"),
        (lambda m: m.decode([m.encode(X)[0], m.encode(X)[1][:1]]), "the same number of images"),
        (lambda m: m.decode([z[:0] for z in m.encode(X)]), "the same number of images"),
        (lambda m: m.bits_per_dim(X, 9), "n_bits must be 1 to 8, got 9"),
        (lambda m: m.bits_per_dim(X, None), "n_bits must be 1 to 8, got None"),
        (lambda m: m.bits_per_dim(X, 5.0), r"n_bits must be 1 to 8, got 5\.0"),
        (lambda m: interpolate(m.encode(X), m.encode(X), 2.5), "steps must be a whole number"),
        (lambda m: interpolate(m.encode(X), None, 3), "expected latents, a list of arrays"),
        (lambda m: interpolate(X, X, 3), "expected latents, a list of arrays"),
        (lambda m: attribute_direction(m.encode(X), [True] * 8), "labels must be a bool array"),
        (lambda m: attribute_direction(m.encode(X), np.arange(8)), "labels must be a bool array"),
        (lambda m: attribute_direction(m.encode(X), np.ones(3, bool)), "labels must be a bool"
                                                                       " array"),
        (lambda m: flatten(X), "expected latents, a list of arrays"),
        (lambda m: unflatten([1.0], [(1, 1, 1)]), "unflatten: expected an array"),
        (lambda m: Directions.from_images(m, LIST, np.ones((8, 1), bool), ["hat"]),
            "expected uint8 images"),
        (lambda m: Directions.from_images(m, X, np.ones((8, 1), bool), ["hat"]),
            "expected uint8 images"),
        (lambda m: Directions.from_images(m, PICTURES, np.ones(8, bool), ["hat"]),
            r"attributes must be bool \(8, 1\)"),
        (lambda m: Directions.from_images(m, PICTURES, np.ones((8, 1)), ["hat"]), "attributes must"
                                                                                  " be bool"),
        (lambda m: scores(m, dataset().held_out, 5, 0, 0), "batch must be a whole number of at"
                                                           " least 1, got 0"),
        (lambda m: scores(m, dataset().held_out, 5, 4, 0, draws=0), "draws must be a whole number"
                                                                    " of at least 1, got 0"),
        (lambda m: scores(m, dataset().held_out, True, 4, 0), "n_bits must be 1 to 8, got True"),
        (lambda m: quantize(LIST, 5), "expected an array of uint8 images"),
        (lambda m: dequantize(PICTURES, 5, 0.5), "expected noise of the shape"),
        (lambda m: dequantize(PICTURES, 5, np.zeros((8, 8, 8, 3), int)), "expected noise of the"
                                                                         " shape"),
        (lambda m: to_pixels(LIST, 5), "expected floating images"),
        (lambda m: to_pixels(PICTURES, 5), "expected floating images"),
        (lambda m: check_n_bits(True), "n_bits must be 1 to 8, got True"),
        (lambda m: check_n_bits("5"), "n_bits must be 1 to 8, got '5'"),
        (lambda m: Glow(None), "Glow: expected a GlowConfig, got None"),
        (lambda m: Glow({"K": 3}), "Glow: expected a GlowConfig"),
        (lambda m: Glow(m.config, seed=-1), "Glow: seed must be a whole number"),
        (lambda m: Glow(m.config, seed=None), "Glow: seed must be a whole number"),
        (lambda m: Glow(m.config, dtype="float16"), "dtype must be float32 or float64, got"
                                                    " 'float16'"),
        (lambda m: Glow(m.config, dtype=None), "dtype must be float32 or float64, got None"),
        (lambda m: Glow(m.config, memory="stored"), "memory must be a Memory"),
        (lambda m: Glow(m.config, workers=2), "workers must be"),
        (lambda m: Glow(GlowConfig((8, 8, 3), K=4096, L=1, width=65536)), "parameters take at"),
        (lambda m: Glow.load(None), "expected the path"),
        (lambda m: Glow.load("a\0b"), "zero bytes"),
        (lambda m: Glow.load("no/such.safetensors"), "no such file"),
        (lambda m: Glow.pretrained(None), "expected a name"),
        (lambda m: Glow.pretrained(["faces"]), "expected a name"),
        (lambda m: Memory("anchored"), "memory 'anchored': expected a size"),
        (lambda m: Memory("kept"), "memory 'kept': expected a size"),
        (lambda m: load(None), "load: expected a name or a path, got None"),
        (lambda m: load(PICTURES), "load: expected a name or a path, got ndarray"),
        (lambda m: load("a\0b"), "zero bytes"),
        (lambda m: load("faces", {"resize": 8}), "expected a Preparation"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_line(model, call, said):
    with pytest.raises(GlowliteError, match=said) as caught:
        call(model)
    assert "\n" not in str(caught.value)


def test_a_path_is_one_even_where_an_embedded_set_has_its_name(tmp_path, monkeypatch):
    np.save(tmp_path / "mine.npy", images(12))
    assert (
        len(load(tmp_path / "mine.npy").train) == len(load(str(tmp_path / "mine.npy")).train) == 11
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"\./faces"):
        load(Path("faces"))
    assert len(load("faces", Preparation()).train) == 7200
    os.mkdir("faces")
    with pytest.raises(DataError, match="faces"):
        load(Path("faces"))
