"""Lines for a person, and files that are read: what comes from
outside neither acts on a terminal nor is waited for.
"""

import io
import os

import pytest

from glowlite.errors import GlowliteError
from glowlite.files.inputs import check_regular, open_regular, read_bytes
from glowlite.terminal import printable, say, warn


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("photos", "photos"),
        ("写真 für ñ", "写真 für ñ"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[31mred", "\\x1b[31mred"),
        (os.fsdecode(b"fot\xf6s"), "fot\\xf6s"),
        ("\ud83d", "\\ud83d"),
        ("right\u202eleft", "right\\u202eleft"),
        ("\u2028", "\\u2028"),
        ("\x9b31m", "\\x9b31m"),
    ],
)
def test_names_are_printed_on_one_line(text, shown):
    assert printable(text) == shown


def test_a_stream_that_cannot_say_a_letter_says_its_number(monkeypatch):
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", errors="strict")
    monkeypatch.setattr("sys.stdout", narrow)
    say("写")
    narrow.flush()
    assert narrow.buffer.getvalue().rstrip(b"\r\n") == b"\\u5199"


def test_nobody_listening_is_no_error(monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    warn("nobody hears this")
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stderr", closed)
    warn("nor this")
    assert closed.closed


def test_only_regular_files_of_a_foreseen_size_are_read(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    assert read_bytes(tmp_path / "file", 5) == b"12345"
    with pytest.raises(GlowliteError, match="larger than 4 bytes"):
        read_bytes(tmp_path / "file", 4)
    os.mkfifo(tmp_path / "pipe")
    for path, what in ((tmp_path / "pipe", "a named pipe"), ("/dev/zero", "a device")):
        with pytest.raises(GlowliteError, match=what), open_regular(path):
            pass
        with pytest.raises(GlowliteError, match=what):
            check_regular(path)
    with pytest.raises(GlowliteError, match="a folder"):
        check_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "none", 5)
