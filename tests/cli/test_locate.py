from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from fol.cli import main
from fol.cli.locate import verdict
from fol.data.synthetic import make_city
from fol.types import Place, Position, Prediction

HERE = Position(500000.0, 4000000.0, "31N", 36.144, 3.0)


@pytest.mark.parametrize(
    ("position", "confidence", "not_in_map", "expected"),
    [
        (HERE, 0.99, False, "a.jpg at 36.144000, 3.000000 (confidence 0.99)"),
        (HERE, 0.40, True, "probably not in the map (confidence 0.40); nearest is a.jpg at 36.144000, 3.000000"),
        (Position(1.0, 2.0), None, None, "a.jpg at 1.0 E, 2.0 N (the map is not calibrated: no confidence)"),
        (None, None, None, "a.jpg (the map is not calibrated: no confidence)"),
    ],
)
def test_the_answer_in_words(position, confidence, not_in_map, expected):
    place = Place("a.jpg", Path("a.jpg"), position)
    assert verdict(Prediction(place, position, 1.0, confidence, not_in_map, ())) == expected


def test_pictures_for_one_photo_and_for_several(tmp_path, capsys):
    city = make_city(tmp_path / "city", places=2, size=64)
    model = ["model=fol_tiny_untrained", "model.image_size=126", "calibrate=false"]
    assert main(["index", str(city / "database"), "--out", str(tmp_path / "m.fol"), *model]) == 0
    photos = [str(photo) for photo in sorted((city / "queries").iterdir())[:2]]
    assert (
        main(["locate", photos[0], "--map", str(tmp_path / "m.fol"), f"--picture={tmp_path / 'deep' / 'one.png'}"]) == 0
    )
    assert main(["locate", *photos, "--map", str(tmp_path / "m.fol"), f"--picture={tmp_path / 'two.png'}"]) == 0
    written = [tmp_path / "deep" / "one.png", *tmp_path.glob("two-*.png")]
    assert len(written) == 3
    for path in written:
        with Image.open(path) as picture:
            assert min(picture.size) > 300
    assert main(["locate", photos[0], "--map", str(tmp_path / "m.fol"), f"--picture={tmp_path / 'x.gif'}"]) == 1
    assert "x.gif" in capsys.readouterr().err
