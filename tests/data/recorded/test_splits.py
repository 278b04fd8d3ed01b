from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from spt.data.recorded.splits import Split
from spt.data.recorded.table import Image, PairRow, Table
from spt.errors import InvalidValue, MissingFile


def table(objects=range(10), diffusers=(1,), **said) -> Table:
    """Every object behind every diffuser; what is said of them is looked up by (object, diffuser)."""
    rows = []
    for d in diffusers:
        for k in objects:
            known = {name: value(k, d) for name, value in said.items()}
            rows.append(PairRow(Image(Path(f"s{d}_{k}.png")), Image(Path(f"t{k}.png")), d, f"g{d}", object=k, **known))
    return Table(rows)


def where(table: Table, splits: list[str | None]) -> dict[str | None, list[tuple[int, int]]]:
    """(object, diffuser) of each split."""
    found: dict[str | None, list[tuple[int, int]]] = {}
    for row, split in zip(table.rows, splits, strict=True):
        found.setdefault(split, []).append((row.object, row.diffuser))
    return found


def objects(pairs: Table, split: Split, root: Path = Path()) -> dict[str | None, list[int]]:
    return {name: [k for k, _ in found] for name, found in where(pairs, split(pairs, root)).items()}


# Rules ----------------------------------------------------------------------------------------------------------------


def test_shares_and_counts_in_sequence():
    assert objects(table(), Split(0.2, 0.1)) == {"train": list(range(7)), "val_seen": [7, 8], "test_seen": [9]}
    assert objects(table(), Split(3)) == {"train": list(range(7)), "val_seen": [7, 8, 9]}
    assert objects(table(range(20, 30)), Split(0.01))["val_seen"] == [29]  # at least one


def test_ranges_are_of_object_numbers_and_hold_both_ends():
    pairs = table(range(1, 11))
    assert objects(pairs, Split("1-3", "5,9-10")) == {
        "train": [4, 6, 7, 8],
        "val_seen": [1, 2, 3],
        "test_seen": [5, 9, 10],
    }
    assert objects(pairs, Split(["1-2", 7]))["val_seen"] == [1, 2, 7]
    assert objects(pairs, Split("9-10", 2))["test_seen"] == [7, 8]


def test_index_arrays(tmp_path: Path):
    np.save(tmp_path / "val.npy", np.array([4, 2]))
    np.savez(tmp_path / "more.npz", test=np.array([[9.0]]), other=np.zeros(3))
    np.save(tmp_path / "mask.npy", np.arange(10) < 2)
    found = objects(table(), Split("val.npy", "more.npz:test"), tmp_path)
    assert (found["val_seen"], found["test_seen"]) == ([2, 4], [9])
    assert objects(table(), Split("mask.npy"), tmp_path)["val_seen"] == [0, 1]


def test_blocks_are_spread_over_the_sequence():
    found = objects(table(range(100)), Split(0.2, 0.1, "blocks"))
    assert found["val_seen"] == [10 * k + j for k in range(10) for j in (7, 8)]
    assert found["test_seen"] == [10 * k + 9 for k in range(10)]
    few = objects(table(range(12)), Split(3, 3, "blocks"))
    assert {name: len(found) for name, found in few.items()} == {"train": 6, "val_seen": 3, "test_seen": 3}
    assert few["val_seen"] == [2, 6, 10]


def test_shuffled_is_one_fixed_order():
    first = objects(table(range(100)), Split(0.2, mode="shuffled"))
    assert first == objects(table(range(100)), Split(0.2, mode="shuffled"))
    assert len(first["val_seen"]) == 20
    assert first["val_seen"] != list(range(80, 100))


@pytest.mark.parametrize("mode", ["sequence", "blocks", "shuffled"])
@pytest.mark.parametrize("diffusers", [(1,), (1, 2, 3)])
def test_all_pairs_of_an_object_are_on_one_side(mode: str, diffusers: tuple[int, ...]):
    """Three frames an object, in any order, also behind several diffusers."""
    pairs = table(range(30), diffusers)
    rows = [row for row in pairs.rows for _ in range(3)]
    np.random.default_rng(0).shuffle(rows)  # type: ignore[arg-type]
    splits = Split(0.2, 0.2, mode)(Table(rows))  # type: ignore[arg-type]
    sides = {row.object: {s for r, s in zip(rows, splits, strict=True) if r.object == row.object} for row in rows}
    assert all(len(found) == 1 for found in sides.values())
    assert Counter(next(iter(found)) for found in sides.values()) == {"train": 18, "val_seen": 6, "test_seen": 6}


