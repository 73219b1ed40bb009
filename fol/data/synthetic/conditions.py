"""Conditions of the synthetic city: light, weather and season, as named presets and as they vary from view to view."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import cos, radians, sin
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fol.errors import ConfigError

Rgb = tuple[float, float, float]
Season = Literal["summer", "autumn", "winter"]
WARM: Rgb = (1.0, 0.84, 0.56)
#: Values of a texture's glow channel at which ``Light.windows`` says how bright they are: windows are painted in these.
WINDOW_GLOWS = (60, 105, 150, 195)


@dataclass(frozen=True)
class Light:
    """One illumination with its weather. Colours are factors or intensities with 1 = white.

    ``azimuth, elevation`` of the sun in degrees (clockwise from north, above the horizon); ``sun, ambient`` factors on
    a surface's colour; ``zenith, horizon`` sky colours, ``afterglow`` added around the sun; ``clouds`` share of sky;
    ``haze`` per metre; ``glow`` of windows and signs, ``lamps`` of the street lamps, ``lamp_colour`` of both.
    ``windows`` brightness of the four groups that windows are lit in; ``wet`` and ``snow`` on the ground, ``rainfall``
    and ``snowfall`` in the air, 0 to 1; ``season`` of the trees, ``tint`` which of its colours; ``drift`` of the
    clouds, in skies.
    """

    name: str
    azimuth: float
    elevation: float
    sun: Rgb
    ambient: Rgb
    zenith: Rgb
    horizon: Rgb
    afterglow: Rgb
    clouds: float
    cloud_colour: Rgb
    haze: float
    glow: float
    lamps: float
    lamp_colour: Rgb = WARM
    windows: tuple[float, float, float, float] = (0.85, 0.3, 0.9, 0.6)
    wet: float = 0.0
    snow: float = 0.0
    rainfall: float = 0.0
    snowfall: float = 0.0
    season: Season = "summer"
    tint: int = 0
    drift: tuple[float, float] = (0.0, 0.0)

    def direction(self) -> NDArray[np.float64]:
        """Unit vector to the sun in the city's axes."""
        azimuth, elevation = radians(self.azimuth), radians(self.elevation)
        return np.array([sin(azimuth) * cos(elevation), cos(azimuth) * cos(elevation), sin(elevation)])

    def exposed(self, gains: Rgb) -> Light:
        """The same light as a camera with these gains of red, green and blue records it: before it clips."""
        return replace(
            self,
            sun=_times(self.sun, gains),
            ambient=_times(self.ambient, gains),
            zenith=_times(self.zenith, gains),
            horizon=_times(self.horizon, gains),
            afterglow=_times(self.afterglow, gains),
            cloud_colour=_times(self.cloud_colour, gains),
            lamp_colour=_times(self.lamp_colour, gains),
        )


_GREY: Rgb = (0.0, 0.0, 0.0)
_DAY = Light(
    "day", 205, 47, (0.56, 0.52, 0.44), (0.64, 0.67, 0.72), (0.30, 0.50, 0.80), (0.74, 0.83, 0.92),
    _GREY, 0.45, (0.97, 0.97, 0.98), 0.0012, 0.0, 0.0,
)  # fmt: skip
_OVERCAST = Light(
    "overcast", 205, 47, _GREY, (0.84, 0.86, 0.89), (0.66, 0.69, 0.73), (0.84, 0.86, 0.88),
    _GREY, 0.95, (0.80, 0.81, 0.83), 0.003, 0.0, 0.0,
)  # fmt: skip
LIGHTS: Mapping[str, Light] = {
    light.name: light
    for light in (
        _DAY,
        Light(
            "dusk", 285, 2, _GREY, (0.52, 0.47, 0.53), (0.14, 0.19, 0.36), (0.52, 0.42, 0.44),
            (0.42, 0.20, 0.02), 0.35, (0.40, 0.30, 0.36), 0.0018, 0.95, 1.2,
        ),
        _OVERCAST,
        Light(
            "night", 0, -30, _GREY, (0.12, 0.12, 0.16), (0.015, 0.02, 0.045), (0.10, 0.085, 0.08),
            _GREY, 0.3, (0.09, 0.075, 0.07), 0.002, 1.0, 1.5,
        ),
        replace(
            _OVERCAST, name="rain", ambient=(0.62, 0.65, 0.69), zenith=(0.47, 0.50, 0.55), horizon=(0.62, 0.65, 0.68),
            cloud_colour=(0.55, 0.57, 0.60), haze=0.010, glow=0.45, lamps=0.25, wet=0.9, rainfall=0.6,
        ),
        replace(
            _OVERCAST, name="snow", ambient=(0.80, 0.83, 0.88), haze=0.008, glow=0.35, lamps=0.1, snow=0.9,
            snowfall=0.5, season="winter",
        ),
        replace(_DAY, name="autumn", elevation=28, sun=(0.58, 0.50, 0.38), ambient=(0.58, 0.58, 0.62), season="autumn"),
        replace(
            _DAY, name="winter", elevation=16, sun=(0.52, 0.45, 0.36), ambient=(0.60, 0.63, 0.70), season="winter",
            zenith=(0.42, 0.56, 0.76), clouds=0.3,
        ),
    )
}  # fmt: skip


