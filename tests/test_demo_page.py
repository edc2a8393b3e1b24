"""The page of python -m glowlite.demo, opened from a file in headless Chromium: every control by
keyboard and by pointer, no request, no error, nothing that jumps.

Needs playwright and a Chromium; skipped where one is missing. DEMO_SCREENSHOTS=folder keeps
pictures of every tab, as on a desk and as on a telephone, light and dark.
"""

import io
import os
import re
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from browser import chromium
from hypothesis import settings
from PIL import Image
from small_runs import command, images

from glowlite import Glow
from glowlite.commands.demo import main, round_parameters
from glowlite.data import load
from glowlite.drawing.sheets import to_rgb
from glowlite.latent.directions_file import load_directions, weights_fingerprint
from glowlite.models.pretrained import directions_file

DESK, TELEPHONE = {"width": 1300, "height": 900}, {"width": 400, "height": 800}
TABLET, SMALL = {"width": 800, "height": 500}, {"width": 320, "height": 640}
TABS = ("sample", "edit", "blend", "latents", "picture")
THOROUGH = settings().max_examples >= 50
OPENS_WITHIN, DECODES_WITHIN = 2.0, 60.0  # seconds, milliseconds
# where something was laid out again, but for what follows a press or a key at once
SHIFTS = """() => {
  window.shifts = [];
  const keep = ({value, hadRecentInput}) => hadRecentInput || window.shifts.push(value);
  new PerformanceObserver((list) => list.getEntries().forEach(keep))
    .observe({type: "layout-shift", buffered: true});
}"""
PIXELS = """(id) => {
  const {height, width} = document.getElementById(id);
  const brush = new OffscreenCanvas(width, height).getContext("2d", {willReadFrequently: true});
  brush.drawImage(document.getElementById(id), 0, 0);
  const {data} = brush.getImageData(0, 0, width, height);
  return [height, width, [...data].filter((_, k) => k % 4 < 3)];
}"""
# controls that have no name, or stand for two
NAMELESS = """() => [
    ...document.querySelectorAll("button, input, select, summary, [role]:not([role=status])")]
  .filter((node) => !node.closest("[aria-hidden=true]") && node.tagName !== "SECTION")
  .filter((node) => !(node.labels && node.labels.length) && !node.getAttribute("aria-label")
    && !node.getAttribute("aria-labelledby") && !node.textContent.trim())
  .map((node) => node.id || node.outerHTML.slice(0, 80))"""
