"""fol: find where a photo was taken.

A global descriptor retrieves candidate places, local features inside discriminative regions re-rank them.

    model = fol.load_model("fol_vitl14")
    features = model.extract(images)
    place_map = fol.PlaceMap.open("city.fol")
    prediction = fol.Localizer(model, place_map).locate("photo.jpg", top_k=5, candidates=100)
    ranking = fol.rerank(query_local, candidate_locals)

Importing the package needs no network and no GPU and loads nothing heavy: the names below are looked up when used.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fol.localizer import Localizer as Localizer
    from fol.models import PlaceModel as PlaceModel
    from fol.models import list_models as list_models
    from fol.models import load_model as load_model
    from fol.models import model_card as model_card
    from fol.reranking import RerankOptions as RerankOptions
    from fol.reranking import rerank as rerank
    from fol.retrieval import PlaceMap as PlaceMap

try:
    __version__ = version("fol")
except PackageNotFoundError:  # a source tree that was not installed
    __version__ = "0+unknown"

_WHERE = {
    "FolError": "fol.errors",
    "Localizer": "fol.localizer",
    "PlaceMap": "fol.retrieval",
    "PlaceModel": "fol.models",
    "RerankOptions": "fol.reranking",
    "evaluate": "fol.evaluation",
    "list_models": "fol.models",
    "load_model": "fol.models",
    "model_card": "fol.models",
    "read_dataset": "fol.data",
    "read_places": "fol.data",
    "rerank": "fol.reranking",
    **dict.fromkeys(
        [
            "Candidates",
            "Features",
            "LocalFeatures",
            "LocalFeaturesBatch",
            "Place",
            "Position",
            "Prediction",
            "RankedPlace",
            "Ranking",
        ],
        "fol.types",
    ),
}
__all__ = ["__version__", *sorted(_WHERE)]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'fol' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__
