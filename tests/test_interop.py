"""Golden vectors: models carried over from three other codes give what those codes gave."""

import os
from pathlib import Path

import numpy as np
import pytest
import small_runs
from safetensors.numpy import load_file, save_file

from glowlite import Glow, GlowliteError, Memory
from glowlite.interop import from_weights, golden_family, their_gradients
from glowlite.interop.__main__ import main
from glowlite.interop.comparison import relative_error
from glowlite.interop.golden import check
from glowlite.interop.golden_glow import LIMITS, before_priors, round_log_dets
from glowlite.interop.kinds import KINDS
from glowlite.objective import loss_gradients

GOLDEN = Path(__file__).parent / "golden"
GRADIENT_OF_A = "grad/flow.layers.5.block.2.conv.weight"
# how many trainable tensors each code has, so that none is passed over
FILES = {
    "a_additive_shuffle": 105, "a_affine_invconv": 54, "a_affine_lu": 62, "b_additive_invconv": 73,
    "b_affine_lu": 54, "c_additive_shuffle": 72, "c_affine_1x1": 54,
}  # fmt: skip


def contents(stem):
    return load_file(GOLDEN / f"{stem}.safetensors")


def weights(stem, prefixes=("param/", "buffer/")):
    return {
        name.partition("/")[2]: t for name, t in contents(stem).items() if name.startswith(prefixes)
    }


def images(stem, name):
    t = contents(stem)[name].astype(np.float64)
    return t if stem.startswith("c") else np.ascontiguousarray(t.transpose(0, 2, 3, 1))


def imported(stem, **options):
    return from_weights(
        weights(stem), stem[0], images(stem, "x").shape[1:3], **{"dtype": "float64", **options}
    )


def assert_close(ours, theirs, limit, what):
    error = abs(ours - theirs).max() / abs(theirs).max() if theirs.any() else abs(ours).max()
    assert ours.shape == theirs.shape and error <= limit, f"{what}: {error:.1e}"


@pytest.mark.parametrize("memory", ["reversible", "stored"])
@pytest.mark.parametrize("stem", FILES)
def test_an_imported_model_computes_what_the_other_code_did(stem, memory):
    golden, x, model = (
        contents(stem),
        images(stem, "x"),
        imported(stem, memory=Memory.parse(memory)),
    )
    assert model.initialized
    values, gradients = (1e-5, 1e-4) if stem.startswith("c") else (1e-10, 1e-8)
    latents, _, kept = model.forward_with_cache(x)
    raw = before_priors(model, x, latents)
    ours = {f"eps/{i}": z for i, z in enumerate(latents)} | {f"z/{i}": z for i, z in enumerate(raw)}
    ours |= {"z": raw[-1], "z_top": raw[-1]}
    compared = [name for name in golden if name in ours]
    assert len(compared) >= (1 if stem.startswith("a") else len(latents))
    for name in compared:
        assert_close(ours[name], images(stem, name), values, name)

    dlatents, dlogdet = loss_gradients(latents, len(x))
    _, dx = model.backward(latents, dlatents, dlogdet, kept)
    assert_close(dx, images(stem, "grad_x"), gradients, "grad_x")
    # code B rounds log|det W| of its plain 1x1 convolution to float32: the one thing a model here
    # does not imitate
    rounding = round_log_dets(model, dlogdet.sum()) if stem == "b_additive_invconv" else 0.0
    assert_close(model.log_prob(x) + rounding, golden["log_prob"], values, "log_prob")
    mapped = their_gradients(model, weights(stem), stem[0])
    expected = weights(stem, "grad/")
    assert mapped.keys() == expected.keys() and len(expected) == FILES[stem]
    for name, gradient in expected.items():
        assert_close(mapped[name], gradient, gradients, name)


@pytest.mark.parametrize("stem", [stem for stem in FILES if stem.startswith("c")])
def test_actnorm_is_initialised_as_in_the_original(stem):
    errors = check(GOLDEN / f"{stem}.safetensors").errors["initialisation"]
    assert errors.keys() == weights(stem, "ddi/").keys()
    for name, error in errors.items():
        assert error <= 1e-5, f"{name}: {error:.1e}"


