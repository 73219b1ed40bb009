"""The official form against numbers from the authors' own code (tests/reference)."""

from __future__ import annotations

from pathlib import Path

import formula
import numpy as np
import pytest
import torch

import fol
from fol.losses import OFFICIAL_LOSSES, FoLLoss
from fol.losses.local_triplet import official_similarity
from fol.losses.mining import official_hard_triplets
from fol.losses.official_pseudo_correspondence import (
    mine_official_correspondences,
    official_fine_cell,
    official_pseudo_correspondence,
)

REFERENCE = Path(__file__).parents[1] / "reference"
LABELS = torch.arange(2).repeat_interleave(4)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def numbers():
    return np.load(REFERENCE / "fol_tiny_322.npz")


@pytest.fixture(scope="module")
def output(official_tiny, reference_photos):
    network = fol.load_model(official_tiny, preset="official", heads=4).network
    with torch.no_grad():
        return network(reference_photos([(p, v) for p in (0, 1) for v in range(4)], 322), training=True)


@pytest.fixture(scope="module")
def result(output, numbers):
    return FoLLoss(OFFICIAL_LOSSES)(output, LABELS, cel_partner=torch.from_numpy(numbers["cel_partner"]))


@pytest.mark.parametrize(("term", "key"), [("multi_similarity", "multi_similarity"), ("contrast", "cel")])
def test_values_of_the_published_code(result, numbers, term, key):
    assert float(result.terms[term]) == pytest.approx(float(numbers[key]), rel=1e-5)


def test_alignment(result, numbers):
    expected = sum(float(numbers[f"sal_kl_{k}"]) for k in ("aggregation_to_extraction", "extraction_to_aggregation"))
    assert float(result.terms["alignment"]) == pytest.approx(expected, rel=1e-5)


def test_local_triplet_to_the_last_digit_of_its_similarities(result, numbers):
    # One triplet is active: a difference of two float32 similarities near 0.8, whose last digit is 6e-8. In float64 the
    # same network gives 0.00315781275, 1.3e-5 of the value away from the stored one.
    assert float(result.terms["local_triplet"]) == pytest.approx(float(numbers["local_triplet"]), abs=1.2e-7)
    assert int(result.statistics["active_triplets"]) == 1


def test_hard_triplets(output, numbers):
    triplets = torch.stack(official_hard_triplets(output.descriptor, LABELS))
    assert triplets.tolist() == numbers["hard_triplets"].tolist()


def test_no_pseudo_correspondence_in_these_photos(result, numbers):
    assert float(result.terms["pseudo_correspondence"]) == float(numbers["pseudo_correspondence"]) == 0


def test_total_is_the_published_sum(result, numbers):
    expected = (
        float(numbers["multi_similarity"])
        + float(numbers["local_triplet"])
        + 5e-3
        * (float(numbers["sal_kl_aggregation_to_extraction"]) + float(numbers["sal_kl_extraction_to_aggregation"]))
        + float(numbers["cel"])
    )
    assert float(result.total) == pytest.approx(expected, rel=1e-6)


def test_mined_pseudo_correspondences_and_their_loss():
    patches, channels = 529, 64
    features, assignments, guides = [], [], []
    for image in range(8):
        place = f"place{image // 4}"
        order = np.arange(patches) if image % 4 == 0 else np.random.RandomState(image).permutation(patches)
        rows = formula.unit(f"weak/a/{place}", (patches, channels))[order]
        if image % 4:
            rows = rows + 0.35 * formula.unit(f"weak/a/n{image}", (patches, channels))
        features.append((rows / np.linalg.norm(rows, axis=1, keepdims=True)).T)
        logits = 3 * np.abs(formula.normal(f"weak/a/p{image // 4}", (64, patches)))[:, order]
        assignments.append(np.exp(logits) / np.exp(logits).sum(0))
        guides.append(0.1 * np.abs(formula.normal(f"weak/a/m{image}", (patches,))))
    fine = torch.from_numpy(formula.unit("weak/a/l", (8, 89, 89, 128)))
    tensors = [torch.from_numpy(np.stack(arrays).astype(np.float32)) for arrays in (features, assignments, guides)]
    loss, mined = official_pseudo_correspondence(tensors[0], tensors[1], fine, tensors[2], LABELS, (23, 23))
    reference = np.load(REFERENCE / "pseudo_correspondence.npz")
    rows = np.array([(m.image, m.anchor, m.positive, m.similarity) for m in mined])
    assert rows[:, :3].astype(int).tolist() == reference["triplets"][:, :3].astype(int).tolist()
    np.testing.assert_allclose(rows[:, 3], reference["triplets"][:, 3], rtol=1e-5)
    assert float(loss) * 1e-2 == pytest.approx(float(reference["loss"]), rel=1e-5)


def test_quirks_of_the_published_mining():
    # Two images of one place with four patches each: patch k of the first is patch k of the second.
    features = torch.eye(4)[None].repeat(2, 1, 1)
    features[1] = torch.nn.functional.normalize(features[1] + 0.2, dim=0)
    assignment = torch.full((2, 1, 4), 0.5)
    guide = torch.full((2, 4), 0.2)
    labels = torch.tensor([3, 3])
    anchors = [m.anchor for m in mine_official_correspondences(features, assignment, guide, labels) if m.image == 0]
    assert anchors == [1, 2, 3]  # the first valid anchor is dropped
    alone = assignment.clone()
    alone[1, 0, 1:] = 0  # only patch 0 of the second image is a candidate: s2 = -10, a negative ratio
    assert not [m for m in mine_official_correspondences(features, alone, guide, labels) if m.image == 0]
    assert [official_fine_cell(row, 23) for row in (0, 5, 22)] == [2, 21, 87]


def test_one_match_scores_its_cosine_and_none_scores_0():
    first = torch.tensor([[1.0, 0.0]])
    second = torch.tensor([[0.8, 0.6], [0.0, 1.0]])
    assert float(official_similarity(first, second, 0.7)) == pytest.approx(0.8)
    assert float(official_similarity(first, second, 0.9)) == 0


def test_official_form_trains_without_nan_on_any_grid_and_number_of_images(random_output):
    output = random_output([0, 0, 0, 1, 2, 2], grid=(3, 6))
    result = FoLLoss(OFFICIAL_LOSSES)(
        output, torch.tensor([0, 0, 0, 1, 2, 2]), generator=torch.Generator().manual_seed(1)
    )
    result.total.backward()
    assert result.total.isfinite()
    assert output.dense_local.grad.isfinite().all() and output.dense_local.grad.abs().sum() > 0