# What does not train --------------------------------------------------------------------------------------------------


def test_an_unseen_diffuser_shows_no_object_that_trains():
    pairs = table(range(5), (1, 2, 3))
    found = where(pairs, Split("0-1", unseen_diffusers=[3])(pairs))
    assert found["test_unseen"] == [(0, 3), (1, 3)]
    assert found["val_seen"] == [(0, 1), (1, 1), (0, 2), (1, 2)]
    assert found[None] == [(k, 3) for k in (2, 3, 4)]


def test_objects_that_only_unseen_diffusers_show_are_all_tested():
    """Every diffuser has objects of its own."""
    pairs = Table([*table(range(10), (1,)).rows, *table(range(10, 15), (2,)).rows])
    found = where(pairs, Split(2, unseen_diffusers=[2])(pairs))
    assert found["test_unseen"] == [(k, 2) for k in range(10, 15)]
    assert found["val_seen"] == [(8, 1), (9, 1)]
    assert None not in found


def test_with_test_objects_the_validation_objects_are_val_unseen():
    pairs = table(range(5), (1, 2))
    found = where(pairs, Split("0-0", "1-1", unseen_diffusers=["g2"])(pairs))
    assert (found["val_unseen"], found["test_unseen"], found["test_seen"]) == ([(0, 2)], [(1, 2)], [(1, 1)])


def test_an_unseen_distance():
    pairs = table(range(4), (1, 2), distance=lambda k, d: 0.01 * d)
    found = where(pairs, Split(1, unseen_distances=[0.02])(pairs))
    assert found["test_unseen"] == [(3, 2)]
    with pytest.raises(InvalidValue, match=r"there is no distance 0\.05\. There are \[0\.01, 0\.02\]"):
        Split(unseen_distances=[0.05])(pairs)


def test_unseen_classes():
    pairs = table(range(8), (1, 2), label=lambda k, d: str(k % 4))
    found = where(pairs, Split(2, unseen_classes=[3], unseen_diffusers=[2])(pairs))
    assert found["val_class"] == [(3, 1), (7, 1)]
    assert found["val_seen"] == [(5, 1), (6, 1)]
    assert (3, 2) in found[None]
    assert not {3, 7} & {k for k, _ in found["train"]}


def test_leave_one_out_rotates():
    pairs = table(range(4), (1, 4, 9))
    for fold, diffuser in enumerate((1, 4, 9)):
        found = where(pairs, Split(1, unseen="diffuser", fold=fold)(pairs))
        assert found["test_unseen"] == [(3, diffuser)]
        assert diffuser not in {d for _, d in found["train"]}
    with pytest.raises(InvalidValue, match="fold=3, but there are 3: 0 to 2 leave one out"):
        Split(1, unseen="diffuser", fold=3)(pairs)
    with pytest.raises(InvalidValue, match="needs several of them, and the table names 1"):
        Split(1, unseen="diffuser")(table())
    apart = table(range(4), (1, 2), distance=lambda k, d: 0.01 * d)
    assert where(apart, Split(1, unseen="distance", fold=1)(apart))["test_unseen"] == [(3, 2)]


# What the table says --------------------------------------------------------------------------------------------------


def test_the_words_of_a_table():
    words = ["Train", "training", "val", "valid", "evaluation", "TEST", "test_seen", "val_seen"]
    splits = Split()(table(range(8), split=lambda k, d: words[k]))
    assert splits == ["train", "train", "val_seen", "val_seen", "val_seen", "test_seen", "test_seen", "val_seen"]


def test_a_diffuser_that_does_not_train_is_unseen():
    words = {1: "train", 2: "val", 3: "test"}
    rows = [*table(range(3), (1,)).rows, *table(range(3, 5), (1,)).rows, *table(range(5, 7), (2, 3)).rows]
    pairs = Table([
        PairRow(row.speckle, row.target, row.diffuser, object=row.object + 10 * row.diffuser,
                split="val" if row.object in (3, 4) else words[row.diffuser])
        for row in rows
    ])  # fmt: skip
    assert Split()(pairs) == ["train"] * 3 + ["val_seen"] * 2 + ["val_unseen"] * 2 + ["test_unseen"] * 2


def test_splits_of_the_table_and_unseen_diffusers_together():
    pairs = table(range(1, 5), (1, 2, 3), split=lambda k, d: "val" if k == 1 else "train")
    found = where(pairs, Split(unseen_diffusers=[3])(pairs))
    assert found["test_unseen"] == [(1, 3)]
    assert len(found["train"]) == 6
    # A diffuser that does not train may be filed elsewhere: the others decide.
    filed = table(range(1, 5), (1, 2), split=lambda k, d: "test" if d == 2 else "val" if k == 1 else "train")
    assert where(filed, Split(unseen_diffusers=[2])(filed))["test_unseen"] == [(1, 2)]


