"""How often and how much the photos of a batch are changed; ``conf/augmentation`` holds the named options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

from fol.errors import ConfigError


@dataclass(frozen=True)
class Change:
    """How often (``probability``, per photo) and how much (``strength``: the bound, in the unit of the operation)."""

    probability: float = 0.0
    strength: float = 0.0


@dataclass(frozen=True)
class AugmentationOptions:
    """The operations in the order in which they are applied; all are off unless given.

    Units of ``strength``: see each line. A photo is changed by a value drawn evenly up to that bound.
    """

    #: Corners move by up to this share of the sides, each by itself; below 0.25, where they could cross.
    perspective: Change = Change()
    #: Up to so many degrees, either way.
    rotation: Change = Change()
    #: A part of the photo is seen, its sides down to 1 - strength of the photo's, anywhere in it.
    zoom: Change = Change()
    #: Resolution divided by up to this factor, then back: a poor camera. At least 1.
    low_resolution: Change = Change()
    #: Gaussian, sigma from half a pixel (less shows nothing) up to this many pixels.
    blur: Change = Change()
    #: Factor 1 - strength to 1 + strength on the light.
    brightness: Change = Change()
    #: Factor 1 - strength to 1 + strength on the differences to the photo's mean.
    contrast: Change = Change()
    #: Factor 1 - strength to 1 + strength on the differences to grey.
    saturation: Change = Change()
    #: Turn of the colour circle by up to this share of it, either way; at most 0.5.
    hue: Change = Change()
    #: Exponent between 1 / (1 + strength) and 1 + strength.
    gamma: Change = Change()
    #: Blend with grey, from 0 up to this share.
    grey: Change = Change()
    #: Gaussian, standard deviation up to this share of the full range.
    noise: Change = Change()
    #: Quality down to 100 - strength.
    jpeg: Change = Change()
    #: A rectangle of up to this share of the area is filled with one colour.
    erasing: Change = Change()

    def check(self) -> None:
        """``ConfigError`` naming the value that is out of range."""
        highest = {"perspective": 0.24, "rotation": 180.0, "zoom": 0.9, "hue": 0.5, "jpeg": 99.0, "erasing": 1.0}
        highest |= dict.fromkeys(("brightness", "contrast", "saturation", "grey", "noise"), 1.0)
        for field in fields(self):
            change: Change = getattr(self, field.name)
            if not 0 <= change.probability <= 1:
                raise ConfigError(
                    f"augmentation.{field.name}.probability={change.probability}: give a value from 0 to 1"
                )
            low = 1.0 if field.name == "low_resolution" and change.probability else 0.0
            high = highest.get(field.name, 16.0)
            if not low <= change.strength <= high:
                raise ConfigError(
                    f"augmentation.{field.name}.strength={change.strength}: give a value from {low:g} to {high:g}"
                )


#: Named options, also in ``conf/augmentation``.
AUGMENTATIONS: Mapping[str, AugmentationOptions] = MappingProxyType(
    {
        "none": AugmentationOptions(),
        "light": AugmentationOptions(
            zoom=Change(0.5, 0.2),
            brightness=Change(0.5, 0.2),
            contrast=Change(0.5, 0.2),
            saturation=Change(0.3, 0.3),
            grey=Change(0.1, 1.0),
        ),
        "strong": AugmentationOptions(
            perspective=Change(0.5, 0.12),
            rotation=Change(0.3, 6.0),
            zoom=Change(0.8, 0.4),
            low_resolution=Change(0.25, 4.0),
            blur=Change(0.15, 1.5),
            brightness=Change(0.6, 0.5),
            contrast=Change(0.6, 0.5),
            saturation=Change(0.4, 0.8),
            hue=Change(0.15, 0.08),
            gamma=Change(0.4, 0.8),
            grey=Change(0.25, 1.0),
            noise=Change(0.3, 0.06),
            jpeg=Change(0.08, 80.0),
            erasing=Change(0.4, 0.25),
        ),
    }
)
