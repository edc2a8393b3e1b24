"""JSON texts and safetensors files from elsewhere:
what does not hold is one line that names file and field.
"""

import json
import os
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file

from glowlite.errors import DamagedError, GlowliteError
from glowlite.files.schema import (
    checked,
    flag,
    list_of,
    maybe,
    number,
    one_of,
    plain,
    read_json,
    record,
    text,
    whole,
)
from glowlite.files.tensor_file import open_tensors

FORM = record(
    {"n": whole(1, 8), "x": number(0, 1), "on": flag},
    {"name": text(5), "which": one_of("a", "b"), "rows": maybe(list_of(whole(0, 9), most=2))},
)
GOOD = {"n": 3, "x": 0.5, "on": True}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n": True}, "n: expected a whole number from 1 to 8, got True"),
        ({"n": 3.0}, "n: expected a whole"),
        ({"n": 9}, "from 1 to 8, got 9"),
        ({"n": "3"}, "got '3'"),
        ({"n": None}, "got None"),
        ({"x": float("nan")}, "x: expected a finite number from 0 to 1, got nan"),
        ({"x": 10**30}, "x: expected a finite"),
        ({"x": False}, "got False"),
        ({"on": 1}, "on: expected true or false, got 1"),
        ({"name": "abcdef"}, "name: expected a text of at most 5"),
        ({"name": "\0"}, "name: expected a text"),
        ({"name": "\ud800"}, "name: expected a text"),
        ({"which": []}, r"which: expected one of a, b, got \[\]"),
        ({"rows": [1, 2, 3]}, "rows: expected a list of 0 to 2"),
        ({"rows": [1, -1]}, r"rows\[1\]: expected a whole number from 0 to 9, got -1"),
        ({"more": 1}, "'more' is an unknown field"),
    ],
)
def test_a_value_of_another_form_is_named(change, said):
    assert checked(FORM, GOOD, "f.json") == GOOD
    with pytest.raises(GlowliteError, match=rf"^f\.json: .*{said}.*version of glowlite"):
        checked(FORM, {**GOOD, **change}, "f.json")


def test_a_missing_field_and_what_is_no_object_are_named():
    with pytest.raises(GlowliteError, match=r"f\.json: x is missing"):
        checked(FORM, {"n": 1, "on": False}, "f.json")
    for value in ([], None, 3, "text", float("nan")):
        with pytest.raises(GlowliteError, match=r"f\.json: the whole: expected an object"):
            checked(FORM, value, "f.json")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b"{}}", "Extra data"),
        (b"\xff{}", "not text in UTF-8"),
        (b"[NaN]", "contains NaN"),
        (b"[-Infinity]", "contains -Infinity"),
        (b"[1e999]", "too large"),
        (b"1" * 5000, "a number with 5000 digits"),
        (b"1." + b"1" * 5000, "too many digits"),
        (b'{"a": 1, "a": 2}', "a name appears twice"),
        (b"[" * 100_000, "too deep"),
        (b'{"a":' * 100_000, "too deep"),
    ],
)
def test_a_text_that_is_no_strict_json_is_one_line(content, said):
    with pytest.raises(GlowliteError, match=f"^f.json: is not valid JSON: .*{said}") as caught:
        read_json(content, "f.json")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_plain_values_are_taken_but_for_what_cannot_be_written_or_followed():
    checked(plain, {"a": [1, 2.5, None, True, {"b": "name of bytes \udcff"}]}, "f")
    deep = json.loads("[" * 20 + "]" * 20)
    for value in (deep, ["\ud800"], {"\ud800": 1}, ["\0"], [float("inf")], [b"bytes"]):
        with pytest.raises(GlowliteError, match=r"^f: "):
            checked(plain, value, "f")


