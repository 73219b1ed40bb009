"""The sum of all losses: edge cases, gradients, switches."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from fol.errors import ConfigError
from fol.losses import (
    FOL_LOSSES,
    OFFICIAL_LOSSES,
    TERMS,
    ContrastOptions,
    FoLLoss,
    FoLLossOptions,
    LocalTripletOptions,
    PseudoCorrespondenceOptions,
)
from fol.losses.alignment import official_alignment
from fol.losses.cells import read_cells
from fol.losses.contrast import official_contrast, random_partner
from fol.losses.local_triplet import TokenBatch, official_similarity, pair_similarity
from fol.losses.official_pseudo_correspondence import official_pseudo_correspondence
from fol.models.backbone import Tokens
from fol.models.fol import FoLOutput

pytestmark = pytest.mark.usefixtures("one_thread")

#: Low thresholds, so that random descriptors match.
EASY = replace(
    FOL_LOSSES,
    local_triplet_options=LocalTripletOptions(threshold=0.2, max_tokens=24),
    pseudo_correspondence_options=PseudoCorrespondenceOptions(margin=0.01, min_similarity=0.1, max_matches=4),
)


def leaves(output: FoLOutput) -> tuple[Tensor, ...]:
    return output.descriptor, output.dense_local, output.assignment, output.tokens.class_attention


def check_gradients(output: FoLOutput, total: Tensor) -> None:
    total.backward()
    assert total.isfinite()
    for leaf in leaves(output):
        assert leaf.grad is None or leaf.grad.isfinite().all()


ATTRACT = replace(
    EASY,
    local_triplet_options=replace(EASY.local_triplet_options, similarity="mean"),
    pseudo_correspondence_options=replace(EASY.pseudo_correspondence_options, form="attract"),
)


@pytest.mark.parametrize(
    "options", [EASY, ATTRACT, FOL_LOSSES, OFFICIAL_LOSSES], ids=["easy", "attract", "fol", "official"]
)
@pytest.mark.parametrize(
    ("labels", "grid"),
    [
        ([0, 0, 1, 1], (5, 5)),
        ([5, 5, 5, 2, 9, 9], (3, 8)),  # three, one and two images of a place
        ([0, 1, 2, 3], (4, 4)),  # no positive at all
        ([0, 0, 0], (4, 5)),  # no negative at all
        ([3], (4, 4)),  # one image
        ([0, 1, 0, 1], (4, 3)),  # not in the order of places
    ],
)
def test_every_batch_gives_finite_losses_and_gradients(random_output, options, labels, grid):
    output = random_output(labels, grid)
    result = FoLLoss(options)(output, torch.tensor(labels))
    assert set(result.terms) == set(TERMS)
    weights = options.weights
    torch.testing.assert_close(result.total, sum(weights[name] * value for name, value in result.terms.items()))
    check_gradients(output, result.total)


def test_no_match_gives_no_correspondence_and_no_nan(random_output):
    labels = [0, 0, 1, 1]
    strict = replace(
        FOL_LOSSES,
        local_triplet_options=replace(FOL_LOSSES.local_triplet_options, threshold=1.5, similarity="mean"),
        pseudo_correspondence_options=PseudoCorrespondenceOptions(margin=3.0),
    )
    output = random_output(labels)
    result = FoLLoss(strict)(output, torch.tensor(labels))
    assert int(result.statistics["correspondences"]) == int(result.statistics["positive_matches"]) == 0
    assert result.terms["pseudo_correspondence"] == 0
    assert float(result.terms["local_triplet"].detach()) == pytest.approx(strict.local_triplet_options.margin)
    check_gradients(output, result.total)


@pytest.mark.parametrize("selected", ["none", "one", "all"])
def test_any_number_of_selected_patches(random_output, selected):
    labels = [0, 0, 1, 1]
    for options in (EASY, OFFICIAL_LOSSES):
        output = random_output(labels)
        mask = torch.full_like(output.selected, selected == "all")
        mask[:, 2, 3] |= selected == "one"
        check_gradients(output, FoLLoss(options)(replace(output, selected=mask), torch.tensor(labels)).total)


def test_one_match_scores_its_cosine():
    descriptors = torch.tensor([[[1.0, 0.0]], [[0.8, 0.6]]])
    tokens = TokenBatch(descriptors, torch.ones(2, 1, dtype=torch.bool))
    pair = torch.tensor([0]), torch.tensor([1])
    mean, count = pair_similarity(tokens, *pair, LocalTripletOptions(similarity="mean"))
    assert float(mean) == pytest.approx(0.8) and int(count) == 1
    soft, _ = pair_similarity(tokens, *pair, LocalTripletOptions(threshold=0.7, temperature=0.1))
    assert float(soft) == pytest.approx(torch.sigmoid(torch.tensor(1.0)).item())


def test_collapsed_descriptors_match_once(random_output):
    tokens = TokenBatch(torch.ones(2, 5, 4) / 2, torch.ones(2, 5, dtype=torch.bool))
    _, count = pair_similarity(tokens, torch.tensor([0]), torch.tensor([1]), LocalTripletOptions(similarity="mean"))
    assert int(count) == 1  # equal similarities resolve to the lowest index on both sides


@pytest.mark.parametrize("term", TERMS)
def test_a_weight_of_0_skips_the_term(random_output, term, monkeypatch):
    import fol.losses.fol_loss as module

    names = {
        "multi_similarity": "multi_similarity",
        "local_triplet": "local_triplet",
        "alignment": "alignment",
        "contrast": "contrast",
        "pseudo_correspondence": "mine_correspondences",
    }

    def refuse(*_, **__):
        raise AssertionError("computed although its weight is 0")

    monkeypatch.setattr(module, names[term], refuse)
    output = random_output([0, 0, 1, 1])
    result = FoLLoss(replace(EASY, **{term: 0.0}))(output, torch.tensor([0, 0, 1, 1]))
    assert set(result.terms) == set(TERMS) - {term}
    with pytest.raises(AssertionError, match="although"):
        FoLLoss(EASY)(output, torch.tensor([0, 0, 1, 1]))


def test_weights_scale_their_terms(random_output):
    output, labels = random_output([0, 0, 1, 1]), torch.tensor([0, 0, 1, 1])
    once, twice = (FoLLoss(replace(EASY, contrast=w))(output, labels) for w in (1.0, 3.0))
    torch.testing.assert_close(twice.total - once.total, 2 * once.terms["contrast"])


@pytest.mark.parametrize("options", [EASY, OFFICIAL_LOSSES], ids=["fol", "official"])
def test_images_that_are_never_negatives_have_no_effect_on_each_other(random_output, options):
    labels = torch.tensor([0, 0, 1, 1])
    output = random_output(labels.tolist())
    # Place 1 shows what place 0 shows: as negatives they would be as hard as can be.
    twins = output.descriptor[[0, 1, 0, 1]].detach().requires_grad_()
    output = replace(output, descriptor=twins)
    forbidden = labels[:, None] != labels[None, :]
    result = FoLLoss(options)(output, labels, never_negative=forbidden)
    assert int(result.statistics["triplets"]) == 0
    gradient = torch.autograd.grad(result.terms["multi_similarity"], twins)[0]
    others = FoLLoss(options)(output, labels)
    assert int(others.statistics["triplets"]) == 4
    assert float(others.terms["multi_similarity"].detach()) > float(result.terms["multi_similarity"].detach())
    # What is left pulls the images of a place together and nothing else.
    assert (gradient * twins.detach()[[1, 0, 3, 2]]).sum(1).le(0).all()


def test_half_precision_inputs_under_autocast(random_output):
    labels = torch.tensor([0, 0, 1, 1])
    exact = random_output(labels.tolist())
    output = random_output(labels.tolist())

    def half(tensor: Tensor) -> Tensor:
        return tensor.bfloat16()

    output = replace(
        output,
        descriptor=half(output.descriptor),
        dense_local=half(output.dense_local),
        tokens=Tokens(half(output.tokens.class_token), half(output.tokens.patch_map), output.tokens.class_attention),
    )
    with torch.autocast("cpu", torch.bfloat16):
        result = FoLLoss(EASY)(output, labels)
    assert result.total.dtype == torch.float32
    expected = FoLLoss(EASY)(exact, labels)
    for name in ("multi_similarity", "alignment", "contrast"):
        torch.testing.assert_close(result.terms[name], expected.terms[name], rtol=0.02, atol=1e-3)
    result.total.backward()


def test_the_fol_form_is_deterministic_and_the_official_partner_is_seeded(random_output):
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    output = random_output(labels.tolist())
    assert FoLLoss(EASY)(output, labels).total == FoLLoss(EASY)(output, labels).total
    draws = {tuple(random_partner(labels, torch.Generator().manual_seed(s))[0].tolist()) for s in range(20)}
    assert len(draws) > 10
    for draw in draws:
        assert all(i != j and labels[i] == labels[j] for i, j in enumerate(draw))
    same = [random_partner(labels, torch.Generator().manual_seed(5))[0].tolist() for _ in range(2)]
    assert same[0] == same[1]


@pytest.mark.parametrize("kind", ["soft_count", "mean"])
@pytest.mark.parametrize("form", ["contrast", "attract"])
def test_gradcheck_of_the_fol_form(random_output, kind, form):
    labels = [0, 0, 1, 1, 2]
    output = random_output(labels, (3, 4), dtype=torch.float64, dim=4)
    options = replace(
        EASY,
        local_triplet_options=replace(EASY.local_triplet_options, similarity=kind, threshold=0.0),
        pseudo_correspondence_options=replace(EASY.pseudo_correspondence_options, form=form),
        contrast_options=ContrastOptions(background=0.5),
    )
    assert int(FoLLoss(options)(output, torch.tensor(labels)).statistics["correspondences"]) > 0
    check_terms(output, options, labels, TERMS)


def test_gradcheck_of_the_official_form(random_output):
    labels = [0, 0, 1, 1, 2]
    output = random_output(labels, (3, 4), dtype=torch.float64, dim=4)
    options = replace(OFFICIAL_LOSSES, local_triplet_options=LocalTripletOptions(0.0, 0.1, similarity="mean"))
    # The alignment's targets are detached, so its gradient is not the derivative of its value; see below. No pseudo-
    # correspondence passes the published thresholds in random features; its loss is checked below, too.
    check_terms(output, options, labels, ["multi_similarity", "local_triplet"])


def check_terms(output, options, labels, terms):
    loss, target = FoLLoss(options), torch.tensor(labels)

    def term(name, **change):
        return loss(replace(output, **change), target).terms[name]

    def check(name, function, *inputs):
        if name in terms:
            leaves = [value.detach().clone().requires_grad_() for value in inputs]
            gradients = torch.autograd.grad(function(*leaves), leaves)
            assert all(g.isfinite().all() and g.abs().sum() > 0 for g in gradients)
            assert torch.autograd.gradcheck(function, leaves, fast_mode=True)

    def of_maps(a, e):
        return term("alignment", maps=replace(output.maps, aggregation=a, extraction=e))

    check("multi_similarity", lambda x: term("multi_similarity", descriptor=x), output.descriptor)
    check("local_triplet", lambda x: term("local_triplet", dense_local=x), output.dense_local)
    check("pseudo_correspondence", lambda x: term("pseudo_correspondence", dense_local=x), output.dense_local)
    check("alignment", of_maps, output.maps.aggregation, output.maps.extraction)
    assert_map_gradient(lambda x: term("contrast", region_map=x), output.region_map.detach())


def assert_map_gradient(function, region_map):
    # The maximum by which the fol form divides the map is detached; keep it still by not moving the largest values.
    free = (region_map < 0.9 * region_map.amax((1, 2), keepdim=True)).to(region_map)
    region_map = region_map.clone()

    def moved(step):
        return function(region_map + step * free)

    assert torch.autograd.gradcheck(moved, torch.zeros_like(region_map, requires_grad=True), fast_mode=True)


def test_official_gradients_stop_where_the_published_ones_do():
    a, e = (torch.rand(2, 6, dtype=torch.float64).softmax(1).requires_grad_() for _ in range(2))
    official_alignment(a, e).backward()
    torch.testing.assert_close(a.grad, -e.detach() / a.detach() / 2)
    torch.testing.assert_close(e.grad, -a.detach() / e.detach() / 2)
    features = torch.rand(2, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    region_map = torch.rand(2, 3, 3, dtype=torch.float64, requires_grad=True)
    partner, valid = torch.tensor([1, 0]), torch.ones(2, dtype=torch.bool)
    official_contrast(features, region_map, partner, valid, OFFICIAL_LOSSES.contrast_options).backward()
    assert features.grad is None and region_map.grad.abs().sum() > 0


def test_gradcheck_of_one_official_similarity():
    generator = torch.Generator().manual_seed(0)
    sets = [torch.randn(5, 3, dtype=torch.float64, generator=generator, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(lambda a, b: official_similarity(a, b, 0.1), sets)


def test_gradcheck_of_official_pseudo_correspondences():
    features = torch.eye(6, dtype=torch.float64)[None].repeat(2, 1, 1)
    features[1] = torch.nn.functional.normalize(features[1] + 0.1, dim=0)
    constant = torch.full((2, 1, 6), 0.5, dtype=torch.float64), torch.full((2, 6), 0.2)
    generator = torch.Generator().manual_seed(0)
    dense = torch.randn(2, 5, 9, 3, dtype=torch.float64, generator=generator, requires_grad=True)

    def value(fine):
        loss, mined = official_pseudo_correspondence(
            features, constant[0], fine, constant[1], torch.tensor([0, 0]), (2, 3)
        )
        assert len(mined) == 10
        return loss

    assert torch.autograd.gradcheck(value, dense)


def test_all_cells_are_read_in_one_lookup():
    dense = torch.randn(2, 3, 3, 4, requires_grad=True)
    first, second = read_cells(dense, torch.tensor([[0, 17]]), torch.tensor([4, 4, 9]))
    torch.testing.assert_close(first[0, 1], dense[1, 2, 2])
    torch.testing.assert_close(second[2], dense[1, 0, 0])
    second.sum().backward()
    assert dense.grad[0, 1, 1].tolist() == [2.0] * 4  # read twice


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"form": "other"}, "loss.form='other'"),
        ({"contrast": -1.0}, "loss.contrast=-1.0"),
        ({"contrast": float("nan")}, "loss.contrast=nan"),
        (dict.fromkeys(TERMS, 0.0), "every loss has weight 0"),
        ({"local_triplet_options": LocalTripletOptions(stride=0)}, "local_triplet_options.stride=0"),
        ({"local_triplet_options": LocalTripletOptions(similarity="sum")}, "similarity='sum'"),
        ({"pseudo_correspondence_options": PseudoCorrespondenceOptions(temperature=0)}, "temperature=0"),
        ({"pseudo_correspondence_options": PseudoCorrespondenceOptions(form="x")}, "form='x'"),
    ],
)
def test_options_out_of_range_are_named(change, message):
    with pytest.raises(ConfigError, match=message) as caught:
        FoLLoss(replace(FOL_LOSSES, **change))
    assert "\n" not in str(caught.value)


def test_every_term_has_a_weight_and_the_published_ones_are_as_published():
    assert set(TERMS) <= {field.name for field in fields(FoLLossOptions)}
    assert tuple(OFFICIAL_LOSSES.weights.values()) == (1.0, 1.0, 5e-3, 1.0, 1e-2)
    assert OFFICIAL_LOSSES.local_triplet_options.margin == 0 and OFFICIAL_LOSSES.local_triplet_options.threshold == 0.7


def test_a_missing_library_is_named():
    code = "import sys; sys.modules['pytorch_metric_learning'] = None; import fol.losses"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode and done.stderr.strip().endswith(
        "ConfigError: the losses need pytorch-metric-learning: pip install 'fol[train]'"
    )
