"""Training data: places with several photos each, batches of them, photos as tensors, augmentation.

* ``read_training_places`` reads GSV-Cities, a folder per place, or a CSV, as ``TrainingPlaces``; ``merge_places`` and
  ``split_places`` join and divide them, ``held_out_dataset`` makes a data set to validate on.
* ``PlaceBatchSampler`` says which images form a batch, ``never_negative`` which pairs of them see the same thing.
* ``WeakPlaces`` are queries and a database of which only positions are known (``RadiusOptions``);
  ``positioned_dataset`` makes them of places.
* ``PlaceImages`` gives the photos as uint8, resized as in evaluation; ``BatchAugmentation`` changes them.
"""

from fol.data.training.augmentation import BatchAugmentation
from fol.data.training.augmentation_options import AUGMENTATIONS, AugmentationOptions, Change
from fol.data.training.held_out import held_out_dataset
from fol.data.training.images import PlaceImages
from fol.data.training.places import (
    SAME_PLACE_RADIUS,
    TrainingPlaces,
    merge_places,
    never_negative,
    real_images,
    split_places,
)
from fol.data.training.positioned import positioned_dataset
from fol.data.training.reading import read_training_places
from fol.data.training.sampler import PlaceBatchSampler
from fol.data.training.weak_places import RadiusOptions, WeakPlaces

__all__ = [
    "AUGMENTATIONS",
    "SAME_PLACE_RADIUS",
    "AugmentationOptions",
    "BatchAugmentation",
    "Change",
    "PlaceBatchSampler",
    "PlaceImages",
    "RadiusOptions",
    "TrainingPlaces",
    "WeakPlaces",
    "held_out_dataset",
    "merge_places",
    "never_negative",
    "positioned_dataset",
    "read_training_places",
    "real_images",
    "split_places",
]
