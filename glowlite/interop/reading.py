"""Derive the configuration of a Glow from the names and shapes of its tensors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from statistics import mode
from typing import TYPE_CHECKING, Any

from glowlite.arrays.arguments import shown, whole_number
from glowlite.errors import GlowliteError
from glowlite.interop.rules import Rule, Tensors
from glowlite.models.config import MAX_SIZES, GlowConfig

if TYPE_CHECKING:
    from glowlite.interop.glow import GlowKind

NAMED_IN_THE_TENSORS = {"output_scale": True, "split_prior": "learned"}  # the same for every kind


def parts_named(names: Iterable[str], part_at: str, rules: tuple[Rule, ...]) -> set[str]:
    """Return the parts of the model, named as in `part_at`, of which at least one tensor exists."""
    part = re.sub(r"\\{\w+\\}", r"\\d+", re.escape(part_at))
    tensors = "|".join(re.escape(name) for rule in rules for name in rule.theirs)
    matches = (re.fullmatch(f"({part})({tensors})", name) for name in names)
    return {match[1] for match in matches if match}


def config_from(
    kind: GlowKind, tensors: Tensors, image_size: tuple[int, int] | None, overrides: dict[str, Any]
) -> GlowConfig:
    """Return the configuration of a Glow with these tensors.

    `overrides`: fields of GlowConfig, used as given. Raises GlowliteError, in one line.
    """
    where = kind.where
    given = {**NAMED_IN_THE_TENSORS, **kind.options}
    if refused := sorted({"image_shape", *given} & set(overrides)):
        raise GlowliteError(
            f"{where}: {refused[0]} cannot be overridden, it follows from the kind and the tensors"
        )
    for name in {"K", "L"} & set(overrides):
        overrides = {
            **overrides,
            name: whole_number(where, name, overrides[name], 1, MAX_SIZES[name]),
        }
    if not isinstance(overrides.get("permutation", ""), str):
        raise GlowliteError(
            f"{where}: permutation must be a text, got {shown(overrides['permutation'])}"
        )
    steps = parts_named(tensors, kind.step_at, kind.step("affine"))
    if not steps:
        example = kind.step_prefix(0, 0, 1) + kind.step("affine")[0].theirs[0]
        raise GlowliteError(f"{where}: no tensor with a name like {example}; is it another kind?")
    splits = parts_named(tensors, kind.split_at, kind.split)
    L = overrides.get("L", max(1, len(splits) + (kind.top_at != kind.split_at)))
    K = overrides.get("K", -(-len(steps) // L))

    def sizes(ours: str) -> list[tuple[int, tuple[int, ...]]]:
        """Return level and shape of this tensor in every step.

        The value in most steps counts; the others are reported as errors.
        """
        name = next(rule.theirs[0] for rule in kind.step("affine") if rule.ours == ours)
        names = [
            (level, kind.step_prefix(level, step, K) + name)
            for level in range(L)
            for step in range(K)
        ]
        shapes = [(level, tensors[name].shape) for level, name in names if name in tensors]
        if not shapes:
            raise GlowliteError(f"{where}: no tensor {names[0][1]}")
        return shapes

    channels = mode(max(shape, default=0) >> (level + 2) for level, shape in sizes("actnorm/bias"))
    affine = mode(
        max(shape, default=0) == channels << (level + 2)
        for level, shape in sizes("coupling/net/conv3/bias")
    )
    if image_size is None:
        zeros = tensors.get(kind.top_input or "")
        if zeros is not None and zeros.ndim == 4:
            image_size = (zeros.shape[2] << L, zeros.shape[3] << L)
    read = {
        "image_shape": (*kind.sides(image_size), channels),
        "K": K,
        "L": L,
        "width": mode(max(shape, default=0) for _, shape in sizes("coupling/net/conv2/weight")),
        "coupling": "affine" if affine else "additive",
        "scale": "sigmoid",
        "permutation": overrides.get("permutation") or _permutations(kind, tensors, K, L),
        "top_prior": "learned" if parts_named(tensors, kind.top_at, kind.top) else "unit",
    }
    config = GlowConfig.from_dict({**read, **given, **overrides})
    if unknown := sorted(set(config.permutation.split(",")) - {*kind.permutations, "reverse"}):
        raise GlowliteError(
            f"{where}: there is no permutation {unknown[0]!r} in this kind; it has"
            f" {', '.join(kind.permutations)}"
        )
    return config


def _permutations(kind: GlowKind, tensors: Tensors, K: int, L: int) -> str:
    """Return, for every level, the permutation whose tensors exist.

    A fixed permutation has no tensors, or no trained ones, so it is easily lost when saving. It
    must be given, and is never guessed.
    """
    names = []
    for level in range(L):
        steps = [kind.step_prefix(level, step, K) for step in range(K)]
        found = [
            name
            for name, rules in kind.permutations.items()
            if any(
                step + theirs in tensors
                for step in steps
                for rule in rules
                for theirs in rule.theirs
            )
        ]
        if not found:
            missing = [steps[0] + rules[0].theirs[0] for rules in kind.permutations.values()]
            raise GlowliteError(
                f"{kind.where}: no tensor determines the permutation of level {level}; expected"
                f" one of {', '.join(missing)}, or permutation='reverse', which `interop check`"
                " calls --permutation reverse"
            )
        names.append(found[0])
    return names[0] if len(set(names)) == 1 else ",".join(names)
