"""``fol demo``: the main job on a small procedural city, with pictures and numbers, without downloads."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from fol.cli.configuration import plain
from fol.cli.console import note, out, progress_bar, say
from fol.cli.index import calibrate, print_build_report
from fol.cli.loading import load_configured_model, rerank_settings
from fol.cli.locate import draw, print_prediction
from fol.data import read_dataset
from fol.data.synthetic import make_city
from fol.evaluation import EvaluationResult, QueryResult, evaluate, result_table
from fol.localizer import Localizer
from fol.retrieval import PlaceMap
from fol.visualization import draw_recall


def run(config: DictConfig) -> None:
    """Render a city, map its day photos, locate the others and write what came out into ``out``."""
    folder = Path(config.out)
    city = make_city(folder / "city", places=config.places, seed=config.seed, size=config.image_size)
    dataset = read_dataset(city)
    note(f"{dataset.name}: {dataset.summary}")
    model = load_configured_model(config.model)
    trained = "untrained weights" if model.card.weights is None else model.card.weights.origin
    note(f"model {model.name} ({trained}), preset {model.preset}")

    with progress_bar("indexing") as progress:
        report = PlaceMap.build(
            folder / "city.fol",
            model,
            dataset.database,
            batch_size=config.batch_size,
            overwrite=True,
            calibrate=False,
            progress=progress,
        )
    print_build_report(report)
    calibrate(report.place_map, model.device)
    method, options = rerank_settings(config.matching)
    localizer = Localizer(model, report.place_map, method=method, options=options)
    result = evaluate(
        localizer,
        dataset,
        out=folder / "evaluation",
        batch_size=config.batch_size,
        config=plain(config),
        progress_of=progress_bar,
    )
    out.print(result_table(result))
    recalls = {str(stage): result.recall(stage).values for stage in result.stages}
    draw_recall(folder / "recall.png", recalls, title=f"{model.name} on {dataset.name}")
    photos = {query.name: query.image for query in dataset.queries}
    pictures = []
    for name, query in (("located.png", _surest(result, right=True)), ("missed.png", _surest(result, right=False))):
        if query is not None:
            photo = photos[query.name]
            print_prediction(photo, draw(localizer, photo, folder / name, candidates=100, top_k=4))
            pictures.append(name)
    for name in (*pictures, "recall.png", "evaluation/results.json", "evaluation/queries.csv"):
        say(f"wrote {folder / name}")


def _surest(result: EvaluationResult, *, right: bool) -> QueryResult | None:
    """Of the queries whose best place is right (or wrong), the one with the highest score; None without any."""
    stage = result.stages[-1]
    found = [query for query, rank in zip(result.queries, result.ranks(stage), strict=True) if (rank == 1) == right]
    scores = [(query.reranked_score if stage == "reranked" else query.global_score) or 0.0 for query in found]
    return found[scores.index(max(scores))] if found else None
