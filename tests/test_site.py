"""Every page of the built site, opened in headless Chromium: no request leaves it;
mathematics, images, links, scripts work.

Needs the site (`python -m sphinx -W --keep-going docs docs/_build/html`), playwright, and a
Chromium; skipped where one is missing. SITE_SCREENSHOTS=folder keeps a picture of each page, as on
a desk and as on a telephone.
"""

import functools
import http.server
import os
import re
import threading
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from browser import chromium

DOCS = Path(__file__).parent.parent / "docs"
SITE = DOCS / "_build" / "html"
WRITTEN = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))
APART = "faces.html"  # which is no page of the book, see tests/test_demo_page.py
# listings of source are alike: the first ten stand for them, and links to all are followed
LISTINGS = [name for name in WRITTEN if name.startswith("_modules/")]
PAGES = [name for name in WRITTEN if name not in [*LISTINGS[10:], APART]]
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 400, "height": 800}
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
  };
}"""
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def seen():
    """{page: what it shows, the requests it made, the errors it threw}."""
    if not PAGES:
        pytest.skip("no site built")
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(SITE))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}/"
    with chromium() as browser:
        pages = {name: opened(browser, root, name) for name in PAGES}
    server.shutdown()
    return pages


def opened(browser, root, name):
    page = browser.new_page(viewport=WIDE)
    requests, errors = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("requestfailed", lambda request: errors.append(f"failed: {request.url}"))
    page.on(
        "response",
        lambda response: (
            errors.append(f"{response.status}: {response.url}") if response.status >= 400 else None
        ),
    )
    page.on(
        "console", lambda message: errors.append(message.text) if message.type == "error" else None
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(root + name, wait_until="load")
    page.evaluate("() => window.scrollTo(0, document.body.scrollHeight)")  # lazy images
    page.evaluate("async () => { await document.fonts.ready; }")
    page.wait_for_function("() => [...document.images].every(i => i.complete)")
    look = page.evaluate(LOOK) | {"root": root, "wide": page.evaluate(TOO_WIDE)}
    picture(page, name, "wide")
    page.set_viewport_size(NARROW)
    look["narrow"] = page.evaluate(TOO_WIDE)
    picture(page, name, "narrow")
    page.close()
    outside = [url for url in requests if not url.startswith((root, "data:"))]
    return look | {"outside": outside, "errors": errors}


def picture(page, name, what):
    if folder := os.environ.get("SITE_SCREENSHOTS"):
        page.evaluate("window.scrollTo(0, 0)")
        page.screenshot(
            path=Path(folder) / f"{name.removesuffix('.html').replace('/', '.')}-{what}.png",
            full_page=True,
        )


def of_every_page(seen, wrong):
    """{page: what is wrong there} of the pages where something is."""
    return {name: found for name, look in seen.items() if (found := wrong(look))}


def test_every_page_is_there(seen):
    notebooks = [name for name in seen if name.startswith("tutorials/")]
    assert (
        len(notebooks) == 12
        and "index.html" in seen
        and "layers/actnorm.html" in seen
        and "api/bijectors.html" in seen
    )


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


def test_no_page_is_wider_than_its_window(seen):
    assert not of_every_page(
        seen, lambda look: [width for width in ("wide", "narrow") if look[width] > 0]
    )