def light_named(name: str) -> Light:
    """The light of that name; ``ConfigError`` when there is none."""
    if name not in LIGHTS:
        raise ConfigError(f"synthetic city: no light {name!r}, there are {', '.join(LIGHTS)}")
    return LIGHTS[name]


def varied(name: str, rng: np.random.Generator) -> Light:
    """The condition ``name`` as it is on some day: another sun, sky, haze, rain, other windows lit."""
    light = light_named(name)
    tone = tuple(rng.uniform(0.94, 1.06, 3).tolist())
    groups = np.where(rng.random(4) < 0.6, rng.uniform(0.6, 1.0, 4), rng.uniform(0.0, 0.15, 4)).tolist()
    light = replace(
        light,
        azimuth=float(rng.uniform(0, 360)),
        ambient=_times(light.ambient, tone),
        zenith=_times(light.zenith, tone),
        horizon=_times(light.horizon, tone),
        haze=light.haze * float(rng.uniform(0.5, 2.0)),
        windows=(groups[0], groups[1], groups[2], groups[3]),
        lamp_colour=((1.0, 0.74, 0.40), WARM, (0.90, 0.95, 1.0))[rng.integers(3)],
        drift=(float(rng.random()), float(rng.random())),
        tint=int(rng.integers(3)),
    )
    return _VARIATIONS.get(name, _any_sun)(light, rng)


def _times(colour: Rgb, gains: tuple[float, ...]) -> Rgb:
    return colour[0] * gains[0], colour[1] * gains[1], colour[2] * gains[2]


def _any_sun(light: Light, rng: np.random.Generator) -> Light:
    """Sun high or low, in a clear or a cloudy sky."""
    elevation = float(rng.uniform(12, 62)) * (0.55 if light.season != "summer" else 1.0)
    low = max(0.0, 1 - elevation / 30)  # towards the evening light is warmer and weaker
    strength = float(rng.uniform(0.55, 1.15)) * (1 - 0.25 * low)
    warmth = (strength, strength * (1 - 0.16 * low), strength * (1 - 0.38 * low))
    return replace(light, elevation=elevation, sun=_times(light.sun, warmth), clouds=float(rng.uniform(0.1, 0.75)))


def _grey_sky(light: Light, rng: np.random.Generator) -> Light:
    """Grey, from bright to dark."""
    dim = float(rng.uniform(0.72, 1.08))
    sky = dim * float(rng.uniform(0.9, 1.1))
    return replace(
        light,
        ambient=_times(light.ambient, (dim,) * 3),
        zenith=_times(light.zenith, (sky,) * 3),
        horizon=_times(light.horizon, (sky,) * 3),
        cloud_colour=_times(light.cloud_colour, (sky,) * 3),
    )


def _twilight(light: Light, rng: np.random.Generator) -> Light:
    """From soon after sunset to nearly dark; also a night under more or fewer lamps."""
    dim = float(rng.uniform(0.45, 1.05)) if light.name == "dusk" else float(rng.uniform(0.6, 1.7))
    return replace(
        light,
        ambient=_times(light.ambient, (dim,) * 3),
        zenith=_times(light.zenith, (dim,) * 3),
        horizon=_times(light.horizon, (dim,) * 3),
        cloud_colour=_times(light.cloud_colour, (dim,) * 3),
        clouds=float(rng.uniform(0.0, 0.7)),
        lamps=light.lamps * float(rng.uniform(0.6, 1.4)),
    )


def _falling(light: Light, rng: np.random.Generator) -> Light:
    """Rain or snow, in a fifth of all cases in the dark."""
    light = _grey_sky(light, rng)
    if rng.random() < 0.2:
        dark = float(rng.uniform(0.2, 0.4))
        light = replace(_dimmed(light, dark), glow=0.95, lamps=float(rng.uniform(0.7, 1.2)))
    amount, density = float(rng.uniform(0.3, 1.0)), float(rng.uniform(0.2, 1.0))
    if light.name == "rain":
        return replace(light, wet=0.5 + 0.5 * amount, rainfall=density)
    return replace(light, snow=0.25 + 0.75 * amount, snowfall=density if rng.random() < 0.7 else 0.0)


def _dimmed(light: Light, factor: float) -> Light:
    return replace(light.exposed((factor, factor, factor * 1.1)), lamp_colour=light.lamp_colour)


_VARIATIONS: Mapping[str, Callable[[Light, np.random.Generator], Light]] = {
    "overcast": _grey_sky,
    "dusk": _twilight,
    "night": _twilight,
    "rain": _falling,
    "snow": _falling,
}
