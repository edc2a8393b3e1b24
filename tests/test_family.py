"""RealNVPs and NICEs that other people wrote, the authors' among them, carried over: they give
log-likelihoods, latents, samples, every gradient and the running statistics of those codes
(tests/golden/family).
"""

import functools
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from glowlite import GlowliteError, Memory
from glowlite.arrays.batch_statistics import in_training
from glowlite.bijectors.base import backward, forward_with_cache
from glowlite.bijectors.trace import as_list
from glowlite.interop import from_weights, their_gradients, their_statistics
from glowlite.interop.__main__ import main
from glowlite.interop.golden import check
from glowlite.interop.kinds import KINDS, kind_called
from glowlite.models.nice import NICE
from glowlite.models.realnvp import RealNVP
from glowlite.models.registry import load_image_model
from glowlite.objective import loss_gradients

GOLDEN = Path(__file__).parent / "golden" / "family"
# what no tensor says; and how many tensors are trained, so that none is passed over
FILES = {
    "realnvp_authors_eval_8x8": ({}, 200),
    "realnvp_authors_train_16x16": ({}, 320),
    "realnvp_chute_eval_8x8": ({}, 432),
    "realnvp_chute_train_16x16": ({}, 270),
    "realnvp_fmu2_bn_eval_8x8": ({}, 250),
    "realnvp_fmu2_bn_train_8x8": ({}, 250),
    "realnvp_fmu2_nobn_eval_8x8": ({"coupling_norm": "none"}, 250),
    "nice_fmu2_logistic": ({"base": "logistic"}, 33),
    "nice_fmu2_gaussian": ({"base": "normal", "changed_first": "odd"}, 25),
    "nice_daksh_logistic_48": ({}, 41),
}
KIND_OF = {stem: "-".join(stem.split("_")[:2]) for stem in FILES}
IN_TRAINING = [stem for stem in FILES if "train" in stem]
IN_EVALUATION = [stem for stem in FILES if "train" not in stem]
# gradients that are zero in exact arithmetic, or act by eps alone: always, and in training, of what
# only reaches a batch norm
ZERO = ("rescale.weight_v",)
ZERO_IN_TRAINING = (
    "h_in/biases", "skip_in/biases", "skip_0/biases", "block_0/out/biases",
    "st_net.in_conv.conv.bias", "in_skip.conv.bias", "skips.0.conv.bias",
    "blocks.0.out_conv.conv.bias", "blocks.0.in_conv.conv.weight_g",
    "in_block.conv.bias", "res_block.3.conv.bias",
)  # fmt: skip


