"""The ONNX backend suite, unpacked once."""
import os
import pathlib
import tarfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.path.abspath(os.environ.get("TANDEM_BIN", ROOT / "build/release/bin/tandem"))


@pytest.fixture(scope="session")
def suite(tmp_path_factory):
    """Its folder: that in $TANDEM_ONNX_SUITE, or the archive in ../shared/onnx unpacked beside the program."""
    if "TANDEM_ONNX_SUITE" in os.environ:
        return pathlib.Path(os.environ["TANDEM_ONNX_SUITE"])
    archives = sorted((ROOT.parent / "shared/onnx").glob("backend-test-*.tar.xz"))
    if not archives:
        pytest.skip("the ONNX backend suite is not here: ../shared/onnx/backend-test-*.tar.xz, or a folder in $TANDEM_ONNX_SUITE")
    folder = pathlib.Path(BINARY).parents[1] / "onnx-suite" / archives[-1].name.removesuffix(".tar.xz")
    if not os.access(folder.parents[1], os.W_OK):
        folder = tmp_path_factory.mktemp("suite") / "unpacked"
    if not folder.exists():
        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
        with tarfile.open(archives[-1]) as archive:
            # Python 3.11.2 of Debian 12 has no filters yet.
            archive.extractall(unfinished, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
        unfinished.rename(folder)
    return folder
