"""Options from presets, files and the command line: who wins, and how mistakes are answered."""

import io
import itertools
import json
import math
import os
import time

import pytest
import yaml
from small_runs import command

from glowlite.commands.option_sources import as_yaml, parse_arguments
from glowlite.commands.presets import PRESETS
from glowlite.commands.program import Parser
from glowlite.commands.train_options import config_of, settings_of, steps_in
from glowlite.errors import GlowliteError
from glowlite.models.config import GlowConfig, usual_levels
from glowlite.models.glow import Glow
from glowlite.training.settings import Settings

PUBLISHED = {  # K, L, image side, bits, coupling: section 6 of the paper, and its table of settings
    "cifar10": (32, 3, 32, 8, "affine"),
    "imagenet32": (48, 3, 32, 8, "affine"),
    "imagenet64": (48, 4, 64, 8, "affine"),
    "lsun64": (48, 3, 64, 8, "affine"),
    "lsun96": (64, 5, 96, 5, "additive"),
    "celebahq256": (32, 6, 256, 5, "additive"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_presets_are_the_published_settings(name):
    options = parse_arguments(["--preset", name])
    K, L, side, n_bits, coupling = PUBLISHED[name]
    assert (options.K, options.L, options.n_bits, options.coupling, options.width) == (
        K,
        L,
        n_bits,
        coupling,
        512,
    )
    config = config_of(options, (side, side, 3))
    assert config == GlowConfig.openai((side, side, 3), K=K, L=L, coupling=coupling)
    settings = settings_of(options, 1000)
    assert (settings.optimizer, settings.lr, settings.warmup, settings.decay) == (
        "adamax",
        1e-3,
        10000,
        "constant",
    )
    assert settings.beta2 == settings.average == 0.999
    assert options.crop in (None, side)


def test_the_epsilon_of_nice_is_1e_4_of_gradients_in_nats():
    for name, dimensions in (("mnist", 784), ("cifar10", 3072), ("svhn", 3072)):
        settings = settings_of(parse_arguments(["--preset", f"nice-{name}"]), 300)
        assert settings.epsilon * dimensions * math.log(2) == pytest.approx(1e-4, rel=1e-12)


def test_the_cifar10_preset_has_the_parameters_of_the_original():
    assert (
        len(Glow(config_of(parse_arguments(["--preset", "cifar10"]), (32, 32, 3))).store)
        == 44_603_604
    )


def test_the_paper_preset_is_that_of_the_config():
    options = parse_arguments(["--preset", "cifar10,paper"])
    assert config_of(options, (32, 32, 3)) == GlowConfig.paper((32, 32, 3))


def test_faces_is_the_default_and_every_preset_is_allowed():
    assert parse_arguments(["--preset", "faces"]).__dict__ == {
        **parse_arguments([]).__dict__,
        "preset": "faces",
    }
    for name in PRESETS:
        settings_of(parse_arguments(["--preset", name]), 100)


def test_defaults_are_those_of_the_settings():
    assert settings_of(parse_arguments([]), 112) == Settings()


def test_typed_options_win_over_the_file_and_the_file_over_the_preset(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "preset: cifar10\nK: 4\nlr: 1e-2\nflip: false\nrandom-crop: true\ncrop: 16\nclip:\n"
    )
    options = parse_arguments(
        ["--config", str(tmp_path / "mine.yaml"), "--lr", "0.5", "--no-random-crop"]
    )
    assert (options.L, options.K, options.lr, options.flip, options.random_crop) == (
        3,
        4,
        0.5,
        False,
        False,
    )
    assert options.n_bits == 8 and options.clip == 0
    again = parse_arguments(["--config", str(tmp_path / "mine.yaml"), "--preset", "mnist"])
    assert (again.L, again.K, again.width) == (2, 4, 128)


@pytest.mark.parametrize("kind", ["yaml", "json"])
def test_what_is_printed_can_be_read_back(tmp_path, kind):
    options = parse_arguments(
        ["--preset", "lsun64", "--threads", "3", "--permutation", "lu", "--K", "5"]
    )
    path = tmp_path / f"printed.{kind}"
    path.write_text(
        as_yaml(options) if kind == "yaml" else json.dumps(yaml.safe_load(as_yaml(options)))
    )
    again = parse_arguments(["--config", str(path)])
    one, other = (
        {k: v for k, v in vars(o).items() if k not in ("preset", "config")}
        for o in (again, options)
    )
    assert one == other


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("widht: 3", "unknown option 'widht'; expected width?"),
        ("zzz: 3", "unknown option 'zzz'; expected one of those that --help lists"),
        ("out: x", "unknown option 'out'"),
        ("flip: 3", "flip: expected true or false, got 3"),
        ("K: true", "K: expected a number or a text, got True"),
        ("K: [1, 2]", "K: expected a number or a text, got a list"),
        ("K: {a: {b: c}}", "K: expected a number or a text, got a list, a mapping"),
        ("K: 4\nK: 5", "K appears twice"),
        ("random-crop: yes\nrandom_crop: no", "random_crop appears twice"),
        (
            "data: 2020-99-99",
            "data: expected a number or a text, got 2020-99-99, a timestamp; put it in quotes",
        ),
        ("data: 2020-01-01", "got 2020-01-01, a timestamp; put it in quotes"),
        ("data: !!binary aGk=", "got aGk=, a binary"),
        ("data: !!set {a, b}", "got a list, a mapping"),
        ("data: !mine x", "got x, a !mine"),
        ("data: =", "got =, a value"),
        ("1: 2", "expected lines of the form `option: value`"),
        ("null: 2", "expected lines of the form `option: value`"),
        ("? [a]\n: 2", "expected lines of the form `option: value`"),
        ("<<: {K: 2}", "expected lines of the form `option: value`"),
        ("", "expected lines of the form `option: value`"),
        ("K: 2\n---\nK: 3", "more than one document"),
        ("K: 2\n\tL: 3", "is not valid YAML: line 2: found character"),
        ("K: 2\x00", "is not valid YAML: special characters are not allowed"),
        ('data: "a\\0b"', "characters that no file name can contain"),
        ('data: "\\ud83d"', "characters that no file name can contain"),
        ("a" * 1000 + ": 3", "unknown option 'aaaaaaaaa"),
        ("data: " + "[" * 60000, "got a list"),
        ("K: 2\n" * 20000, "is larger than 65536 bytes"),
        ("- K\n- L", "expected lines of the form `option: value`"),
        ('K: "x', "is not valid YAML"),
        ("a: &a [*a]", "got a list"),
        ("width: &w 3\nK: *w", "K: expected a number or a text, got a list, a mapping or an alias"),
        ("!!python/object/apply:os.system [ls]", "expected lines of the form `option: value`"),
        ("K: !!python/object/apply:os.system [ls]", "got a list"),
        ("preset: cifar", "no such preset; expected cifar10?"),
    ],
)
def test_a_mistake_in_a_file_is_named(tmp_path, text, said):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(GlowliteError) as caught:
        parse_arguments(["--config", str(tmp_path / "c.yaml")])
    assert (
        said in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 300
    )
    assert "c.yaml" in str(caught.value) or "preset" in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("K: 0", "--K"),
        ("coupling: cubic", "--coupling"),
        ("steps: 3days", "--steps"),
        ("beta2: 1.5", "--beta2"),
        ("K: !!float x", "--K: 'x' is not a whole number"),
        ("lr: .nan", "--lr"),
        ("lr: .inf", "--lr"),
        ("K: 0x10", "--K"),
        ("K: 1:30", "--K: '1:30' is not a whole number"),
        ("K: " + 5000 * "9", "--K: '999"),
        ("K: 1" + 30 * "0", "--K: 1000"),
        ("lr: 1e400", "--lr"),
        ("seed: -1", "--seed"),
        ("steps: 1.5", "--steps"),
    ],
)
def test_a_value_that_is_not_allowed_names_the_file(tmp_path, text, said):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(GlowliteError) as caught:
        parse_arguments(["--config", str(tmp_path / "c.yaml")])
    assert "c.yaml: argument " + said in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x80")
    (tmp_path / "half.json").write_text('{"K": ')
    reasons = {
        "none.yaml": "No such file",
        "binary.yaml": "it is not text",
        "half.json": "is not valid JSON",
    }
    for name, said in reasons.items():
        with pytest.raises(GlowliteError, match=f"{name}: .*{said}"):
            parse_arguments(["--config", str(tmp_path / name)])