@functools.cache
def read(stem):
    with safe_open(GOLDEN / f"{stem}.safetensors", "np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def contents(stem):
    """A new dict of the arrays of a file, which is read once; nobody may write to them."""
    golden = dict(read(stem))
    for array in golden.values():
        array.flags.writeable = False
    return golden


def weights(stem, prefixes=("param/", "buffer/")):
    return {
        name.partition("/")[2]: t for name, t in contents(stem).items() if name.startswith(prefixes)
    }


def numbers(stem, name):
    """From their run in float64, where there is one."""
    golden = contents(stem)
    return golden.get(f"float64/{name}", golden[name]).astype(np.float64)


def data(stem, name):
    return kind_called(KIND_OF[stem]).images(name, numbers(stem, name))


def image_size(stem):
    x = data(stem, "x")
    return x.shape[1:3] if x.ndim == 4 else (1, x.shape[1])


def imported(stem, tensors=None, **options):
    tensors = weights(stem) if tensors is None else tensors
    options = {"dtype": "float64", **FILES[stem][0], **options}
    return from_weights(tensors, KIND_OF[stem], image_size(stem), **options)


def without(tensors, name):
    assert name in tensors
    return {key: t for key, t in tensors.items() if key != name}


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("stem", FILES)
def test_an_imported_model_computes_what_the_other_code_did(stem, plain):
    """In fast forms, keeping all, and as it is written, keeping nothing."""
    model = imported(stem, memory=Memory("0" if plain else "all"), plain=plain)
    x, kind = data(stem, "x"), KIND_OF[stem]
    flow, is_training, is_float32 = model.bijector.flow, "train" in stem, "authors" in stem
    with in_training(flow) if is_training else nullcontext():
        y, logdet, cache = forward_with_cache(flow, x)
        dlatents, dlogdet = loss_gradients(as_list(y), len(x), model.base)
        dy = dlatents if isinstance(y, list) else dlatents[0]
        rebuilt, dx = backward(flow, y, dy, dlogdet, cache)
    z, log_prob = kind_called(kind).joined(as_list(y)), logdet + model.base.log_prob(as_list(y))
    np.testing.assert_allclose(z, data(stem, "z"), rtol=0, atol=1e-10)
    np.testing.assert_allclose(logdet, numbers(stem, "logdet"), rtol=0, atol=1e-10)
    np.testing.assert_allclose(log_prob, numbers(stem, "log_prob"), rtol=0, atol=1e-10)
    np.testing.assert_allclose(rebuilt, x, rtol=0, atol=1e-9)

    theirs = data(stem, "grad_x")
    np.testing.assert_allclose(dx, theirs, rtol=0, atol=1e-8 * abs(theirs).max())
    gradients, expected = their_gradients(model, weights(stem), kind), weights(stem, "grad/")
    assert gradients.keys() == expected.keys() and len(expected) == FILES[stem][1]
    relative, absolute = (1e-4, 1e-6) if is_float32 else (1e-8, 1e-13)
    for name, theirs in expected.items():
        is_nothing = name.endswith(ZERO + ZERO_IN_TRAINING * is_training)
        tolerance = absolute if is_nothing else relative * abs(theirs).max()
        np.testing.assert_allclose(gradients[name], theirs, rtol=0, atol=tolerance, err_msg=name)
    if not is_training:
        assert not model.store.change.any()
        return
    model.store.running += model.store.change  # what an update does
    statistics = their_statistics(model, weights(stem), kind, batches=1)
    after = weights(stem, "after/")
    assert statistics.keys() == after.keys()
    for name, theirs in after.items():
        tolerance = 1e-5 * abs(theirs).max() if is_float32 else 1e-10
        np.testing.assert_allclose(statistics[name], theirs, rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("stem", IN_EVALUATION)
def test_samples_are_those_of_another_code(stem):
    model, z, kind = imported(stem), data(stem, "sample/z"), kind_called(KIND_OF[stem])
    latents = kind.parted(z, model.config)
    assert np.array_equal(kind.joined(latents), z)
    assert [eps.shape[1:] for eps in latents] == model.config.latent_shapes()
    x = model.bijector.flow.inverse(latents if model.bijector.gives_list else latents[0])
    np.testing.assert_allclose(x, data(stem, "sample/x"), rtol=0, atol=1e-10)


@pytest.mark.parametrize("stem", IN_TRAINING)
def test_a_step_of_training_has_their_loss_and_gradients(stem):
    """Through `Flow.gradients`, which is what trains; bits/dim less those of the logit."""
    model, x = imported(stem), data(stem, "x")
    images = model.bijector.before.inverse(x)
    loss, drift = model.gradients(images)
    nats = numbers(stem, "pre_logdet").mean() / (x[0].size * np.log(2))
    assert loss + nats == pytest.approx(numbers(stem, "loss")[0], rel=1e-6)
    assert drift < 1e-9
    gradients, expected = (
        their_gradients(model, weights(stem), KIND_OF[stem]),
        weights(stem, "grad/"),
    )
    name = max(expected, key=lambda name: abs(expected[name]).max())
    np.testing.assert_allclose(gradients[name], expected[name], rtol=0, atol=1e-3)
    assert model.store.change.any()


@pytest.mark.parametrize("stem", IN_EVALUATION)
def test_an_imported_model_is_a_whole_one(stem, tmp_path):
    """It encodes images, decodes, draws, and is saved; their density is that of pixels."""
    model = imported(stem)
    assert model.initialized and isinstance(model, NICE if "nice" in stem else RealNVP)
    images = model.bijector.before.inverse(data(stem, "x"))
    pre_logdet = model.bijector.before.forward(images)[1]
    expected = numbers(stem, "log_prob") + pre_logdet
    np.testing.assert_allclose(model.log_prob(images), expected, rtol=1e-12)
    if "nice" not in stem:
        np.testing.assert_allclose(pre_logdet, numbers(stem, "pre_logdet"), rtol=1e-5)
    few = np.random.default_rng(0).random((2, *model.config.image_shape)) - 0.5
    np.testing.assert_allclose(model.decode(model.encode(few)), few, rtol=0, atol=1e-9)
    assert model.sample(2).shape == few.shape
    model.save(tmp_path / "model.safetensors")
    again = load_image_model(tmp_path / "model.safetensors")
    assert type(again) is type(model) and again.config == model.config and again.initialized
    assert np.array_equal(again.log_prob(few), model.log_prob(few))
    in_float32 = imported(stem, dtype="float32").log_prob(few.astype(np.float32))
    np.testing.assert_allclose(in_float32, model.log_prob(few), rtol=1e-4)


def test_the_mean_image_of_a_nice_comes_along():
    stem = "nice_fmu2_logistic"
    golden = contents(stem)
    model = imported(stem, {**weights(stem), "mean": golden["mean"]})
    images = golden["x_pre"].reshape(-1, 1, 48, 1) - 0.5
    x, logdet = model.bijector.before.forward(images)
    np.testing.assert_allclose(3 * x, golden["x"], rtol=0, atol=1e-12)
    assert not logdet.any() and model.config.input == "whitened"
    np.testing.assert_allclose(model.decode(model.encode(images)), images, rtol=0, atol=1e-12)
    with pytest.raises(GlowliteError, match=r"kind nice-fmu2, .* the tensor mean, \(48,\), is mis"):
        imported(stem, input="whitened")


def test_what_the_network_of_a_nice_does_not_use_has_no_gradient():
    stem = "nice_daksh_logistic_48"
    model = imported(stem)
    model.gradients(model.bijector.before.inverse(data(stem, "x")))
    gradients = their_gradients(model, weights(stem), "nice-daksh")
    for k in range(4):
        changed = slice(k % 2, None, 2)  # even components first
        others = slice(1 - k % 2, None, 2)
        first, last = (gradients[f"coupling_layers.{k}.m.{i}.weight"] for i in (0, 8))
        assert not first[:, changed].any() and first[:, others].all(axis=1).any()
        assert not last[others].any() and last[changed].any()
    assert len(model.store) < sum(t.size for t in weights(stem).values())


def test_every_rule_is_a_linear_map_with_its_adjoint():
    rng = np.random.default_rng(0)
    for stem in FILES:
        model, tensors = imported(stem), weights(stem)
        for rule in kind_called(KIND_OF[stem]).rules(model.config):
            if rule.ours in model.store.parameters and len(rule.theirs) == 1:
                a = rng.standard_normal(tensors[rule.theirs[0]].shape)
                b = rng.standard_normal(model.store.parameters[rule.ours].value.shape)
                forth, back = np.vdot(rule.layout.load(a), b), np.vdot(a, rule.layout.back(b))
                assert forth == pytest.approx(back, rel=1e-9, abs=1e-12), rule.ours


@pytest.mark.parametrize("stem", FILES)
def test_every_parameter_and_statistic_has_a_rule(stem):
    model = imported(stem)
    named = {rule.ours for rule in kind_called(KIND_OF[stem]).rules(model.config)}
    unnamed = {*model.store.parameters, *model.store.constants} - named
    assert unnamed <= {"even_odd/indices", "as_it_was/indices"}


def test_the_configuration_is_read_off():
    config = imported("realnvp_chute_eval_8x8").config
    assert (config.image_shape, config.levels, config.width, config.blocks) == ((8, 8, 3), 3, 2, 1)
    assert (config.widths, config.factor, config.batch_norm) == ("doubling", "channel", True)
    config = imported("realnvp_fmu2_nobn_eval_8x8").config
    assert (config.widths, config.coupling_norm, config.width) == ("constant", "none", 8)
    config = imported("nice_daksh_logistic_48").config
    assert (config.couplings, config.hidden_layers, config.width) == (4, 4, 20)
    assert (config.slope, config.base, config.scaling_factor) == (0.2, "logistic", 1.0)
    tensors = weights("nice_fmu2_logistic")
    config = from_weights(tensors, "fmu2/NICE", (4, 4), base="normal", input="symmetric").config
    assert (config.image_shape, config.hidden_layers, config.slope) == ((4, 4, 3), 3, 0.0)
    assert (config.base, config.input) == ("normal", "symmetric")


def test_names_of_a_wrapped_model():
    stem = "realnvp_fmu2_bn_train_8x8"
    tensors = {f"module.{name}": t for name, t in weights(stem).items()}
    model = imported(stem, tensors)
    for theirs in (their_gradients, their_statistics):
        assert theirs(model, tensors, KIND_OF[stem]).keys() <= tensors.keys()


def test_statistics_are_given_back_as_they_came():
    for stem in IN_TRAINING:
        statistics = their_statistics(imported(stem), weights(stem), KIND_OF[stem])
        assert all(np.array_equal(t, weights(stem)[name]) for name, t in statistics.items())


SKIP = "s1_ckbd.0.coupling.block.1.in_skip.conv.weight_v"
FROZEN = "s1_ckbd.0.coupling.block.1.in_block.conv.weight_g"
MEAN = "s1_ckbd.0.coupling.in_bn.running_mean"
COUNTER = "s1_ckbd.0.coupling.in_bn.num_batches_tracked"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: without(t, SKIP), f"the tensor {SKIP}, .* is missing"),
        (lambda t: t | {SKIP: np.ones((3, 3))}, rf"{SKIP} must have shape \(.*\), got \(3, 3\)"),
        (lambda t: t | {SKIP: t[SKIP] * np.nan}, f"{SKIP} must contain finite numbers"),
        (lambda t: t | {"more": np.ones(2)}, r"unexpected tensor more, \(2,\)"),
        (lambda t: t | {FROZEN: 2 * t[FROZEN]}, f"{FROZEN} must be 1.0, got something else"),
        (lambda t: without(t, MEAN), f"the tensor {MEAN}, .* is missing"),
        (lambda t: t | {MEAN: np.full(3, np.inf)}, f"{MEAN} must contain finite numbers"),
        (lambda t: t | {MEAN[:-4] + "var": np.full(3, -1.0)}, "in_bn.running_var contains a var"),
        (lambda t: t | {COUNTER.replace("in_bn", "in_nb"): np.array(3)}, "unexpected tensor"),
        (lambda t: t | {"s3_ckbd.0.coupling.scale": np.ones(1)}, r"s2_chan\S*, .* is missing"),
        (lambda t: t | {"s3_ckbd.0.coupling.scale": np.ones(1), "s4_ckbd.0.coupling.scale": SKIP},
            "s4_ckbd.0.coupling.scale must be an array of numbers"),
        (lambda t: {}, r"kind realnvp-fmu2: no tensor s1_ckbd\S* with four axes"),
    ],
)  # fmt: skip
def test_tensors_of_a_realnvp_that_do_not_fit_are_named(change, said):
    stem = "realnvp_fmu2_bn_eval_8x8"
    with pytest.raises(GlowliteError, match=said) as caught:
        imported(stem, change(weights(stem)))
    assert "\n" not in str(caught.value)


