from __future__ import annotations

import pytest
import torch

from fol.models.local_head import LocalHead, fine_positions, fine_size, patch_of_fine_cell


@pytest.mark.parametrize(("patches", "fine"), [(16, 61), (23, 89), (36, 141), (1, 1)])
def test_fine_size(patches, fine):
    assert fine_size(patches) == fine
    head = LocalHead(2, 2, 2)
    assert head(torch.zeros(1, 2, patches, patches)).shape == (1, fine, fine, 2)


def test_an_impulse_at_patch_i_is_seen_at_fine_cells_4i_minus_3_to_4i_plus_3():
    head = LocalHead(1, 1, 1)
    with torch.no_grad():
        for convolution in (head.upconv1, head.upconv2):
            convolution.weight.fill_(1.0)
            convolution.bias.zero_()
    patches = torch.zeros(1, 1, 9, 9)
    patches[0, 0, 5, 2] = 1.0
    fine = head.upconv2(torch.relu(head.upconv1(patches)))[0, 0]
    rows, columns = fine.sum(1).nonzero().flatten(), fine.sum(0).nonzero().flatten()
    assert rows.tolist() == list(range(17, 24)) and columns.tolist() == list(range(5, 12))


def test_positions_are_the_centres_of_the_patches_they_stand_for():
    positions = fine_positions((fine_size(4), fine_size(6)))
    assert positions.shape == (13, 21, 2)
    assert positions[0, 0].tolist() == [7.0, 7.0]
    assert positions[4 * 2, 4 * 5].tolist() == [14 * 5 + 7.0, 14 * 2 + 7.0]  # (x, y) of patch (2, 5)


def test_owner_of_fine_cells():
    centred, nearest = patch_of_fine_cell(23, True), patch_of_fine_cell(23, False)
    assert (centred == 5).nonzero().flatten().tolist() == [18, 19, 20, 21]
    assert (nearest == 5).nonzero().flatten().tolist() == [20, 21, 22, 23]  # the published shift
    assert centred.max() == nearest.max() == 22 and len(centred) == 89
