"""Every planted leak is found and named; sets without one pass."""

import io
import logging
import os
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import composed
from hydra.utils import instantiate
from PIL import Image

from spt.data.files.frames import Frames
from spt.data.leaks import check_leaks, check_simulated_objects, find_leaks
from spt.data.pairs import Pairs
from spt.errors import InvalidValue

NUMBERS = iter(range(10**6))


class Pictures(Frames):
    """Pictures of a folder."""

    def __init__(self, paths):
        self.paths = [str(path) for path in paths]

    @property
    def shape(self):
        return (len(self.paths), *np.asarray(Image.open(self.paths[0])).shape)

    @property
    def dtype(self):
        return torch.uint8

    def read(self, rows):
        return torch.stack([torch.from_numpy(np.array(Image.open(self.paths[row]))) for row in rows])

    def name(self, row):
        return self.paths[row]


def objects(count, size=32):
    """Different grey blobs: a coarse random pattern, drawn smoothly."""
    generator = torch.Generator().manual_seed(next(NUMBERS))
    coarse = torch.rand(count, 1, 6, 6, generator=generator)
    fine = F.interpolate(coarse, (size, size), mode="bicubic", align_corners=False)[:, 0]
    return (fine.clamp(0, 1) * 255).round().to(torch.uint8)


def speckles(count, size=48):
    generator = torch.Generator().manual_seed(next(NUMBERS))
    waves = F.avg_pool2d(torch.randn(count, 2, size + 4, size + 4, generator=generator), 5, stride=1)
    return (waves.square().sum(1) * 900).clamp(0, 255).to(torch.uint8)


def pairs(name, count=8, **changed):
    fields = {"speckle": speckles(count), "target": objects(count, 48), "diffuser": torch.zeros(count)}
    return Pairs(name, **fields | changed)


def clean(**changed):
    """Splits without a leak, some of them replaced."""
    splits = {
        "train": pairs("train", 20),
        "val_seen": pairs("val_seen"),
        "val_unseen": pairs("val_unseen", diffuser=torch.ones(8)),
        "test_seen": pairs("test_seen"),
    }
    return splits | changed


def with_row(images, row, image):
    changed = images.clone()
    changed[row] = image
    return changed


def planted(splits, split, row, **images):
    """The splits where one pair of a split has other images."""
    old = splits[split]
    return splits | {split: replace(old, **{name: with_row(getattr(old, name), row, images[name]) for name in images})}


def found(splits):
    return [
        (leak.kind, leak.pair.split, leak.pair.row, leak.other.split, leak.other.row) for leak in find_leaks(splits)
    ]


def test_a_clean_set_passes():
    splits = clean()
    assert find_leaks(splits) == []
    check_leaks(splits)


@pytest.mark.parametrize("name", ["same.png", "link.png"])
def test_the_same_file(tmp_path, name):
    """By its own name, and by that of a symbolic link."""
    files = {
        "train": [tmp_path / f"t{k}.png" for k in range(20)],
        "val_seen": [tmp_path / f"v{k}.png" for k in range(8)],
    }
    for file in files["train"] + files["val_seen"]:
        Image.fromarray(speckles(1)[0].numpy()).save(file)
    leaking = files["train"][4] if name == "same.png" else tmp_path / name
    if name == "link.png":
        os.symlink(files["train"][4], leaking)
    files["val_seen"][2] = leaking
    splits = {split: pairs(split, len(paths), speckle=Pictures(paths)) for split, paths in files.items()}
    assert found(splits) == [("file", "val_seen", 2, "train", 4)]
    expected = f"val_seen pair 2 ({leaking}) is read from the same file as train pair 4 ({files['train'][4]})"
    assert [str(leak) for leak in find_leaks(splits)] == [expected]


def test_the_same_frame_of_a_file_of_many(tmp_path):
    """What names a frame inside a file follows the name of the file."""

    class Pages(Pictures):
        def name(self, row):
            return f"{super().name(row)}, frame {row}"

    stack, link = tmp_path / "stack.png", tmp_path / "link.png"
    Image.fromarray(speckles(1)[0].numpy()).save(stack)
    os.symlink(stack, link)
    splits = {name: pairs(name, 1, speckle=Pages([path])) for name, path in (("train", stack), ("val_seen", link))}
    assert found(splits) == [("file", "val_seen", 0, "train", 0)]


