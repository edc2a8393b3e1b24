"""python -m glowlite.demo: what is written, of which models, and what is refused. Its page is
opened in tests/test_demo_page.py.
"""

import ast
import base64
import hashlib
import html
import json
import re
from pathlib import Path

import numpy as np
import pytest
from small_runs import SMALL, command, images
from test_models import NICES, REALNVPS, nice, realnvp

from glowlite import Chain, Flow, Glow, GlowConfig, GlowliteError
from glowlite.bench.work import products
from glowlite.bijectors.actnorm import ActNorm
from glowlite.demo import cost, description
from glowlite.demo.cost import multiply_adds
from glowlite.demo.description import describe, plane_order
from glowlite.demo.page import as_json, page, page_script, worker_source
from glowlite.demo.page_model import Seen, page_model
from glowlite.demo.weights import Weights
from glowlite.files.outputs import DEMO_MARK, HTML_MARK
from glowlite.latent.directions import Directions

DEMO = Path(description.__file__).parent
SCRIPTS = sorted(DEMO.glob("*/*.js"))
MB = 1e6


def demo(folder, *words):
    return command(folder, *words, program="demo")


def is_one_plain_line(done):
    lines = done.stderr.splitlines()
    assert done.returncode == 2 and len(lines) == 1, done
    assert lines[0].startswith("python -m glowlite.demo: error: ") and "Traceback" not in lines[0]
    return lines[0]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small run on pictures of its own, without attributes."""
    folder = tmp_path_factory.mktemp("demo")
    np.savez(folder / "ramps.npz", images=images())
    done = command(folder, "--data", "ramps.npz", "--out", "run", *SMALL)
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """The page of the pretrained faces, and what was printed."""
    folder = tmp_path_factory.mktemp("faces")
    done = demo(folder)
    assert done.returncode == 0, done.stderr
    return folder / "demo.html", done


def parts_of_page(text):
    """The text of each <script>, by its id, and of the <style>."""
    scripts = dict(re.findall(r'<script[^>]* id="(\w+)"[^>]*>(.*?)</script>', text, re.DOTALL))
    (scripts["run"],) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    (scripts["style"],) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    return scripts


def policy_of(text):
    (found,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    return html.unescape(found)


# --- the page ---


def test_the_page_of_the_pretrained_faces_is_one_file_of_at_most_6_mb(faces):
    path, done = faces
    assert not done.stderr
    assert re.fullmatch(
        r"demo\.html: pretrained faces in 5\.\d MB, self-contained; a picture takes about"
        r" 31 ms in a desktop browser\n",
        done.stdout,
    )
    assert path.stat().st_size <= 6 * MB
    model = json.loads(parts_of_page(path.read_text("utf-8"))["model"])
    assert model["kind"] == "Glow" and model["latent_shapes"] == [[8, 8, 6], [4, 4, 12], [2, 2, 48]]
    assert model["attributes"]["names"][2] == "glasses" and model["held_out"]["count"] == 12
    mean, deviation = model["held_out"]["bits"]
    assert round(mean, 2) == 1.10 and 0.2 < deviation < 0.4
    length, spread = model["held_out"]["length"]
    assert abs(length - 27.1) < 0.2 and abs(spread - 2.5) < 0.2


def test_faces_with_glasses_stand_further_along_the_direction_of_glasses(faces):
    model = json.loads(parts_of_page(faces[0].read_text("utf-8"))["model"])
    for name, where in zip(
        model["attributes"]["names"], model["attributes"]["positions"], strict=True
    ):
        apart = where["with"][0] - where["without"][0]
        assert 0.5 < apart < 1.5, name  # in units of the direction, from mean to mean


def test_its_policy_lets_its_own_script_and_style_run_and_forbids_every_request(faces):
    text = faces[0].read_text("utf-8")
    parts = parts_of_page(text)
    assert parts["run"] == page_script() and parts["worker"] == worker_source()

    def digest(part):
        return base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()

    assert policy_of(text).split("; ") == [
        "default-src 'none'",
        f"script-src 'sha256-{digest(parts['run'])}'",
        f"style-src 'sha256-{digest(parts['style'])}'",
        "img-src data: blob:",
        "worker-src blob:",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_nothing_outside_is_named_and_nothing_makes_markup_of_text(faces):
    text = faces[0].read_text("utf-8")
    parts = parts_of_page(text)
    markup = re.sub(r"<(script|style).*?</\1>", "", text, flags=re.DOTALL)
    assert not re.search(r"\s(src|href|srcset|action|style|on\w+)=", markup)
    for name in ("run", "worker", "style"):
        code = re.sub(r"^\s*//.*$", "", parts[name], flags=re.MULTILINE)
        code = code.replace("http://www.w3.org/2000/svg", "")  # a name, which nothing fetches
        assert not re.search(r"https?:|@import|url\(", code), name
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|fetch\("
            r"|XMLHttpRequest|WebSocket|sendBeacon|importScripts",
            code,
        ), name


def test_text_that_looks_like_markup_stays_text():
    name = '</script><img src=x onerror="alert(1)"> & "so on"'
    config = GlowConfig((4, 4, 1), K=1, L=1, width=4, classes=2)
    model = Glow(config, plain=True)
    model.initialize(np.random.default_rng(0).random((8, 4, 4, 1), np.float32) - 0.5)
    model.n_bits, model.class_names = 5, (name, "<b>other</b>")
    text = page(page_model(model, name, {"Trained on": name}))
    assert "<img" not in text and "<b>" not in text
    facts = json.loads(parts_of_page(text)["model"])
    assert facts["name"] == name and facts["classes"] == [name, "<b>other</b>"]
    assert facts["facts"] == {"Trained on": name}
    (shown,) = re.findall(r'<span id="name">(.*?)</span>', text)
    assert html.unescape(shown) == name


def test_json_for_a_script_has_no_character_that_ends_it():
    value = {"</script>": ["<!--", "a < b"]}
    assert "<" not in as_json(value) and json.loads(as_json(value)) == value
    with pytest.raises(ValueError):
        as_json({"a": float("nan")})


def test_no_script_ends_the_element_that_holds_it():
    for source in (worker_source(), page_script()):
        assert "</script" not in source.lower() and "<!--" not in source


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_one_idea_on_a_few_screens(path):
    lines = path.read_text("utf-8").splitlines()
    assert 0 < len(lines) <= 250
    assert not [line for line in lines if len(line) > 110 or line != line.rstrip()]


def test_every_script_of_the_page_is_in_its_order_once():
    order = json.loads((DEMO / "page" / "order.json").read_text("utf-8"))
    assert sorted(order) == sorted(path.name for path in (DEMO / "page").glob("*.js"))


def test_the_book_counts_the_lines_of_a_glow():
    names = "multiscale top_prior split coupling affine_coupling coupling_network scaled_linear"
    names += " gather_scatter invertible_conv actnorm squeeze product image chain zero_conv"
    lines = [
        line.strip()
        for name in names.split()
        for line in (DEMO / "flow" / f"{name}.js").read_text("utf-8").splitlines()
    ]
    code = [line for line in lines if line and not line.startswith("//")]
    page = (DEMO.parent.parent / "docs" / "play.md").read_text("utf-8")
    assert f"A Glow takes {len(code)} lines for both directions" in page


# --- layers ---


def names_in_javascript():
    found = re.search(r"const LAYERS = \{(.*?)\};", (DEMO / "flow" / "layers.js").read_text(), re.S)
    return set(re.findall(r"\w+", found[1]))


def test_every_layer_that_is_described_has_a_function_of_its_name():
    described = {description.NAMES.get(kind) or kind.__name__ for kind in description.LAYERS}
    assert described == names_in_javascript()
    defined = set(re.findall(r"^function (\w+)\(", worker_source(), re.MULTILINE))
    assert described <= defined


def test_a_function_stands_in_the_file_that_has_the_name_of_the_python_one():
    for kind in description.LAYERS:
        name = description.NAMES.get(kind) or kind.__name__
        stem = kind.__module__.rpartition(".")[2]
        if kind.__name__ == name and name != "NetworkBatchNorm":
            assert f"function {name}(" in (DEMO / "flow" / f"{stem}.js").read_text(), name


def test_every_bijector_and_network_of_the_models_is_described():
    """All classes of the package that `models` makes."""
    root = DEMO.parent
    made = set()
    for path in sorted((root / "models").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                ("glowlite.bijectors.", "glowlite.conditioners.")
            ):
                made |= {alias.name for alias in node.names}
    others = {"Memory", "Bijector", "Cost", "Plan", "Planner", "ChainCache", "Kept", "Visit"}
    classes = {name for name in made if name[0].isupper()} - others
    assert classes <= {kind.__name__ for kind in description.LAYERS}
    assert len(classes) > 15


@pytest.mark.parametrize("name", [*NICES, *REALNVPS])
def test_every_nice_and_realnvp_can_be_described(name):
    model = nice(name, plain=True) if name in NICES else realnvp(name, plain=True)
    weights = Weights()
    node = describe(model.bijector, weights)
    held = sum(p.value.size for p in model.store.parameters.values())
    assert counts(node) >= held and 2 * held <= weights.size
    json.loads(as_json(node))


def counts(node):
    """How many numbers a description points at."""
    if isinstance(node, list):
        return sum(map(counts, node))
    if not isinstance(node, dict):
        return 0
    return node["count"] if "at" in node else sum(map(counts, node.values()))


def test_a_layer_of_one_s_own_is_refused_and_so_is_a_subclass():
    class Own(ActNorm):
        pass

    with pytest.raises(GlowliteError, match=r"^Own: a page cannot run this layer; .*Glow, NICE"):
        describe(Chain([ActNorm(3), Own(3)]), Weights())


def test_weights_come_back_from_their_text():
    rng, weights = np.random.default_rng(0), Weights()
    half = rng.standard_normal((3, 5)).astype(np.float16)
    whole = rng.standard_normal(7).astype(np.float32)
    places = [
        weights.add("a", half.astype(np.float32)),
        weights.add("b", whole, "float32"),
        weights.add("c", half[:1]),
    ]
    content = base64.b64decode(weights.text())
    assert len(content) == weights.size == 2 * 15 + 4 * 7 + 2 * 5

    def array(place):
        count, start = place["count"], place["at"]
        return np.frombuffer(content, np.dtype(place["type"]).newbyteorder("<"), count, start)

    assert np.array_equal(array(places[0]), half.ravel())
    assert np.array_equal(array(places[1]), whole) and np.array_equal(array(places[2]), half[0])
    with pytest.raises(GlowliteError, match=r"big has values up to 1\.0e\+05, too large"):
        weights.add("big", np.array([1e5], np.float32))


def test_vectors_of_latents_are_laid_out_channel_after_channel():
    z = [np.arange(8.0).reshape(1, 2, 2, 2), 10 + np.arange(3.0).reshape(1, 1, 1, 3)]
    flat = np.concatenate([part.reshape(1, -1) for part in z], axis=1)
    expected = [*z[0][0].transpose(2, 0, 1).ravel(), *z[1][0].transpose(2, 0, 1).ravel()]
    assert plane_order(flat, [(2, 2, 2), (1, 1, 3)])[0].tolist() == expected
    assert np.array_equal(plane_order(flat, [(11,)]), flat)  # a vector stays as it is


# --- what a pass costs ---


@pytest.mark.parametrize("options", [{}, {"coupling": "additive", "permutation": "lu"}])
def test_the_multiply_adds_of_a_glow_are_those_of_its_products(options):
    config = GlowConfig((16, 16, 3), K=2, L=2, width=16, border="none", **options)
    model = Glow(config, plain=True)
    work = sum(p.rows * p.inner * p.pixels * p.times for p in products(config))
    shape = config.image_shape[:2]
    found, after = multiply_adds(describe(model.bijector, Weights()), shape)
    # `products` leaves out the learned prior of the top, which has a pass of its own over zeros
    top = model.top.prior.conv.weight.value.size * after[0] * after[1]
    assert found == work + top


def test_the_multiply_adds_of_other_models_count_each_matrix_once_per_pixel():
    model = nice("whitened", plain=True)
    found, _ = multiply_adds(describe(model.bijector, Weights()), model.config.image_shape[:2])
    D = model.dimensions
    matrices = [p.value for name, p in model.store.parameters.items() if p.value.ndim == 2]
    assert found == sum(m.size for m in matrices) + 2 * D * D

    model = realnvp(next(iter(REALNVPS)), plain=True)
    found, _ = multiply_adds(describe(model.bijector, Weights()), model.config.image_shape[:2])
    height, width, _ = model.config.image_shape
    expected = 0
    for name, p in model.store.parameters.items():
        if name.endswith("/v"):
            level = int(re.match(r"level(\d+)/", name)[1])
            halvings = level + ("/channels" in name)
            expected += p.value.size * (height >> halvings) * (width >> halvings)
    assert found == expected


# --- the command ---


def test_a_run_becomes_a_page_that_takes_the_place_of_another_page_only(run):
    folder = run.parent
    done = demo(folder, "run", "--out", "mine.html", "--pictures", "2")
    assert done.returncode == 0
    assert "have no attributes" in done.stderr and "no sliders" in done.stderr
    first = (folder / "mine.html").read_text("utf-8")
    facts = json.loads(parts_of_page(first)["model"])
    assert facts["name"] == "run" and facts["attributes"] is None
    assert facts["noun"] == "picture" and facts["held_out"]["count"] == 2
    assert facts["facts"]["Trained on"] == "ramps.npz"
    assert "--data ramps.npz" in facts["facts"]["Trained by"]
    assert DEMO_MARK in first[:1000] and HTML_MARK not in first
    assert str(folder) not in first  # no folder of a person
    again = demo(folder, "run", "--out", "mine.html", "--pictures", "0")
    assert again.returncode == 0
    second = json.loads(parts_of_page((folder / "mine.html").read_text("utf-8"))["model"])
    assert second["held_out"]["count"] == 0 and second["held_out"]["images"] == ""

    for text in ("<!doctype html>\n<p>mine</p>", f"<!doctype html>\n{HTML_MARK}"):
        (folder / "other.html").write_text(text)
        assert "left alone" in is_one_plain_line(demo(folder, "run", "--out", "other.html"))
        assert (folder / "other.html").read_text() == text


def test_a_page_without_its_data_says_so_and_is_written(run):
    data = run.parent / "ramps.npz"
    data.rename(data.with_suffix(".away"))
    try:
        done = demo(run.parent, "run", "--checkpoint", "best", "--out", "alone.html")
    finally:
        data.with_suffix(".away").rename(data)
    assert done.returncode == 0 and "no real pictures" in done.stderr
    facts = json.loads(parts_of_page((run.parent / "alone.html").read_text("utf-8"))["model"])
    assert facts["held_out"] is None and facts["attributes"] is None


def test_a_damaged_or_foreign_run_is_one_line_and_exit_code_2(run, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty" in is_one_plain_line(demo(tmp_path, "empty"))
    assert "no such file" in is_one_plain_line(demo(tmp_path, "nothing"))
    (tmp_path / "text.safetensors").write_text("no model")
    assert "text.safetensors" in is_one_plain_line(demo(tmp_path, "text.safetensors"))
    content = bytearray((run / "best.safetensors").read_bytes())
    content[len(content) // 2] ^= 255
    (tmp_path / "bad.safetensors").write_bytes(content)
    assert "bad.safetensors" in is_one_plain_line(demo(tmp_path, "bad.safetensors"))
    flow = Flow(Chain([ActNorm(2)]))
    flow.initialize(np.random.default_rng(0).standard_normal((9, 2)).astype(np.float32))
    flow.save(tmp_path / "own.safetensors")
    assert "own.safetensors" in is_one_plain_line(demo(tmp_path, "own.safetensors"))
    assert not (tmp_path / "demo.html").exists()
    for words in (("--out", "demo.txt"), ("--pictures", "-1"), ("--pictures", "1000000")):
        is_one_plain_line(demo(tmp_path, *words))


def test_a_slow_model_is_said_to_be_slow(run, monkeypatch):
    monkeypatch.setattr(cost, "MULTIPLY_ADDS", 1e3)
    done = demo(run.parent, "run", "--out", "slow.html")
    assert done.returncode == 0
    assert re.search(r"run: a picture will take about \d+\.\d s in a desktop browser", done.stderr)


def test_open_shows_the_page(run, monkeypatch):
    shown = []
    monkeypatch.setattr("glowlite.commands.demo.webbrowser.open", shown.append)
    demo(run.parent, "run", "--out", "shown.html", "--open")
    assert shown == [(run.parent / "shown.html").resolve().as_uri()]


def test_weights_that_16_bits_cannot_hold_are_said(run, monkeypatch):
    monkeypatch.setattr("glowlite.commands.demo.reconstruction_error", lambda *arguments: 3.0)
    done = demo(run.parent, "run", "--out", "off.html")
    *_, line = done.stderr.splitlines()
    assert done.returncode == 2 and line.endswith(
        "run: with 16-bit weights, as the page stores them, the inverse is off by 3.0 grey levels"
    )
    assert not (run.parent / "off.html").exists()


def test_where_attributes_stand_is_told_of_those_that_have_both_kinds():
    config = GlowConfig((4, 4, 1), K=1, L=1, width=4)
    model = Glow(config, plain=True)
    pictures = images(20, 4, 4, 1)
    model.n_bits = 5
    model.initialize(pictures.astype(np.float32) / 256 - 0.5)
    attributes = np.zeros((20, 2), bool)
    attributes[::2, 0] = True
    attributes[:9, 1] = True
    directions = Directions.from_images(model, pictures, attributes, ("a", "b"))
    held_out = attributes.copy()
    held_out[:, 1] = False  # nobody has it
    seen = Seen(pictures, np.ones(20), held_out)
    facts = page_model(model, "m", {}, directions, seen).facts
    a, b = facts["attributes"]["positions"]
    assert b is None and a["with"][0] > a["without"][0]
    assert facts["held_out"]["bits"] == [1.0, 0.0] and facts["noun"] == "picture"
