"""Every page of the built site, opened in headless Chromium as on a desk, a laptop and a telephone:
no request leaves the site; mathematics, images, links, scripts and the search work; formulas and
code fit their column.

Needs the site (`python -m sphinx -W --keep-going docs docs/_build/html`), playwright, and a
Chromium; skipped where one is missing. SITE_SCREENSHOTS=folder keeps a picture of each page at
each width.
"""

import dataclasses
import functools
import http.server
import importlib
import os
import queue
import re
import threading
from pathlib import Path
from urllib.parse import quote_plus, unquote, urldefrag

import pytest
import yaml
from browser import chromium

import glowlite
from glowlite.models.config import GlowConfig
from glowlite.testing.laws import LAWS

DOCS = Path(__file__).parent.parent / "docs"
SITE = DOCS / "_build" / "html"
WRITTEN = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))
APART = "faces.html"  # which is no page of the book, see tests/test_demo_page.py
# listings of source are alike: the first four stand for them, and links to all are followed
LISTINGS = [name for name in WRITTEN if name.startswith("_modules/")]
PAGES = [name for name in WRITTEN if name not in [*LISTINGS[4:], APART]]
WIDTHS = (1440, 1300, 400)  # a desk, a laptop, a telephone
BROWSERS = 2  # that open pages side by side
SMALLEST = 0.65  # of the usual letters of a formula
SCROLLING = 0.05  # of all blocks of code, at each width
SEARCHES = {  # and a page that explains it, which has to come first
    "im2col": "layers/coupling_network.html",
    "logdet": "notation.html",
    "bits per dim": "layers/objective.html",
}
LOOK = r"""() => {
  const prose = document.querySelector('article').cloneNode(true);
  prose.querySelectorAll('pre, code, script, .katex, dt.sig').forEach(e => e.remove());
  return {
    mathematics: document.querySelectorAll('.math').length,
    rendered: document.querySelectorAll('.math .katex-html').length,
    wrong: [...document.querySelectorAll('.katex-error')].map(e => e.title),
    raw: [
      ...(prose.textContent.match(/\$\$|\\[a-z]+\{|\*\*|\{(doc|download|ref)\}/g) || []),
      ...(document.body.textContent.match(/ForwardRef/g) || []),  // no name of a type
    ],
    images: [...document.images].map(
      i => [i.currentSrc || i.src, i.complete && i.naturalWidth > 0, i.alt]),
    links: [...document.querySelectorAll('a[href]')].map(a => a.href),
    ids: [...document.querySelectorAll('[id]')].map(e => e.id),
    about: document.querySelector('footer .about')?.textContent.replace(/\s+/g, ' ') ?? '',
    text: document.body.innerText,
  };
}"""
# A formula is cut if its boxes are wider than its place; a place without width is folded away. Its
# letters, sorted, are the same whether or not it is broken into lines.
MEASURE = r"""(smallest) => {
  const width = e => {
    const boxes = [...e.querySelectorAll('.katex-html > *')].map(b => b.getBoundingClientRect());
    return Math.max(...boxes.map(b => b.right)) - Math.min(...boxes.map(b => b.left));
  };
  const size = e => parseFloat(getComputedStyle(e).fontSize);
  const formulas = [...document.querySelectorAll('article div.math')].filter(e => e.clientWidth);
  const inline = [...document.querySelectorAll('article span.math')].filter(e => e.offsetWidth);
  const right = e => e.getBoundingClientRect().right;
  const blocks = [...document.querySelectorAll('article pre')].filter(e => e.clientWidth);
  const tex = e => e.dataset.tex;
  return {
    wider: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    formulas: formulas.length,
    cut: [
      ...formulas.filter(e => width(e) > e.clientWidth + 1),
      ...inline.filter(e => right(e) > right(e.closest('.table-wrapper, article')) + 1),
    ].map(tex),
    letters: formulas.map(e => [...e.querySelector('.katex-html').textContent].filter(
      c => !/[\s\u200b]/.test(c)).sort().join('')),
    small: formulas.filter(e => size(e) < smallest * size(e.parentElement) - 0.01).map(tex),
    blocks: blocks.length,
    scrolling: blocks.filter(e => e.scrollWidth > e.clientWidth).map(
      e => e.textContent.slice(0, 60)),
  };
}"""
TWO_FRAMES = "() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def root():
    """The address of the site."""
    if not PAGES:
        pytest.skip("no site built")
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(SITE))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module")
def seen(root):
    """{page: what it shows, the requests it made, the errors it threw}."""
    waiting, seen, failures = queue.SimpleQueue(), {}, []
    for name in [*PAGES, *[None] * BROWSERS]:
        waiting.put(name)

    def open_pages():
        try:
            with chromium() as browser:
                visitor = Visitor(browser, root)
                for name in iter(waiting.get, None):
                    if not failures:
                        seen[name] = visitor.look(name)
        except BaseException as error:  # a skip is one, too
            failures.append(error)

    threads = [threading.Thread(target=open_pages) for _ in range(BROWSERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]  # or skips, where there is no browser
    return {name: seen[name] for name in PAGES}


class Visitor:
    """One tab of a browser, which opens one page after the other, each once for all widths."""

    def __init__(self, browser, root):
        self.page, self.root = browser.new_page(), root
        self.requests, self.errors = [], []
        page = self.page
        page.set_default_timeout(180_000)  # of a machine with much else to do
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("requestfailed", lambda request: self.errors.append(f"failed: {request.url}"))
        page.on("response", self.answered)
        page.on("console", self.logged)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def answered(self, response):
        if response.status >= 400:
            self.errors.append(f"{response.status}: {response.url}")

    def logged(self, message):
        if message.type == "error":
            self.errors.append(message.text)

    def look(self, name):
        page, height = self.page, 900
        self.requests.clear(), self.errors.clear()
        page.set_viewport_size({"width": WIDTHS[0], "height": height})
        page.goto(self.root + name, wait_until="load")
        page.evaluate("() => document.querySelectorAll('details').forEach(e => { e.open = true; })")
        page.evaluate("() => window.scrollTo(0, document.body.scrollHeight)")  # lazy images
        page.evaluate("async () => { await document.fonts.ready; }")
        page.wait_for_function("() => [...document.images].every(i => i.complete)")
        look, at = page.evaluate(LOOK) | {"root": self.root}, {}
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": height})
            page.evaluate(TWO_FRAMES)
            at[width] = page.evaluate(MEASURE, SMALLEST)
            picture(page, name, width)
        outside = [url for url in self.requests if not url.startswith((self.root, "data:"))]
        return look | {"at": at, "outside": outside, "errors": list(self.errors)}


def picture(page, name, width):
    if folder := os.environ.get("SITE_SCREENSHOTS"):
        page.evaluate("window.scrollTo(0, 0)")
        page.screenshot(
            path=Path(folder) / f"{name.removesuffix('.html').replace('/', '.')}-{width}.png",
            full_page=True,
        )


def of_every_page(seen, wrong):
    """{page: what is wrong there} of the pages where something is."""
    return {name: found for name, look in seen.items() if (found := wrong(look))}


def test_every_page_is_there(seen):
    notebooks = {path.stem for path in (DOCS.parent / "tutorials").glob("[0-9]*.md")}
    assert len(notebooks) >= 12
    assert {f"tutorials/{name}.html" for name in notebooks} == {
        name for name in seen if name.startswith("tutorials/")
    }
    assert {"index.html", "layers/actnorm.html", "api/bijectors.html"} <= seen.keys()


def test_no_request_leaves_the_site_and_nothing_fails(seen):
    assert not of_every_page(seen, lambda look: look["outside"] + look["errors"])


def test_mathematics_is_rendered(seen):
    assert sum(look["mathematics"] for look in seen.values()) > 500
    assert not of_every_page(
        seen, lambda look: look["wrong"] or look["mathematics"] - look["rendered"]
    )
    assert not of_every_page(seen, lambda look: look["raw"])


def test_images_are_shown_and_described(seen):
    pages = [
        *DOCS.glob("*.md"),
        *DOCS.glob("layers/*.md"),
        *DOCS.parent.glob("tutorials/[0-9]*.md"),
    ]
    asked = sum(
        len(re.findall(r"!\[|^ *:?alt: ", page.read_text(), re.MULTILINE)) for page in pages
    )
    assert asked > 30 and sum(len(look["images"]) for look in seen.values()) >= asked
    assert not of_every_page(
        seen, lambda look: [url[:80] for url, shown, alt in look["images"] if not shown or not alt]
    )


def test_links_inside_the_site_lead_somewhere(seen):
    def lost(look):
        for link in look["links"]:
            url, fragment = urldefrag(link)
            if not url.startswith(look["root"]):
                continue
            name = unquote(url.removeprefix(look["root"])).partition("?")[0] or "index.html"
            if not (SITE / name).is_file() or (
                fragment and name in seen and unquote(fragment) not in seen[name]["ids"]
            ):
                yield link.removeprefix(look["root"])

    assert not of_every_page(seen, lambda look: list(lost(look)))


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_its_window(seen, width):
    assert not of_every_page(seen, lambda look: max(0, look["at"][width]["wider"]))


@pytest.mark.parametrize("width", WIDTHS)
def test_every_formula_is_whole_and_large_enough(seen, width):
    """None is cut at an edge, hidden behind a scroll, or smaller than SMALLEST."""
    assert sum(look["at"][width]["formulas"] for look in seen.values()) > 100
    assert not of_every_page(seen, lambda look: look["at"][width]["cut"])
    assert not of_every_page(seen, lambda look: look["at"][width]["small"])


def test_no_formula_loses_a_letter_where_it_is_broken_into_lines(seen):
    def lost(look):
        desk, laptop, telephone = (look["at"][width]["letters"] for width in WIDTHS)
        return [letters for letters in zip(desk, laptop, telephone) if len({*letters}) > 1]

    assert not of_every_page(seen, lost)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("listings", [False, True], ids=["the book", "listings of modules"])
def test_few_blocks_of_code_scroll(seen, width, listings):
    looks = [seen[name]["at"][width] for name in seen if (name in LISTINGS) == listings]
    blocks = sum(look["blocks"] for look in looks)
    scrolling = [text for look in looks for text in look["scrolling"]]
    assert blocks >= (3 if listings else 300)
    assert len(scrolling) <= SCROLLING * blocks, scrolling


def test_every_page_says_what_it_belongs_to(seen):
    """The package with its version, the name that pip knows, the repository, how to cite."""
    citation = yaml.safe_load((DOCS.parent / "CITATION.cff").read_text())
    assert citation["version"] == glowlite.__version__
    parts = (f"glowlite {glowlite.__version__}", "pip name: glowlite", "repository", "how to cite")
    assert not of_every_page(seen, lambda look: [p for p in parts if p not in look["about"]])
    home = (DOCS / "index.md").read_text()
    assert f"version = {{{glowlite.__version__}}}" in home and f"{{{citation['title']}}}" in home


def test_no_page_names_a_package_registry(seen):
    registry = re.compile(r"pypi|pythonhosted|anaconda\.org", re.IGNORECASE)
    assert not of_every_page(
        seen, lambda look: registry.findall(" ".join([look["text"], *look["links"]]))
    )


def test_the_reference_has_every_option_and_every_law(seen):
    def words(text):
        return re.findall(r"\w+", text)

    models, laws = seen["api/models.html"]["text"], seen["api/testing.html"]
    of_laws = " ".join(words(laws["text"]))
    table = models.partition("The options of GlowConfig")[2]
    for field in dataclasses.fields(GlowConfig):
        assert re.search(rf"^{field.name}\s", table, re.MULTILINE), field.name
    for law in LAWS:
        assert f"{law.function.__module__}.{law.name}" in laws["ids"], law.name
        assert " ".join(words(law.says)) in of_laws, law.name
        assert " ".join(words(law.often)) in of_laws, law.name
    assert f"{len(LAWS)} laws" in seen["index.html"]["text"]


def test_the_first_screen_says_what_this_is_and_for_whom(root):
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1300, "height": 900})
        page.goto(root + "index.html", wait_until="load")
        shown = page.evaluate("""() => {
          const low = e => e.getBoundingClientRect().bottom;
          return {
            cards: [...document.querySelectorAll('article .sd-card')].map(low),
            images: [...document.querySelectorAll('article img')].map(low),
          };
        }""")
    assert len(shown["cards"]) == 3 and max(shown["cards"]) < 900
    assert len(shown["images"]) == 1 and shown["images"][0] < 900


def test_the_search_finds_the_page_that_explains(root):
    first = {}
    with chromium() as browser:
        page = browser.new_page()
        page.set_default_timeout(180_000)
        for words in SEARCHES:
            page.goto(f"{root}search.html?q={quote_plus(words)}")
            page.wait_for_selector("#search-results li a")
            link = page.locator("#search-results li a").first.get_attribute("href")
            first[words] = urldefrag(link).url
    assert first == SEARCHES


def test_the_plot_of_step_times_shows_the_tables_of_the_page(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "figures")
    step_times = importlib.import_module("step_times")
    drawn = re.findall(r">(\d\.\d\d)<", (DOCS / "images" / "step-times.svg").read_text())
    jobs = step_times.tables(step_times.PAGE.read_text())
    expected = [f"{job[name]:.2f}" for job in jobs for name in job if name != "memory all"]
    assert len(expected) == 18 and drawn == expected
