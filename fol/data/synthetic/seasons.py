"""Trees of the synthetic city through the year."""

from __future__ import annotations

from dataclasses import replace

from fol.data.synthetic.conditions import Light
from fol.data.synthetic.scenery import LEAVES, TreeSpec
from fol.data.synthetic.surfaces import Surfaces
from fol.data.synthetic.textures import Colour, TextureSpec

#: For each tint the autumn colours of the trees that are ``LEAVES[k]`` in summer.
AUTUMN: tuple[tuple[Colour, ...], ...] = (
    ((188, 128, 44), (206, 164, 60), (168, 84, 40), (150, 126, 62)),
    ((160, 70, 36), (196, 140, 44), (132, 112, 54), (190, 150, 70)),
    ((128, 116, 56), (178, 104, 46), (196, 160, 72), (120, 88, 52)),
)


def in_season(surfaces: Surfaces, light: Light) -> Surfaces:
    """The surfaces with their trees as the light's season has them: same places and sizes, other pictures.

    Conifers stay green; of the others some are bare in autumn, all of them in winter.
    """
    if light.season == "summer":
        return surfaces
    return replace(surfaces, specs=tuple(_in_season(spec, light) for spec in surfaces.specs))


def _in_season(spec: TextureSpec, light: Light) -> TextureSpec:
    if not isinstance(spec, TreeSpec) or spec.crown == "conifer" or spec.leaves not in LEAVES:
        return spec
    number = LEAVES.index(spec.leaves)
    if light.season == "winter" or (number + spec.seed) % 4 == light.tint:
        return replace(spec, bare=True)
    return replace(spec, leaves=AUTUMN[light.tint][number])
