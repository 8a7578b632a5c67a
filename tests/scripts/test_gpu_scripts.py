"""The scripts around the CUDA backend, where no GPU and no compiler is needed: what they must see, they see."""
import importlib.machinery
import importlib.util
import json
import pathlib
import shutil
import subprocess

import pytest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"

REPORT = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_ZN6tandem4cuda12softmax_rowsIfEEvPKT_PS2_ll' for 'sm_90'
ptxas info    : Function properties for _ZN6tandem4cuda12softmax_rowsIfEEvPKT_PS2_ll
    16 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 32 registers, used 1 barriers, 16 bytes cumulative stack size, 64 bytes smem
ptxas info    : Compile time = 9.1 ms
ptxas info    : Compiling entry function '_ZN6tandem4cuda12softmax_rowsIdEEvPKT_PS2_ll' for 'sm_90'
ptxas info    : Function properties for _ZN6tandem4cuda12softmax_rowsIdEEvPKT_PS2_ll
    0 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 255 registers, used 0 barriers
"""


def load(name):
    loader = importlib.machinery.SourceFileLoader(name.replace(".", "_"), str(SCRIPTS / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def resources():
    return load("kernel_resources")


def test_what_ptxas_says_is_read(resources):
    assert resources.parse(REPORT, "softmax.cu") == {
        ("softmax.cu: softmax_rows<float>", "sm_90"): (32, 64, 16, 0, 0),
        ("softmax.cu: softmax_rows<double>", "sm_90"): (255, 0, 0, 8, 12),
    }
    with pytest.raises(SystemExit):
        resources.parse(REPORT.replace("bytes spill stores", "bytes spilt"), "softmax.cu")


def test_a_new_spill_is_found(resources):
    found = resources.parse(REPORT, "softmax.cu")
    spill, = resources.new_spills(found, {})
    assert "softmax_rows<double>" in spill
    assert list(resources.new_spills(found, found)) == []
    kept = dict(found)
    kept["softmax.cu: softmax_rows<double>", "sm_90"] = (255, 0, 0, 4, 12)
    assert len(list(resources.new_spills(found, kept))) == 1


def test_rows_out_of_date_are_found(resources):
    found = resources.parse(REPORT, "softmax.cu")
    assert list(resources.stale_rows(found, found)) == []
    gone = {("old.cu: gone<float>", "sm_90"): (1, 2, 3, 0, 0), ("old.cu: kept<float>", "sm_80"): (1, 2, 3, 0, 0)}
    assert len(list(resources.stale_rows(found, found | gone))) == 1, "another architecture was not built: nothing is known of it"
    assert len(list(resources.stale_rows(found, {}))) == 2


@pytest.mark.skipif(not all(map(shutil.which, ("g++", "strip", "readelf", "ldd"))), reason="needs g++ and binutils")
def test_a_bundle_holds_what_its_programs_need(tmp_path, monkeypatch):
    bundle = load("gpu_bundle.py")
    program = tmp_path / "hello"
    subprocess.run(["g++", "-x", "c++", "-", "-o", program], input="#include <iostream>\nint main() { std::cout << 1; }", text=True, check=True)
    bundle.make(tmp_path / "out", [program], "")
    assert (tmp_path / "out/lib/libstdc++.so.6").exists() and not (tmp_path / "out/lib/libc.so.6").exists()
    assert list(bundle.problems(tmp_path / "out")) == []
    (tmp_path / "out/lib/libstdc++.so.6").unlink()
    monkeypatch.setattr(bundle, "NEWEST_GLIBC", (2, 2))
    monkeypatch.setattr(bundle, "MOST_BYTES", 10)
    found = "\n".join(bundle.problems(tmp_path / "out"))
    assert "hello needs libstdc++.so.6" in found and "hello needs glibc" in found and "too large" in found


def test_results_become_a_table(tmp_path):
    (tmp_path / "machine.txt").write_text("date: 2026-01-02\nrevision: abc\ndevice: NVIDIA H200, 580.0\n")
    (tmp_path / "tests.tsv").write_text("what\texit\tseconds\ttests\tfailures\tskipped\ncuda_a_test\t0\t3\t12\t0\t1\nmemcheck:cuda_a_test\t99\t9\t12\t0\t0\n")
    (tmp_path / "bench.jsonl").write_text(
        json.dumps({"case": "gemm", "us": 10, "rate": 60.0, "unit": "TFLOP/s", "share": 0.9, "torch_us": 12.5}) + "\n")
    report = load("gpu_report.py")
    text = report.markdown(report.read([tmp_path]))
    assert "## 2026-01-02: NVIDIA H200, 580.0" in text
    assert "| `cuda_a_test` | passed | 12 | 0 | 1 | 3 |" in text
    assert "| `memcheck:cuda_a_test` | errors found by the sanitizer |" in text
    assert "| gemm | 10.00 | 60.0 TFLOP/s | 90% | 12.50 |  | 1.25x |" in text
