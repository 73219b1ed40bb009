"""Both stages on the validation sets, with the code that evaluates and serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fol.data import PlaceDataset
from fol.errors import ConfigError
from fol.evaluation import EvaluationResult, evaluate
from fol.localizer import Localizer
from fol.models import PlaceModel
from fol.reranking import RerankOptions
from fol.retrieval import PlaceMap
from fol.training.options import ValidationOptions

#: Folder names that say that photos are for the final figures, which a choice of model must not see.
TEST_FOLDERS = ("test",)


@dataclass(frozen=True)
class ValidationScores:
    """Recalls in percent: ``values[set][stage][K]``; the mean over the sets decides between models.

    ``match_accuracy[set]``: percent of matches within 14 px of the truth, for the sets whose geometry is known.
    """

    values: Mapping[str, Mapping[str, Mapping[int, float]]]
    match_accuracy: Mapping[str, float] = field(default_factory=dict)

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that were measured: ``global``, and ``reranked`` of two-stage models."""
        return tuple(next(iter(self.values.values())))

    def mean(self, stage: str, k: int) -> float:
        """Mean R@k of a stage (``global``, ``reranked``) over the sets."""
        recalls = [stages[stage][k] for stages in self.values.values()]
        return sum(recalls) / len(recalls)

    def known(self, stage: str, k: int) -> float | None:
        """The same, None where the model has no such stage."""
        return self.mean(stage, k) if stage in self.stages else None

    @property
    def mean_match_accuracy(self) -> float | None:
        """Mean over the sets that have one."""
        return sum(self.match_accuracy.values()) / len(self.match_accuracy) if self.match_accuracy else None

    def key(self, options: ValidationOptions) -> tuple[float, float]:
        """What a better model has more of: R@1, then R@5, or the other way round.

        ``ConfigError`` for a stage that the model lacks.
        """
        monitor = options.monitor
        if monitor not in self.stages:
            raise ConfigError(f"validation.monitor={monitor}: the model has one stage alone, take monitor=global")
        first, five = self.mean(monitor, 1), self.mean(monitor, 5)
        return (first, five) if options.best_by == 1 else (five, first)

    def flat(self) -> dict[str, float]:
        """``val/SET/STAGE_r@K`` and the means, for loggers."""
        flat = {
            f"val/{name}/{stage}_r@{k}": value
            for name, stages in self.values.items()
            for stage, recalls in stages.items()
            for k, value in recalls.items()
        }
        flat |= {f"val/{name}/match_accuracy": value for name, value in self.match_accuracy.items()}
        known = next(iter(self.values.values()))
        return flat | {f"val/{stage}_r@{k}": self.mean(stage, k) for stage in self.stages for k in known[stage]}


def check_validation_sets(datasets: Sequence[PlaceDataset]) -> None:
    """``ConfigError`` for a set without ground truth, a name used twice, or a folder that says it is a test set."""
    names = [dataset.name for dataset in datasets]
    for dataset in datasets:
        if dataset.positives is None:
            raise ConfigError(f"validation set {dataset.root} has no ground truth")
        if names.count(dataset.name) > 1:
            raise ConfigError(f"two validation sets are called {dataset.name!r}: rename a folder")
        images = dataset.queries[0].image if dataset.queries else dataset.root
        if set(TEST_FOLDERS) & {part.lower() for part in images.parts[len(dataset.root.parent.parts) :]}:
            raise ConfigError(
                f"validation set {dataset.root}: its photos lie in a folder called 'test'; "
                "models are chosen on validation sets, test sets are for the final figures"
            )


def validate(
    model: PlaceModel,
    datasets: Sequence[PlaceDataset],
    folder: Path,
    options: ValidationOptions,
    matching: RerankOptions,
) -> ValidationScores:
    """Recalls of both stages on each set; maps and results are written under ``folder``, over the last ones."""
    results = {d.name: _evaluate(model, d, folder / d.name, options, matching) for d in datasets}
    return ValidationScores(
        {name: _recalls(result) for name, result in results.items()},
        {name: 100 * r.match_accuracy for name, r in results.items() if r.match_accuracy is not None},
    )


def _evaluate(
    model: PlaceModel, dataset: PlaceDataset, folder: Path, options: ValidationOptions, matching: RerankOptions
) -> EvaluationResult:
    report = PlaceMap.build(
        folder / "database.fol",
        model,
        dataset.database,
        batch_size=options.batch_size,
        overwrite=True,
        index="flat",  # whatever the number of photos: the best model must not be chosen by a search that misses some
        calibrate=False,
    )
    localizer = Localizer(model, report.place_map, options=matching)
    return evaluate(
        localizer,
        dataset,
        out=folder,
        recall_values=(1, 5, 10),
        candidates=options.candidates,
        batch_size=options.batch_size,
    )


def _recalls(result: EvaluationResult) -> dict[str, dict[int, float]]:
    return {
        str(stage): {int(k): 100 * float(v) for k, v in result.recall(stage).values.items()} for stage in result.stages
    }