def test_the_same_pixels_under_another_name(tmp_path):
    files = {
        "train": [tmp_path / f"t{k}.png" for k in range(5)],
        "val_seen": [tmp_path / f"v{k}.png" for k in range(4)],
    }
    for file in files["train"] + files["val_seen"]:
        Image.fromarray(speckles(1)[0].numpy()).save(file)
    files["val_seen"][1].write_bytes(files["train"][3].read_bytes())
    splits = {split: pairs(split, len(paths), speckle=Pictures(paths)) for split, paths in files.items()}
    assert found(splits) == [("pixels", "val_seen", 1, "train", 3)]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
def test_the_same_pixels_in_memory(dtype):
    splits = {name: replace(p, speckle=p.speckle.to(dtype)) for name, p in clean().items()}
    splits = planted(splits, "val_seen", 5, speckle=splits["train"].speckle[17])
    assert found(splits) == [("pixels", "val_seen", 5, "train", 17)]


def test_nearly_the_same_pixels_are_no_leak_where_the_objects_differ():
    splits = clean()
    frame = splits["train"].speckle[17].clone()
    frame[3, 4] += 1
    assert found(planted(splits, "val_seen", 5, speckle=frame)) == []


def test_frames_of_one_value_repeat_nothing():
    """A dark frame tells nothing; other checks name it."""
    splits = planted(clean(), "train", 1, speckle=torch.zeros(48, 48), target=torch.zeros(48, 48))
    assert found(planted(splits, "val_seen", 1, speckle=torch.zeros(48, 48), target=torch.zeros(48, 48))) == []


@pytest.mark.parametrize("size", [20, 32, 64, 96])
def test_an_object_in_another_size(size):
    """All objects of the split have this size; one of them is an object of train."""
    splits = clean()
    shrunk = F.interpolate(splits["train"].target[6][None, None].float(), (size, size), mode="bilinear")[0, 0]
    target = with_row(objects(8, size), 3, shrunk.round().to(torch.uint8))
    assert found(splits | {"val_seen": other_size(target)}) == [("object", "val_seen", 3, "train", 6)]


def other_size(target):
    return pairs("val_seen", len(target), target=target, speckle=speckles(len(target), target.shape[-1]))


@pytest.mark.parametrize("quality", [50, 90])
def test_an_object_saved_anew(quality):
    splits, file = clean(), io.BytesIO()
    Image.fromarray(splits["train"].target[6].numpy()).save(file, "JPEG", quality=quality)
    target = torch.from_numpy(np.array(Image.open(file)))
    assert not torch.equal(target, splits["train"].target[6])
    assert found(planted(splits, "test_seen", 2, target=target)) == [("object", "test_seen", 2, "train", 6)]


def test_an_object_of_another_type():
    splits = clean()
    target = with_row(splits["val_seen"].target, 4, splits["train"].target[0]) / 255
    splits["val_seen"] = replace(splits["val_seen"], target=target)
    assert found(splits) == [("object", "val_seen", 4, "train", 0)]


def test_the_same_object_number():
    splits = clean()
    numbers = {"train": torch.arange(20), "val_seen": torch.tensor([30, 31, 7, 32, 33, 34, 35, 7])}
    splits |= {name: pairs(name, len(n), parameters={"object": n}) for name, n in numbers.items()}
    assert found(splits) == [("number", "val_seen", 2, "train", 7), ("number", "val_seen", 7, "train", 7)]


def test_numbers_count_only_where_both_splits_have_them():
    splits = clean(train=pairs("train", 20, parameters={"object": torch.arange(20)}))
    assert found(splits) == []
    assert found(clean(val_seen=pairs("val_seen", parameters={"object": torch.arange(8)}))) == []


def test_the_diffuser_of_an_unseen_split():
    splits = clean(val_unseen=pairs("val_unseen", diffuser=torch.tensor([1, 1, 2, 0, 0, 2, 1, 1])))
    assert found(splits) == [("diffuser", "val_unseen", 3, "train", 0)]
    with pytest.raises(ValueError, match="val_unseen pair 3 has the diffuser number of train pair 0"):
        check_leaks(splits)


