"""Norms of the gradients of the losses, and that the fol form's region maps get some."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path

import formula
import numpy as np
import pytest
import torch
from PIL import Image

import fol
from fol.errors import FolError
from fol.losses import FOL_LOSSES, OFFICIAL_LOSSES, TERMS, FoLLoss
from fol.losses.gradient_norms import gradient_norms

TOOL = Path(__file__).parents[2] / "tools" / "gradient_norms.py"

pytestmark = pytest.mark.usefixtures("one_thread")


def test_norms_are_those_of_the_backward_pass():
    network = fol.load_model("fol_tiny_untrained", image_size=140).network
    images = torch.randn(4, 3, 140, 140, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 0, 1, 1])
    options = replace(FOL_LOSSES, **{name: 0.0 for name in TERMS if name != "alignment"}, alignment=1.0)
    (norm,) = gradient_norms(network, FoLLoss(options), images, labels).values()
    assert all(p.grad is None for p in network.parameters())
    output = network(images, training=True)
    output.maps.aggregation.retain_grad()
    output.maps.extraction.retain_grad()
    FoLLoss(options)(output, labels).total.backward()
    expected = sum(float(p.grad.square().sum()) for p in network.parameters() if p.grad is not None) ** 0.5
    maps = [m.grad - m.grad.mean(1, keepdim=True) for m in (output.maps.aggregation, output.maps.extraction)]
    assert norm.parameters == pytest.approx(expected, rel=1e-4) and expected > 0
    assert norm.region_maps == pytest.approx(float(torch.cat(maps).norm()), rel=1e-4)
    assert norm.local_head == 0


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Four photos of two places, as a folder for training."""
    folder = tmp_path_factory.mktemp("places")
    (folder / "images").mkdir()
    lines = ["image,place_id"]
    for place in range(2):
        for view in range(2):
            name = f"p{place}_v{view}.png"
            Image.fromarray(formula.photo(place, view, 224)).save(folder / "images" / name)
            lines.append(f"{name},{place}")
    (folder / "places.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_region_maps_of_the_fol_preset_carry_a_gradient_that_the_official_ones_do_not(photos):
    labels = torch.tensor([0, 0, 1, 1])
    norms = {}
    for losses in (OFFICIAL_LOSSES, FOL_LOSSES):
        model = fol.load_model("fol_tiny_untrained", preset=losses.form, image_size=224)
        images = torch.stack([model.transform(Image.open(p)) for p in sorted((photos / "images").iterdir())])
        norms[losses.form] = gradient_norms(model.network, FoLLoss(losses), images, labels)
    for term in ("alignment", "contrast"):
        assert norms["fol"][term].parameters > 100 * norms["official"][term].parameters
    assert norms["fol"]["pseudo_correspondence"].local_head > 0


@pytest.fixture(scope="module")
def command():
    """``main`` of the tool, in this process."""
    return runpy.run_path(str(TOOL))["main"]


def test_the_command_prints_a_row_for_every_loss_of_both_forms(photos, command, capsys):
    command([f"data={photos}", "places=2", "images=2", "size=224"])
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith(("| official", "| fol"))]
    assert [(row[0].strip("| "), row[1]) for row in rows] == [(f, t) for f in ("official", "fol") for t in TERMS]
    assert np.isfinite([float(cell.strip("| ")) for row in rows for cell in row[2:]]).all()


@pytest.mark.parametrize(
    ("word", "message"),
    [("places=many", "places=many"), ("data=/nowhere", "/nowhere: no such folder"), ("colour=1", "colour=1")],
)
def test_mistakes_are_named(command, word, message):
    with pytest.raises((SystemExit, FolError), match=message):
        command([word])


def test_too_few_places_are_counted(photos, command):
    with pytest.raises(SystemExit, match="2 places have 2 images, 3 are asked for"):
        command([f"data={photos}", "places=3", "images=2"])
