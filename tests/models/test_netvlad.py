from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from fol.errors import ConfigError
from fol.models.aggregation import NetVlad, NetVladConfig
from fol.models.aggregation.netvlad import assignment_weights, finalise, kmeans, principal_components


def random_net(channels: int = 12, clusters: int = 5, **options: object) -> NetVlad:
    torch.manual_seed(1)
    return NetVlad(NetVladConfig(channels, clusters, **options))


def naive(net: NetVlad, feature_map: torch.Tensor) -> torch.Tensor:
    """The sum location by location, in float64."""
    batch, _, height, width = feature_map.shape
    weight, centres = net.conv.weight.double()[:, :, 0, 0], net.centroids.double()
    bias = 0 if net.conv.bias is None else net.conv.bias.double()
    total = torch.zeros(batch, *centres.shape, dtype=torch.float64)
    for image in range(batch):
        for row in range(height):
            for column in range(width):
                x = feature_map[image, :, row, column].double()
                x = x / x.norm()
                share = torch.softmax(weight @ x + bias, 0)
                total[image] += share[:, None] * (x - centres)
    return total


@pytest.mark.parametrize("assignment", ["v1", "v2"])
def test_one_product_is_the_sum_over_locations(assignment):
    net = random_net(assignment=assignment)
    features = torch.randn(2, 12, 4, 3) * 30
    with torch.no_grad():
        torch.testing.assert_close(net.raw(features).double(), naive(net, features), atol=1e-5, rtol=0)


