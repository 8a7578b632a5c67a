"""What NumPy saves, Tandem reads; what Tandem writes, NumPy loads: every type, and the refusals.

Needs numpy and the program npz_copy: in $TANDEM_BIN_DIR, else build/release/bin.
"""

import os
import pathlib
import subprocess

import pytest

np = pytest.importorskip("numpy")

ROOT = pathlib.Path(__file__).resolve().parents[2]
COPY = pathlib.Path(os.environ.get("TANDEM_BIN_DIR", ROOT / "build/release/bin")) / "npz_copy"

pytestmark = pytest.mark.skipif(not COPY.exists(), reason=f"{COPY} is not built")


def copy(folder):
    return subprocess.run([COPY, folder / "in.npz", folder / "out.npz"], capture_output=True, text=True, check=False)


ARRAYS = {
    **{dtype: np.arange(24).reshape(2, 3, 4).astype(dtype) for dtype in "f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8".split()},
    "bool": np.array([True, False]),
    "text": np.array([["", "Zürich"], ["日本", "🙂 ok"]]),
    "scalar": np.float64(3.5),
    "empty": np.zeros((0, 5), np.float32),
    "specials": np.array([np.nan, np.inf, -np.inf, -0.0]),
    "column": np.asfortranarray(np.arange(3.0)),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_round_trip(tmp_path, save):
    save(tmp_path / "in.npz", **ARRAYS)
    run = copy(tmp_path)
    assert run.returncode == 0, run.stderr
    with np.load(tmp_path / "out.npz") as found:
        assert sorted(found.files) == sorted(ARRAYS)
        for name, array in ARRAYS.items():
            assert found[name].dtype == array.dtype and found[name].shape == array.shape, name
            assert found[name].tobytes() == array.tobytes(), name


def test_bytes_become_text(tmp_path):
    np.savez(tmp_path / "in.npz", a=np.array([b"x", b"long"]))
    assert copy(tmp_path).returncode == 0
    with np.load(tmp_path / "out.npz") as found:
        assert found["a"].tolist() == ["x", "long"]


@pytest.mark.parametrize(
    "array,message",
    [
        (np.asfortranarray(np.ones((2, 3))), "ascontiguousarray"),
        (np.ones(2, ">f4"), "big-endian"),
        (np.array([None, 1], object), "pickled"),
        (np.zeros(2, [("a", "f4")]), "structured"),
        (np.ones(2, complex), "not supported"),
    ],
)
def test_refusals_say_what_to_do(tmp_path, array, message):
    np.savez(tmp_path / "in.npz", a=array)
    run = copy(tmp_path)
    assert run.returncode == 1
    assert message in run.stderr and "in.npz" in run.stderr