TWICE = """() => {
  const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
  return ids.filter((id, k) => ids.indexOf(id) < k);
}"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as engine:
        yield engine


@pytest.fixture(scope="module")
def demo_html(tmp_path_factory):
    path = tmp_path_factory.mktemp("demo") / "demo.html"
    main(["--out", str(path)])
    return path


@contextmanager
def opened(browser, path, fragment="", viewport=None, **options):
    """The page, once its subject is shown; at its end nothing went wrong and nothing has moved."""
    context = browser.new_context(viewport=viewport or DESK, accept_downloads=True, **options)
    context.add_init_script(f"({SHIFTS})()")
    page = context.new_page()
    wrong, requests = [], []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri() + fragment)
    settled(page, "html[data-ready=yes]")
    yield page
    assert not wrong
    outside = [url for url in requests if not url.startswith(("blob:", "data:", path.as_uri()))]
    assert not outside
    assert sum(page.evaluate("window.shifts")) < 1e-4
    context.close()


def settled(page, selector="html[data-busy=no]"):
    page.wait_for_selector(selector, state="attached", timeout=20_000)


def pixels(page, canvas="subject"):
    settled(page)
    height, width, data = page.evaluate(PIXELS, canvas)
    return np.array(data, np.uint8).reshape(height, width, 3)


def canvas_of(page, button):
    """The pixels of the canvas within a button, once it was drawn."""
    page.evaluate(
        "(id) => { document.getElementById(id).firstElementChild.id = id + '-canvas'; }", button
    )
    deadline = time.monotonic() + 20
    while not (found := pixels(page, f"{button}-canvas")).any() and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    return found


def changes(page, act, canvas="subject"):
    """Whether the picture is another after `act`."""
    before = pixels(page, canvas)
    act()
    page.wait_for_timeout(30)  # a key's event comes first, then the page says that it is busy
    return bool((pixels(page, canvas) != before).any())


def press(page, place, *keys):
    page.focus(place)
    for key in keys:
        page.keyboard.press(key)


def drag(page, place, to, start=(0.5, 0.5)):
    """From one point of an element to another, in parts of its width and height."""
    box = page.locator(place).bounding_box()

    def at(point):
        return box["x"] + point[0] * box["width"], box["y"] + point[1] * box["height"]

    page.mouse.move(*at(start))
    page.mouse.down()
    for part in (0.3, 0.6, 1.0):
        page.mouse.move(*at([a + part * (b - a) for a, b in zip(start, to, strict=True)]))
    page.mouse.up()


def png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "png")
    return {"name": "me.png", "mimeType": "image/png", "buffer": file.getvalue()}


# --- opening ---


# a clock is only worth something where nothing else runs: .ci/thorough runs these two alone
timed = pytest.mark.skipif(
    "TIMED" not in os.environ,
    reason="a measurement: set TIMED=1 on a machine that is otherwise idle",
)


@timed
def test_it_opens_within_two_seconds(browser, demo_html):
    """The best of three, since other processes may be running."""
    took = []
    for _ in range(3):
        start = time.monotonic()
        with opened(browser, demo_html):
            took.append(time.monotonic() - start)
    assert min(took) < OPENS_WITHIN


@timed
def test_a_picture_takes_at_most_60_ms(browser, demo_html):
    """The best of what the page itself measures while a slider is moved."""
    assert min(times_of_pictures(browser, demo_html)) < DECODES_WITHIN


def test_the_page_says_how_long_a_picture_takes(browser, demo_html):
    assert len(times_of_pictures(browser, demo_html, presses=4)) > 0


def times_of_pictures(browser, demo_html, presses=40):
    """What the page itself measures while a slider is moved, in milliseconds."""
    with opened(browser, demo_html) as page:
        page.click("#tab-edit")
        page.evaluate(
            "window.answers = []; worker.addEventListener('message', (event) =>"
            " event.data.milliseconds && window.answers.push(event.data.milliseconds))"
        )
        for k in range(presses):
            press(page, "#edit-smiling", "ArrowRight" if k < presses / 2 else "ArrowLeft")
            settled(page)
        assert re.fullmatch(r"A picture takes \d+ ms here\.", page.inner_text("#time"))
        return page.evaluate("window.answers")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "viewport", [DESK, TABLET, TELEPHONE, SMALL], ids=["desk", "tablet", "telephone", "small"]
)
def test_every_tab_fits_its_window(browser, demo_html, viewport, scheme):
    with opened(browser, demo_html, viewport=viewport, color_scheme=scheme) as page:
        for tab in TABS:
            page.click(f"#tab-{tab}")
            settled(page)
            assert [page.is_visible(f"#panel-{name}") for name in TABS] == [
                name == tab for name in TABS
            ]
            wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, tab
            assert page.locator("#subject").is_visible()
            keep_picture(page, f"{tab}-{viewport['width']}-{scheme}")


def keep_picture(page, name):
    if folder := os.environ.get("DEMO_SCREENSHOTS"):
        page.wait_for_timeout(3000)  # bits, maps and samples come after
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_every_control_has_a_name_and_every_id_stands_once(browser, demo_html):
    with opened(browser, demo_html) as page:
        assert page.evaluate(NAMELESS) == [] and page.evaluate(TWICE) == []
        page.click("summary")
        facts = page.inner_text("#facts")
        assert "Glow with 1,714,932 parameters" in facts and "--steps 8000" in facts


# --- what one does ---


def test_tabs_by_their_keys(browser, demo_html):
    with opened(browser, demo_html) as page:
        for key, tab in (("ArrowRight", "edit"), ("End", "picture"), ("ArrowRight", "sample")):
            press(page, "[role=tab][aria-selected=true]", key)
            assert page.get_attribute(f"#tab-{tab}", "aria-selected") == "true"
            assert page.evaluate("document.activeElement.id") == f"tab-{tab}"
            assert page.is_visible(f"#panel-{tab}")


def test_a_sample_becomes_the_subject_by_pointer_and_by_key(browser, demo_html):
    with opened(browser, demo_html) as page:
        for number, choose in ((5, page.click), (7, lambda button: press(page, button, "Enter"))):
            grid = canvas_of(page, f"sample-{number}")
            assert changes(page, lambda c=choose, n=number: c(f"#sample-{n}"))
            assert np.array_equal(pixels(page), grid)
            assert page.get_attribute(f"#sample-{number}", "aria-pressed") == "true"
        assert changes(page, lambda: press(page, "#temperature", *["ArrowLeft"] * 20))
        assert page.inner_text("#temperature-value") == "0.50"
        first = canvas_of(page, "sample-0")
        page.fill("#seed", "42")
        page.wait_for_timeout(3000)
        assert (canvas_of(page, "sample-0") != first).any()
        drag(page, "#temperature", (1.0, 0.5), (0.0, 0.5))
        assert page.inner_text("#temperature-value") == "1.30"
        page.click("#another-seed")
        assert page.input_value("#seed") != "42"


def test_a_held_out_face_is_shown_as_it_is_with_its_bits(browser, demo_html):
    with opened(browser, demo_html) as page:
        page.click("#held-out-3")
        (face,) = load("faces").held_out[3:4]
        assert np.array_equal(pixels(page) >> 3, face >> 3)
        page.wait_for_timeout(100)
        page.wait_for_selector("#bits-error:not(:empty)", state="attached")
        deadline = time.monotonic() + 20
        while page.inner_text("#announcement") == "" and time.monotonic() < deadline:
            page.wait_for_timeout(100)
        said = re.fullmatch(
            r"(\S+) bits per dimension, length of z (\S+)", page.inner_text("#announcement")
        )
        model = Glow.pretrained()
        rng = np.random.default_rng(0)
        x = (np.repeat(face[None] >> 3, 64, axis=0) + rng.random((64, 16, 16, 3))) / 32 - 0.5
        expected = model.bits_per_dim(x.astype(np.float32), 5)
        assert abs(float(said[1]) - expected.mean()) < 0.01 + 4 * expected.std() / np.sqrt(8)
        assert 20 < float(said[2]) < 34


def test_edits_are_those_of_python_and_can_be_undone(browser, demo_html):
    model = Glow.pretrained()
    with directions_file("faces") as path:
        directions = load_directions(path, weights_fingerprint(model))
    round_parameters(model)
    face = load("faces").held_out[2:3]

    def expected(**alphas):
        z = directions.edit(model.encode(face), directions.states(face), alphas)
        return to_rgb(model.decode(z), 5)[0]

    with opened(browser, demo_html) as page:
        page.click("#held-out-2")
        start = pixels(page)
        page.click("#tab-edit")
        words = page.inner_text("#edit-smiling-words")
        press(page, "#edit-smiling", *["ArrowRight"] * 100)
        assert page.input_value("#edit-smiling") == "1"
        assert (pixels(page) != expected(smiling=1.0)).mean() < 5e-3
        assert page.inner_text("#edit-smiling-words") != words
        assert "sigma from faces with it" in words
        drag(page, "#edit-glasses", (1.0, 0.5), (0.5, 0.5))
        glasses = float(page.input_value("#edit-glasses"))
        assert glasses > 1.2
        assert (pixels(page) != expected(smiling=1.0, glasses=glasses)).mean() < 5e-3
        assert np.array_equal(pixels(page, "before"), start)
        page.click("[data-name=zero-smiling]")
        assert (pixels(page) != expected(glasses=glasses)).mean() < 5e-3
        page.dblclick("#edit-glasses")
        assert np.array_equal(pixels(page), start)
        press(page, "#edit-hat", "End")
        page.click("#reset")
        assert np.array_equal(pixels(page), start)
        assert page.input_value("#edit-hat") == "0" and page.is_disabled("#reset")


def test_blends_by_sliders_by_the_pad_and_by_other_corners(browser, demo_html):
    with opened(browser, demo_html) as page:
        page.click("#tab-blend")
        corner = canvas_of(page, "corner-0")
        press(page, "#across", "Home")
        press(page, "#down", "Home")
        assert np.array_equal(pixels(page), corner)
        assert changes(page, lambda: press(page, "#across", "End"))
        assert np.array_equal(pixels(page), canvas_of(page, "corner-1"))
        assert changes(page, lambda: press(page, "#pad", *["ArrowDown"] * 8))
        assert page.input_value("#down") == "0.4"
        assert changes(page, lambda: drag(page, "#pad", (0.1, 0.9)))
        assert page.input_value("#across") == "0" and page.input_value("#down") == "1"
        assert np.array_equal(pixels(page), canvas_of(page, "corner-2"))
        press(page, "#across", *["ArrowRight"] * 50)
        assert changes(page, lambda: page.uncheck("#spherical"))
        page.click("label[for=corners-2]")
        settled(page)
        assert page.is_disabled("#down")
        press(page, "#across", "Home")
        page.click("#corner-0")
        assert changes(page, lambda: page.click("#pick-held-out-1"))
        (face,) = load("faces").held_out[1:2]
        assert np.array_equal(pixels(page) >> 3, face >> 3)
        page.click("#tab-sample")
        page.click("#sample-9")
        chosen = pixels(page)
        page.click("#tab-blend")
        page.click("#corner-1-subject")
        press(page, "#across", "End")
        assert np.array_equal(pixels(page), chosen)


def test_levels_are_replaced_and_a_pixel_is_followed(browser, demo_html):
    model = Glow.pretrained()
    round_parameters(model)
    face = load("faces").held_out[4:5]
    z = model.encode(face)
    with opened(browser, demo_html) as page:
        page.click("#held-out-4")
        start = pixels(page)
        page.click("#tab-latents")
        assert changes(page, lambda: press(page, "#level-0-keep", "ArrowRight", "ArrowRight"))
        assert page.is_checked("#level-0-mean")
        mean = [np.zeros_like(z[0]), z[1], z[2]]
        assert (pixels(page) != to_rgb(model.decode(mean), 5)[0]).mean() < 5e-3
        page.click("#keep-all")
        assert np.array_equal(pixels(page), start)
        assert changes(page, lambda: page.click("label[for=level-2-noise]"))
        assert changes(page, lambda: page.click("#another-noise"))
        page.click("#only-coarsest")
        assert page.is_checked("#level-2-keep") and not page.is_checked("#level-0-keep")
        assert changes(page, lambda: page.click("#all-but-coarsest"))
        page.click("#keep-all")
        settled(page)
        page.wait_for_timeout(500)
        assert changes(
            page,
            lambda: (page.click("#subject", position={"x": 20, "y": 20}), wait(page)),
            "influence-0",
        )
        words = page.inner_text("#pixel-words")
        press(page, "#pixel-pad", "ArrowDown", "ArrowRight")
        assert page.inner_text("#pixel-words") != words


def wait(page):
    page.wait_for_timeout(1000)


def test_a_picture_of_one_s_own_is_cropped_encoded_and_leaves_nothing(browser, demo_html):
    (face,) = load("faces").held_out[5:6]
    large = np.asarray(Image.fromarray(face).resize((160, 160), Image.Resampling.NEAREST))
    framed = np.full((240, 320, 3), 128, np.uint8)
    framed[40:200, 80:240] = large
    with opened(browser, demo_html) as page:
        page.click("#tab-picture")
        assert page.is_disabled("#encode")
        page.set_input_files("#file", png(framed))
        page.wait_for_selector("#encode:enabled")
        # the square of the face in the stage, which is as wide as the picture
        for name, (x, y) in (("left", (0.344, 0.406)), ("right", (0.656, 0.406))):
            move_eye(page, f"#eye-{name}", 0.25 + 0.5 * x, 0.25 + 0.5 * y)
        found = pixels(page, "preview").astype(int)
        assert abs(found - face).mean() < 12
        before = found.copy()
        press(page, "#eye-left", "ArrowLeft", "Shift+ArrowUp")
        assert (pixels(page, "preview") != before).any()
        assert changes(page, lambda: page.click("#encode"))
        preview = pixels(page, "preview")
        assert np.array_equal(pixels(page) >> 3, preview >> 3)
        page.set_input_files(
            "#file", {"name": "a.png", "mimeType": "image/png", "buffer": b"no picture"}
        )
        page.wait_for_selector("#note:not(:empty)")
        assert "not a picture that this browser can read" in page.inner_text("#note")


def move_eye(page, handle, x, y):
    """Drag a handle to a place of the stage, in parts of it."""
    stage = page.locator("#stage").bounding_box()
    box = page.locator(handle).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(stage["x"] + x * stage["width"], stage["y"] + y * stage["height"], steps=4)
    page.mouse.up()


def test_a_picture_is_painted_by_keys_and_by_pointer(browser, demo_html):
    with opened(browser, demo_html) as page:
        page.click("#tab-picture")
        page.click("#paint-blank")
        page.evaluate("document.getElementById('colour').value = '#ff0000'")
        press(page, "#paint", *["ArrowUp"] * 16, *["ArrowLeft"] * 16, "Space")
        press(page, "#paint", "ArrowRight", "Enter")
        drag(page, "#paint", (0.97, 0.97), (0.97, 0.53))
        painted = pixels(page, "paint-picture")
        red = (painted == (255, 0, 0)).all(axis=2)
        assert red[0, :2].all() and red[8:, 15].all() and red.sum() == 10
        page.click("#paint-undo")
        assert (pixels(page, "paint-picture") == (255, 0, 0)).all(axis=2).sum() == 2
        assert changes(page, lambda: page.click("#paint-encode"))
        assert np.array_equal(pixels(page) >> 3, pixels(page, "paint-picture") >> 3)
        page.click("label[for=tool-fill]")
        assert changes(page, lambda: page.click("#paint", position={"x": 100, "y": 100}))
        assert (pixels(page)[..., 0] >> 3 == 31).all()


def test_bits_per_dimension_of_pictures_that_are_no_faces(browser, demo_html):
    with opened(browser, demo_html) as page:
        page.click("#tab-picture")
        names = ("held-out", "grey", "stripes", "noise")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            shown = [page.inner_text(f"#bits-{name}") for name in names]
            if all(re.fullmatch(r"\d+\.\d\d", text) for text in shown):
                break
            page.wait_for_timeout(100)
        held_out, grey, stripes, noise = map(float, shown)
        assert held_out < grey < stripes < noise and noise > 5


# --- what is kept ---


def test_a_picture_is_saved_in_whole_pixels(browser, demo_html):
    with opened(browser, demo_html) as page:
        with page.expect_download() as download:
            page.click("#save")
        saved = np.asarray(Image.open(download.value.path()).convert("RGB"))
        assert download.value.suggested_filename == "face.png"
        assert saved.shape == (512, 512, 3)
        shown = pixels(page)
        assert np.array_equal(saved, shown.repeat(32, axis=0).repeat(32, axis=1))


def test_a_link_shows_the_same_face(browser, demo_html):
    with opened(browser, demo_html) as page:
        page.click("#held-out-6")
        page.click("#tab-edit")
        press(page, "#edit-glasses", *["ArrowRight"] * 70)
        press(page, "#edit-hat", *["ArrowLeft"] * 30)
        page.click("#tab-latents")
        page.click("label[for=level-0-noise]")
        shown = pixels(page)
        page.wait_for_timeout(400)
        fragment = "#" + page.evaluate("location.hash").removeprefix("#")
        assert len(fragment) > 10
    with opened(browser, demo_html, fragment) as page:
        assert np.array_equal(pixels(page), shown)
        assert page.is_visible("#panel-latents") and page.is_checked("#level-0-noise")
        assert page.input_value("#edit-glasses") == "0.7"
        assert page.input_value("#edit-hat") == "-0.3"


def test_a_link_holds_a_picture_of_one_s_own(browser, demo_html):
    with opened(browser, demo_html) as page:
        page.click("#tab-picture")
        page.click("#paint-blank")
        drag(page, "#paint", (0.8, 0.8), (0.2, 0.2))
        page.click("#paint-encode")
        shown = pixels(page)
        page.wait_for_timeout(400)
        fragment = page.evaluate("location.hash")
    with opened(browser, demo_html, fragment) as page:
        assert np.array_equal(pixels(page), shown)


DAMAGED = [
    "#of=s.-1.9e9.x",
    "#edit=99.400*a.b",
    "#%E0%A4%A",
    "#of=",
    "#levels=kkkkkkk&tab=x",
    "#of=p.@@",
]


@pytest.mark.parametrize("fragment", DAMAGED if THOROUGH else DAMAGED[:3])
def test_a_damaged_link_is_the_default(browser, demo_html, fragment):
    with opened(browser, demo_html) as page:
        expected = pixels(page)
    with opened(browser, demo_html, fragment) as page:
        assert np.array_equal(pixels(page), expected)
        assert page.is_visible("#panel-sample")


def test_light_and_dark_by_a_button(browser, demo_html):
    with opened(browser, demo_html) as page:
        colour = "getComputedStyle(document.body).backgroundColor"
        light = page.evaluate(colour)
        press(page, "#theme", "Enter")
        assert page.evaluate(colour) != light
        assert page.get_attribute("#theme", "aria-pressed") == "true"
        page.click("#theme")
        assert page.evaluate(colour) == light


# --- other models ---


RUNS = {
    "labels": ["--data", "fashion", "--K", "1", "--width", "8", "--condition", "labels"],
    "nice": ["--data", "small.npz", "--model", "nice", "--width", "16"],
    "realnvp": ["--data", "small.npz", "--model", "realnvp", "--width", "4", "--blocks", "1"],
}


@pytest.mark.parametrize("name", RUNS if THOROUGH else ["labels"])
def test_pages_of_other_models(browser, tmp_path, name):
    np.savez(tmp_path / "small.npz", images=images(400, 8, 8, 3))
    words = ["--steps", "8", "--batch", "64", "--out", name]
    done = command(tmp_path, *RUNS[name], *words)
    assert done.returncode == 0, done.stderr
    assert command(tmp_path, name, program="demo").returncode == 0
    with opened(browser, tmp_path / "demo.html") as page:
        assert page.inner_text("#name") == name
        page.click("#tab-edit")
        assert page.is_visible("#edit-none") and not page.is_visible("#edit-some")
        for tab in ("blend", "latents", "picture"):
            page.click(f"#tab-{tab}")
            settled(page)
        page.click("#tab-latents")
        assert page.is_visible("#one-level") == (name == "nice")
        page.click("#tab-sample")
        assert page.is_visible("#class") == (name == "labels")
        if name == "labels":
            first = canvas_of(page, "sample-0")
            page.select_option("#class", "7")
            assert page.evaluate("state.label") == 7
            assert (first[..., 0] == first[..., 1]).all()  # grey
        page.click("#held-out-0")
        shown = pixels(page)
        assert shown.std() > 1
        assert changes(page, lambda: page.click("#sample-1"))


# --- every control ---


@pytest.mark.parametrize("tab", TABS)
def test_every_slider_and_choice_acts_by_keyboard_and_by_pointer(browser, demo_html, tab):
    """Whatever a tab has: a slider moves, a choice is made, a box is ticked, in both ways."""
    with opened(browser, demo_html) as page:
        page.click(f"#tab-{tab}")
        settled(page)
        panel = page.locator(f"#panel-{tab}")
        for slider in panel.locator("input[type=range]:enabled").all():
            slider.focus()
            for act in (
                lambda: page.keyboard.press("Home"),
                lambda: page.keyboard.press("ArrowRight"),
                lambda s=slider: s.click(position={"x": 60, "y": 8}),
            ):
                before = slider.input_value()
                act()
                assert slider.input_value() != before
        for name in {
            radio.get_attribute("name") for radio in panel.locator("input[type=radio]").all()
        }:
            group = panel.locator(f"input[name={name}]")
            chosen = panel.locator(f"input[name={name}]:checked")
            first = chosen.get_attribute("value")
            chosen.focus()
            page.keyboard.press("ArrowRight")
            assert chosen.get_attribute("value") != first
            page.click(f"label[for={group.first.get_attribute('id')}]")
            assert group.first.is_checked()
        for box in panel.locator("input[type=checkbox]").all():
            ticked = box.is_checked()
            box.focus()
            page.keyboard.press("Space")
            assert box.is_checked() != ticked
            box.click()
            assert box.is_checked() == ticked
        settled(page)


@pytest.mark.parametrize("tab", TABS)
def test_every_button_is_reached_by_the_tab_key_and_can_be_pressed(browser, demo_html, tab):
    with opened(browser, demo_html) as page:
        page.click(f"#tab-{tab}")
        settled(page)
        wanted = page.evaluate(
            "(tab) => [...document.querySelectorAll(`#panel-${tab} button, .actions button`)]"
            ".filter((b) => !b.disabled && b.offsetParent).map((b) => b.id).filter(Boolean)",
            tab,
        )
        reached = set()
        page.focus(f"#tab-{tab}")
        for _ in range(len(wanted) + 60):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.id"))
        assert set(wanted) - {"save", "copy-link", "reset"} <= reached
        for button in wanted:
            if button not in ("save", "copy-link"):
                page.focus(f"#{button}")
                page.keyboard.press("Enter")
        settled(page)


def test_the_link_is_copied_by_key_and_by_pointer(browser, demo_html):
    with opened(browser, demo_html, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.click("#held-out-1")
        settled(page)
        for copy in (page.click, lambda button: press(page, button, "Enter")):
            page.evaluate("document.getElementById('note').textContent = ''")
            copy("#copy-link")
            page.wait_for_selector("#note:not(:empty)")
            assert "The link opens this page as you see it" in page.inner_text("#note")
            assert "of=h.1" in page.evaluate("navigator.clipboard.readText()")