BIAS = "coupling_layers.2.m.8.bias"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: without(t, BIAS), rf"{BIAS}, \(48,\), is missing"),
        (lambda t: t | {BIAS: np.ones(24)}, rf"{BIAS} must have shape \(48,\), got \(24,\)"),
        (lambda t: t | {BIAS: np.full(48, np.nan)}, f"{BIAS} must contain finite numbers"),
        (lambda t: t | {BIAS: np.full(48, "x")}, f"{BIAS} must be an array of numbers"),
        (lambda t: t | {"mask/0": np.ones(48)}, "unexpected tensor mask/0"),
        (lambda t: t | {"coupling_layers.9.m.0.weight": np.ones(2)}, "layers.4.m.0.weight"),
        (lambda t: without(t, "scaling_layer.log_scale_vector"), "log_scale_vector is missing"),
        (lambda t: {k: v for k, v in t.items() if "m.0.bias" not in k}, "0.m.0.bias is missing"),
        (lambda t: {k: v for k, v in t.items() if "m.0" in k or "scal" in k}, "hidden_layers must"),
        (lambda t: {}, r"no tensor with a name like coupling_layers\.0\.m\.0\.weight"),
    ],
)  # fmt: skip
def test_tensors_of_a_nice_that_do_not_fit_are_named(change, said):
    stem = "nice_daksh_logistic_48"
    with pytest.raises(GlowliteError, match=said) as caught:
        imported(stem, change(weights(stem)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("stem", "options", "said"),
    [
        ("realnvp_chute_eval_8x8", {"coupling_norm": "none"}, "coupling_norm cannot be overridden"),
        ("realnvp_fmu2_bn_eval_8x8", {"width": 3}, "width cannot be .*; coupling_norm can"),
        ("realnvp_fmu2_bn_eval_8x8", {"coupling_norm": "some"}, "coupling_norm must be one of"),
        ("realnvp_fmu2_bn_eval_8x8", {"image_size": None}, "give image_size="),
        ("realnvp_fmu2_bn_eval_8x8", {"image_size": 8}, r"image_size must be \(H, W\)"),
        ("realnvp_fmu2_bn_eval_8x8", {"image_size": (7, 8)}, "divisible by 4"),
        ("realnvp_fmu2_bn_eval_8x8", {"kind": "realnvp-chute"}, r"no tensor flows\.in_couplings"),
        ("nice_fmu2_logistic", {}, "give base='logistic' or base='normal'"),
        ("nice_fmu2_logistic", {"base": "cauchy"}, "base must be one of logistic, normal"),
        ("nice_fmu2_logistic", {"base": "normal", "slope": 0.1}, "slope cannot be overridden"),
        ("nice_daksh_logistic_48", {"image_size": (5, 5)}, "vectors of 48 numbers are not images"),
        ("nice_daksh_logistic_48", {"image_size": (0, 5)}, "H must be a whole number"),
        ("nice_daksh_logistic_48", {"kind": "nice"}, "unknown kind 'nice'; .* nice-fmu2, fmu"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_are_refused(stem, options, said):
    options = {"kind": KIND_OF[stem], "image_size": image_size(stem), **options}
    with pytest.raises(GlowliteError, match=said) as caught:
        from_weights(weights(stem), **options)
    assert "\n" not in str(caught.value)


def test_the_logit_of_another_range_is_refused():
    stem = "realnvp_chute_eval_8x8"
    for value, is_right in ((0.9, True), (np.float32(0.9), True), (0.95, False)):
        tensors = weights(stem) | {"data_constraint": np.full(1, value)}
        with (
            nullcontext() if is_right else pytest.raises(GlowliteError, match=r"must be 0\.9, got")
        ):
            imported(stem, tensors)


def test_every_kind_has_names_of_its_own():
    names = [name.lower() for kind in KINDS for name in (kind.name, *kind.aliases)]
    assert len(names) == len(set(names))
    for kind in KINDS:
        assert all(kind_called(name.upper()) is kind for name in (kind.name, *kind.aliases))


# the command


def test_the_command_checks_all_files_of_the_family(capsys):
    start = time.process_time()
    assert main(["check", *map(str, sorted(GOLDEN.glob("*.safetensors")))]) == 0
    assert time.process_time() - start < 60
    said = capsys.readouterr().out
    assert "ABOVE" not in said and "all within tolerance" in said
    assert {line.split()[0] for line in said.splitlines() if line.startswith("  ")} == {
        "log_prob", "latents", "gradients", "zero", "grad_x", "statistics", "samples",
        "preprocessing",
    }  # fmt: skip
    for quantity, count in (
        ("  gradients", 10), ("  zero", 4), ("  statistics", 3), ("  samples", 7),
        ("  preprocessing", 10),
    ):  # fmt: skip
        assert said.count(quantity) == count
    for stem in FILES:
        assert f"{stem}.safetensors: kind {KIND_OF[stem]}" in said


def golden_with(stem, changes, folder):
    with safe_open(GOLDEN / f"{stem}.safetensors", "np") as file:
        metadata = file.metadata()
    golden = {**contents(stem), **changes}
    path = folder / "golden.safetensors"
    save_file({name: t for name, t in golden.items() if t is not None}, path, metadata)
    return path


TRAINED = "realnvp_fmu2_bn_train_8x8"
EVALUATED = "realnvp_fmu2_bn_eval_8x8"


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        *((TRAINED, name) for name in ("log_prob", "logdet", "loss", "z", "grad_x", "x_pre")),
        *((TRAINED, name) for name in ("pre_logdet", f"after/{MEAN}", f"after/{COUNTER}")),
        (TRAINED, f"grad/{SKIP}"),
        (TRAINED, "grad/s1_ckbd.0.coupling.block.1.in_skip.conv.bias"),
        (EVALUATED, "sample/x"),
        ("realnvp_chute_eval_8x8", "bits_per_dim_raw"),
        ("realnvp_authors_eval_8x8", "float64/log_prob"),
        ("nice_daksh_logistic_48", "x_pre"),
        ("nice_fmu2_logistic", "mean"),
    ],
)
def test_a_number_that_is_off_is_seen(stem, name, tmp_path, capsys):
    wrong = contents(stem)[name] + (1 if "batches" in name else 1e-7)
    assert main(["check", str(golden_with(stem, {name: wrong}, tmp_path))]) == 1
    assert capsys.readouterr().out.count("ABOVE") == 1


@pytest.mark.parametrize(
    ("stem", "changes", "said"),
    [
        (TRAINED, {"z": None}, "there is no z"),
        (TRAINED, {"logdet": None}, "there is no logdet"),
        (TRAINED, {"loss": np.zeros(2)}, "loss must have shape"),
        (TRAINED, {"x": np.zeros((2, 3, 8))}, "x must have four axes"),
        (TRAINED, {"x": np.zeros((2, 3, 8, 6))}, "divisible"),
        (TRAINED, {"x_pre": np.zeros((2, 3, 8, 8))}, "x_pre and pre_logdet must have shapes"),
        (TRAINED, {"pre_logdet": np.zeros(())}, "x_pre and pre_logdet must have shapes"),
        (TRAINED, {"noise": np.zeros((2, 3, 8, 8))}, "noise of the shape"),
        (TRAINED, {f"after/{MEAN}": None}, "after/.*running_mean is missing or unexpected"),
        (TRAINED, {f"after/{MEAN}": np.zeros(4)}, "running_mean must have shape"),
        (TRAINED, {"after/more": np.zeros(4)}, "after/more is missing or unexpected"),
        (TRAINED, {f"grad/{SKIP}": None}, "is missing or unexpected"),
        (TRAINED, {f"param/{SKIP}": None}, f"{SKIP}, .* is missing"),
        (EVALUATED, {"sample/x": None}, "there is no sample/x"),
        (EVALUATED, {"sample/z": np.zeros((2, 3, 7, 7))}, "divisible by 2"),
        ("nice_daksh_logistic_48", {"x": np.zeros((2, 3, 8, 8))}, "x must have two axes"),
        ("nice_daksh_logistic_48", {"x": np.zeros((2, 36))}, "of 48 numbers are not images"),
    ],
)  # fmt: skip
def test_a_forged_golden_file_is_one_line(stem, changes, said, tmp_path):
    path = golden_with(stem, changes, tmp_path)
    with pytest.raises(GlowliteError, match=said) as caught:
        check(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_golden_file_says_what_no_tensor_does(tmp_path):
    path = tmp_path / "golden.safetensors"
    save_file(contents("nice_fmu2_gaussian"), path, {"prior": "none", "mask_config": "0"})
    with pytest.raises(GlowliteError, match="give base='logistic'"):
        check(path)
    for stem, metadata in (
        ("nice_fmu2_gaussian", {"prior": "standard normal"}),
        ("nice_fmu2_gaussian", {"prior": "standard logistic", "mask_config": "0"}),
        ("realnvp_fmu2_nobn_eval_8x8", {"coupling_bn": "1"}),
        (TRAINED, {"mode": "eval"}),
    ):
        save_file(contents(stem), path, metadata)
        report = check(path)
        assert report.errors["log_prob"]["log_prob"] > 1e-3
    with pytest.raises(GlowliteError, match="permutation cannot be overridden"):
        check(path, "reverse")