def test_only_rounding_is_compared_on_the_scale_one():
    # tensors that are exactly 0 but for rounding: the second ActNorm of a level, behind a coupling
    # that is the identity
    for stem, count in [("c_additive_shuffle", 6), ("c_affine_1x1", 2)]:
        tiny = [name for name, t in weights(stem, "ddi/").items() if abs(t).max() < 1e-4]
        assert len(tiny) == count and all("/1/actnorm" in name for name in tiny)
    big, off = np.array([1e-2]), np.array([1e-2 + 1e-6])
    assert relative_error("", off, big, least_scale=1e-6) == pytest.approx(1e-4)
    assert relative_error(
        "", np.array([2e-7]), np.array([1e-7]), least_scale=1e-6
    ) == pytest.approx(1e-7)
    assert relative_error("", np.zeros(2), np.zeros(2)) == 0
    assert (
        relative_error("", np.ones(2), np.zeros(2))
        == relative_error("", big * np.nan, big)
        == np.inf
    )


def test_the_tolerances_are_those_that_were_agreed():
    in_float64 = {"log_prob": 1e-10, "latents": 1e-10, "gradients": 1e-8, "grad_x": 1e-8}
    in_float32 = {
        "log_prob": 1e-5,
        "latents": 1e-5,
        "gradients": 1e-4,
        "grad_x": 1e-4,
        "initialisation": 1e-5,
    }
    assert {"A": in_float64, "B": in_float64, "C": in_float32} == LIMITS
    more = {"statistics": 1e-10, "samples": 1e-10, "preprocessing": 1e-10, "zero gradients": 1e-13}
    assert {**in_float64, **more} == golden_family.IN_FLOAT64
    more = {"statistics": 1e-5, "samples": 1e-5, "preprocessing": 1e-5, "zero gradients": 1e-6}
    del in_float32["initialisation"]
    assert {**in_float32, **more} == golden_family.IN_FLOAT32


def test_every_rule_is_a_linear_map_with_its_adjoint():
    rng = np.random.default_rng(0)
    for stem in FILES:
        kind = next(kind for kind in KINDS if kind.name == stem[0].upper())
        model, tensors = imported(stem), weights(stem)
        for rule in kind.rules(model.config):
            if rule.ours in model.store.parameters and len(rule.theirs) == 1:
                a = rng.standard_normal(tensors[rule.theirs[0]].shape)
                b = rng.standard_normal(model.store.parameters[rule.ours].value.shape)
                forth, back = np.vdot(rule.layout.load(a), b), np.vdot(a, rule.layout.back(b))
                assert forth == pytest.approx(back, rel=1e-9, abs=1e-12), rule.ours


@pytest.fixture(scope="module")
def reversed_channels(tmp_path_factory):
    """A golden file of a model that reverses its channels, in the names and layouts of code C: no
    tensor tells of that.
    """
    golden = contents("c_additive_shuffle")
    golden = {
        name: t
        for name, t in golden.items()
        if "shuffle" not in name and not name.startswith(("ddi/", "init/"))
    }
    del golden["x_init"]
    x, tensors = (
        golden["x"].astype(np.float64),
        {name[6:]: t for name, t in golden.items() if name.startswith("param/")},
    )
    model = from_weights(tensors, "C", x.shape[1:3], dtype="float64", permutation="reverse")
    latents, _ = model.forward(x)
    _, golden["grad_x"] = model.backward(latents, *loss_gradients(latents, len(x)))
    golden |= {f"eps/{i}": eps for i, eps in enumerate(latents)} | {"log_prob": model.log_prob(x)}
    golden |= {f"grad/{name}": g for name, g in their_gradients(model, tensors, "C").items()}
    for name in [name for name in golden if name.startswith("z")]:
        del golden[name]
    return {name: np.ascontiguousarray(t) for name, t in golden.items()}


@pytest.mark.parametrize(
    "said", [{"flow_permutation": "0"}, {"permutation": "reverse"}, {"permutation": " Reverse "}]
)
def test_a_reversal_is_read_from_the_metadata(reversed_channels, tmp_path, said, capsys):
    save_file(reversed_channels, tmp_path / "golden.safetensors", said)
    assert main(["check", str(tmp_path / "golden.safetensors")]) == 0
    assert "all within tolerance" in capsys.readouterr().out


@pytest.mark.parametrize("said", [None, {"flow_permutation": "2"}, {"permutation": "shuffle"}])
def test_a_reversal_that_no_metadata_tell_of_is_an_option(
    reversed_channels, tmp_path, said, capsys
):
    path = tmp_path / "golden.safetensors"
    save_file(reversed_channels, path, said)
    with pytest.raises(
        GlowliteError, match=r"golden.safetensors: .*no tensor determines the permutation"
    ):
        main(["check", str(path)])
    for permutation in ("reverse", "reverse,reverse,reverse"):
        assert main(["check", str(path), "--permutation", permutation]) == 0
    for permutation, expected in [
        ("shuffle", "shuffle/indices, .* is missing"),
        ("turn", "permutation must be one of"),
    ]:
        with pytest.raises(GlowliteError, match=expected):
            main(["check", str(path), "--permutation", permutation])


