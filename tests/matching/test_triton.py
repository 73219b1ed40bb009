"""The Triton kernels: interpreted everywhere, and on a CUDA device where there is one. Compilation: another file."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from fol.errors import ConfigError
from fol.matching import check_sets, get_backend
from fol.matching.backends import triton_backend
from fol.matching.backends.triton_backend import create, usable
from fol.matching.quantisation import QuantisedLocalFeatures, Quantiser
from fol.types import LocalFeaturesBatch

HERE = Path(__file__).parent


def run_cases(**environment):
    """Whether kernels are interpreted is settled when triton is imported, so it takes another process."""
    command = [sys.executable, "-m", "pytest", str(HERE / "triton_cases.py"), "-q", "-p", "no:cacheprovider", "-x"]
    # Numpy's many small products get slower with more threads.
    result = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1", **environment}
    )
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-2000:]


@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
def test_interpreted_kernels_equal_the_reference():
    run_cases(TRITON_INTERPRET="1", CUDA_VISIBLE_DEVICES="")


def test_nothing_imports_triton_kernels_before_they_are_needed():
    code = (
        "import sys, fol, fol.matching.backends.triton_backend as t; t.usable('cuda'); t.usable('cpu');"
        "sys.exit(any(name.startswith('fol.matching.backends.triton_kernels.') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_cpu_is_refused_with_a_way_out(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert not usable("cpu")
    with pytest.raises(
        ConfigError, match=r"^the matching backend 'triton' cannot run on cpu: .*choose the backend 'auto'$"
    ):
        create(torch.device("cpu"))


@pytest.mark.skipif(find_spec("triton") is None or torch.cuda.is_available(), reason="triton is missing, or works")
def test_a_triton_that_cannot_start_is_refused_in_one_line(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(triton_backend, "usable", lambda device: True)
    with pytest.raises(ConfigError, match=r"^the matching backend 'triton' cannot run on cuda: .*driver.*'auto'$"):
        create(torch.device("cuda"))


def test_binary_codes_are_left_to_torch():
    assert create(torch.device("cpu"), "binary").name == "torch"


needs_cuda = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


class TestOnCuda:
    pytestmark = needs_cuda

    def test_kernels_equal_the_reference(self):
        run_cases(TRITON_INTERPRET="0")

    def sets(self, precision):
        generator = torch.Generator().manual_seed(0)
        rows = torch.nn.functional.normalize(torch.randn(9000, 128, generator=generator), dim=1)
        lengths = (3000, 2600, 1, 0, 3399)
        batch = LocalFeaturesBatch(rows, torch.zeros(9000, 2), torch.ones(9000), lengths).to("cuda")
        query = torch.cat([rows[:1500], torch.nn.functional.normalize(rows[1500:3000] + 0.02, dim=1)]).cuda()
        if precision == "exact":
            return check_sets(query, batch)
        codes = QuantisedLocalFeatures.encode(batch, Quantiser.fit(batch.descriptors))
        return check_sets(query, codes)

    @pytest.mark.parametrize("precision", ["exact", "int8"])
    def test_long_sets_equal_the_reference(self, precision):
        query, candidates = self.sets(precision)
        found = get_backend("triton", "cuda", precision).match(query, candidates, 0.3)
        expected = get_backend("reference", "cuda", precision).match(query, candidates, 0.3)
        same = found.partner == expected.partner
        assert int((~same).sum()) <= (0 if precision == "int8" else 4)  # near-ties below float32's resolution
        torch.testing.assert_close(found.similarity[same], expected.similarity[same], rtol=0, atol=1e-6)

    @pytest.mark.parametrize("precision", ["exact", "int8"])
    def test_matching_never_waits_for_the_device(self, precision):
        query, candidates = self.sets(precision)
        backend = get_backend("auto", "cuda", precision)
        assert backend.name == "triton"
        backend.match(query, candidates, 0.3)  # compiles, and reads the quantiser's numbers once
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            torch.cuda.set_sync_debug_mode("error")
            try:
                backend.match(query, candidates, 0.3)
                backend.match_many([query, query], [candidates, candidates[:2]], 0.3)
            finally:
                torch.cuda.set_sync_debug_mode("default")

    @pytest.mark.parametrize("precision", ["exact", "int8"])
    def test_a_captured_graph_serves_other_sets(self, precision):
        from fol.matching.backends.triton_kernels.launch import RaggedPairs, match_pairs
        from fol.matching.backends.triton_kernels.packing import pack

        query, candidates = self.sets(precision)
        quantiser = candidates[0].quantiser
        x, y = pack([query], quantiser), pack(candidates, quantiser)
        table = RaggedPairs.upload([0] * 5, [3000] * 5, y.starts, y.counts, torch.device("cuda"))
        pairs = RaggedPairs(table.table, 3072, 3456)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            match_pairs(x.sets, y.sets, pairs, 0.3, quantiser)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            partner, similarity = match_pairs(x.sets, y.sets, pairs, 0.3, quantiser)
        for order in (range(5), (4, 2, 0, 3, 1)):
            pairs.table[2:] = torch.tensor([[y.starts[k] for k in order], [y.counts[k] for k in order]])
            graph.replay()
            fresh = match_pairs(x.sets, y.sets, pairs, 0.3, quantiser)
            assert torch.equal(partner, fresh[0])
            assert torch.equal(similarity, fresh[1])
            assert int((partner[list(order).index(0)] >= 0).sum()) > 2900
