"""Textured rectangles in space, the only primitive of the synthetic city, and the frames they are built in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fol.data.synthetic.textures import TextureSpec

Floats = NDArray[np.float64]
UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, eq=False)
class Surfaces:
    """S textured parallelograms. A point is ``origin + u * across + v * up`` with u, v in [0, 1).

    ``origin, across, up [S, 3]`` metres; seen from the front, ``across`` points right and ``up`` up, so the normal
    is their cross product. ``texture [S]`` indexes ``specs``; ``repeats [S, 2]`` how often the texture is laid along
    (u, v); ``cutout [S]`` its fourth channel is opacity (else glow); ``two_sided [S]`` visible from behind too.
    """

    origin: Floats
    across: Floats
    up: Floats
    texture: NDArray[np.int64]
    repeats: Floats
    cutout: NDArray[np.bool_]
    two_sided: NDArray[np.bool_]
    specs: tuple[TextureSpec, ...]

    def __len__(self) -> int:
        return len(self.origin)

    def normals(self) -> Floats:
        """Unit normals ``[S, 3]``."""
        cross = np.cross(self.across, self.up)
        normals: Floats = cross / np.linalg.norm(cross, axis=1, keepdims=True)
        return normals

    def joined(self, other: Surfaces) -> Surfaces:
        """These surfaces followed by others."""
        return Surfaces(
            np.concatenate([self.origin, other.origin]),
            np.concatenate([self.across, other.across]),
            np.concatenate([self.up, other.up]),
            np.concatenate([self.texture, other.texture + len(self.specs)]),
            np.concatenate([self.repeats, other.repeats]),
            np.concatenate([self.cutout, other.cutout]),
            np.concatenate([self.two_sided, other.two_sided]),
            self.specs + other.specs,
        )


@dataclass(frozen=True)
class Frame:
    """A vertical reference on the ground: ``base`` (x, y) and the unit direction ``right`` as seen from the front."""

    base: tuple[float, float]
    right: tuple[float, float]

    def point(self, right: float, up: float, out: float = 0.0) -> Floats:
        """Metres to the right, up, and out towards the viewer, as a point in space."""
        (x, y), (a, b) = self.base, self.right
        return np.array([x + right * a + out * b, y + right * b - out * a, up])

    def direction(self, right: float, up: float, out: float) -> Floats:
        """The same for a direction."""
        return self.point(right, up, out) - self.point(0, 0, 0)


@dataclass
class SurfaceBuilder:
    """Collects rectangles; the only mutable object of the city, gone once it is built."""

    _rows: list[tuple[Floats, Floats, Floats, int, tuple[float, float], bool, bool]] = field(default_factory=list)
    _specs: dict[TextureSpec, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._rows)

    def add(
        self,
        spec: TextureSpec,
        origin: Floats,
        across: Floats,
        up: Floats,
        *,
        repeats: tuple[float, float] = (1.0, 1.0),
        cutout: bool = False,
        two_sided: bool = False,
    ) -> None:
        """Add one parallelogram (see ``Surfaces``)."""
        index = self._specs.setdefault(spec, len(self._specs))
        self._rows.append((origin, across, up, index, repeats, cutout, two_sided))

    def panel(
        self,
        spec: TextureSpec,
        frame: Frame,
        right: float,
        up: float,
        width: float,
        height: float,
        *,
        out: float = 0.0,
        lean: float = 0.0,
        cutout: bool = False,
        two_sided: bool = False,
        repeats: tuple[float, float] = (1.0, 1.0),
    ) -> None:
        """Add a rectangle parallel to the frame, its lower left corner at (right, up), ``out`` metres in front.

        Its top leans ``lean`` metres back.
        """
        self.add(
            spec,
            frame.point(right, up, out),
            frame.direction(width, 0, 0),
            frame.direction(0, height, -lean),
            cutout=cutout,
            two_sided=two_sided,
            repeats=repeats,
        )

    def box(
        self,
        spec: TextureSpec,
        frame: Frame,
        right: float,
        up: float,
        size: tuple[float, float, float],
        *,
        out: float = 0.0,
    ) -> None:
        """Add a box of ``size`` (width, height, depth) that stands ``out`` metres off the frame: all but its back."""
        width, height, depth = size
        lower, upper = (frame.point(right, z, out) for z in (up, up + height))
        x, z, forward = frame.direction(width, 0, 0), height * UP, frame.direction(0, 0, depth)
        self.add(spec, lower + forward, x, z)
        self.add(spec, lower, forward, z)
        self.add(spec, lower + x + forward, -forward, z)
        self.add(spec, upper + forward, x, -forward)
        self.add(spec, lower, x, forward)

    def ground(
        self,
        spec: TextureSpec,
        x: tuple[float, float],
        y: tuple[float, float],
        z: float = 0.0,
        *,
        repeats: tuple[float, float] = (1.0, 1.0),
        cutout: bool = False,
    ) -> None:
        """Add a horizontal rectangle seen from above."""
        self.add(
            spec,
            np.array([x[0], y[0], z]),
            np.array([x[1] - x[0], 0.0, 0.0]),
            np.array([0.0, y[1] - y[0], 0.0]),
            repeats=repeats,
            cutout=cutout,
        )

    def build(self) -> Surfaces:
        """Freeze."""
        origin, across, up, texture, repeats, cutout, two_sided = zip(*self._rows, strict=True)
        return Surfaces(
            np.array(origin),
            np.array(across),
            np.array(up),
            np.array(texture, np.int64),
            np.array(repeats, np.float64),
            np.array(cutout, np.bool_),
            np.array(two_sided, np.bool_),
            tuple(self._specs),
        )
