"""The JavaScript of python -m glowlite.demo against Python, in headless Chromium: it encodes and
decodes, edits, blends and scores as the models here do.

Needs playwright and a Chromium; skipped where one is missing.
"""

import base64
import functools
import json

import numpy as np
import pytest
from browser import chromium
from small_runs import images
from test_models import NICES, REALNVPS, nice, realnvp

from glowlite import Glow, GlowConfig
from glowlite.commands.demo import round_parameters
from glowlite.data import load
from glowlite.demo.description import plane_order
from glowlite.demo.page import as_json, worker_source
from glowlite.demo.page_model import page_model
from glowlite.latent.directions_file import load_directions, weights_fingerprint
from glowlite.latent.walks import flatten, four_corners
from glowlite.models.pretrained import directions_file
from glowlite.objective import (
    as_continuous,
    bits_per_dim,
    dequantize,
    dequantize_midpoint,
    to_pixels,
)

CLOSE = 1e-4
# asks the worker, which is made once a page, and answers with plain lists
ASK = """async ({source, model, weights, requests}) => {
  if (source) {
    window.tried = new Worker(URL.createObjectURL(new Blob([source])));
    window.answer = (message) => new Promise((done) => {
      window.tried.onmessage = (event) => done(event.data);
      window.tried.postMessage(message);
    });
    await window.answer({model, weights});
  }
  const answers = [];
  const plain = (key, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);
  for (const {typed, ...request} of requests) {
    if (request.pixels) request.pixels = Uint8Array.from(request.pixels);
    if (request.latents) request.latents = Float32Array.from(request.latents);
    answers.push(JSON.parse(JSON.stringify(await window.answer(request), plain)));
  }
  return answers;
}"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as engine:
        yield engine


@pytest.fixture(scope="module")
def faces():
    """The pretrained model with the weights of a page."""
    model = Glow.pretrained("faces")
    with directions_file("faces") as path:
        directions = load_directions(path, weights_fingerprint(model))
    round_parameters(model)
    return model, directions


class Javascript:
    """A model in the worker of a page: `ask(request)` gives its answer."""

    def __init__(self, browser, made):
        self.page = browser.new_page()
        start = {"source": worker_source(), "model": json.loads(as_json(made.facts))}
        self.page.evaluate(ASK, {**start, "weights": made.weights.text(), "requests": []})

    def ask(self, *requests):
        answers = self.page.evaluate(ASK, {"requests": list(requests)})
        assert not [answer["error"] for answer in answers if "error" in answer]
        return answers


def encoded(javascript, pictures):
    asked = [{"kind": "encode", "pixels": each.ravel().tolist()} for each in pictures]
    return np.array([answer["latents"] for answer in javascript.ask(*asked)])


def decoded(javascript, z, shape):
    height, width, channels = shape
    asked = [{"kind": "decode", "latents": each.tolist()} for each in z]
    x = np.array([answer["x"] for answer in javascript.ask(*asked)])
    return x.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)


def vectors(model, latents):
    return plane_order(flatten(latents), model.latent_shapes())


def noise_for(model, count, temperature=0.7, seed=5):
    rng = np.random.default_rng(seed)
    return [
        (temperature * rng.standard_normal((count, *shape))).astype(model.dtype)
        for shape in model.latent_shapes()
    ]


# --- the mathematics ---


def test_64_faces_are_encoded_and_64_latents_decoded_as_in_python(browser, faces):
    model, directions = faces
    javascript = Javascript(browser, page_model(as_plain(model), "faces", {}, directions))
    pictures = load("faces").held_out[:64]
    expected = vectors(model, model.encode(pictures))
    assert abs(encoded(javascript, pictures) - expected).max() < CLOSE
    latents = noise_for(model, 64)
    x = decoded(javascript, vectors(model, latents), model.config.image_shape)
    assert abs(x - model.decode(latents)).max() < CLOSE


def as_plain(model):
    """The same weights in a model without fast forms."""
    plain = type(model)(model.config, dtype=model.dtype.name, plain=True)
    plain.store.assign({name: np.array(v) for name, v in model.store.named_values().items()})
    plain.take_header(model.header())
    return plain


def small_glow(**options):
    config = GlowConfig((8, 8, 3), **{"K": 2, "L": 2, "width": 11, **options})
    model = Glow(config, seed=1, plain=True)
    rng = np.random.default_rng(2)
    model.initialize(dequantize(images(64), 8, rng.random((64, 8, 8, 3), np.float32)))
    for p in model.store.parameters.values():
        p.value[...] += 0.02 * rng.standard_normal(p.value.shape).astype(np.float32)
    return model


GLOWS = {
    "lu, additive": {"permutation": "lu", "coupling": "additive", "changed": "first"},
    "shuffle, exp": {"permutation": "shuffle", "scale": "exp", "border": "last"},
    "reverse, sigmoid": {"permutation": "reverse", "scale": "sigmoid", "shift": "after"},
    "paper": {
        "actnorm": "paper",
        "hidden_actnorm": False,
        "output_scale": False,
        "border": "none",
        "split_prior": "unit",
        "top_prior": "unit",
    },
    "learned noise": {"dequantise": "variational"},
    "labels of pixels": {"classes": 3},
    "labels of channels": {"classes": 3, "class_map": "channels"},
}


MODELS = {
    **{f"glow {name}": functools.partial(small_glow, **GLOWS[name]) for name in GLOWS},
    **{f"nice {name}": functools.partial(nice, name, plain=True) for name in NICES},
    **{f"realnvp {name}": functools.partial(realnvp, name, plain=True) for name in REALNVPS},
}


@pytest.mark.parametrize("name", MODELS)
def test_every_option_of_every_model_is_the_same_in_javascript(browser, name):
    model = MODELS[name]()
    model.n_bits, model.initialized = 5, True
    rng = np.random.default_rng(7)
    if model.classes:
        top = model.store.parameters["top/by_class"].value
        top[...] = 0.3 * rng.standard_normal(top.shape)
    round_parameters(model)
    javascript = Javascript(browser, page_model(model, name, {}))
    shape = model.config.image_shape
    pictures = rng.integers(0, 256, (4, *shape), np.uint8)
    first = model.given(0) if model.classes else model
    z = vectors(model, first.encode(pictures))
    scale = max(1.0, abs(z).max())
    assert abs(encoded(javascript, pictures) - z).max() < CLOSE * scale
    latents = noise_for(model, 4)
    expected = first.decode(latents)
    x = decoded(javascript, vectors(model, latents), shape)
    assert abs(x - expected).max() < CLOSE * max(1.0, abs(expected).max())

    asked = [{"kind": "log_prob", "pixels": each.ravel().tolist()} for each in pictures]
    nats = np.array([answer["logProb"] for answer in javascript.ask(*asked)])
    own = model.log_prob(dequantize_midpoint(pictures, 5, model.dtype.name))
    assert abs(nats - own).max() < CLOSE * max(1.0, abs(own).max())

    # bits/dim: the mean over draws of noise is, within its error, that of Python's draws
    asked = [
        {"kind": "bits_of_pixels", "pixels": pictures[0].ravel().tolist(), "draw": draw}
        for draw in range(24)
    ]
    bits = np.array([answer["bits"] for answer in javascript.ask(*asked)])
    assert len(set(bits)) == len(bits)
    many = np.repeat(pictures[:1], 24, axis=0)
    noise = rng.random(many.shape).astype(model.dtype)
    x = as_continuous(many, 5, noise, model.dtype, variational=model.variational)
    flow, x = model.of_noise(x, 5)
    own = bits_per_dim(flow.log_prob(x), model.dimensions, 5)
    error = np.sqrt((bits.var(ddof=1) + own.var(ddof=1)) / 24)
    assert abs(bits.mean() - own.mean()) < 4 * error + 1e-5 * abs(own.mean())
    javascript.page.close()


def test_edits_positions_and_blends_are_those_of_python(browser, faces):
    model, directions = faces
    made = page_model(as_plain(model), "faces", {}, directions)
    javascript = Javascript(browser, made)
    pictures = load("faces").held_out[4:8]
    alphas = {"smiling": 1.0, "glasses": -0.6}
    sources = [{"kind": "pixels", "pixels": packed(each, 5)} for each in pictures]
    answers = javascript.ask(
        *({"kind": "picture", "recipe": {"source": s, "alphas": alphas}} for s in sources)
    )
    z, states = model.encode(pictures), directions.states(pictures)
    edited = directions.edit(z, states, alphas)
    same_pixels(answers, to_pixels(model.decode(edited), 5))
    along = (
        flatten(edited)
        @ (directions.mean / np.square(directions.mean).sum(axis=1, keepdims=True)).T
    )
    assert abs(np.array([a["positions"] for a in answers]) - along).max() < 1e-3

    corners = [[level[i : i + 1] for level in z] for i in range(4)]
    for spherical in (False, True):
        sheet = four_corners(*corners, 5, 5, spherical)
        asked = [
            {
                "kind": "picture",
                "recipe": {
                    "source": {
                        "kind": "blend",
                        "corners": sources,
                        "across": across / 4,
                        "down": down / 4,
                        "spherical": spherical,
                    }
                },
            }
            for down in range(5)
            for across in range(5)
        ]
        same_pixels(javascript.ask(*asked), to_pixels(model.decode(sheet), 5))


def packed(picture, n_bits):
    """The levels of a picture, n_bits each, in base64 for an address."""
    levels = (picture >> (8 - n_bits)).ravel()
    bits = ((levels[:, None] >> np.arange(n_bits - 1, -1, -1)) & 1).astype(np.uint8)
    text = base64.urlsafe_b64encode(np.packbits(bits.ravel()).tobytes()).decode()
    return text.rstrip("=")


def same_pixels(answers, expected):
    """All but those that lie on the edge between two levels, where rounding decides."""
    found = np.array([answer["pixels"] for answer in answers]).reshape(expected.shape)
    assert all(answer["finite"] for answer in answers)
    assert (found != expected).mean() < 1e-3
    assert abs(found.astype(int) - expected).max() <= 8


def test_what_a_level_says_and_what_a_pixel_moves(browser, faces):
    model, _ = faces
    javascript = Javascript(browser, page_model(as_plain(model), "faces", {}))
    (picture,) = load("faces").held_out[9:10]
    source = {"kind": "pixels", "pixels": packed(picture, 5)}
    z = model.encode(picture[None])

    def recipe(*levels):
        return {"source": source, "alphas": {}, "levels": list(levels), "noise": 3}

    kept, mean, noisy, again, influence = javascript.ask(
        {"kind": "picture", "recipe": recipe("keep", "keep", "keep")},
        {"kind": "picture", "recipe": recipe("mean", "mean", "keep")},
        {"kind": "picture", "recipe": recipe("noise", "keep", "keep")},
        {"kind": "picture", "recipe": recipe("noise", "keep", "keep")},
        {"kind": "influence", "recipe": recipe("keep", "keep", "keep"), "row": 5, "column": 9},
    )
    for found, level in zip(kept["maps"], z, strict=True):
        assert np.allclose(found, np.square(level[0]).mean(axis=-1).ravel(), atol=1e-3)
    only_last = [np.zeros_like(z[0]), np.zeros_like(z[1]), z[2]]
    same_pixels([mean], to_pixels(model.decode(only_last), 5))
    assert not np.any(mean["maps"][0]) and np.allclose(mean["maps"][2], kept["maps"][2])
    assert noisy["pixels"] == again["pixels"] != kept["pixels"]
    assert abs(np.mean(noisy["maps"][0]) - 0.49) < 0.15  # at temperature 0.7

    shown = np.array(kept["pixels"], np.uint8).reshape(picture.shape)
    moved = shown.copy()
    moved[5, 9] = [v - 8 if v + 8 > 255 else v + 8 for v in shown[5, 9].tolist()]
    for found, one, other in zip(
        influence["maps"], model.encode(shown[None]), model.encode(moved[None]), strict=True
    ):
        expected = np.sqrt(np.square(other - one)[0].mean(axis=-1)).ravel()
        assert np.allclose(found, expected, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("n_bits", [1, 5, 8])
def test_pixels_come_back_from_an_address(browser, n_bits):
    model = small_glow(K=1, L=1)
    model.n_bits = n_bits
    javascript = Javascript(browser, page_model(model, "m", {}))
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    source = {"kind": "pixels", "pixels": packed(pixels, n_bits)}
    (answer,) = javascript.ask({"kind": "picture", "recipe": {"source": source, "alphas": {}}})
    x = dequantize_midpoint(pixels[None], n_bits, "float32")
    assert answer["pixels"] == to_pixels(x, n_bits).ravel().tolist()
    javascript.page.close()


def test_samples_are_distributed_as_the_base(browser):
    """Mean and variance of some 20,000 numbers, within five of their standard errors."""
    for maker, variance, kurtosis in (
        (lambda: small_glow(K=1, L=1), 0.49, 3.0),
        (lambda: nice("unit", plain=True), 0.49 * np.pi**2 / 3, 4.2),
    ):
        model = maker()
        model.n_bits, model.initialized = 5, True
        javascript = Javascript(browser, page_model(model, "m", {}))
        D = model.dimensions
        asked = [
            {
                "kind": "picture",
                "recipe": {
                    "source": {"kind": "sample", "seed": 1, "number": i, "temperature": 0.7},
                    "alphas": {},
                },
            }
            for i in range(20_000 // D)
        ]
        lengths = np.array([answer["length"] for answer in javascript.ask(*asked)])
        count = D * len(lengths)
        found = np.square(lengths).sum() / count
        # the variance of z^2 is (kurtosis - 1) times that of z squared
        assert abs(found - variance) < 5 * variance * np.sqrt((kurtosis - 1) / count)
        assert len(set(lengths)) == len(lengths)
        javascript.page.close()


def test_a_sample_of_a_class_is_one_of_that_class(browser):
    """Under the prior of the class that was asked for, its latents are those of a sample."""
    model = small_glow(classes=3)
    model.n_bits = 5
    top = model.store.parameters["top/by_class"].value
    top[1] += 2.0
    javascript = Javascript(browser, page_model(model, "m", {}))
    lengths = {}
    for label in (0, 1):
        asked = [
            {
                "kind": "picture",
                "recipe": {
                    "source": {
                        "kind": "sample",
                        "seed": 1,
                        "number": i,
                        "temperature": 0.7,
                        "label": label,
                    },
                    "alphas": {},
                },
            }
            for i in range(10)
        ]
        lengths[label] = [answer["length"] for answer in javascript.ask(*asked)]
    # as latents of the first class, which a page works with, those of another are far out
    assert min(lengths[1]) > 2 * max(lengths[0])
    javascript.page.close()
