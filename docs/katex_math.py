"""A Sphinx extension: mathematics as TeX in the page, rendered there by the KaTeX in _static/katex;
nothing is fetched.
"""

from docutils import nodes


def inline(writer, node):
    writer.body.append(
        writer.starttag(node, "span", "", CLASS="math") + writer.encode(node.astext()) + "</span>"
    )
    raise nodes.SkipNode


def display(writer, node):
    writer.body.append(
        writer.starttag(node, "div", "", CLASS="math") + writer.encode(node.astext()) + "</div>\n"
    )
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer(
        "katex", inline_renderers=(inline, None), block_renderers=(display, None)
    )
    app.add_css_file("katex/katex.min.css")
    app.add_js_file("katex/katex.min.js")
    app.add_js_file("mathematics.js")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