def test_validation_is_cut_from_training_where_the_table_has_none():
    pairs = table(range(12), split=lambda k, d: "test" if k < 2 else "train")
    found = objects(pairs, Split(0.2))
    assert found == {"test_seen": [0, 1], "train": list(range(2, 10)), "val_seen": [10, 11]}
    pairs = table(range(12), split=lambda k, d: "val" if k < 2 else "train")
    assert objects(pairs, Split(0.5, 1)) == {"val_seen": [0, 1], "train": list(range(2, 11)), "test_seen": [11]}


def test_a_class_that_the_table_names_is_no_validation_part():
    pairs = table(range(12), split=lambda k, d: " Val_Class" if k < 2 else "train")
    assert objects(pairs, Split(2)) == {"val_class": [0, 1], "train": list(range(2, 10)), "val_seen": [10, 11]}


def test_full_names_are_taken_as_they_are():
    words = ["train", "val_seen", "val_unseen", "test_unseen", "val_class", "test_seen"]
    assert Split()(table(range(6), split=lambda k, d: words[k])) == words


# What cannot be -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"validation": -0.1}, "validation must be a share below 1, a count, ranges"),
        ({"test": 1.5}, "test must be a share"),
        ({"mode": "random"}, "mode must be sequence, shuffled or blocks, got 'random'"),
        ({"unseen": "object"}, "unseen must be diffuser, distance or null"),
        ({"fold": -1}, "fold must be 0 or more"),
    ],
)
def test_wrong_settings(own_checks: None, settings: dict, message: str):
    with pytest.raises(InvalidValue, match=message):
        Split(**settings)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (Split(6, 4), "validation=6 and test=4 leave none of 10 objects to train on"),
        (Split("0-3", "3-4"), "object 3 is in validation and in test"),
        (Split("50-60"), "validation: no object has a number of 50-60. The objects are numbered 0 to 9"),
        (Split(0), r"no pair is left for val_seen; there are train 10\. Set data\.source\.split\.validation"),
        (Split(unseen_diffusers=[7]), r"there is no diffuser 7\. There are 1 \(g1\)"),
        (Split(unseen_diffusers=[1]), "no pair is left for train; there are test_unseen 1"),
    ],
)
def test_nothing_left(split: Split, message: str):
    with pytest.raises(InvalidValue, match=message):
        split(table())


def test_a_table_that_contradicts_itself():
    with pytest.raises(InvalidValue, match=r"object 0 is in two splits: s1_0\.png \(train\) and s2_0\.png \(val\)"):
        Split()(table(range(3), (1, 2), split=lambda k, d: "train" if d == 1 else "val"))
    with pytest.raises(InvalidValue, match=r"s1_0\.png: unknown split 'trian'\. Known are train, val and test"):
        Split()(table(split=lambda k, d: "trian"))
    with pytest.raises(InvalidValue, match=r"s1_3\.png and the pairs of 1 more object have no split"):
        Split()(table(range(5), split=lambda k, d: "train" if k < 3 else None))


def test_wrong_index_arrays(tmp_path: Path):
    np.save(tmp_path / "half.npy", np.array([0.5]))
    with pytest.raises(InvalidValue, match=r"validation=half\.npy: whole numbers are needed"):
        Split("half.npy")(table(), tmp_path)
    with pytest.raises(MissingFile, match=r"validation=none\.npy: .*none\.npy is not there"):
        Split("none.npy")(table(), tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"validation": float("nan")}, "validation must be a share below 1"),
        ({"validation": True}, "validation must be a share below 1"),
        ({"validation": -3}, "validation must be a share below 1"),
        ({"fold": 5}, "fold=5 needs data.source.split.unseen"),
    ],
)
def test_numbers_that_say_nothing(settings, message, own_checks):
    with pytest.raises(InvalidValue, match=message):
        Split(**settings)


def test_a_class_that_is_not_there():
    with pytest.raises(InvalidValue, match=r"unseen_classes names \['q'\], but the classes of these pairs are a, b"):
        Split(unseen_classes=["q"])(table(label=lambda k, d: "ab"[k % 2]))


def test_a_range_of_any_length_takes_no_time():
    assert objects(table(), Split("8-99999999999"))["val_seen"] == [8, 9]
