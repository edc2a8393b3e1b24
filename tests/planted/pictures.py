"""Bugs that make a picture show something else than its title says."""

from __future__ import annotations

from . import Bug

LAW = "a picture shows what its title says"


def bug(what: str, file: str, old: str, new: str, *tests: str) -> Bug:
    return Bug(
        LAW,
        what,
        file,
        old,
        new,
        tuple(f"tests/test_pictures_show.py::test_{test}" for test in tests),
    )


OF_A_TRAINING = (
    "the_samples_of_a_training_are_of_averaged_weights_at_the_temperatures_of_their_titles"
)
LATENTS = "the_latents_of_a_training_are_those_of_held_out_images"
RECONSTRUCTION = "the_reconstruction_of_a_training_is_that_of_held_out_images"
ROWS = "a_reconstruction_has_its_rows_under_their_titles"
SWAPPED = """        "held_out_raw_bits_per_dim": (".-", "held out, raw weights"),
        "held_out_bits_per_dim": ("o-", "held out"),
"""
CURVES = "the_curves_of_a_training_are_those_of_its_metrics"
HISTOGRAMS = "histograms_are_of_the_data_that_their_legend_names"
COMPARISON = "a_comparison_draws_its_own_data_and_the_others"
SHEET = "a_sheet_has_every_image_once_row_by_row"
DRAWN = "drawn_images_are_theirs_and_a_lost_one_is_lost_alone"
GRID = "a_grid_of_samples_is_the_samples_in_their_order"
SWEEP = "a_sweep_has_the_same_noise_at_the_temperature_of_each_title"
WALK = "a_walk_goes_from_the_first_image_to_the_second"
GIF = "an_animation_has_the_frames_of_the_walk_there_and_back"
PAGE = "a_page_of_reconstructions_has_its_rows_beside_their_titles"
REBUILT = "what_is_rebuilt_is_the_image_through_the_model_and_back"
EDITS = "a_strip_of_edits_goes_from_the_least_to_the_most_in_a_row_for_each_image"
CONTACT = "a_contact_sheet_has_training_images_from_the_first_to_the_last"
FIGURES = "the_figures_of_the_paper_show_what_they_are_called"
TITLED = "the_figures_with_titles_have_each_beside_its_own"
DEPTH = "the_figure_of_depth_has_each_model_beside_its_depth"
REPORT = "a_report_has_each_picture_under_its_heading"
PLOTS = "the_plots_of_a_benchmark_have_each_number_at_its_name"

AVERAGED = """            with training.averaged():
                samples = samples_at_temperatures(training.model, training.ranks)
                with self._drawing():
"""
TILE = "sheet[y : y + h, x : x + w] = image if c == 3 else image[..., :1]"
SHOWN = "pixels if pixels.shape[3] == 3 else pixels[..., :1]"
PLACES = "(i // columns) * (h + gap) + gap, (i % columns) * (w + gap) + gap"