def test_a_bomb_of_aliases_is_refused_at_once(tmp_path):
    """Nine lists, each of nine of the one before: a thousand million values in 300 bytes."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join(9 * [f'*{a}'])}]" for a, b in itertools.pairwise("abcdefghi")]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    started = time.perf_counter()
    with pytest.raises(
        GlowliteError,
        match=r"bomb.yaml: a: expected a number or a text, got a list, a mapping or an alias$",
    ):
        parse_arguments(["--config", str(tmp_path / "bomb.yaml")])
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"K": 2, "K": 3}', "a name appears twice"),
        ('{"random-crop": true, "random_crop": true}', "random_crop appears twice"),
        ('{"lr": NaN}', "NaN"),
        ('{"lr": -Infinity}', "-Infinity"),
        ('{"lr": 1e400}', "1e400"),
        ('{"K": ' + 5000 * "9" + "}", "a number with 5000 digits"),
        ('{"K": [1]}', "K: expected a number or a text, got [1]"),
        ('{"data": {"a": 1}}', "data: expected a number or a text"),
        ('{"data": "\\ud83d"}', "characters that no file name can contain"),
        ('{"data": "a\\u0000b"}', "characters that no file name can contain"),
        ("[1]", "expected lines"),
        (30000 * "[", "too deep"),
    ],
)
def test_a_mistake_in_a_json_file_is_named(tmp_path, text, said):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(GlowliteError) as caught:
        parse_arguments(["--config", str(tmp_path / "c.json")])
    assert (
        "c.json: " in str(caught.value)
        and said in str(caught.value)
        and len(str(caught.value)) < 300
    )


def test_a_configuration_is_a_regular_file_or_standard_input(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    for path, said in (
        (tmp_path / "pipe", "a named pipe"),
        ("/dev/zero", "a device"),
        ("/dev/urandom", "a device"),
    ):
        with pytest.raises(GlowliteError, match=f"is {said}"):
            parse_arguments(["--config", str(path)])
    with pytest.raises(GlowliteError, match="Is a directory"):
        parse_arguments(["--config", str(tmp_path)])
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"K: 5\n")))
    assert parse_arguments(["--config", "-"]).K == 5


@pytest.mark.parametrize("name", ["c.yaml", "c.json"])
def test_a_mark_of_the_order_of_bytes_is_passed_over_and_utf_16_is_refused(tmp_path, name):
    text = '{"K": 5}'
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    assert parse_arguments(["--config", str(tmp_path / name)]).K == 5
    for encoding in ("utf-16", "utf-16-le", "utf-32"):
        (tmp_path / name).write_text(text, encoding=encoding)
        with pytest.raises(GlowliteError, match=f"{name}: "):
            parse_arguments(["--config", str(tmp_path / name)])


def test_a_name_that_is_not_utf_8_is_kept(tmp_path):
    name = os.fsdecode(b"fot\xf6s")
    options = parse_arguments(["--data", name])
    for path, text in (
        (tmp_path / "c.yaml", as_yaml(options)),
        (tmp_path / "c.json", json.dumps({"data": name})),
    ):
        path.write_text(text, encoding="utf-8")
        assert parse_arguments(["--config", str(path)]).data == name


def test_durations_are_steps_or_epochs():
    assert steps_in(600, 112) == 600 and steps_in("10ep", 112) == 1120
    options = parse_arguments(["--steps", "3ep", "--warmup", "0", "--evaluate-every", "1ep"])
    settings = settings_of(options, 50)
    assert (settings.steps, settings.warmup, settings.evaluate_every) == (150, 0, 50)


@pytest.mark.parametrize("text", ["0", "ep", "-3", "1.5", "3 ep", "nan", "1_000ep "])
def test_other_durations_are_refused(text, capsys):
    with pytest.raises(SystemExit):
        parse_arguments(["--steps", text])
    assert "--steps" in capsys.readouterr().err


def test_every_option_has_a_help_text_and_a_name_that_a_file_can_hold():
    from glowlite.commands.train_options import make_parser

    parser = make_parser()
    assert isinstance(parser, Parser)
    for action in parser._actions:
        name = action.option_strings[-1].lstrip("-").removeprefix("no-").replace("-", "_")
        assert action.help and name in (action.dest, "h", "help")


def test_print_config_prints_and_trains_nothing(tmp_path):
    done = command(tmp_path, "--preset", "mnist", "--print-config")
    assert (
        done.returncode == 0
        and yaml.safe_load(done.stdout)["L"] == 2
        and not list(tmp_path.iterdir())
    )


@pytest.mark.parametrize(
    ("sides", "levels"),
    [
        ((16, 16), 2), ((32, 32), 3), ((64, 64), 4), ((256, 256), 6), ((28, 28), 2), ((8, 8), 1),
        ((4, 4), 1), ((64, 16), 2), ((32, 24), 2), ((15, 15), 1),
    ],
)  # fmt: skip
def test_levels_go_on_until_latents_are_four_by_four_unless_they_are_said(sides, levels):
    shape = (*sides, 3)
    assert usual_levels(shape) == levels
    if sides != (15, 15):  # of an odd side no level can be made
        assert levels == config_of(parse_arguments([]), shape).L
        assert config_of(parse_arguments(["--L", "1"]), shape).L == 1