@pytest.mark.parametrize("grid", [(6, 8), (5, 7), (23, 23), (2, 3)])
def test_regions_are_the_sums_over_their_locations(grid):
    """Order and splitting by hand: full, top, bottom, left, right, TL, TR, BL, BR at h // 2 and w // 2."""
    height, width = grid
    top, bottom = slice(0, height // 2), slice(height // 2, height)
    left, right = slice(0, width // 2), slice(width // 2, width)
    every = slice(None)
    boxes = [
        (every, every), (top, every), (bottom, every), (every, left), (every, right),
        (top, left), (top, right), (bottom, left), (bottom, right),
    ]  # fmt: skip
    net, features = random_net(), torch.randn(2, 12, *grid)
    with torch.no_grad():
        regions = net.raw_regions(features)
        assert regions.shape == (2, 9, 5, 12)
        for number, (rows, columns) in enumerate(boxes):
            alone = net.raw(features[:, :, rows, columns])
            torch.testing.assert_close(regions[:, number], alone, atol=1e-5, rtol=0)
        torch.testing.assert_close(regions[:, 5:].sum(1), net.raw(features), atol=1e-5, rtol=0)


def test_the_descriptor_is_cluster_by_cluster():
    raw = torch.tensor([[[3.0, 4.0], [0.0, 2.0]]])
    expected = torch.tensor([[0.6, 0.8, 0.0, 1.0]]) / 2**0.5
    torch.testing.assert_close(finalise(raw), expected)


@pytest.mark.parametrize("rule", ["v1", "v2"])
def test_the_nearest_centre_weighs_100_times_the_second(rule):
    """In the geometric mean over the descriptors."""
    features = functional.normalize(torch.randn(3000, 16, generator=torch.Generator().manual_seed(3)), dim=1)
    net = NetVlad(NetVladConfig(16, 8, assignment=rule))
    net.initialise(features * 7, seed=1)
    with torch.no_grad():
        shares = net.conv(features[:, :, None, None])[:, :, 0, 0].softmax(1)
    largest = shares.topk(2, dim=1).values
    assert (largest[:, 0] / largest[:, 1]).log().mean().exp().item() == pytest.approx(100, rel=1e-3)
    nearest = torch.cdist(features, net.centroids).argmin(1)
    if rule == "v2":  # of squared distances the centre that weighs most is the nearest one
        assert shares.argmax(1).equal(nearest)


def test_alpha_by_hand():
    """Two descriptors on two centres of different lengths: cosines 1 and 0, squared distances by Pythagoras."""
    features, centres = torch.eye(2), torch.tensor([[0.5, 0.0], [0.0, 0.25]])
    weight, bias = assignment_weights(features, centres, "v1")
    assert bias is None
    torch.testing.assert_close(weight, 4.6051702 * torch.eye(2))
    weight, bias = assignment_weights(features, centres, "v2")
    gaps = ((1 + 0.0625) - 0.25, (1 + 0.25) - 0.5625)  # to the other centre less to one's own
    alpha = 4.6051702 / (sum(gaps) / 2)
    torch.testing.assert_close(weight, 2 * alpha * centres)
    torch.testing.assert_close(bias, -alpha * torch.tensor([0.25, 0.0625]))


def test_given_centres_set_the_weights():
    """The example above through the layer: centres as given, lengths and all."""
    features, centres = torch.eye(2), torch.tensor([[0.5, 0.0], [0.0, 0.25]])
    net = NetVlad(NetVladConfig(2, 2))
    net.set_centres(centres, features)
    assert net.centroids.equal(centres)
    torch.testing.assert_close(net.conv.weight[:, :, 0, 0], 4.6051702 * torch.eye(2))
    net = NetVlad(NetVladConfig(2, 2, assignment="v2"))
    net.set_centres(centres, features)
    assert net.centroids.equal(centres)
    # alpha is log 100 over the mean of 1.0625 - 0.25 and 1.25 - 0.5625, 0.75
    torch.testing.assert_close(net.conv.weight[:, :, 0, 0], 2 * 6.1402269 * centres)
    torch.testing.assert_close(net.conv.bias, -6.1402269 * torch.tensor([0.25, 0.0625]))


@pytest.mark.parametrize(
    ("centres", "features"), [((4, 12), (50, 12)), ((5, 11), (50, 11)), ((5, 12), (50, 11)), ((5, 12), (0, 12))]
)
def test_centres_of_another_shape_are_named(centres, features):
    net = random_net()
    before = net.centroids.clone()
    shapes = rf"5 centres of 12 values: centres \[{centres[0]}, {centres[1]}\] and features \[{features[0]}, "
    with pytest.raises(ConfigError, match=shapes):
        net.set_centres(torch.randn(centres), torch.randn(features))
    assert net.centroids.equal(before)


def test_features_as_near_to_one_centre_as_to_another():
    net = random_net(2, 2)
    before = net.centroids.clone()
    with pytest.raises(ConfigError, match="no local feature is nearer"):
        net.set_centres(torch.eye(2), torch.full((3, 2), 0.5**0.5))
    assert net.centroids.equal(before)


def test_kmeans_finds_the_clusters_and_repeats_itself():
    generator = torch.Generator().manual_seed(0)
    means = functional.normalize(torch.randn(4, 16, generator=generator), dim=1)
    rows = functional.normalize(means.repeat(300, 1) + 0.02 * torch.randn(1200, 16, generator=generator), dim=1)
    centres = kmeans(rows, 4, seed=43)
    assert sorted(torch.cdist(means, centres).argmin(1).tolist()) == [0, 1, 2, 3]
    assert torch.cdist(means, centres).min(1).values.max() < 0.02
    assert kmeans(rows, 4, seed=43).equal(centres)


def test_projection_starts_as_principal_components():
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(3, 20, generator=generator)
    rows = torch.randn(500, 3, generator=generator) @ mixing + torch.randn(20, generator=generator)
    net = NetVlad(NetVladConfig(20, 6, projection=3))
    net.initialise(rows, seed=2)
    projected = net.projection(rows[:, :, None, None])[:, :, 0, 0]
    torch.testing.assert_close(projected.mean(0), torch.zeros(3), atol=1e-3, rtol=0)
    # Rank 3: three components keep every distance.
    torch.testing.assert_close(torch.cdist(projected, projected), torch.cdist(rows, rows), atol=2e-2, rtol=1e-3)
    assert net(torch.randn(1, 20, 4, 4)).shape == (1, 18)
    weight, _ = principal_components(rows, 3)
    torch.testing.assert_close(weight @ weight.T, torch.eye(3), atol=1e-5, rtol=0)


def test_gradients_reach_centres_and_assignment():
    net = random_net(projection=4)
    net(torch.randn(2, 12, 4, 4)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.parameters())


def test_too_few_or_equal_descriptors_are_named():
    net = random_net()
    with pytest.raises(ConfigError, match="at least 5 descriptors of 12 values, not from 4 of 12"):
        net.initialise(torch.randn(4, 12))
    with pytest.raises(ConfigError, match="do not differ"):
        net.initialise(torch.ones(50, 12))
    with pytest.raises(ConfigError, match="assignment='v3'"):
        NetVladConfig(12, assignment="v3")