def golden_with(changes):
    golden = contents("a_affine_lu")
    return {name: t for name, t in {**golden, **changes}.items() if t is not None}


CONV2 = "param/flow.layers.1.block.2.conv.weight"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"x": None}, "contains no x"),
        ({"log_prob": None}, "contains no log_prob"),
        ({"log_prob": np.zeros(7)}, "log_prob must have shape"),
        ({"log_prob": np.zeros((0,))}, "log_prob must have shape"),
        ({"x": np.zeros((2, 3, 8))}, "x must have four axes"),
        ({"x": np.zeros((0, 3, 8, 8))}, "x must have four axes"),
        ({"x": np.zeros((2, 3, 7, 8))}, "divisible"),
        ({"x": np.zeros((2, 5, 8, 8))}, "expected an array"),
        ({"x": np.zeros((2, 3, 8, 8), int)}, "expected float64"),
        ({"x": np.zeros((1, 3, 1 << 17, 8), np.float16)}, "image_shape must be"),
        ({"z": np.zeros(3)}, "z must have four axes"),
        (dict.fromkeys(["z", "z_top", *(f"{kind}/{i}" for kind in ("eps", "z") for i in range(3))]),
            "no latents"),
        ({GRADIENT_OF_A: None}, "is missing or unexpected"),
        ({"grad/more": np.zeros(3)}, "grad/more is missing or unexpected"),
        ({CONV2: np.zeros((1, 1))}, "must have shape"),
        ({CONV2: np.full((16, 16, 1, 1), np.nan)}, "must contain finite numbers"),
        ({"param/flow.layers.99999.actnorm.bias": np.zeros((1, 12, 1, 1))}, "missing|unexpected"),
        ({"x_init": np.full((2, 3, 8, 8), 0.5)}, "ActNorm|no ActNorm in ddi"),
    ],
)  # fmt: skip
def test_a_forged_golden_file_is_one_line(tmp_path, changes, said):
    save_file(golden_with(changes), tmp_path / "golden.safetensors")
    with pytest.raises(GlowliteError, match=said) as caught:
        check(tmp_path / "golden.safetensors")
    assert "golden.safetensors" in str(caught.value) and "\n" not in str(caught.value)


def test_no_pipe_is_a_golden_file(tmp_path):
    os.mkfifo(tmp_path / "golden.safetensors")
    with pytest.raises(GlowliteError, match="a named pipe"):
        check(tmp_path / "golden.safetensors")


def test_huge_values_are_said_by_the_result_alone(tmp_path):
    golden = golden_with({})
    golden["x"] = golden["x"] * 1e200
    golden["param/flow.layers.1.actnorm.logs"] = np.full_like(
        golden["param/flow.layers.1.actnorm.logs"], 300.0
    )
    save_file(golden, tmp_path / "huge.safetensors")
    done = command(tmp_path / "huge.safetensors")
    assert (
        done.returncode == 1
        and not done.stderr
        and "inf of" in done.stdout
        and "ABOVE" in done.stdout
    )


# the command


def command(*arguments):
    return small_runs.command(".", "check", *arguments, program="interop")


def test_the_command_checks_all_files():
    done = small_runs.process(
        ".", "check", *map(str, GOLDEN.glob("*.safetensors")), program="interop"
    )
    assert (
        done.returncode == 0
        and done.stdout.count("gradients") == 7
        and done.stdout.count("initialisation") == 2
    )
    assert "all within tolerance" in done.stdout and "ABOVE" not in done.stdout


GRADIENT = GRADIENT_OF_A