BUGS = [
    bug(
        "all grids of samples at one temperature",
        "drawing/run_pictures.py",
        "sample_images(given, count, temperature, model.seed, ranks)",
        "sample_images(given, count, TEMPERATURES[0], model.seed, ranks)",
        OF_A_TRAINING,
    ),
    bug(
        "grids of samples in the other order",
        "drawing/run_pictures.py",
        "in samples.items():",
        "in zip(samples, reversed(samples.values())):",
        OF_A_TRAINING,
    ),
    bug(
        "raw weights are drawn",
        "drawing/observers.py",
        AVERAGED,
        AVERAGED.replace("training.averaged()", "contextlib.nullcontext()"),
        OF_A_TRAINING,
        LATENTS,
    ),
    bug(
        "samples of another seed",
        "drawing/run_pictures.py",
        "temperature, model.seed, ranks)",
        "temperature, 0, ranks)",
        OF_A_TRAINING,
    ),
    bug(
        "latents of training, not held out",
        "commands/train.py",
        "RunPictures(folder, training, data.held_out",
        "RunPictures(folder, training, data.train",
        LATENTS,
        RECONSTRUCTION,
    ),
    bug(
        "every histogram of one level",
        "drawing/run_pictures.py",
        "np.clip(eps.ravel(), -limit, limit)",
        "np.clip(latents[0].ravel(), -limit, limit)",
        LATENTS,
    ),
    bug(
        "levels counted from the top",
        "drawing/run_pictures.py",
        'label=f"level {level}"',
        'label=f"level {len(latents) - 1 - level}"',
        LATENTS,
    ),
    bug(
        "histograms of images, not latents",
        "drawing/run_pictures.py",
        "[to_host(eps) for eps in latents]",
        "[to_host(x) for _ in latents]",
        LATENTS,
    ),
    bug(
        "the density of another width",
        "drawing/run_pictures.py",
        "base.log_prob([edges[:, None]])",
        "base.log_prob([1.4 * edges[:, None]])",
        LATENTS,
    ),
    bug(
        "mean and deviation swapped",
        "drawing/run_pictures.py",
        "mean {eps.mean():.2f}, std {eps.std():.2f}",
        "mean {eps.std():.2f}, std {eps.mean():.2f}",
        LATENTS,
    ),
    bug(
        "rows of a reconstruction swapped",
        "drawing/run_pictures.py",
        '"held-out images": to_pixels(x, n_bits),\n        "decode(encode(x))": to_pixels(rebuilt, n_bits),',
        '"held-out images": to_pixels(rebuilt, n_bits),\n        "decode(encode(x))": to_pixels(x, n_bits),',
        ROWS,
    ),
    bug(
        "the difference is another row",
        "drawing/run_pictures.py",
        'grey levels": shown',
        'grey levels": to_pixels(x, n_bits)',
        ROWS,
    ),
    bug(
        "the difference has a sign",
        "drawing/run_pictures.py",
        "error = np.abs(rebuilt - x)",
        "error = np.maximum(rebuilt - x, 0)",
        ROWS,
    ),
    bug(
        "the images again instead of their reconstruction",
        "drawing/run_pictures.py",
        "to_host(model.decode(latents))[:8]",
        "to_host(model.decode(latents[:1] + [0 * z for z in latents[1:]]))[:8]",
        RECONSTRUCTION,
    ),
    bug(
        "curves swapped",
        "drawing/run_pictures.py",
        SWAPPED,
        SWAPPED.replace(", raw weights", "").replace(
            '"o-", "held out"', '"o-", "held out, raw weights"'
        ),
        CURVES,
    ),
    bug(
        "a curve over evaluations, not steps",
        "drawing/run_pictures.py",
        'points = [(m["step"], m[name])',
        "points = [(metrics.index(m), m[name])",
        CURVES,
    ),
    bug(
        "every curve is that of training",
        "drawing/run_pictures.py",
        '(m["step"], m[name])',
        '(m["step"], m["train_bits_per_dim"])',
        CURVES,
    ),
    bug(
        "a curve without its last point",
        "drawing/run_pictures.py",
        "for m in metrics if m[name] is not None]\n            if points",
        "for m in metrics[:-1] if m[name] is not None]\n            if points",
        CURVES,
    ),
    bug(
        "n_bits of the curve's axis",
        "drawing/run_pictures.py",
        'else f" at {n_bits} bits")',
        'else f" at {n_bits + 1} bits")',
        CURVES,
    ),
    bug(
        "names of histograms swapped",
        "drawing/run_pictures.py",
        "add_legend(axes, names)",
        "add_legend(axes, names[::-1])",
        HISTOGRAMS,
    ),
    bug(
        "both histograms of one data set",
        "drawing/run_pictures.py",
        "axes.hist(bits, edges, density=True, alpha",
        "axes.hist(next(iter(shown.values())), edges, density=True, alpha",
        HISTOGRAMS,
    ),
    bug(
        "histograms of one set and another",
        "commands/evaluate.py",
        '{f"{data.name}, {which}": own, options.ood: others}',
        '{f"{data.name}, {which}": others, options.ood: own}',
        COMPARISON,
    ),
    bug(
        "channels swapped on a sheet",
        "drawing/sheets.py",
        TILE,
        TILE.replace("image if", "image[..., ::-1] if"),
        SHEET,
        OF_A_TRAINING,
    ),
    bug(
        "the last channel in grey on a sheet",
        "drawing/sheets.py",
        TILE,
        TILE.replace(":1]", "-1:]"),
        SHEET,
    ),
    bug(
        "rows and columns of a sheet swapped",
        "drawing/sheets.py",
        PLACES,
        "(i % columns) * (h + gap) + gap, (i // columns) * (w + gap) + gap",
        SHEET,
    ),
    bug(
        "a sheet that ends one short",
        "drawing/sheets.py",
        "enumerate(images):\n        y, x",
        "enumerate(images[:-1]):\n        y, x",
        SHEET,
    ),
    bug(
        "the first row of a grid is drawn last",
        "drawing/sheets.py",
        PLACES,
        PLACES.replace("(i // columns)", "(rows - 1 - i // columns)"),
        SHEET,
    ),
    bug(
        "channels swapped where drawn",
        "drawing/sheets.py",
        SHOWN,
        SHOWN.replace("pixels if", "pixels[..., ::-1] if"),
        DRAWN,
        GRID,
    ),
    bug(
        "the mean of channels in grey",
        "drawing/sheets.py",
        SHOWN,
        SHOWN.replace("pixels[..., :1]", "pixels.mean(axis=3, keepdims=True).astype(np.uint8)"),
        DRAWN,
    ),
    bug(
        "the second channel in grey",
        "drawing/sheets.py",
        SHOWN,
        SHOWN.replace("pixels[..., :1]", "pixels[..., -1:]"),
        DRAWN,
    ),
    bug(
        "an image beside a lost one is lost",
        "drawing/sheets.py",
        "shown[whole] =",
        "shown[np.roll(whole, 1)] =",
        DRAWN,
    ),
    bug(
        "half as many colours",
        "drawing/sheets.py",
        "to_pixels(images[whole], n_bits)",
        "to_pixels(images[whole], max(1, n_bits - 1))",
        DRAWN,
        GRID,
    ),
    bug(
        "upside down when enlarged",
        "drawing/sheets.py",
        "return sheet.repeat(scale, axis=-3)",
        "return sheet[..., ::-1, :, :].repeat(scale, axis=-3)",
        GRID,
    ),
    bug(
        "samples written under other numbers",
        "commands/sample.py",
        'save_png(folder / f"sample-{i:',
        'save_png(folder / f"sample-{len(images) - 1 - i:',
        GRID,
    ),
    bug(
        "titles beside other rows",
        "drawing/sheets.py",
        "zip(titles, rows.values(), strict=True)",
        "zip(titles[::-1], rows.values(), strict=True)",
        SWEEP,
        PAGE,
    ),
    bug(
        "every row of a sweep at one temperature",
        "drawing/sample_sheets.py",
        "images = sample_images(model, n, temperature, seed)",
        "images = sample_images(model, n, temperatures[0], seed)",
        SWEEP,
    ),
    bug(
        "new noise for every row of a sweep",
        "drawing/sample_sheets.py",
        "images = sample_images(model, n, temperature, seed)",
        "images = sample_images(model, n, temperature, seed + len(rows))",
        SWEEP,
    ),
    bug(
        "a walk from the second to the first",
        "latent/walks.py",
        "interpolate(parts[0], parts[1], steps",
        "interpolate(parts[1], parts[0], steps",
        WALK,
        FIGURES,
    ),
    bug(
        "corners of a sheet swapped",
        "latent/walks.py",
        "four_corners(parts[0], parts[1], parts[2], parts[3]",
        "four_corners(parts[0], parts[2], parts[1], parts[3]",
        WALK,
        FIGURES,
    ),
    bug(
        "the lower corners swapped",
        "latent/walks.py",
        "parts[2], parts[3], steps",
        "parts[3], parts[2], steps",
        WALK,
        FIGURES,
    ),
    bug(
        "a walk through pixels",
        "latent/walks.py",
        "latents = model.encode(ends)",
        "latents = model.encode(ends[:, :, ::-1])",
        WALK,
    ),
    bug(
        "an animation that does not come back",
        "commands/interpolate.py",
        "np.concatenate((top, top[-2:0:-1]))",
        "np.concatenate((top, top[1:-1]))",
        GIF,
    ),
    bug(
        "rows of a page of reconstructions swapped",
        "commands/reconstruct.py",
        '{"original": to_rgb(x, n_bits), "decode(encode(x))": to_rgb(y, n_bits)}',
        '{"original": to_rgb(y, n_bits), "decode(encode(x))": to_rgb(x, n_bits)}',
        PAGE,
    ),
    bug(
        "the difference of other images",
        "commands/reconstruct.py",
        "error = abs(y - x)",
        "error = abs(y - x[::-1])",
        PAGE,
    ),
    bug(
        "nothing is decoded",
        "commands/reconstruct.py",
        "to_host(model.decode(model.encode(x)))",
        "to_host(x + 0)",
        REBUILT,
    ),
    bug(
        "strips of edits backwards",
        "latent/directions.py",
        "        for alpha in alphas\n    ]",
        "        for alpha in alphas[::-1]\n    ]",
        EDITS,
    ),
    bug(
        "strips of edits as columns",
        "latent/directions.py",
        "np.stack(columns, axis=1)",
        "np.stack(columns, axis=0)",
        EDITS,
    ),
    bug(
        "edits of another attribute",
        "latent/directions.py",
        "for j, alpha in edited.items():",
        "for j, alpha in ((j - 1, alpha) for j, alpha in edited.items()):",
        EDITS,
    ),
    bug(
        "a contact sheet of held-out images",
        "commands/data.py",
        "save_sheet(options.sheet, data.train,",
        "save_sheet(options.sheet, data.held_out,",
        CONTACT,
    ),
    bug(
        "a contact sheet of the first images",
        "commands/data.py",
        "np.linspace(0, len(images) - 1, SHOWN)",
        "np.arange(SHOWN)",
        CONTACT,
    ),
    bug(
        "a contact sheet at 8 bits",
        "commands/data.py",
        "step = 256 >> n_bits",
        "step = 256 >> 8",
        CONTACT,
    ),
    bug(
        "the figure of samples at temperature 1",
        "commands/figures.py",
        "GRID, task.temperature, task.seed",
        "GRID, 1.0, task.seed",
        FIGURES,
    ),
    bug(
        "every strip interpolates the same images",
        "commands/figures.py",
        "np.array([2 * i, 2 * i + 1])",
        "np.array([0, 1])",
        FIGURES,
    ),
    bug(
        "corners of other images",
        "commands/figures.py",
        "np.arange(4) % len",
        "np.arange(4)[::-1] % len",
        FIGURES,
    ),
    bug(
        "edits beside other attributes",
        "commands/figures.py",
        "rows[name] = enlarged(tile(to_rgb(images, loaded.n_bits), EDITS))",
        "rows[directions.names[-1 - j]] = enlarged(tile(to_rgb(images, loaded.n_bits), EDITS))",
        TITLED,
    ),
    bug(
        "edits of one image",
        "commands/figures.py",
        "np.array([j]) % len",
        "np.array([0]) % len",
        TITLED,
    ),
    bug(
        "depths beside other models",
        "commands/figures.py",
        "images = sample_images(in_turn(loaded.model, ROW), ROW, task.temperature, task.seed)",
        "images = sample_images(in_turn(task.loaded.model, ROW), ROW, task.temperature, task.seed)",
        DEPTH,
    ),
    bug(
        "deep to shallow",
        "commands/figures.py",
        "return loaded.model.config.K",
        "return -loaded.model.config.K",
        DEPTH,
    ),
    bug(
        "headings of a report swapped",
        "drawing/html_report.py",
        '"Latents",\n            run_folder / "latents.png"',
        '"Latents",\n            run_folder / "reconstruction.png"',
        REPORT,
    ),
    bug(
        "the oldest samples in a report",
        "drawing/html_report.py",
        "samples = max(\n",
        "samples = min(\n",
        REPORT,
    ),
    bug(
        "times of other candidates",
        "bench/plots.py",
        'medians = [steps[name]["median_s"] for name in names]',
        'medians = [steps[name]["median_s"] for name in steps]',
        PLOTS,
    ),
    bug(
        "least and most swapped",
        "bench/plots.py",
        'm - steps[n]["min_s"]',
        'steps[n]["max_s"] - m',
        PLOTS,
    ),
    bug(
        "names of shares backwards",
        "bench/plots.py",
        "add_legend(axes, names, ncols",
        "add_legend(axes, names[::-1], ncols",
        PLOTS,
    ),
    bug(
        "memory of one depth",
        "bench/plots.py",
        'points[k]["step"] / 2**20 for k in points',
        'points[str(depths[0])]["step"] / 2**20 for k in points',
        PLOTS,
    ),
    bug(
        "limits of other candidates",
        "bench/plots.py",
        '[steps[name]["limit_s"] for name in names]',
        '[steps[name]["limit_s"] for name in steps]',
        PLOTS,
    ),
    bug(
        "budgets in another order",
        "bench/plots.py",
        'points = sorted(report["budgets"].items(), key=lambda point: point[1]["kept_bytes"])\n',
        'points = sorted(report["budgets"].items())\n',
        PLOTS,
    ),
    bug(
        "what is kept at the peak",
        "bench/plots.py",
        '[p["peak_bytes"] / 2**20 for _, p in points]',
        '[p["kept_bytes"] / 2**20 for _, p in points]',
        PLOTS,
    ),
]
