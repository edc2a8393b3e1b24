"""Bugs that lose what was saved, or what belongs to somebody else."""

from __future__ import annotations

from . import Bug


def bug(law: str, what: str, file: str, old: str, new: str, *tests: str) -> Bug:
    return Bug(law, what, file, old, new, tuple(f"tests/{test}" for test in tests))


ORDER = "test_durability.py::test_what_a_checkpoint_stands_for_is_on_the_disk_before_and_what_it_replaces_goes_after"
TEXT = "test_durability.py::test_a_text_is_on_the_disk_before_it_takes_its_place"
RESUME = "test_run_place.py::test_resume_changes_nothing_where_it_cannot_go_on"
FOREIGN = "test_run_place.py::test_a_folder_of_somebody_else_is_refused_whatever_is_in_it"
OPTION = "test_run_place.py::test_an_option_of_a_resumed_run_is_changed_or_refused"
LOW = "test_outputs.py::test_the_low_door_replaces_regular_files_alone"
DISK, PLACE, SAME = (
    "saved files are really on the disk",
    "no foreign file is replaced",
    "a resumed run is the same training",
)

BUGS = [
    bug(DISK, "the file is not flushed", "files/storage.py", "_flush(temporary, os.O_RDONLY | NO_FOLLOW)", "pass", TEXT, ORDER),
    bug(
        DISK, "the folder is not flushed", "files/storage.py",
        "os.replace(temporary, path)\n        flush_folder(path.parent)\n\n\ndef replace_by_link",
        "os.replace(temporary, path)\n\n\ndef replace_by_link", TEXT, ORDER,
    ),
    bug(
        DISK, "the folder of the best checkpoint is not flushed", "files/storage.py",
        "os.replace(temporary, path)\n        flush_folder(path.parent)\n\n\ndef _check_replaceable",
        "os.replace(temporary, path)\n\n\ndef _check_replaceable", ORDER,
    ),
    bug(DISK, "flushing a folder does nothing", "files/storage.py", "_flush(folder, os.O_RDONLY)", "pass", TEXT, ORDER),
    bug(DISK, "metrics are not flushed", "training/run_folder.py", "in (self.metrics, self.timing)", "in (self.timing,)", ORDER),
    bug(DISK, "timing is not flushed", "training/run_folder.py", "in (self.metrics, self.timing)", "in (self.metrics,)", ORDER),
    bug(DISK, "the folder of a run is not flushed", "training/run_place.py", "    flush_folder(runs)\n", "", ORDER),
    bug(
        DISK, "old checkpoints go before the new one is there", "training/run_folder.py",
        "        for file in (self.metrics, self.timing):\n",
        "        for old in checkpoints_of(self.path):\n            old.unlink()\n"
        "        for file in (self.metrics, self.timing):\n", ORDER,
    ),
    bug(PLACE, "links are replaced", "files/storage.py", "not stat.S_ISREG(os.lstat(path).st_mode)", "False", LOW),
    bug(
        PLACE, "an existing temporary file is reused", "files/storage.py", "os.O_CREAT | os.O_EXCL | NO_FOLLOW", "os.O_CREAT",
        "test_outputs.py::test_a_link_that_was_planted_under_the_temporary_name_is_not_followed",
    ),
    bug(
        PLACE, "a file of another kind is replaced", "files/outputs.py", "and not kind.is_ours(place)", "and False",
        "test_outputs.py::test_a_file_is_replaced_by_its_kind_alone",
    ),
    bug(
        PLACE, "a folder that is not a run is accepted", "training/run_place.py",
        "    if not names:\n", "    if CONFIG not in names:\n", FOREIGN,
    ),
    bug(
        PLACE, "damaged files are recognised by the text of the error", "training/run_folder.py", "except DamagedError as error:",
        "except GlowliteError as error:", RESUME,
    ),
    bug(PLACE, "a run without checkpoints is trained over", "training/run_place.py", "config.get(SAVED) is False", "True", RESUME),
    bug(SAME, "different images are accepted", "commands/train.py", 'source["fingerprint"] != begun["fingerprint"]', "False",
        "test_run_place.py::test_a_run_does_not_go_on_with_other_images"),
    bug(SAME, "the seed may change", "commands/option_sources.py", '"steps", "lr", "warmup"', '"seed", "steps", "lr", "warmup"',
        f"{OPTION}[seed]"),
    bug(SAME, "the learning rate may not change", "commands/option_sources.py", '"steps", "lr", "warmup"', '"steps", "warmup"',
        f"{OPTION}[lr]"),
]  # fmt: skip