@pytest.mark.parametrize("name", ["log_prob", "z", "grad_x", GRADIENT])
@pytest.mark.parametrize("factor", [1 + 1e-7, np.nan])
def test_the_command_exits_with_1_for_a_number_that_is_off(tmp_path, name, factor):
    golden = contents("a_affine_lu")
    golden[name] = golden[name] * factor
    save_file(golden, tmp_path / "off.safetensors")
    done = command(tmp_path / "off.safetensors")
    assert done.returncode == 1 and done.stdout.count("ABOVE") == 1 and not done.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda golden: {"a": np.zeros(3)}, "not a golden file"),
        (lambda golden: without(golden, GRADIENT), GRADIENT),
        (lambda golden: without(golden, GRADIENT.replace("grad", "param")), GRADIENT[5:]),
        (lambda golden: without(golden, "z"), "no latents"),
        (lambda golden: without(golden, "log_prob"), "log_prob"),
        (lambda golden: golden | {"x": golden["x"][0].copy()}, "four axes"),
        (lambda golden: golden | {"grad_x": np.zeros((3, 8, 8, 4))}, "grad_x must have shape"),
        (lambda golden: {name: t for name, t in golden.items() if "param/" not in name}, "param/"),
        (
            lambda golden: {name.replace("flow.", "glow."): t for name, t in golden.items()},
            "no known kind",
        ),
    ],
)
def test_the_command_answers_bad_contents_in_one_line(tmp_path, change, said):
    path = tmp_path / "bad.safetensors"
    save_file(change(contents("a_affine_lu")), path)
    done = command(path)
    assert (
        done.returncode == 2
        and done.stderr.count("\n") == 1
        and said in done.stderr
        and str(path) in done.stderr
    )


def test_the_command_answers_what_is_no_file_of_tensors_in_one_line(tmp_path):
    (tmp_path / "text.safetensors").write_text("no tensors")
    for path in (tmp_path / "gone.safetensors", tmp_path / "text.safetensors", tmp_path):
        done = command(path)
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and str(path) in done.stderr
    assert command().returncode == 2


# reading weights


def without(tensors, name):
    assert name in tensors
    return {key: t for key, t in tensors.items() if key != name}


@pytest.mark.parametrize(
    ("stem", "alias"),
    [("a_affine_lu", "y0ast"), ("b_affine_lu", "Rosinality"), ("c_affine_1x1", "openai")],
)
def test_float32_is_the_default_and_works(stem, alias):
    model = from_weights(weights(stem), alias, (8, 8))
    assert model.dtype == np.float32 and model.initialized
    assert_close(
        model.log_prob(images(stem, "x").astype(np.float32)),
        contents(stem)["log_prob"],
        1e-5,
        "log_prob",
    )
    latents = model.encode(images(stem, "x").astype(np.float32))
    assert abs(model.decode(latents) - images(stem, "x")).max() < 1e-4


def test_the_configuration_is_read_off():
    config = imported("b_additive_invconv").config
    assert (config.image_shape, config.K, config.L, config.width) == ((16, 16, 1), 2, 3, 16)
    assert (config.coupling, config.permutation, config.border) == (
        "additive",
        "conv1x1,conv1x1,lu",
        "last",
    )
    config = from_weights(
        weights("a_additive_shuffle"), "A"
    ).config  # A stores the size of the images
    assert (config.image_shape, config.K, config.L, config.permutation) == (
        (16, 8, 1),
        3,
        3,
        "shuffle",
    )
    assert (config.coupling, config.top_prior, imported("a_affine_lu").config.top_prior) == (
        "additive",
        "unit",
        "learned",
    )
    assert imported("c_additive_shuffle").config.top_prior == "unit"


def test_a_fixed_permutation_that_was_not_saved_is_asked_for():
    tensors = {
        name: t for name, t in weights("a_additive_shuffle").items() if "indices" not in name
    }
    with pytest.raises(
        GlowliteError, match=r"flow\.layers\.1\.shuffle\.indices.*permutation='reverse'"
    ):
        from_weights(tensors, "A")
    model = from_weights(tensors, "A", permutation="reverse")
    assert model.store.constants["level0/step0/permutation/indices"].value.tolist() == [3, 2, 1, 0]
    with pytest.raises(GlowliteError, match=r"flow\.layers\.1\.shuffle\.indices"):
        from_weights(tensors, "A", permutation="shuffle")


def test_a_shuffle_of_the_original_is_asked_for_too():
    # its indices are variables, but not trained ones
    tensors = {
        name: t for name, t in weights("c_additive_shuffle").items() if "indices" not in name
    }
    with pytest.raises(GlowliteError, match="model/0/0/shuffle/indices"):
        from_weights(tensors, "C", (16, 16))


def test_names_of_a_wrapped_model():
    tensors = {f"module.{name}": t for name, t in weights("b_affine_lu").items()}
    model = from_weights(tensors, "B", (8, 8))
    assert model.config == imported("b_affine_lu").config
    assert their_gradients(model, tensors, "B").keys() <= tensors.keys()


