"""Norms of the gradients of each loss, in both forms, on a batch of photos with an untrained network.

python tools/gradient_norms.py [data=FOLDER] [places=6] [images=4] [size=322] [model=fol_tiny_untrained] [seed=0]

FOLDER is a set of training places as fol train reads them; without it a small synthetic city is made for the occasion.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import fol
from fol.data.training import read_training_places
from fol.errors import FolError
from fol.losses import FOL_LOSSES, OFFICIAL_LOSSES, FoLLoss
from fol.losses.gradient_norms import gradient_norms
from fol.models.fol import FoL


def read_batch(folder: Path, places: int, images: int, seed: int) -> tuple[list[Path], Tensor]:
    """``images`` photos of each of ``places`` random places that have as many, and their labels."""
    enough = read_training_places(folder, min_images=images)
    if len(enough.places) < places:
        sys.exit(f"error: {folder}: {len(enough.places)} places have {images} images, {places} are asked for")
    rng = np.random.default_rng(seed)
    chosen = rng.choice(np.argsort(enough.places), places, replace=False)
    paths = [
        enough.images[number]
        for place in chosen
        for number in rng.permutation(np.arange(enough.starts[place], enough.starts[place + 1]))[:images]
    ]
    return paths, torch.arange(places).repeat_interleave(images)


def make_city(folder: Path, places: int, images: int, seed: int) -> Path:
    """A synthetic city of the easy level in the same layout."""
    from fol.data.synthetic import make_city_level

    make_city_level(folder / "city", level="easy", split="train", places=places, views=images, seed=seed, size=224)
    return folder / "city"


def main(words: list[str]) -> None:
    """Print one Markdown table."""
    options = {"data": "", "places": "6", "images": "4", "size": "322", "model": "fol_tiny_untrained", "seed": "0"}
    for word in words:
        key, _, value = word.partition("=")
        if key not in options or (key not in ("data", "model") and not value.isdigit()):
            sys.exit(f"error: {word!r}: give {', '.join(options)} as key=value")
        options[key] = value
    torch.set_num_threads(1)
    places, images, size, seed = (int(options[key]) for key in ("places", "images", "size", "seed"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options["data"]) if options["data"] else make_city(Path(temporary), places, images, seed)
        paths, labels = read_batch(folder, places, images, seed)
        print(
            f"{len(paths)} photos of {places} places at {size} px, {options['model']}; norms of the unweighted terms\n"
        )
        print("| form | term | value | weight | parameters | local head | region maps | weighted, parameters |")
        print("|---|---|---|---|---|---|---|---|")
        for losses in (OFFICIAL_LOSSES, FOL_LOSSES):
            model = fol.load_model(options["model"], preset=losses.form, image_size=size)
            batch = torch.stack([model.transform(Image.open(path).convert("RGB")) for path in paths])
            assert isinstance(model.network, FoL)
            norms = gradient_norms(model.network, FoLLoss(losses), batch, labels)
            for name, term in norms.items():
                numbers = (term.parameters, term.local_head, term.region_maps, term.weight * term.parameters)
                cells = " | ".join(f"{number:.2e}" for number in numbers)
                print(f"| {losses.form} | {name} | {term.value:.4g} | {term.weight:g} | {cells} |")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except FolError as error:
        sys.exit(f"error: {error}")