def test_the_frames_of_an_unseen_split():
    """Behind another number, but trained on."""
    splits = clean()
    splits = planted(splits, "val_unseen", 0, speckle=splits["train"].speckle[11])
    assert found(splits) == [("pixels", "val_unseen", 0, "train", 11)]


def exposed(frame, photons):
    """The frame once more, with shot noise of so many photons a pixel on average."""
    gain = photons / frame.float().mean()
    return (torch.poisson(frame * gain) / gain).clamp(0, 255).round().to(torch.uint8)


def test_a_neighbouring_exposure():
    """The object has moved by a pixel; the frame has new noise."""
    splits = clean()
    frame, target = exposed(splits["train"].speckle[9], 100), splits["train"].target[9].roll(1, 1)
    assert found(planted(splits, "val_seen", 7, target=target)) == []
    splits = planted(splits, "val_seen", 7, speckle=frame, target=target)
    assert found(splits) == [("exposure", "val_seen", 7, "train", 9)]


def test_what_chose_the_epoch_is_no_test():
    """A frame of val_seen in test_seen, and another exposure of one."""
    splits = clean()
    splits = planted(splits, "test_seen", 2, speckle=splits["val_seen"].speckle[4])
    val = splits["val_seen"]
    splits = planted(splits, "test_seen", 3, speckle=exposed(val.speckle[5], 100), target=val.target[5])
    assert found(splits) == [("pixels", "test_seen", 2, "val_seen", 4), ("exposure", "test_seen", 3, "val_seen", 5)]


def test_unseen_diffusers_may_show_the_objects_of_validation():
    splits = clean()
    unseen = pairs("test_unseen", target=splits["val_seen"].target, diffuser=torch.ones(8))
    assert found(splits | {"test_unseen": unseen}) == []


def test_a_pair_is_named_once():
    """File, pixels, object and number are repeated; the strongest is named."""
    train = pairs("train", 20, parameters={"object": torch.arange(20)})
    assert found({"train": train, "val_seen": replace(train, name="val_seen")}) == [
        ("pixels", "val_seen", k, "train", k) for k in range(20)
    ]


def test_blocks_do_not_change_what_is_found(monkeypatch):
    """Read one pair at a time, the row that is named stays right."""
    splits = clean()
    splits = planted(splits, "val_seen", 5, target=splits["train"].target[17])
    monkeypatch.setattr("spt.data.similarity.PIXELS_AT_ONCE", 1)
    assert found(splits) == [("object", "val_seen", 5, "train", 17)]


def leaking():
    splits = clean()
    return splits | {"test_seen": pairs("test_seen", 7, target=splits["train"].target[:7])}


def test_five_leaks_are_named_and_the_others_counted():
    with pytest.raises(ValueError, match="leak into each other") as caught:
        check_leaks(leaking())
    message = str(caught.value)
    assert re.findall(r"test_seen pair (\d) shows the object of train pair (\d)", message) == [
        (str(k), str(k)) for k in range(5)
    ]
    assert "; and 2 more." in message
    assert "leaks=warn" in message


def test_a_warning_instead(caplog):
    with caplog.at_level(logging.WARNING):
        check_leaks(leaking(), "warn")
    assert "test_seen pair 0 shows the object of train pair 0" in caplog.text


def test_not_looking(monkeypatch):
    monkeypatch.setattr("spt.data.leaks.check.find_leaks", lambda splits: pytest.fail("looked"))
    check_leaks(leaking(), "off")


def test_a_word_that_is_none_of_the_three():
    with pytest.raises(ValueError, match=r"leaks must be error, warn or off, got 'no'"):
        check_leaks(clean(), "no")


def test_without_training_pairs_or_others_there_is_nothing_to_compare():
    splits = clean()
    assert find_leaks({"train": splits["train"]}) == []
    assert find_leaks({"val_seen": splits["val_seen"]}) == []


@pytest.mark.parametrize("setting", ["one_diffuser", "one_diffuser data.source.train_diffusers=3", "weak_scatter"])
def test_simulated_sets_are_clean(setting):
    counts = ["data.source.train=64", "data.source.validation=16", "data.source.setup.window=32"]
    source = instantiate(composed(*f"data={setting}".split(), *counts).data.source, _convert_="all")
    check_leaks(source.load())


