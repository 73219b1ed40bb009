"""The batched losses against the same definitions written as plain loops."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from fol.losses import FOL_LOSSES, ContrastOptions, LocalTripletOptions, PseudoCorrespondenceOptions
from fol.losses.alignment import alignment
from fol.losses.cells import patch_cells, read_cells, token_cells
from fol.losses.contrast import contrast
from fol.losses.local_triplet import TokenBatch, local_triplet, pair_similarity
from fol.losses.mining import hardest_images, next_of_place, official_hard_triplets
from fol.losses.multi_similarity import multi_similarity
from fol.losses.pseudo_correspondence import mine_correspondences, pseudo_correspondence
from fol.matching import mutual_nearest
from fol.models.regions import upsample_map

LABELS = [4, 4, 4, 7, 9, 9]
CASES = [(LABELS, (5, 7), 0), (LABELS, (8, 3), 1), ([1, 0, 1, 0, 1, 2], (6, 6), 2)]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(params=CASES)
def case(request, random_output):
    labels, grid, seed = request.param
    return random_output(labels, grid, seed, dtype=torch.float64), labels


def never(labels, *pairs):
    mask = torch.zeros(len(labels), len(labels), dtype=torch.bool)
    for a, b in pairs:
        mask[a, b] = mask[b, a] = True
    return mask


def test_hardest_and_next_images(case):
    output, labels = case
    forbidden = never(labels, (0, 5))
    hardest = hardest_images(output.descriptor, torch.tensor(labels), forbidden)
    following, has_next = next_of_place(torch.tensor(labels))
    similarity = (output.descriptor @ output.descriptor.T).tolist()
    for i, label in enumerate(labels):
        positives = [j for j, other in enumerate(labels) if other == label and j != i]
        negatives = [j for j, other in enumerate(labels) if other != label and not forbidden[i, j]]
        assert bool(hardest.has_positive[i]) == bool(has_next[i]) == bool(positives)
        assert int(hardest.negative[i]) == max(negatives, key=lambda j: similarity[i][j])
        if positives:
            assert int(hardest.positive[i]) == min(positives, key=lambda j: similarity[i][j])
            assert int(following[i]) == min(positives, key=lambda j: (j - i) % len(labels))


def test_multi_similarity(case):
    output, labels = case
    forbidden = never(labels, (0, 5), (1, 3))
    similarity = (output.descriptor @ output.descriptor.T).tolist()
    total = 0.0
    for i, label in enumerate(labels):
        positives = [similarity[i][j] for j, other in enumerate(labels) if other == label and j != i]
        negatives = [similarity[i][j] for j, other in enumerate(labels) if other != label and not forbidden[i, j]]
        near = [s for s in negatives if positives and s + 0.1 > min(positives)]
        hard = [s for s in positives if s - 0.1 < max(negatives)]
        total += math.log1p(sum(math.exp(-s) for s in hard)) + math.log1p(sum(math.exp(50 * s) for s in near)) / 50
    actual = multi_similarity(output.descriptor, torch.tensor(labels), FOL_LOSSES.multi_similarity_options, forbidden)
    assert float(actual) == pytest.approx(total / len(labels), rel=1e-9)


def test_forbidden_pairs_decide_nothing_in_the_mining():
    angles = torch.tensor([0.0, 10.0, 5.0, 15.0, 60.0, 70.0], dtype=torch.float64).deg2rad()
    descriptors = torch.stack([angles.cos(), angles.sin()], dim=1)
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    # Places 0 and 1 see the same. Place 2 is far: cos 45 = 0.707, and the least similar positive is at cos 10 = 0.985.
    forbidden = never([0, 0, 1, 1, 2, 2], (0, 2), (0, 3), (1, 2), (1, 3))
    options = FOL_LOSSES.multi_similarity_options
    assert float(multi_similarity(descriptors, labels, options, forbidden)) == 0
    assert float(multi_similarity(descriptors, labels, options)) > 0
    # Without the twins the hardest negatives of 0 and 1 are of place 2, and those of 2 and 3 too.
    triplets = torch.stack(official_hard_triplets(descriptors, labels, forbidden)).T
    assert triplets.tolist() == [[0, 1, 4], [1, 0, 4], [2, 3, 4], [3, 2, 4], [4, 5, 3], [5, 4, 3]]
    everyone = labels[:, None] != labels[None, :]
    assert official_hard_triplets(descriptors, labels, everyone)[0].tolist() == []


def test_alignment_is_the_symmetric_divergence_of_the_shares(case):
    output, _ = case
    expected = 0.0
    for a, e in zip(output.maps.aggregation.tolist(), output.maps.extraction.tolist(), strict=True):
        a, e = ([0.99 * v / sum(m) + 0.01 / len(m) for v in m] for m in (a, e))
        expected += sum((x - y) * (math.log(x) - math.log(y)) for x, y in zip(a, e, strict=True))
    value = alignment(output.maps.aggregation * 3, output.maps.extraction, FOL_LOSSES.alignment_options)
    assert float(value) == pytest.approx(expected / len(output.descriptor), rel=1e-9)


def test_tokens_are_the_strongest_selected_cells(case):
    output, _ = case
    options = LocalTripletOptions(stride=3, max_tokens=20)
    cells, valid = token_cells(output.region_map, output.selected, options)
    _, height, width = output.selected.shape
    fine = (4 * height - 3, 4 * width - 3)
    strength = upsample_map(output.region_map, fine)
    for image in range(len(cells)):
        allowed = {
            (float(strength[image, r, c]), (image * fine[0] + r) * fine[1] + c)
            for r in range(0, fine[0], 3)
            for c in range(0, fine[1], 3)
            if output.selected[image, (r + 2) // 4, (c + 2) // 4]
        }
        expected = {cell for _, cell in sorted(allowed, reverse=True)[:20]}
        assert set(cells[image][valid[image]].tolist()) == expected


@pytest.mark.parametrize("kind", ["mean", "soft_count"])
def test_local_triplet(case, kind):
    output, labels = case
    options = LocalTripletOptions(similarity=kind, threshold=0.3, margin=0.15, stride=2, max_tokens=40, pairs_at_once=5)
    cells, valid = token_cells(output.region_map, output.selected, options)
    (tokens,) = read_cells(output.dense_local, cells)
    hardest = hardest_images(output.descriptor, torch.tensor(labels))
    result = local_triplet(TokenBatch(tokens, valid), hardest, options)

    def similarity(i, j):
        matches = mutual_nearest(tokens[i][valid[i]].float(), tokens[j][valid[j]].float(), None)
        cosines = matches.similarity.tolist()
        if kind == "soft_count":
            return sum(1 / (1 + math.exp((0.3 - c) / 0.1)) for c in cosines) / min(
                int(valid[i].sum()), int(valid[j].sum())
            )
        above = [c for c in cosines if c > 0.3]
        return sum(above) / len(above) if above else 0.0

    excess = [
        0.15 + similarity(i, int(hardest.negative[i])) - similarity(i, int(hardest.positive[i]))
        for i in range(len(labels))
        if hardest.valid[i]
    ]
    active = [value for value in excess if value > 0]
    assert active
    assert int(result.triplets) == len(excess) and int(result.active) == len(active)
    assert float(result.loss) == pytest.approx(sum(active) / len(active), rel=1e-5)


def test_gradient_equals_that_of_the_whole_similarity_matrix(case):
    output, _ = case
    options = LocalTripletOptions(similarity="mean", threshold=0.2, max_tokens=30)
    cells, valid = token_cells(output.region_map, output.selected, options)
    first, second = torch.tensor([0, 2]), torch.tensor([1, 4])
    (tokens,) = read_cells(output.dense_local, cells)
    ours, _ = pair_similarity(TokenBatch(tokens, valid), first, second, options)
    whole = []
    for i, j in zip(first, second, strict=True):
        matrix = tokens[i][valid[i]] @ tokens[j][valid[j]].T
        mutual = (matrix == matrix.amax(1, keepdim=True)) & (matrix == matrix.amax(0, keepdim=True)) & (matrix > 0.2)
        whole.append(matrix[mutual].mean())
    for a, b in zip(ours, whole, strict=True):
        (ga,) = torch.autograd.grad(a, output.dense_local, retain_graph=True)
        (gb,) = torch.autograd.grad(b, output.dense_local, retain_graph=True)
        torch.testing.assert_close(ga, gb)
        assert ga.abs().sum() > 0


def test_contrast(case):
    output, labels = case
    options = ContrastOptions(foreground=0.8, background=0.3, repulsion=0.6, repulsion_margin=0.1)
    _, height, width = output.selected.shape
    fine = upsample_map(output.region_map, (4 * height - 3, 4 * width - 3)).detach()
    prototypes = []
    for features, weight in zip(output.dense_local.detach(), fine, strict=True):
        weight = weight / weight.max()
        inside = sum(w * x for w, x in zip(weight.flatten(), features.flatten(0, 1), strict=True))
        outside = sum((1 - w) * x for w, x in zip(weight.flatten(), features.flatten(0, 1), strict=True))
        prototypes.append((inside / inside.norm(), outside / outside.norm()))
    attraction = []
    for i, label in enumerate(labels):
        others = [j for j, other in enumerate(labels) if other == label and j != i]
        if others:
            cosines = [[float(prototypes[i][k] @ prototypes[j][k]) for j in others] for k in (0, 1)]
            attraction.append(sum(w * (1 - sum(c) / len(c)) for w, c in zip((0.8, 0.3), cosines, strict=True)))
    repulsion = [max(0.0, float(inside @ outside) - 0.1) for inside, outside in prototypes]
    expected = sum(attraction) / len(attraction) + 0.6 * sum(repulsion) / len(repulsion)
    actual = contrast(output.dense_local, fine, torch.tensor(labels), options)
    assert float(actual) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("same_cluster", [True, False])
def test_pseudo_correspondences(case, same_cluster):
    output, labels = case
    options = PseudoCorrespondenceOptions(margin=0.1, min_similarity=0.3, max_matches=3, same_cluster=same_cluster)
    partner, valid = next_of_place(torch.tensor(labels))
    mined = mine_correspondences(output.tokens.patch_map, output.assignment, output.selected, partner, valid, options)
    _, height, width = output.selected.shape
    patches = height * width
    unit = torch.nn.functional.normalize(output.tokens.patch_map.flatten(2), dim=1)
    cluster = output.assignment.argmax(1)
    chosen = output.selected.flatten(1)
    found = 0
    for i in range(len(labels)):
        j = int(partner[i])
        similarity = (unit[i].T @ unit[j]).tolist()

        def fits(u, v, i=i, j=j):
            return chosen[i, u] and chosen[j, v] and (not same_cluster or cluster[i, u] == cluster[j, v])

        expected = []
        for u in range(patches if valid[i] else 0):
            candidates = [v for v in range(patches) if fits(u, v)]
            if not candidates:
                continue
            v = max(candidates, key=lambda v: similarity[u][v])
            back = max((w for w in range(patches) if fits(w, v)), key=lambda w: similarity[w][v])
            far = [
                similarity[u][w]
                for w in range(patches)
                if max(abs(w // width - v // width), abs(w % width - v % width)) > 1
            ]
            margin = similarity[u][v] - max(far)
            if back == u and similarity[u][v] > 0.3 and margin > 0.1:
                expected.append((margin, u, v))
        expected = {(u, v) for _, u, v in sorted(expected, reverse=True)[:3]}
        found += len(expected)
        ok = mined.valid[i]
        assert set(zip(mined.anchor[i][ok].tolist(), mined.positive[i][ok].tolist(), strict=True)) == expected
    assert found


@pytest.mark.parametrize("form", ["contrast", "attract"])
def test_loss_of_pseudo_correspondences(case, form):
    output, labels = case
    options = PseudoCorrespondenceOptions(margin=0.05, min_similarity=0.2, max_matches=4, form=form, temperature=0.2)
    label = torch.tensor(labels)
    partner, valid = next_of_place(label)
    negative = hardest_images(output.descriptor, label).negative
    has_negative = torch.arange(len(labels)) % 2 == 0
    grid = tuple(output.selected.shape[1:])
    mined = mine_correspondences(output.tokens.patch_map, output.assignment, output.selected, partner, valid, options)
    cells = patch_cells(torch.stack([torch.arange(len(labels)), partner, negative]), grid)
    (local,) = read_cells(output.dense_local, cells)
    actual = pseudo_correspondence(*local.unbind(0), has_negative, grid, mined, options)

    def descriptor(image, patch, column):
        row = min(max(4 * (patch // grid[1]) + column % 4 - 2, 0), 4 * grid[0] - 4)
        other = min(max(4 * (patch % grid[1]) + column // 4 % 4 - 2, 0), 4 * grid[1] - 4)
        return output.dense_local[image, row, other]

    terms = []
    for i in range(len(labels)):
        j, k = int(partner[i]), int(negative[i])
        for u, v, s, ok in zip(mined.anchor[i], mined.positive[i], mined.similarity[i], mined.valid[i], strict=True):
            if not ok:
                continue
            anchor = descriptor(i, int(u), i)
            cosine = float(anchor @ descriptor(j, int(v), i))
            if form == "attract":
                terms.append(float(s) * (1 - cosine))
                continue
            others = [
                float(anchor @ descriptor(j, w, i))
                for w in range(grid[0] * grid[1])
                if max(abs(w // grid[1] - int(v) // grid[1]), abs(w % grid[1] - int(v) % grid[1])) > 1
            ]
            if has_negative[i]:
                others += [float(anchor @ descriptor(k, w, i)) for w in range(grid[0] * grid[1])]
            terms.append(-math.log(math.exp(cosine / 0.2) / sum(math.exp(c / 0.2) for c in [cosine, *others])))
    assert terms
    assert float(actual) == pytest.approx(sum(terms) / len(terms), rel=1e-9)


def test_chunks_change_no_number(case):
    output, labels = case
    values = []
    for size in (1, 4, 100):
        options = replace(FOL_LOSSES.local_triplet_options, pairs_at_once=size)
        cells, valid = token_cells(output.region_map, output.selected, options)
        (tokens,) = read_cells(output.dense_local, cells)
        hardest = hardest_images(output.descriptor, torch.tensor(labels))
        values.append(float(local_triplet(TokenBatch(tokens, valid), hardest, options).loss))
    assert values[0] == pytest.approx(values[1], rel=1e-12) == pytest.approx(values[2], rel=1e-12)
