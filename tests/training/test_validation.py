"""What decides between models, and what may not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from fol.data.training import held_out_dataset, read_training_places
from fol.errors import ConfigError
from fol.models.fol import FoL
from fol.reranking import RerankOptions
from fol.retrieval import PlaceMap
from fol.training import TrainingSetup, ValidationOptions, ValidationScores, train
from fol.training.validation import check_validation_sets, validate


def test_scores_are_means_over_the_sets() -> None:
    scores = ValidationScores(
        {
            "a": {"global": {1: 10.0, 5: 20.0}, "reranked": {1: 30.0, 5: 40.0}},
            "b": {"global": {1: 20.0, 5: 40.0}, "reranked": {1: 50.0, 5: 60.0}},
        }
    )
    assert scores.mean("global", 1) == 15
    assert scores.key(ValidationOptions()) == (40, 50)
    assert scores.flat()["val/b/reranked_r@5"] == 60
    assert scores.flat()["val/reranked_r@1"] == 40


def test_best_by_either_recall() -> None:
    """Published runs of NetVLAD, SARE and SFRS choose by R@5."""
    one = ValidationScores({"set": {"global": {1: 60.0, 5: 70.0}}})
    other = ValidationScores({"set": {"global": {1: 55.0, 5: 80.0}}})
    by_first, by_fifth = (ValidationOptions(monitor="global", best_by=k) for k in (1, 5))
    assert one.key(by_first) > other.key(by_first)
    assert other.key(by_fifth) > one.key(by_fifth)
    tied = ValidationScores({"set": {"global": {1: 56.0, 5: 80.0}}})
    assert tied.key(by_fifth) > other.key(by_fifth)


def test_both_stages_are_validated_with_the_code_that_evaluates(
    make_setup: Callable[..., TrainingSetup], tmp_path: Path
) -> None:
    setup = make_setup()
    found = validate(setup.model, setup.validation, tmp_path, ValidationOptions(), RerankOptions())
    (name,) = found.values
    assert (tmp_path / name / "results.json").is_file()
    assert found.values[name].keys() == {"global", "reranked"}
    index = PlaceMap.open(tmp_path / name / "database.fol").manifest.index
    assert index.requested.recipe == index.recipe == "flat"  # exact, whatever the size of the set
    assert all(0 <= r <= 100 for stage in found.values[name].values() for r in stage.values())


def test_dropout_is_on_in_every_step_and_off_in_validation(
    make_setup: Callable[..., TrainingSetup], tmp_path: Path
) -> None:
    setup = make_setup()  # six batches, a validation after three
    network = setup.model.network
    assert isinstance(network, FoL)
    drop = network.aggregation.cluster_features[1]
    assert isinstance(drop, nn.Dropout) and not drop.training  # a model that is loaded does not drop
    seen: list[tuple[bool, bool]] = []  # whether gradients were wanted, whether something was dropped
    drop.register_forward_hook(lambda part, *_: seen.append((torch.is_grad_enabled(), part.training)))
    train(setup, tmp_path / "run")
    assert [dropped for learns, dropped in seen if learns] == [True] * 2 * 6  # for features and scores of each batch
    validated = [dropped for learns, dropped in seen if not learns]
    assert validated and not any(validated)


def test_test_sets_are_refused(place_folder: Path) -> None:
    dataset = held_out_dataset(read_training_places(place_folder))
    check_validation_sets([dataset])
    moved = [replace(q, image=dataset.root / "images" / "test" / q.image.name) for q in dataset.queries]
    with pytest.raises(ConfigError, match="test sets are for the final figures"):
        check_validation_sets([replace(dataset, queries=tuple(moved))])
    with pytest.raises(ConfigError, match="has no ground truth"):
        check_validation_sets([replace(dataset, positives=None)])
    with pytest.raises(ConfigError, match="two validation sets are called"):
        check_validation_sets([dataset, dataset])
