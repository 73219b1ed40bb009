"""The group ``places`` of fol train: a folder that is given again, by the same name or another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from fol.cli.training_data import training_places
from fol.cli.training_settings import PlacesSettings


@pytest.mark.parametrize("others", [["{root}"], ["photos"], ["{root}/../link", "{root}"]])
def test_a_folder_given_again_is_validated_on_once(
    others: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "photos"
    for place in range(6):
        (root / f"p{place}").mkdir(parents=True)
        for view in range(2):
            (root / f"p{place}" / f"{view}.jpg").touch()  # photos are not opened
    (tmp_path / "link").symlink_to("photos")
    monkeypatch.chdir(tmp_path)
    folders = (str(root), *(other.format(root=root) for other in others))
    settings = PlacesSettings(folders, "auto", 2, None, None, 0.4, "place", ())
    places, (held_out,) = training_places(settings, tmp_path / "cities", 0)
    assert len(held_out.queries) == 2
    assert len(places.places) == 4 * len(folders)  # seen more often
    trained = {image.resolve() for image in places.images}
    assert len(trained) == 8 and not trained & {place.image for place in (*held_out.queries, *held_out.database)}
    # each place is no negative of itself
    pairs = {frozenset(pair) for pair in places.overlapping.tolist()}
    again = range(1, len(folders))
    assert {frozenset((p, p + 4 * k)) for p in range(4) for k in again} <= pairs
