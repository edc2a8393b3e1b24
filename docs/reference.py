"""The pages of the API reference: one for each folder of the package, from its docstrings; the
options of a Glow as a table; and the laws, each with the sentence that it stands for.
"""

import dataclasses
from pathlib import Path

from docstrings import as_restructured_text

from glowlite.models.config import PERMUTATIONS, GlowConfig
from glowlite.models.image_config import DEQUANTISE
from glowlite.testing.laws import LAWS

# What each option of a Glow means. Names, types, defaults and allowed words come from the class;
# `options_of_a_glow` refuses a table in which an option or a word is missing or left over.
MEANING = {
    "image_shape": "Height, width and channels of an image. Height and width are divisible by 2^L.",
    "dequantise": "The noise that is added to pixels: `uniform`, or `variational`, drawn by a flow"
    " that is trained together with the model.",
    "K": "Steps of flow per level. A step is ActNorm, a permutation of channels, and a coupling.",
    "L": "Levels. Between two levels half of the channels leave as latents.",
    "width": "Hidden channels of the coupling networks.",
    "coupling": "`affine` scales and shifts half of the channels, `additive` only shifts them.",
    "scale": "The scale s(h) of an affine coupling: `exp` is exp(h), `sigmoid` is sigmoid(h + 2),"
    " and `bounded` is exp((2c/π) atan(h/c)), which stays between exp(-c) and exp(c).",
    "bound": "The c of `scale = bounded`, in nats.",
    "shift": "The order in an affine coupling: `before` is y = (x + t) s, `after` is y = s x + t.",
    "changed": "The half of the channels that a coupling changes: `first` or `second`.",
    "permutation": "The mixing of channels: `conv1x1` (an invertible 1x1 convolution), `lu` (the"
    " same, as a product of triangular matrices), `shuffle` (a fixed random order) or `reverse`."
    " Either one word for all levels, or L words separated by commas.",
    "actnorm": "How ActNorm is parametrised: `paper` is y = s x + b, `openai` is"
    " y = (x + b) exp(3 logs).",
    "hidden_actnorm": "True: an ActNorm follows each hidden convolution. False: a bias does.",
    "output_scale": "Whether the output of a coupling network has a learned scale, exp(3 logs),"
    " per channel.",
    "border": "Which 3x3 convolutions of a coupling network see a channel that marks the border of"
    " the image: `none`, the `last`, or `all`.",
    "split_prior": "The prior of the channels that leave between two levels: `learned` is a"
    " Gaussian that depends on those that stay, `unit` is N(0, I).",
    "top_prior": "The prior of the last latents: `learned` is a Gaussian, `unit` is N(0, I).",
    "classes": "The number of classes of images, each with a prior of its own; 0 for one prior.",
    "class_map": "What a class changes in the top prior: one mean and one standard deviation per"
    " latent (`pixels`) or per channel (`channels`).",
}


def pages_of(package: Path, left_out: tuple[str, ...]) -> dict[str, str]:
    """{file: text}: a page for each folder of the package, and one for each module beside them."""
    doors = {path.name for path in (package / "commands").glob("*.py")}  # of glowlite/train.py ...
    pages = {}
    for path in package.iterdir():
        if (path / "__init__.py").exists() and path.name not in left_out:
            pages[f"{path.name}.md"] = page_of(sorted(path.rglob("*.py")), package)
        elif path.suffix == ".py" and not path.name.startswith("__") and path.name not in doors:
            pages[f"{path.stem}.md"] = page_of([path], package)
    return pages


def page_of(paths: list[Path], package: Path) -> str:
    """What the docstrings of some modules say; the first module gives the page its name."""
    sections = []
    for path in paths:
        parts = path.relative_to(package.parent).with_suffix("").parts
        if parts[-1] == "__main__":
            continue
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        directive = f".. automodule:: {name}\n   :ignore-module-all:\n{laws_of(name)}"
        section = f"{'##' if sections else '#'} {name}\n\n```{{eval-rst}}\n{directive}```\n"
        if name == GlowConfig.__module__:
            section += f"\n### The options of GlowConfig\n\n{options_of_a_glow()}\n"
        sections.append(section)
    return "\n".join(sections)


def laws_of(module: str) -> str:
    """The laws of a module: autodoc passes over them, since they are objects and not functions."""
    entries = []
    for law in LAWS:
        if law.function.__module__ == module:
            paragraphs = [
                law.says,
                "",
                f"Level: {law.level}. Where this law is broken, it is most often {law.often}.",
            ]
            lines = as_restructured_text(paragraphs)
            text = "\n".join(f"   {line}".rstrip() for line in lines)
            entries.append(f"\n.. py:function:: {law.name}(case)\n   :module: {module}\n\n{text}\n")
    return "".join(entries)


def options_of_a_glow() -> str:
    """A table of the fields of GlowConfig: name, type or allowed words, default, meaning."""
    fields = {field.name: field for field in dataclasses.fields(GlowConfig)}
    if fields.keys() != MEANING.keys():
        raise ValueError(f"docs/reference.py: {fields.keys() ^ MEANING.keys()} without its meaning")
    words = {**GlowConfig.choices, "permutation": PERMUTATIONS, "dequantise": DEQUANTISE}
    rows = ["| option | type | default | meaning |", "|---|---|---|---|"]
    for name, field in fields.items():
        missing = [word for word in words.get(name, ()) if f"`{word}`" not in MEANING[name]]
        if missing:
            raise ValueError(f"docs/reference.py: {name} has {missing}, which no sentence explains")
        required = field.default is dataclasses.MISSING
        default = "required" if required else f"`{field.default!r}`"
        kind = "(H, W, C)" if name == "image_shape" else f"`{field.type}`"
        rows.append(f"| `{name}` | {kind} | {default} | {MEANING[name]}{largest(name)} |")
    return "\n".join(rows)


def largest(name: str) -> str:
    if name in GlowConfig.largest:
        return f" At most {GlowConfig.largest[name]:,}."
    return f" At most {GlowConfig.reals[name]:g}." if name in GlowConfig.reals else ""
