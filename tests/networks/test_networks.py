"""Networks as users bring them, from their exporters into Tandem, against onnxruntime.

Those made with onnx's own helper and skl2onnx run always; those of torch with TANDEM_NETWORKS=all, which `scripts/test --all` sets.
`python tests/networks/write_table.py` writes docs/networks.md, `python tests/networks/export_table.py` docs/exports.md.
"""
import importlib.metadata
import os

import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from all_networks import NETWORKS  # noqa: E402
from case_folder import case_of  # noqa: E402
from export_table import export  # noqa: E402
from run_network import run  # noqa: E402

WANTED = [network for network in NETWORKS if network.is_light or os.environ.get("TANDEM_NETWORKS") == "all"]


def missing(network):
    for package in network.needs:
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return package
    return None


@pytest.mark.parametrize("network", WANTED, ids=lambda network: network.title)
def test_equals_onnxruntime(network):
    if package := missing(network):
        pytest.skip(f"{package} is not installed: scripts/setup --tests, for torch scripts/setup --networks")
    outcome = run(case_of(network), network.l2)
    assert outcome.passed, outcome.reason


@pytest.mark.parametrize("network", WANTED, ids=lambda network: network.title)
def test_its_export_equals_it_in_onnxruntime(network):
    if package := missing(network):
        pytest.skip(f"{package} is not installed: scripts/setup --tests, for torch scripts/setup --networks")
    outcome = export(network.title, case_of(network), network.l2, "default")
    assert outcome.kind == "equal", outcome.text


def test_the_list_is_whole():
    """A builder that is not imported would not be missed."""
    assert len(NETWORKS) == len({network.title for network in NETWORKS})
    assert len({network.name for network in NETWORKS if not network.is_light}) >= 40
    assert len({network.name for network in NETWORKS if network.is_light}) >= 10
