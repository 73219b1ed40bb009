"""All losses of a batch and their weighted sum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from fol.losses.alignment import alignment, official_alignment
from fol.losses.cells import patch_cells, read_cells, token_cells
from fol.losses.contrast import contrast, official_contrast, random_partner
from fol.losses.local_triplet import (
    TokenBatch,
    local_triplet,
    official_local_triplet,
    official_tokens,
)
from fol.losses.mining import hardest_images, next_of_place, official_hard_triplets
from fol.losses.multi_similarity import multi_similarity
from fol.losses.official_pseudo_correspondence import official_pseudo_correspondence
from fol.losses.options import FoLLossOptions
from fol.losses.pseudo_correspondence import mine_correspondences, pseudo_correspondence
from fol.models.fol import FoLOutput
from fol.models.regions import upsample_map


@dataclass(frozen=True, eq=False)
class LossTerms:
    """``total``: the weighted sum. ``terms``: the unweighted values by name, of the terms that are on.

    ``statistics``: counts without a gradient (triplets, active triplets, matches, mined correspondences).
    """

    total: Tensor
    terms: Mapping[str, Tensor]
    statistics: Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class _Inputs:
    """The parts of a ``FoLOutput`` that the losses use, in float32 at least."""

    descriptor: Tensor
    dense_local: Tensor
    patch_map: Tensor
    attention_guide: Tensor
    assignment: Tensor
    aggregation: Tensor
    extraction: Tensor
    region_map: Tensor
    selected: Tensor

    @staticmethod
    def of(output: FoLOutput) -> _Inputs:
        def wide(tensor: Tensor) -> Tensor:
            return tensor.to(torch.promote_types(tensor.dtype, torch.float32))

        return _Inputs(
            descriptor=wide(output.descriptor),
            dense_local=wide(output.dense_local),
            patch_map=wide(output.tokens.patch_map.detach()),
            attention_guide=wide(output.attention_guide.detach()),
            assignment=wide(output.assignment.detach()),
            aggregation=wide(output.maps.aggregation),
            extraction=wide(output.maps.extraction),
            region_map=wide(output.region_map),
            selected=output.selected,
        )

    @property
    def grid(self) -> tuple[int, int]:
        """Patches (rows, columns)."""
        return int(self.selected.shape[1]), int(self.selected.shape[2])

    def fine_map(self) -> Tensor:
        return upsample_map(self.region_map, (self.dense_local.shape[1], self.dense_local.shape[2]))


class FoLLoss(nn.Module):
    """The training loss in the form of the options; see the functions for each term.

    Total (official: train.py:115): multi-similarity + local triplet + 5e-3 alignment + contrast + 1e-2 pseudo-
    correspondence, with the weights of the options. Autocast is off inside and half-precision inputs are promoted.
    Raises ``ConfigError`` for options out of range.
    """

    def __init__(self, options: FoLLossOptions) -> None:
        super().__init__()
        options.check()
        self.options = options

    def forward(
        self,
        output: FoLOutput,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
        never_negative: Tensor | None = None,
        cel_partner: Tensor | None = None,
    ) -> LossTerms:
        """Losses of B images, ``labels [B]`` int64 place ids, from the output of ``FoL(images, training=True)``.

        ``never_negative [B, B]`` bool: pairs of images of different places that see the same thing; they are neither
        positives nor negatives of each other. ``generator`` and ``cel_partner [B]`` concern the official contrast term:
        the draw of the other image of the place, or that image given.
        """
        with torch.autocast(output.descriptor.device.type, enabled=False):
            inputs = _Inputs.of(output)
            terms: dict[str, Tensor] = {}
            statistics: dict[str, Tensor] = {}
            if self.options.multi_similarity:
                terms["multi_similarity"] = multi_similarity(
                    inputs.descriptor, labels, self.options.multi_similarity_options, never_negative
                )
            if self.options.form == "official":
                self._official(inputs, labels, terms, statistics, generator, never_negative, cel_partner)
            else:
                self._fol(inputs, labels, terms, statistics, never_negative)
            weights = self.options.weights
            total = torch.stack([weights[name] * value for name, value in terms.items()]).sum()
        return LossTerms(total, terms, statistics)

    def _official(
        self,
        inputs: _Inputs,
        labels: Tensor,
        terms: dict[str, Tensor],
        statistics: dict[str, Tensor],
        generator: torch.Generator | None,
        never_negative: Tensor | None,
        cel_partner: Tensor | None,
    ) -> None:
        options = self.options
        if options.local_triplet:
            triplets = official_hard_triplets(inputs.descriptor, labels, never_negative)
            tokens = official_tokens(inputs.dense_local, inputs.selected)
            result = official_local_triplet(tokens, triplets, options.local_triplet_options)
            terms["local_triplet"] = result.loss
            statistics |= {"triplets": result.triplets, "active_triplets": result.active}
        if options.alignment:
            terms["alignment"] = official_alignment(inputs.aggregation, inputs.extraction)
        if options.contrast:
            partner, valid = random_partner(labels, generator)
            partner = partner if cel_partner is None else cel_partner
            terms["contrast"] = official_contrast(
                inputs.dense_local, inputs.fine_map(), partner, valid, options.contrast_options
            )
        if options.pseudo_correspondence:
            loss, mined = official_pseudo_correspondence(
                functional.normalize(inputs.patch_map.flatten(2), dim=1),
                inputs.assignment,
                inputs.dense_local,
                inputs.attention_guide,
                labels,
                inputs.grid,
            )
            terms["pseudo_correspondence"] = loss
            statistics["correspondences"] = torch.full((), len(mined), device=loss.device)

    def _fol(
        self,
        inputs: _Inputs,
        labels: Tensor,
        terms: dict[str, Tensor],
        statistics: dict[str, Tensor],
        never_negative: Tensor | None,
    ) -> None:
        options = self.options
        hardest = hardest_images(inputs.descriptor.detach(), labels, never_negative)
        partner, paired = next_of_place(labels)
        number = torch.arange(len(labels), device=labels.device)
        cells, valid = token_cells(inputs.region_map, inputs.selected, options.local_triplet_options)
        patches = patch_cells(torch.stack([number, partner, hardest.negative]), inputs.grid)
        # A term that is off reads nothing.
        tokens, local = read_cells(
            inputs.dense_local,
            cells if options.local_triplet else cells[:, :0],
            patches if options.pseudo_correspondence else patches[:, :, :0],
        )
        if options.local_triplet:
            result = local_triplet(TokenBatch(tokens, valid), hardest, options.local_triplet_options)
            terms["local_triplet"] = result.loss
            statistics |= {
                "triplets": result.triplets,
                "active_triplets": result.active,
                "positive_matches": result.matches,
            }
        if options.alignment:
            terms["alignment"] = alignment(inputs.aggregation, inputs.extraction, options.alignment_options)
        if options.contrast:
            terms["contrast"] = contrast(inputs.dense_local, inputs.fine_map(), labels, options.contrast_options)
        if options.pseudo_correspondence:
            pseudo = options.pseudo_correspondence_options
            mined = mine_correspondences(inputs.patch_map, inputs.assignment, inputs.selected, partner, paired, pseudo)
            terms["pseudo_correspondence"] = pseudo_correspondence(
                local[0], local[1], local[2], hardest.has_negative, inputs.grid, mined, pseudo
            )
            statistics["correspondences"] = mined.valid.sum()
