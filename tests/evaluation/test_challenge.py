"""Challenge scores by hand, and against the official rules written out with loops over text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replicas.msls import write_msls

from fol.data.photo_set import PhotoSet
from fol.data.readers.msls import read_msls
from fol.errors import ConfigError, DataError
from fol.evaluation.challenge import KS, Subtask, Task, challenge_truth, score_predictions
from fol.types import Place, Position


def _photo(
    key: str,
    east: float | None,
    *,
    city: str = "cph",
    tasks: str = "all",
    pano: bool = False,
    sequence: str = "s",
    frame: int = 0,
) -> Place:
    return Place(
        f"{city}/{key}.jpg",
        Path(f"{key}.jpg"),
        None if east is None else Position(east, 0.0),
        sequence=sequence,
        metadata={"key": key, "city": city, "subtasks": tasks, "pano": str(pano), "frame": str(frame)},
    )


def _photos(database: Sequence[Place], queries: Sequence[Place]) -> PhotoSet:
    return PhotoSet(Path("MSLS"), tuple(database), tuple(queries))


#: q1 at 0 m: a (0 m), b (25 m). q2 at 100 m: c (90 m). q3 at 500 m: none. p is a panorama at q1's place.
DATABASE = [_photo("a", 0), _photo("b", 25), _photo("p", 1, pano=True), _photo("c", 90), _photo("n", 0, tasks="s2w")]
QUERIES = [_photo("q1", 0), _photo("q2", 100), _photo("q3", 500), _photo("qp", 0, pano=True)]
HAND = _photos(DATABASE, QUERIES)


def test_truth_by_hand() -> None:
    truth = challenge_truth(HAND)
    assert truth.query_keys == ("q1", "q2")
    assert truth.database_keys == ("a", "b", "c")
    assert [found.tolist() for found in truth.positives] == [[0, 1], [2]]
    assert truth.without_positives == {"q3"}
    assert truth.left_out == {"p", "n"}


def test_scores_by_hand() -> None:
    # q1: wrong, right, right. q2: wrong, wrong, right.
    predictions = {"q1": ("c", "a", "b"), "q2": ("a", "b", "c"), "q3": ("a", "b", "c")}
    score = score_predictions(predictions, challenge_truth(HAND))
    # AP@5: q1 (1/2 + 2/3) / 2, q2 (1/3) / 1.
    precision = ((1 / 2 + 2 / 3) / 2 + 1 / 3) / 2
    assert score.metrics == pytest.approx(
        {
            "all_recall@1": 0.0,
            "all_recall@5": 1.0,
            "all_recall@10": 1.0,
            "all_recall@20": 1.0,
            "all_map@1": 0.0,
            "all_map@5": precision,
            "all_map@10": precision,
            "all_map@20": precision,
        }
    )
    assert list(score.metrics)[:2] == ["all_recall@1", "all_recall@5"]
    assert (score.num_queries, score.num_without_positives) == (2, 1)
    assert score.messages == ("there are 3 answers per query, so @5, @10, @20 see no more",)


def test_answers_that_take_no_part_do_not_count() -> None:
    predictions = {"q1": ("p", "n", "a"), "q2": ("c", "a", "b")}
    score = score_predictions(predictions, challenge_truth(HAND))
    assert score.metrics["all_recall@1"] == 1
    assert any("removed 2 answers" in message for message in score.messages)


def test_other_unknown_answers_are_wrong() -> None:
    predictions = {"q1": ("elsewhere", "a", "b"), "q2": ("c", "a", "b")}
    score = score_predictions(predictions, challenge_truth(HAND))
    assert score.metrics["all_recall@1"] == 0.5
    assert any("1 answers are no photos of these cities" in message for message in score.messages)


def test_predictions_for_other_queries_are_ignored() -> None:
    predictions = {"qp": ("a",), "stranger": ("a",), "q1": ("a",), "q2": ("c",)}
    score = score_predictions(predictions, challenge_truth(HAND))
    assert score.metrics["all_recall@1"] == 1
    assert "ignored predictions for 2 queries, the first is qp" in score.messages[0]


def test_every_evaluated_query_must_be_there() -> None:
    with pytest.raises(DataError, match="1 of 2 queries of im2im have no predictions, the first is q2"):
        score_predictions({"q1": ("a",)}, challenge_truth(HAND))


def test_cities_are_answered_for_themselves() -> None:
    # The same coordinates in another city (another UTM zone, say) are another place.
    photos = _photos([*DATABASE, _photo("x", 0, city="sf")], [*QUERIES, _photo("qx", 20, city="sf")])
    truth = challenge_truth(photos)
    assert dict(zip(truth.query_keys, [found.tolist() for found in truth.positives], strict=True)) == {
        "q1": [0, 1],
        "q2": [2],
        "qx": [3],
    }


def test_subtask() -> None:
    photos = _photos(DATABASE, [_photo("q1", 0, tasks="all s2w")])
    truth = challenge_truth(photos, subtask="s2w")
    assert truth.database_keys == ("n",)
    score = score_predictions({"q1": ("a", "n")}, truth)
    assert score.metrics["s2w_recall@1"] == 1  # "a" takes no part in s2w


def _walk(prefix: str, easts: Sequence[float], **options: object) -> list[Place]:
    return [_photo(f"{prefix}{i}", east, frame=i, **options) for i, east in enumerate(easts)]  # type: ignore[arg-type]


def test_sequences_by_hand() -> None:
    # Database frames every 30 m: sequences d0-2 (0 to 60 m), d1-3 (30 to 90 m), d2-4 (60 to 120 m).
    database = _walk("d", [0, 30, 60, 90, 120])
    queries = _walk("q", [400, 500, 124])  # only the last frame is near: 4 m from d4, 34 m from d3
    photos = _photos(database, queries)
    truth = challenge_truth(photos, task="seq2seq")
    assert truth.query_keys == ("q0,q1,q2",)
    assert truth.database_keys == ("d0,d1,d2", "d1,d2,d3", "d2,d3,d4")
    assert truth.positives[0].tolist() == [2]
    assert challenge_truth(photos, task="seq2im").positives[0].tolist() == [4]
    single = challenge_truth(photos, task="im2seq")
    assert single.query_keys == ("q2",)
    assert single.positives[0].tolist() == [2]
    assert challenge_truth(photos, task="im2seq", seq_length=5).positives[0].tolist() == [0]
    score = score_predictions({"q0,q1,q2": ("d1,d2,d3", "d2,d3,d4")}, truth)
    assert (score.metrics["all_recall@1"], score.metrics["all_recall@5"], score.metrics["all_map@5"]) == (0, 1, 0.5)


def test_sequences_are_consecutive_frames_of_one_sequence() -> None:
    database = [
        *_walk("d", [0, 1, 2]),
        *_walk("e", [0, 1, 2], sequence="other"),
        _photo("f3", 0, sequence="other", frame=4),  # frame 3 is missing
        _photo("f5", 0, sequence="other", frame=5),
    ]
    truth = challenge_truth(_photos(database, [_photo("q", 0)]), task="im2seq")
    assert truth.database_keys == ("d0,d1,d2", "e0,e1,e2")


def test_the_middle_frame_decides_whether_a_sequence_takes_part() -> None:
    frames = [
        _photo("d0", 0, frame=0, pano=True),
        _photo("d1", 0, frame=1),
        _photo("d2", 0, frame=2, tasks=""),
        _photo("d3", 0, frame=3),
    ]
    truth = challenge_truth(_photos(frames, [_photo("q", 0)]), task="im2seq")
    assert truth.database_keys == ("d0,d1,d2",)
    assert truth.left_out == {"d1,d2,d3"}


def test_a_benchmark_as_it_is_published(tmp_path: Path) -> None:
    photos = read_msls(write_msls(tmp_path, pictures=False), ["cph", "sf"])
    truth = challenge_truth(photos)
    near = "q_near-eeeeeeeeeeeeeeee"
    assert truth.query_keys == (near, "sf_q_0-kkkkkkkkkkkkkkkk", "sf_q_100-llllllllllllll")
    assert truth.without_positives == {"q_far-fffffffffffffffff"}
    assert [truth.database_keys[i] for i in truth.positives[0]] == [
        "db_0-aaaaaaaaaaaaaaaaaa",
        "db_25_bbbbbbbbbbbbbbbbb",
    ]
    predictions = {
        near: ("db_pano-cccccccccccccc", "db_0-aaaaaaaaaaaaaaaaaa"),
        "sf_q_0-kkkkkkkkkkkkkkkk": ("db_0-aaaaaaaaaaaaaaaaaa", "sf_db_0-iiiiiiiiiiiiiii"),  # another city's photo
        "sf_q_100-llllllllllllll": ("sf_db_100-jjjjjjjjjjjjj", "sf_db_0-iiiiiiiiiiiiiii"),
    }
    score = score_predictions(predictions, truth)
    assert score.metrics["all_recall@1"] == pytest.approx(2 / 3)
    assert score.metrics["all_recall@5"] == 1


def test_without_ground_truth(tmp_path: Path) -> None:
    photos = read_msls(write_msls(tmp_path, test_positions=False, pictures=False), ["miami"], "test")
    with pytest.raises(DataError, match="mi_q_55.* has no position.*postprocessed.csv"):
        challenge_truth(photos)


def test_bad_arguments() -> None:
    with pytest.raises(ConfigError, match="choose a task"):
        challenge_truth(HAND, task="im2video")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="a subtask of all"):
        challenge_truth(HAND, subtask="x2y")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="seq_length=4"):
        challenge_truth(HAND, task="seq2seq", seq_length=4)
    with pytest.raises(DataError, match="no query of im2im, w2s has a positive"):
        challenge_truth(HAND, subtask="w2s")
    with pytest.raises(DataError, match="2 photos of the database have the key a"):
        challenge_truth(_photos([DATABASE[0], _photo("a", 3, city="sf")], QUERIES))
    with pytest.raises(DataError, match="has no subtasks"):
        challenge_truth(_photos([Place("a.jpg", Path("a.jpg"), metadata={"key": "a", "city": "cph"})], QUERIES))
    with pytest.raises(DataError, match="has no sequence"):
        plain = Place("a.jpg", Path("a.jpg"), metadata={**DATABASE[0].metadata})
        challenge_truth(_photos([plain], QUERIES), task="im2seq")


def _official(photos: PhotoSet, predictions: dict[str, list[str]], task: str, subtask: str) -> dict[str, float]:
    """The rules of mapillary_sls, with nothing but lists, text and distances."""

    def units(places: Sequence[Place], is_sequence: bool) -> list[tuple[Place, ...]]:
        found = []
        for city in dict.fromkeys(place.metadata["city"] for place in places):
            own = [place for place in places if place.metadata["city"] == city]
            if not is_sequence:
                found += [(place,) for place in own]
                continue
            for first, middle, last in zip(own, own[1:], own[2:], strict=False):
                frames = [int(place.metadata["frame"]) for place in (first, middle, last)]
                names = {place.sequence for place in (first, middle, last)}
                if len(names) == 1 and frames == [frames[0], frames[0] + 1, frames[0] + 2]:
                    found.append((first, middle, last))
        return found

    def name(unit: tuple[Place, ...]) -> str:
        return ",".join(place.metadata["key"] for place in unit)

    def takes_part(unit: tuple[Place, ...]) -> bool:
        metadata = unit[len(unit) // 2].metadata
        return metadata["pano"] == "False" and subtask in metadata["subtasks"].split()

    def near(unit: tuple[Place, ...], other: tuple[Place, ...]) -> bool:
        if unit[0].metadata["city"] != other[0].metadata["city"]:
            return False
        pairs = [(a.position, b.position) for a in unit for b in other]
        return any(a is not None and b is not None and abs(a.easting - b.easting) <= 25 for a, b in pairs)

    all_database = units(photos.database, task.endswith("seq"))
    database = [unit for unit in all_database if takes_part(unit)]
    absent = {name(unit) for unit in all_database if not takes_part(unit)}
    rows = []
    for query in units(photos.queries, task.startswith("seq")):
        right = {name(unit) for unit in database if near(query, unit)}
        if takes_part(query) and right:
            answers = predictions[name(query)]
            rows.append(([a for a in answers if a not in absent] + [a for a in answers if a in absent], right))
    metrics = {}
    for k in KS:
        metrics[f"{subtask}_recall@{k}"] = sum(any(a in right for a in row[:k]) for row, right in rows) / len(rows)
    for k in KS:
        total = 0.0
        for row, right in rows:
            hits = [rank for rank in range(1, min(k, len(row)) + 1) if row[rank - 1] in right]
            total += sum((i + 1) / rank for i, rank in enumerate(hits)) / min(k, len(right))
        metrics[f"{subtask}_map@{k}"] = total / len(rows)
    return metrics


_traits = st.tuples(
    st.integers(0, 6), st.sampled_from(["cph", "sf"]), st.booleans(), st.booleans(), st.integers(1, 2), st.booleans()
)


def _side(prefix: str, traits: list[tuple[int, str, bool, bool, int, bool]]) -> list[Place]:
    """Photos city by city, along the way with gaps between frames and changes of sequence."""
    photos, frame, sequence = [], 0, 0
    for i, (where, city, pano, in_task, step, other) in enumerate(sorted(traits, key=lambda row: row[1])):
        frame, sequence = frame + step, sequence + other
        tasks = "all s2w" if in_task else "all"
        photos.append(
            _photo(f"{prefix}{i}", 12.5 * where, city=city, tasks=tasks, pano=pano, sequence=str(sequence), frame=frame)
        )
    return photos


@settings(max_examples=150, deadline=None)
@given(
    st.lists(_traits, min_size=1, max_size=9),
    st.lists(_traits, min_size=1, max_size=9),
    st.sampled_from(["im2im", "seq2seq", "im2seq", "seq2im"]),
    st.sampled_from(["all", "s2w"]),
    st.randoms(use_true_random=False),
)
def test_against_the_official_rules(
    database: list[tuple[int, str, bool, bool, int, bool]],
    queries: list[tuple[int, str, bool, bool, int, bool]],
    task: Task,
    subtask: Subtask,
    random: object,
) -> None:
    photos = _photos(_side("d", database), _side("q", queries))
    try:
        truth = challenge_truth(photos, task=task, subtask=subtask)
    except DataError:
        with pytest.raises(ZeroDivisionError):
            _official(photos, {key: [] for key in _all_units(photos.queries)}, task, subtask)
        return
    answers = [*truth.database_keys, *truth.left_out, "unknown"]
    predictions = {}
    for key in _all_units(photos.queries):
        random.shuffle(answers)  # type: ignore[attr-defined]
        predictions[key] = answers[:7]
    official = _official(photos, predictions, task, subtask)
    assert score_predictions(predictions, truth).metrics == pytest.approx(official)


def _all_units(places: Sequence[Place]) -> list[str]:
    """Keys of every photo and of every three photos in a row: those of all queries are among them."""
    keys = [place.metadata["key"] for place in places]
    return keys + [",".join(keys[i : i + 3]) for i in range(len(keys) - 2)]