NAME = "flow.layers.2.block.4.conv.bias"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: without(t, NAME), f"{NAME}, .* is missing"),
        (
            lambda t: without(t, "flow.layers.1.actnorm.bias"),
            "flow.layers.1.actnorm.bias, .* is missing",
        ),
        (lambda t: without(t, "flow.layers.3.conv.logs"), "flow.layers.3.conv.logs, .* is missing"),
        (lambda t: without(t, "flow.layers.5.invconv.p"), "flow.layers.5.invconv.p, .* is missing"),
        (
            lambda t: t | {"flow.layers.2.extra": np.zeros(3)},
            "unexpected tensor flow.layers.2.extra",
        ),
        (lambda t: t | {NAME: np.zeros(5)}, rf"{NAME} must have shape \(12,\), got \(5,\)"),
        (lambda t: t | {NAME: np.zeros((1, 12))}, f"{NAME} must have shape"),
        (
            lambda t: t | {"flow.layers.1.actnorm.bias": np.zeros(())},
            "flow.layers.1.actnorm.bias must have shape",
        ),
        (lambda t: t | {NAME: np.full(12, np.nan)}, f"{NAME} must contain finite"),
        (
            lambda t: t | {"flow.layers.5.invconv.p": np.zeros((24, 24))},
            "flow.layers.5.invconv.p must be a permutation",
        ),
        (lambda t: t | {"prior_h": np.ones((1, 48, 2, 2))}, "prior_h must be"),
        (lambda t: {}, "no tensor with a name like flow.layers.1.actnorm.bias"),
    ],
)
def test_weights_that_do_not_fit_are_named(change, said):
    with pytest.raises(GlowliteError, match=said):
        from_weights(change(weights("a_affine_lu")), "A", (8, 8))


def test_both_factors_of_a_product_and_flags_are_checked():
    tensors, loc = weights("b_affine_lu"), "blocks.0.flows.0.actnorm.loc"
    for change in (without(tensors, loc), tensors | {loc: np.zeros((1, 5, 1, 1))}):
        with pytest.raises(GlowliteError, match=loc):
            from_weights(change, "B", (8, 8))
    name = "blocks.1.flows.1.actnorm.initialized"
    with pytest.raises(GlowliteError, match=name):
        from_weights(tensors | {name: np.array(0, np.uint8)}, "B", (8, 8))
    name = "model/0/1/shuffle/indices"
    for value in (np.array([0, 0, 1, 2]), np.array([1, 2, 3, 4])):
        with pytest.raises(GlowliteError, match=name):
            from_weights(weights("c_additive_shuffle") | {name: value}, "C", (16, 16))
    with pytest.raises(GlowliteError, match=name):
        from_weights(without(weights("c_additive_shuffle"), name), "C", (16, 16))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "pytorch"}, "y0ast"),
        ({"kind": "B"}, "kind B: no tensor with a name like blocks"),
        ({"kind": "C"}, "kind C: no tensor with a name like model"),
        ({"border": "all"}, "border cannot be overridden"),
        ({"K": 0}, "K must be a whole number from 1"),
        ({"K": 10**9}, "K must be a whole number"),
        ({"K": True}, "K must be a whole number"),
        ({"K": 4000}, "no tensor determines the permutation of level 1"),
        ({"L": 10**9}, "L must be a whole number from 1 to 16"),
        ({"permutation": 5}, "permutation must be a text"),
        ({"image_size": 8}, "image_size must be"),
        ({"image_size": (8.0, 8)}, "image_shape must be"),
        ({"K": 1}, r"flow\.layers\.4\.invconv"),
        ({"width": 32}, "must have shape"),
        ({"depth": 3}, "unknown"),
        ({"permutation": "conv1x1"}, r"invconv\.weight"),
        ({"image_size": (16, 16)}, "prior_h"),
        ({"image_size": (9, 9)}, "divisible"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, said):
    with pytest.raises(GlowliteError, match=said):
        from_weights(weights("a_affine_lu"), **{"kind": "A", **options})


def test_the_image_size_is_asked_for_where_it_is_not_stored():
    with pytest.raises(GlowliteError, match="image_size"):
        from_weights(weights("b_affine_lu"), "B")


def test_an_imported_model_is_an_ordinary_one():
    model = imported("b_affine_lu")
    twin = Glow(model.config, dtype="float64")
    assert model.store.offsets == twin.store.offsets and np.isfinite(model.store.theta).all()
