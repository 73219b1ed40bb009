"""Models: an image batch to ``Features``.

For the rest of the library: ``load_model``, ``list_models``, ``model_card``, ``PlaceModel`` and ``save_safetensors``;
``load_baseline`` and ``BASELINES`` for what needs no training.
"""

from fol.models.baselines import BASELINES, load_baseline
from fol.models.cards import CARDS, ModelCard
from fol.models.checkpoints import save_safetensors
from fol.models.place_model import PlaceModel
from fol.models.zoo import list_models, load_model, model_card

__all__ = [
    "BASELINES",
    "CARDS",
    "ModelCard",
    "PlaceModel",
    "list_models",
    "load_baseline",
    "load_model",
    "model_card",
    "save_safetensors",
]
