"""Every benchmark of the catalogue on its replica: positives counted by hand, and the same once prepared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from replicas.at_layout import SF_XL
from replicas.catalogue import benchmark, write_native, write_openibl_form
from replicas.dbstruct import fields, write_mat
from replicas.msls import CPH, MIDDLE, write_msls
from replicas.openibl import META, write_openibl
from replicas.pictures import write_picture
from replicas.pittsburgh import DATABASE, QUERIES
from replicas.tokyo import DATABASE as TOKYO

from fol.data import PlaceDataset, format_at_name, read_dataset
from fol.data.catalogue import CATALOGUE, PROTOCOLS, find_benchmark, find_protocol, read_photos, read_protocol
from fol.data.photo_set import PhotoSet
from fol.data.prepared_benchmark import prepare_benchmark
from fol.data.protocol import Protocol, apply_protocol
from fol.data.readers.at_layout import read_at_layout
from fol.data.readers.positives_file import convert_npy
from fol.errors import ConfigError, DataError
from fol.types import Place

FIRST_PANORAMA = {name for name, *_ in DATABASE[:24]}
MSLS_ALL = {"q_near": {"db_0", "db_25"}, "q_far": set(), "sf_q_0": {"sf_db_0"}, "sf_q_100": {"sf_db_100"}}
#: Positives of every query by hand; where a benchmark is left out another one has the same replica.
EXPECTED: dict[str, dict[str, set[str]]] = {
    "msls_val@official": MSLS_ALL,
    "msls_val@all": MSLS_ALL | {"q_untasked": {"db_0"}},
    "pitts30k_test@25m": {
        QUERIES[0][0]: {name for name, *_ in DATABASE},
        QUERIES[1][0]: {name for name, *_ in DATABASE},
        QUERIES[2][0]: FIRST_PANORAMA,
    },
    # The tables put the queries 40 m from the first panorama, on the second.
    "tokyo247@25m": {f"{number:05d}.jpg": {name for name, *_ in TOKYO[12:]} for number in (1, 2, 3)},
    # The query is the database's second photo, which it must not find.
    **{
        f"tokyo_tm_{split}@25m": {
            "00/p1/y201305/Zz0_efghijklmnopqrst-v_330_012.jpg": {"00/p1/y200902/aB3-efghijklmnopqrst_v_000_012.jpg"}
        }
        for split in ("val", "train")
    },
    "sf_xl_v1@25m": {SF_XL["queries_v1"][0]: {f"{name[1:11]}/{name}" for name in SF_XL["database"][:2]}},
    "sf_xl_v2@25m": {SF_XL["queries_v2"][0]: {f"0546500.00/{SF_XL['database'][2]}"}},
    "sf_xl_night@25m": {SF_XL["queries_night"][0]: {f"0546500.00/{SF_XL['database'][2]}"}},
    "nordland@vprbench": {
        f"{i:07d}.jpg": {f"{frame:07d}.jpg" for frame in frames}
        for i, frames in enumerate(((0, 1), (9, 10, 11), (19, 20, 21)))
    },
    "sped@pairs": {f"{i:07d}.jpg": {f"{i:07d}.jpg"} for i in range(3)},
    "amstertime@pairs": {f"{i}.jpg": {f"{i}.png"} for i in (2, 10, 100)},
    "eynsham@25m": {
        f"grab_{1204200000 + panorama}.{view}.ppm": {f"grab_{1204200000 + panorama - 2}.{i}.ppm" for i in range(5)}
        for panorama in (3, 4)
        for view in range(5)
    },
}


def measured(photos: PhotoSet, protocol: Protocol) -> PlaceDataset | str:
    """The data set, or why there is none."""
    try:
        return apply_protocol(photos, protocol)
    except DataError as error:
        return str(error).removeprefix(f"{photos.root}: ")


def native_name(place: Place) -> str:
    return place.metadata.get("original", place.name)


def short(name: str) -> str:
    """Keys of the replica of MSLS without what fills them up to 22 characters."""
    key = Path(name).stem
    return key.rstrip(key[-1])[:-1] if "/images/" in name else name


def positives(dataset: PlaceDataset, name: object = native_name) -> dict[str, set[str]]:
    assert dataset.positives is not None and callable(name)
    return {
        name(query): {name(dataset.database[i]) for i in own.tolist()}
        for query, own in zip(dataset.queries, dataset.positives, strict=True)
    }


def passed_over(dataset: PlaceDataset) -> dict[str, set[str]]:
    return {
        native_name(query): {native_name(dataset.database[i]) for i in own.tolist()}
        for query, own in zip(dataset.queries, dataset.ignored, strict=True)
    }


def described(place: Place) -> tuple[object, ...]:
    """All that a place is but its name and file, which preparation changes."""
    metadata = {key: value for key, value in place.metadata.items() if value and key != "original"}
    return place.position, place.heading, place.sequence, metadata, place.image.stat().st_ino


def blocks(places: tuple[Place, ...], numbers: np.ndarray | None) -> set[frozenset[str]] | None:
    """Which places have the same number."""
    if numbers is None:
        return None
    names = np.array([native_name(place) for place in places])
    return {frozenset(names[numbers == number].tolist()) for number in np.unique(numbers)}


def assert_same(native: PlaceDataset | str, prepared: PlaceDataset | str) -> None:
    if isinstance(native, str) or isinstance(prepared, str):
        assert native == prepared
        return
    for before, after in ((native.database, prepared.database), (native.queries, prepared.queries)):
        assert {p.name: described(p) for p in before} == {native_name(p): described(p) for p in after}
    assert positives(native) == positives(prepared)
    assert passed_over(native) == passed_over(prepared)
    assert native.protocol == prepared.protocol and native.without_positives == prepared.without_positives
    ours, theirs = native.rules, prepared.rules
    assert ours.query_short_side == theirs.query_short_side
    assert blocks(native.database, ours.one_per) == blocks(prepared.database, theirs.one_per)
    assert blocks(native.database, ours.database_groups) == blocks(prepared.database, theirs.database_groups)
    assert blocks(native.queries, ours.query_groups) == blocks(prepared.queries, theirs.query_groups)
    searched = [
        {
            native_name(d.queries[q]): {native_name(d.database[i]) for i in members.tolist()}
            for members, asking in d.rules.groups(len(d.database), len(d.queries))
            for q in asking.tolist()
        }
        for d in (native, prepared)
    ]
    assert searched[0] == searched[1]


@pytest.mark.parametrize("name", CATALOGUE)
def test_prepared_is_what_the_download_is(name: str, tmp_path: Path) -> None:
    own = benchmark(name)
    native = read_photos(own, write_native(name, tmp_path / "from@here"))
    made = prepare_benchmark(own, native, tmp_path / "out")
    assert made.folder == tmp_path / "out" / own.layout and not made.missing
    for root in (tmp_path / "out", made.folder):
        prepared = read_photos(own, root)
        assert len(prepared.database) == len(native.database) and len(prepared.queries) == len(native.queries)
        found = [measured(native, protocol) for protocol in own.protocols]
        assert isinstance(found[0], PlaceDataset)
        for before, protocol in zip(found, own.protocols, strict=True):
            assert_same(before, measured(prepared, protocol))


@pytest.mark.parametrize("protocol", EXPECTED)
def test_positives_by_hand(protocol: str, tmp_path: Path) -> None:
    name = find_benchmark(protocol).name
    root = write_native(name, tmp_path / "native")
    dataset = apply_protocol(read_photos(benchmark(name), root), find_protocol(protocol)[1])
    by_hand = positives(dataset)
    if name == "msls_val":
        by_hand = {short(query): {short(i) for i in own} for query, own in by_hand.items()}
    assert by_hand == EXPECTED[protocol]
    if name != "eynsham":
        assert positives(read_protocol(protocol, root)) == positives(dataset)


@pytest.mark.parametrize(("protocol", "reach", "frames"), [("nordland@10f", 10, 30), ("nordland@unizar", 2, 12)])
def test_frames_by_hand(protocol: str, reach: int, frames: int, tmp_path: Path) -> None:
    dataset = read_protocol(protocol, write_native(find_benchmark(protocol).name, tmp_path))
    assert positives(dataset, lambda place: place.metadata["frame"]) == {
        str(i): {str(j) for j in range(max(0, i - reach), min(frames, i + reach + 1))} for i in range(frames)
    }


@pytest.mark.parametrize("protocol", ["svox@25m", "svox_night@25m", "st_lucia@25m"])
def test_one_gallery_photo_is_right(protocol: str, tmp_path: Path) -> None:
    dataset = read_protocol(protocol, write_native(find_benchmark(protocol).name, tmp_path))
    assert [own.tolist() for own in dataset.positives or ()] == [[0]]  # at 10 m, and at 25 m exactly


def test_cities_are_searched_alone_or_together(tmp_path: Path) -> None:
    root = write_native("msls_test", tmp_path)
    alone, together = (positives(read_protocol(name, root)) for name in ("msls_test@city", "msls_test@all"))
    assert len(alone) == len(together) == 6
    assert all(own == {name.replace("query", "database").replace("mi_q_55-oooooooooooooo", "mi_db_60-nnnnnnnnnnnnnn")}
               for name, own in alone.items())  # fmt: skip
    assert all({Path(i).stem for i in own} == {"mi_db_60-nnnnnnnnnnnnnn"} for own in together.values())
    assert {len(own) for own in together.values()} == {6}


def test_rules_of_tokyo(tmp_path: Path) -> None:
    root = write_native("tokyo247", tmp_path)
    short480, nms = (read_protocol(f"tokyo247@{rule}", root) for rule in ("short480", "nms"))
    assert (short480.rules.query_short_side, short480.rules.one_per) == (480, None)
    assert nms.rules.query_short_side == 640 and nms.rules.most_per_one == 12
    assert nms.rules.one_per is not None and len(set(nms.rules.one_per.tolist())) == 2


def test_photos_of_the_querys_month_are_passed_over(tmp_path: Path) -> None:
    itself = "00/p1/y201305/Zz0_efghijklmnopqrst-v_330_012.jpg"
    assert passed_over(read_protocol("tokyo_tm_val", write_native("tokyo_tm_val", tmp_path))) == {itself: {itself}}


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("pitts30k_test", {1}),
        ("pitts30k_val", {1}),
        ("pitts30k_train", set()),
        ("pitts250k_test", {1}),
        ("pitts250k_val", {1}),
        ("pitts250k_train", set()),
    ],
)
def test_openibl_by_hand(name: str, right: set[int], tmp_path: Path) -> None:
    dataset = read_protocol(name, write_openibl_form(name, tmp_path))
    files = {file for identity in right for file in META["identities"][identity]}
    assert positives(dataset) == dict.fromkeys(META["identities"][0], files)


def test_two_forms_of_one_set_agree(tmp_path: Path) -> None:
    ibl = read_protocol("pitts30k_test", write_openibl(tmp_path / "ibl"))
    sides = [
        [(file.split("/", 2)[2], *META["utm"][i]) for i in identities for file in META["identities"][i]]
        for identities in ((1, 2, 3), (0,))
    ]
    write_mat(tmp_path / "mat" / "pitts30k_test.mat", fields("test", sides[0], sides[1]))
    mat = read_protocol("pitts30k_test", tmp_path / "mat")
    assert positives(ibl, lambda place: place.name.split("/", 2)[2]) == positives(mat)
    assert {len(own) for own in positives(mat).values()} == {2}


def test_names_of_vpr_datasets_downloader(tmp_path: Path) -> None:
    """Copenhagen as format_mapillary.py writes it: no subtasks, so only one protocol can be measured."""
    east, north, zone, letter = MIDDLE["cph"]
    for side, folder in (("database", "database"), ("query", "queries")):
        for photo in CPH[side]:
            if not photo.pano:
                name = format_at_name(
                    easting=east + photo.east, northing=north + photo.north, zone=f"{zone}{letter}", pano_id=photo.key
                )
                write_picture(tmp_path / "images" / "val" / folder / name)
    dataset = read_protocol("msls_val@all", tmp_path)
    found = positives(dataset, lambda place: place.metadata["panorama"].partition("-")[0].split("_b")[0].split("_d")[0])
    assert {query: len(own) for query, own in found.items()} == {"q_near": 2, "q_far": 0, "q_untasked": 1}
    with pytest.raises(DataError, match="its files tell no subtasks, which msls_val@official needs"):
        read_protocol("msls_val@official", tmp_path)
    photos = read_photos(CATALOGUE["msls_val"], tmp_path)
    prepare_benchmark(CATALOGUE["msls_val"], photos, tmp_path / "out")
    assert_same(dataset, read_protocol("msls_val@all", tmp_path / "out"))


def test_a_truth_that_is_still_a_pickle_is_not_needed(tmp_path: Path) -> None:
    root = write_native("nordland_vprbench", tmp_path)
    unconverted = positives(read_protocol("nordland@vprbench", root))
    convert_npy(root / "Nordland_gt.npy")
    assert positives(read_protocol("nordland@vprbench", root)) == unconverted


@pytest.mark.parametrize(
    ("name", "spacing", "right"),
    [("nordland_unizar", 10.0, [3, 4] + 8 * [5] + [4, 3]), ("nordland_vprbench", 25 / 1.5, [2, 3, 3])],
)
def test_other_tools_take_as_many_frames(name: str, spacing: float, right: list[int], tmp_path: Path) -> None:
    """They know the file names and 25 m, nothing else."""
    own = benchmark(name)
    prepare_benchmark(own, read_photos(own, write_native(name, tmp_path / "native")), tmp_path / "out")
    dataset = apply_protocol(read_at_layout(tmp_path / "out"), Protocol("others@25m", ""))
    assert [len(row) for row in dataset.positives or ()] == right
    assert dataset.queries[1].position is not None
    step = 10 if name == "nordland_vprbench" else 1
    assert dataset.queries[1].position.northing == pytest.approx(step * spacing, abs=0.01)


def test_frames_of_sequences_are_no_traverse(tmp_path: Path) -> None:
    """The test cities before 2026: frame numbers count in each sequence, and there are no positions."""
    root = write_msls(tmp_path / "native", test_positions=False)
    for city in ("athens", "buenosaires", "stockholm", "bengaluru", "kampala"):
        (root / "test" / city).symlink_to(root / "test" / "miami")
    own = CATALOGUE["msls_test"]
    made = prepare_benchmark(own, read_photos(own, root), tmp_path / "out")
    assert not made.made_up
    assert all(path.name.startswith("@@@") for path in (made.folder / "database").iterdir())
    for folder in (root, tmp_path / "out"):
        with pytest.raises(DataError, match="have no coordinates"):
            read_protocol("msls_test@city", folder)


def test_a_prepared_folder_knows_its_benchmark(tmp_path: Path) -> None:
    root = write_native("svox_night", tmp_path / "native")
    own = CATALOGUE["svox_night"]
    base = prepare_benchmark(own, read_photos(own, root), tmp_path / "out").folder
    with pytest.raises(DataError, match="holds svox_night, not svox_rain: give another folder"):
        read_protocol("svox_rain", tmp_path / "out")
    with pytest.raises(DataError, match="holds svox_night, not svox: give"):
        prepare_benchmark(CATALOGUE["svox"], read_photos(CATALOGUE["svox"], root), tmp_path / "out")
    assert len(read_dataset(tmp_path / "out").queries) == 1
    (base / "benchmark.json").write_text("[]")
    with pytest.raises(DataError, match=r"benchmark\.json: does not name a benchmark"):
        read_protocol("svox_night", tmp_path / "out")


def test_splits_lie_side_by_side(tmp_path: Path) -> None:
    for part in ("val", "test"):
        own = CATALOGUE[f"pitts30k_{part}"]
        photos = read_photos(own, write_native(own.name, tmp_path / part))
        assert prepare_benchmark(own, photos, tmp_path / "out").folder == tmp_path / "out" / "images" / part
    assert sorted(json.loads(path.read_text())["benchmark"] for path in tmp_path.rglob("benchmark.json")) == [
        "pitts30k_test",
        "pitts30k_val",
    ]
    with pytest.raises(DataError, match="is no download of pitts30k_train: none of"):
        read_protocol("pitts30k_train", tmp_path / "out")


def test_unknown_names_and_folders(tmp_path: Path) -> None:
    for wrong, near in (("msls_vall", "msls_val"), ("pitts30k@25m", "pitts30k_val@25m"), ("SPED", "")):
        with pytest.raises(ConfigError, match=f"did you mean {near}" if near else "no benchmark and no protocol"):
            find_benchmark(wrong)
    with pytest.raises(ConfigError, match="did you mean msls_val@official"):
        find_protocol("msls_val@oficial")
    with pytest.raises(DataError, match=r"is no download of tokyo247: none of tokyo247\.mat, datasets/tokyo247\.mat"):
        read_protocol("tokyo247", tmp_path)
    with pytest.raises(DataError, match="absent: no such folder"):
        read_protocol("tokyo247", tmp_path / "absent")
    assert find_protocol("msls_val")[1].name == "msls_val@official"


def test_names_are_consistent() -> None:
    assert len(PROTOCOLS) == sum(len(own.protocols) for own in CATALOGUE.values())
    for own in CATALOGUE.values():
        assert own.protocols and own.native and own.access and own.title
        for protocol in own.protocols:
            assert own.name.startswith(protocol.dataset) and protocol.summary


def test_the_document_lists_the_catalogue() -> None:
    text = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text()
    text = text.partition("## Which there are")[2].partition("\n## ")[0]
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    for own in CATALOGUE.values():
        _, name, database, queries, protocols, *_ = (cell.strip() for cell in rows[own.name].split("|"))
        assert name == f"`{own.name}`"
        published = own.protocols[0].published
        counts, exact = own.counts, own.counted
        if counts is None and published is not None:
            counts, exact = (published.database, published.queries), published.exact
        told = ["-", "-"] if counts is None else [f"{count:,}{'' if exact else '*'}" for count in counts]
        assert [database, queries] == told
        named = [part.strip("` ") for part in protocols.split(",")]
        full = [f"{own.name}{part}" if part.startswith("@") else part for part in named]
        assert full == [protocol.name for protocol in own.protocols]
