"""The site: `sphinx-build -W --keep-going docs docs/_build/html`. Every notebook is executed, and
no page asks for anything outside itself: mathematics by the KaTeX in _static/katex, widgets by
their HTML form.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

import glowlite

HERE = Path(__file__).parent
CITATION = yaml.safe_load((HERE.parent / "CITATION.cff").read_text())
sys.path.insert(0, str(HERE))
from docstrings import as_restructured_text  # noqa: E402
from reference import pages_of  # noqa: E402

project = "glowlite"
author = "the glowlite authors"
copyright = "the glowlite authors, MIT licence"
release = version = glowlite.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "katex_math",
]
exclude_patterns = ["_build", "_extra", "tutorials/**.ipynb"]
html_theme = "furo"
html_title = "glowlite"
templates_path = ["_templates"]  # the lines below every page
html_static_path = ["_static"]
html_extra_path = ["_extra"]  # what bring_demo makes
html_css_files = ["site.css"]
html_js_files = ["tables.js"]
html_favicon = "images/icon.svg"
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}

myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
myst_links_external_new_tab = True

# the notebooks run as a reader runs them: an error, or a minute on two cores and another for luck,
# ends the build
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_execution_timeout = 120
nb_code_prompt_show = "Show the solution"
nb_code_prompt_hide = "Hide the solution"
nb_ipywidgets_js = {}  # no kernel, no widget: their HTML form is shown
nb_mime_priority_overrides = [("*", "application/vnd.jupyter.widget-view+json", None)]
nb_merge_streams = True

html_math_renderer = "katex"

autodoc_default_options = {"members": True, "member-order": "bysource", "show-inheritance": True}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_mock_imports = ["jax", "torch"]  # of the adapters: to read of one takes no framework
ALIASES = ("Array", "Cache", "Namespace", "SumOverProcesses")
autodoc_type_aliases = {name: name for name in ALIASES}  # and not Any
python_use_unqualified_type_names = True
add_module_names = False
default_role = "literal"

copybutton_exclude = ".linenos, .gp, .go"


def bring_tutorials(app, config):
    """Sources of notebooks as pages, notebooks with and without solutions as downloads: Sphinx
    looks below docs/ only.
    """
    here, there = HERE / "tutorials", HERE.parent / "tutorials"
    here.mkdir(exist_ok=True)
    for path in there.glob("[0-9][0-9]*_*.ipynb"):
        shutil.copyfile(path, here / path.name)
        page, text = (
            here / f"{path.stem}.md",
            as_page(path.stem, path.with_suffix(".md").read_text()),
        )
        if not page.exists() or page.read_text() != text:  # an untouched page is not built again
            page.write_text(text)
    subprocess.run(
        [sys.executable, there / "notebooks.py", "--student", here / "student"],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def as_page(name, text):
    """The source of a notebook with its downloads on top; checks, which give answers away, and the
    code of figures are folded up.
    """
    with_solutions = f"{{download}}`Notebook <{name}.ipynb>`"
    downloads = f"{with_solutions} · {{download}}`without solutions <student/{name}.ipynb>`"
    text = re.sub(r"^(# .*\n)", rf"\1\n{downloads}\n", text, count=1, flags=re.MULTILINE)
    text = text.replace("](../docs/", "](../")  # the page stands in docs/tutorials
    text = text.replace(
        "\n:tags: [check]\n",
        f"\n---\ntags: [check, hide-cell]\nmystnb:\n{prompts_of('the check')}---\n",
    )
    return text.replace(
        "\ntags: [plot]\nmystnb:\n",
        f"\ntags: [plot, hide-input]\nmystnb:\n{prompts_of('the code of the figure')}",
    )


def prompts_of(what):
    return f"  code_prompt_show: Show {what}\n  code_prompt_hide: Hide {what}\n"


def bring_demo(app, config):
    """The page of the pretrained faces, which docs/play.md leads to."""
    there = HERE / "_extra"
    there.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "glowlite.demo", "--out", there / "faces.html"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def bring_reference(app, config):
    """The pages of the reference, as docs/reference.py writes them."""
    pages, there = pages_of(Path(glowlite.__file__).parent, ("bench", "commands")), HERE / "api"
    for path in there.glob("*.md"):
        if path.name not in {*pages, "index.md"}:
            path.unlink()  # of a folder that is gone
    for name, text in pages.items():
        target = there / name
        # an untouched page is not built again
        if not target.exists() or target.read_text() != text:
            target.write_text(text)


def share_cores(app, config):
    """Two threads for the products of a notebook, or one where notebooks run side by side."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1" if app.parallel > 1 else "2")


def deal_notebooks(app, env, names):
    """Spread the notebooks over the list of pages to be read: with -j, a process takes twenty
    pages that stand side by side, and the notebooks take nearly all of the time.
    """
    notebooks = [name for name in names if name.startswith("tutorials/")]
    others = [name for name in names if not name.startswith("tutorials/")]
    for i, name in enumerate(notebooks):
        others.insert(i * len(names) // len(notebooks), name)
    names[:] = others


# what readers search for, and the page that explains it: an entry of the index comes first
FOUND_BY = {
    "layers/coupling_network": ("im2col",),
    "layers/objective": ("bits per dimension", "bits/dim"),
    "notation": ("logdet", "log-determinant"),
}


def index_pages(app, name, source):
    """Index entries of a page, below its heading."""
    for term in FOUND_BY.get(name, ()):
        source[0] = source[0].replace("\n", f"\n\n```{{index}} ! {term}\n```\n", 1)


def what_every_page_shows(app, page, template, context, doctree):
    """For _templates/page.html: what is in CITATION.cff."""
    context["citation"] = CITATION


def docstring(app, what, name, obj, options, lines):
    lines[:] = as_restructured_text(lines)


def signature(app, what, name, obj, options, arguments, returns):
    """An alias within another type, tuple[Array, Array], by its name alone."""
    return tuple(
        text and re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", text)
        for text in (arguments, returns)
    )


def setup(app):
    app.connect("config-inited", bring_tutorials)
    app.connect("config-inited", bring_demo)
    app.connect("config-inited", bring_reference)
    app.connect("config-inited", share_cores)
    app.connect("env-before-read-docs", deal_notebooks)
    app.connect("source-read", index_pages)
    app.connect("html-page-context", what_every_page_shows)
    app.connect("autodoc-process-docstring", docstring)
    app.connect("autodoc-process-signature", signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
