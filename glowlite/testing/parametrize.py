"""The laws as pytest tests: one test per law and layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from glowlite.testing.check import decide
from glowlite.testing.comparison import Broken, DoesNotApply, Undecided
from glowlite.testing.laws import LAWS, Law, chosen
from glowlite.testing.load import Maker
from glowlite.testing.results import Subject

SEEDS = (0, 1)


class LawTest:
    """One law for one kind of layer. A test calls it as `law(make)`."""

    def __init__(self, law: Law, subject: Callable[[Any], Subject], seeds: Sequence[int]) -> None:
        self.law, self.subject, self.seeds = law, subject, seeds

    def __call__(self, make: Any) -> None:
        """Test what `make` makes against the law at each seed.

        Raises Broken or Undecided if that is the result at some seed; skips the test if the law
        applies at no seed.
        """
        import pytest

        subject = self.subject(make)
        unsure: Undecided | None = None
        reasons: list[str] = []
        for seed in self.seeds:
            said = f"{subject.name}, law {self.law.name}, seed {seed}"
            try:
                decide(self.law, subject.case(seed))
            except DoesNotApply as why:
                reasons.append(str(why))
            except Undecided as error:
                unsure = unsure or Undecided(f"{said}: {error}")
            except Broken as error:
                raise Broken(f"{said}: {error}", error.comparison) from error.__cause__
        if unsure is not None:
            raise unsure
        if len(reasons) == len(self.seeds):
            pytest.skip(f"{self.law.name} does not apply: {reasons[0]}")

    def __repr__(self) -> str:
        return self.law.name


def parametrize_with_laws(
    makes: Sequence[Any],
    shape: tuple[int, ...] | Sequence[tuple[int, ...]],
    expected_failed: Mapping[str, str] | Mapping[Any, Mapping[str, str]] | None = None,
    laws: str | Law | Iterable[str | Law] = LAWS,
    condition_shape: tuple[int, ...] | None = None,
    framework: str = "auto",
    seeds: Sequence[int] = SEEDS,
) -> Any:
    """Make a test of two arguments, `make` and `law`, one test per law and layer:

        @parametrize_with_laws([make_a, make_b], shape=(3,))
        def test_my_layers(make, law):
            law(make)

    makes: layers, or functions that make one, from a seed if they take one. shape: the shape of one
    sample of x, or one shape for each of `makes`. expected_failed: reasons by law, or such a dict
    for some of `makes`. Those tests are strict: a test that passes after all fails, and so does one
    that cannot be decided. The other arguments are as for `python -m glowlite.laws`. Raises
    ValueError for an unknown law, or a law without a reason.
    """
    import pytest

    names = _names(makes)
    shapes = _shapes(shape, len(makes))
    held = chosen(laws)
    parameters = []
    for make, name, own_shape in zip(makes, names, shapes, strict=True):
        expected = _expected(expected_failed or {}, make, makes)
        _check_reasons(expected, [*LAWS, *held])
        subject = _subject(name, own_shape, condition_shape, framework)
        for law in held:
            marks = []
            if law.name in expected:
                reason = expected[law.name]
                marks = [pytest.mark.xfail(reason=reason, strict=True, raises=Broken)]
            test = LawTest(law, subject, seeds)
            parameters.append(pytest.param(make, test, marks=marks, id=f"{name}-{law.name}"))
    return pytest.mark.parametrize(("make", "law"), parameters)


def _check_reasons(expected: Mapping[str, str], laws: Iterable[Law]) -> None:
    known = list(dict.fromkeys(law.name for law in laws))
    for name, reason in expected.items():
        if name not in known:
            raise ValueError(f"expected_failed: no law {name!r}; there are {', '.join(known)}")
        if not reason.strip():
            raise ValueError(f"expected_failed: {name} needs a reason")


def _subject(
    name: str,
    shape: tuple[int, ...],
    condition_shape: tuple[int, ...] | None,
    framework: str,
) -> Callable[[Any], Subject]:
    def of(make: Any) -> Subject:
        def maker(seed: int) -> Maker:
            return Maker(make, seed, framework, subject.condition(seed))

        subject = Subject(name, maker, shape, condition_shape)
        return subject

    return of


def _names(makes: Sequence[Any]) -> list[str]:
    """Return a name for each, with a number if two names are the same."""
    names = [getattr(make, "__name__", type(make).__name__) for make in makes]
    return [
        f"{name}{names[:i].count(name)}" if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]


def _shapes(shape: Any, count: int) -> list[tuple[int, ...]]:
    if all(isinstance(n, int) for n in shape):
        return [tuple(shape)] * count
    if len(shape) != count:
        raise ValueError(f"shape: {len(shape)} shapes for {count} layers")
    return [tuple(one) for one in shape]


def _expected(
    expected_failed: Mapping[Any, Any], make: Any, makes: Sequence[Any]
) -> dict[str, str]:
    """Return the reasons for one of `makes`: those for all of them, or its own."""
    if all(isinstance(reason, str) for reason in expected_failed.values()):
        return dict(expected_failed)
    strangers = [key for key in expected_failed if not any(key is own for own in makes)]
    if strangers:
        raise ValueError(f"expected_failed: {strangers[0]!r} is not one of the layers")
    return next((dict(own) for key, own in expected_failed.items() if key is make), {})