def tensors(path, header, numbers=b"", length=None):
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(
        struct.pack("<Q", len(content) if length is None else length) + content + numbers
    )
    return path


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"", "not valid JSON"),
        (b"\xff\xff", "not text in UTF-8"),
        (b'{"a":' * 50_000, "too deep"),
        ([], "the whole: expected an object"),
        ({"a": 1}, "a: expected an object"),
        ({"a": {"dtype": "F32", "shape": [2]}}, "a.data_offsets is missing"),
        ({"a": entry("BF16", (4,))}, "a is of dtype 'BF16'"),
        ({"a": entry("F8_E4M3", (8,))}, "a is of dtype 'F8_E4M3'"),
        ({"a": entry([])}, r"a.dtype: expected a text"),
        ({"a": entry(shape=(3,))}, "takes 8 bytes"),
        ({"a": entry(shape=(-2,))}, r"a.shape\[0\]: expected a whole number"),
        ({"a": entry(shape=(2.0,))}, r"a.shape\[0\]: expected a whole number"),
        ({"a": entry(shape=(10**30,))}, r"a.shape\[0\]"),
        ({"a": entry(shape=(1,) * 40)}, "a.shape: expected a list of 0 to 32"),
        ({"a": entry(shape=(0, 1 << 58, 1 << 58), offsets=(0, 0))}, "takes 0 bytes"),
        ({"a": entry(offsets=(8, 0))}, "takes -8 bytes"),
        (
            {"a": entry(shape=(1 << 40,), offsets=(0, 1 << 42))},
            "its arrays take 4398046511104 bytes",
        ),
        ({"a": entry(offsets=(4, 12))}, "do not begin where the previous ones end"),
        ({"a": entry(), "b": entry()}, "do not begin where the previous ones end"),
        ({"a": entry(shape=(1,), offsets=(0, 4))}, "its arrays take 4 bytes, but it has 8"),
        ({"a": entry(), "__metadata__": {"x": 1}}, "__metadata__.x: expected a text"),
        ({"a": entry(), "__metadata__": []}, "__metadata__: expected an object"),
    ],
)
def test_a_safetensors_file_that_contradicts_itself_is_named(tmp_path, header, said):
    path = tensors(tmp_path / "m.safetensors", header, bytes(8))
    with (
        pytest.raises(DamagedError, match=f"cannot read .*m.safetensors.*{said}"),
        open_tensors(path) as file,
    ):
        file.read()


@pytest.mark.parametrize("length", [0, 3, 10**6, 2**63, 2**64 - 1])
def test_a_safetensors_file_whose_length_is_wrong_is_named(tmp_path, length):
    path = tensors(tmp_path / "m.safetensors", {"a": entry()}, bytes(8), length)
    with pytest.raises(DamagedError, match="cannot read"), open_tensors(path):
        pass
    path.write_bytes(b"short")
    with pytest.raises(DamagedError, match="not a complete safetensors file"), open_tensors(path):
        pass


def test_what_the_library_of_the_format_writes_is_read(tmp_path):
    arrays = {
        "half": np.arange(3, dtype=np.float16), "one": np.float32([[1, 2]]), "two": np.float64([3]),
        "yes": np.array([True]),
        "none": np.zeros((0, 3), np.float32), "whole": np.arange(5), "byte": np.uint8([7]),
        "scalar": np.array(2.5),
    }  # fmt: skip
    save_file(arrays, tmp_path / "m.safetensors", {"said": "yes"})
    with open_tensors(tmp_path / "m.safetensors") as file:
        back, metadata = file.read(), file.metadata
    assert metadata == {"said": "yes"} and back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (
            back[name].dtype == array.dtype
            and back[name].shape == array.shape
            and np.array_equal(back[name], array)
        )


def test_a_file_that_is_cut_short_while_it_is_read_is_an_error(tmp_path):
    save_file({"a": np.zeros(10_000)}, tmp_path / "m.safetensors")
    with open_tensors(tmp_path / "m.safetensors") as file:
        os.truncate(tmp_path / "m.safetensors", 1000)
        with pytest.raises(DamagedError, match="it ends within a"):
            file.read()


def test_no_pipe_device_or_folder_is_read_as_a_model(tmp_path):
    os.mkfifo(tmp_path / "pipe.safetensors")
    for path, said in [
        (tmp_path / "pipe.safetensors", "a named pipe"),
        ("/dev/zero", "a device"),
        (tmp_path, "cannot read"),
    ]:
        with pytest.raises(GlowliteError, match=said), open_tensors(path):
            pass
