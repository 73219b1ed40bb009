from __future__ import annotations

import numpy as np
import pytest
import torch

from fol.errors import ConfigError
from fol.models.aggregation import AggregationConfig, OptimalTransportAggregation, log_optimal_transport


def sinkhorn(scores: np.ndarray, dustbin: np.ndarray, iterations: int) -> np.ndarray:
    """Independent form: scale rows and columns of exp(Z) alternately, rows first."""
    kernel = np.exp(np.concatenate([scores, dustbin[None]]))
    clusters, patches = scores.shape
    total = clusters + patches
    rows = np.full(clusters + 1, 1 / total)
    rows[-1] = (patches - clusters) / total
    column_scale = np.ones(patches)
    for _ in range(iterations):
        row_scale = rows / (kernel @ column_scale)
        column_scale = (1 / total) / (kernel.T @ row_scale)
    return row_scale[:, None] * kernel * column_scale * total


def test_plan_equals_plain_sinkhorn():
    rng = np.random.default_rng(0)
    scores, dustbin = rng.normal(size=(4, 10)), rng.normal(size=10)
    plan = log_optimal_transport(torch.tensor(scores)[None], torch.tensor(dustbin)[None], 3).exp()[0]
    np.testing.assert_allclose(plan.numpy(), sinkhorn(scores, dustbin, 3), rtol=1e-5)


def test_columns_sum_to_one_and_masses_converge():
    plan = log_optimal_transport(torch.randn(2, 8, 40), torch.randn(2, 40), 100).exp()
    torch.testing.assert_close(plan.sum(1), torch.ones(2, 40))
    torch.testing.assert_close(plan.sum(2)[:, :8], torch.ones(2, 8), atol=1e-3, rtol=0)
    torch.testing.assert_close(plan.sum(2)[:, 8], torch.full((2,), 32.0), atol=1e-3, rtol=0)


def test_too_few_patches_is_an_error_not_a_nan():
    with pytest.raises(ConfigError, match="8 patches"):
        log_optimal_transport(torch.zeros(1, 8, 8), torch.zeros(1, 8))


@pytest.mark.parametrize("learned", [False, True])
def test_descriptor_layout(learned):
    config = AggregationConfig(channels=16, clusters=4, cluster_dim=6, token_dim=5, hidden=8, learned_dustbin=learned)
    aggregation = OptimalTransportAggregation(config).eval()
    dustbin = None if learned else torch.zeros(3, 30)
    output = aggregation(torch.randn(3, 16), torch.randn(3, 16, 5, 6), dustbin)
    assert output.descriptor.shape == (3, config.descriptor_dim) == (3, 29)
    torch.testing.assert_close(output.descriptor.norm(dim=1), torch.ones(3))
    # 1 token part and 4 clusters, all of the same norm; the cluster index is the fastest.
    clusters = output.descriptor[:, 5:].reshape(3, 6, 4)
    torch.testing.assert_close(clusters.norm(dim=1), torch.full((3, 4), 5**-0.5))
    torch.testing.assert_close(output.descriptor[:, :5].norm(dim=1), torch.full((3,), 5**-0.5))


def test_gradients():
    scores = torch.randn(1, 3, 6, dtype=torch.float64, requires_grad=True)
    dustbin = torch.randn(1, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s, d: log_optimal_transport(s, d).exp(), (scores, dustbin), atol=1e-4)