def test_the_measured_set_is_clean_as_published(real_data):
    """100 + 50 frames against 1,100 of one laboratory, where frames through one diffuser are much alike."""
    root = f"data.source.root={real_data / 'real_220grit'}"
    splits = instantiate(composed("data=real_220grit", root, "data.source.size=64").data.source, _convert_="all").load()
    assert find_leaks(splits) == []
    leak = planted(splits, "val_seen", 60, speckle=exposed(splits["train"].speckle[700], 1600))
    assert found(leak) == []  # the noise alone: its object is another one
    leak = planted(leak, "val_seen", 60, target=splits["train"].target[700].roll(1, 0))
    assert found(leak) == [("exposure", "val_seen", 60, "train", 700)]


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_turned_or_mirrored_copy(turns, mirrored):
    """With its object, as somebody makes more pairs of few before dividing them; saved anew, so a little different."""
    splits = clean()
    images = {name: getattr(splits["train"], name)[13] for name in ("speckle", "target")}
    copies = {name: torch.rot90(image.flip(1) if mirrored else image, turns) for name, image in images.items()}
    copies["speckle"] = exposed(copies["speckle"], 1000)
    copied = planted(splits, "val_seen", 6, **copies)
    kind = "turned" if turns or mirrored else "exposure"
    assert found(copied) == [(kind, "val_seen", 6, "train", 13)]


def test_a_mirrored_object_behind_the_diffuser_is_another_object():
    splits = clean()
    target = splits["train"].target[4].flip(1)
    assert found(planted(splits, "val_seen", 6, target=target)) == []


def test_symmetric_frames_are_no_turned_copies_of_each_other():
    """A far field of real objects is the same when it is turned by 180 degrees."""
    splits = {name: replace(p, speckle=p.speckle // 2 + p.speckle.flip(1, 2) // 2) for name, p in clean().items()}
    frame = splits["train"].speckle[17].clone()
    frame[3, 4] += 1
    assert found(planted(splits, "val_seen", 5, speckle=frame)) == []


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
def test_diffusers_with_the_same_frames_are_said(caplog, dtype):
    train = pairs("train", 20, diffuser=torch.arange(20) // 5)
    frames = train.speckle.to(dtype)
    for row in (10, 11, 12):  # of diffuser 2, in the folder of diffuser 3
        frames.numpy()[row + 5] = frames.numpy()[row]
    unseen = pairs("val_unseen", diffuser=torch.full((8,), 9))
    with caplog.at_level(logging.WARNING):
        check_leaks(clean(train=replace(train, speckle=frames), val_unseen=unseen))
    (said,) = (record.getMessage() for record in caplog.records)
    assert said.startswith("Diffuser 2 and diffuser 3 hold 3 equal frames, for example train pair ")
    rows = [int(row) for row in re.findall(r"pair (\d+)", said)]
    assert rows in ([10, 15], [11, 16], [12, 17])


def test_equal_lines_are_not_enough(caplog):
    """Some lines decide which frames are compared; then all pixels do."""
    train = pairs("train", 2, diffuser=torch.arange(2))
    frames = train.speckle.clone()
    frames[1] = frames[0]
    frames[1, 1, 1] += 1
    with caplog.at_level(logging.WARNING):
        check_leaks({"train": replace(train, speckle=frames), "val_seen": pairs("val_seen", 8)}, "warn")
    assert "equal frames" not in caplog.text


def test_a_simulated_object_that_another_split_shows(monkeypatch):
    monkeypatch.setattr("spt.data.leaks.search.PIECE", 5)
    splits = {name: pairs(name) for name in ("train", "val_seen", "test_unseen")}
    shown = objects(12, 48)
    check_simulated_objects(shown, splits)
    shown[7] = splits["test_unseen"].target[3]
    with pytest.raises(InvalidValue, match=r"test_unseen.*3.* shows simulated object 7\. Leave these objects out"):
        check_simulated_objects(shown, splits)
    check_simulated_objects(shown, splits, "off")


def test_simulated_objects_may_be_those_of_the_training_pairs(caplog):
    splits = {name: pairs(name) for name in ("train", "val_seen")}
    check_simulated_objects(splits["train"].target, splits)
    check_simulated_objects(F.avg_pool2d(splits["val_seen"].target.float(), 2), splits, "warn")
    assert "shows simulated object 0" in caplog.text
    assert "and 3 more" in caplog.text
