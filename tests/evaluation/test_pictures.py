import numpy as np
import pytest
import torch
from PIL import Image

from spt.evaluation.pictures import GAP, HEADER, TILE, contact_sheet, evenly, save, tiles

SIDE = 16  # divides the tile, so that a tile is the image with every pixel repeated


@pytest.fixture
def data():
    speckle = torch.randint(0, 200, (5, SIDE, SIDE), dtype=torch.uint8)
    return speckle, torch.rand(5, 1, SIDE, SIDE), torch.rand(5, 1, SIDE, SIDE)


def cut(sheet, i, column, across):
    """The picture of sample i in one of the columns, at its own size again."""
    left = (i % across) * (4 * (TILE + GAP) + 2 * GAP) + column * (TILE + GAP)
    top = HEADER + i // across * (TILE + GAP)
    tile = sheet[top : top + TILE, left : left + TILE]
    middle = TILE // SIDE // 2
    return tile[middle :: TILE // SIDE, middle :: TILE // SIDE]


def grey(image):
    return np.repeat((image * 255).round().to(torch.uint8).numpy()[..., None], 3, axis=2)


@pytest.mark.parametrize("across", [1, 2, 3])
def test_every_column_shows_what_it_says(data, across):
    speckle, pred, target = data
    sheet = contact_sheet(speckle, pred, target, "five", across)
    assert sheet.dtype == np.uint8
    assert sheet.shape[0] == HEADER + -(-5 // across) * (TILE + GAP)
    for i in range(5):
        light, guess, truth, error = tiles(speckle[i], pred[i, 0], target[i, 0])
        assert np.array_equal(cut(sheet, i, 0, across), light)
        score = 4, 6  # the yellow number covers a corner of the prediction
        assert np.array_equal(cut(sheet, i, 1, across)[score[0] :, score[1] :], guess[score[0] :, score[1] :])
        assert np.array_equal(cut(sheet, i, 2, across), truth)
        assert np.array_equal(cut(sheet, i, 3, across), error)
        assert np.array_equal(guess, grey(pred[i, 0]))
        assert np.array_equal(truth, grey(target[i, 0]))


def test_the_rest_of_an_incomplete_row_is_empty(data):
    sheet = contact_sheet(*data, "five", across=2)
    assert (sheet[HEADER + 2 * (TILE + GAP) :, 4 * (TILE + GAP) :] == 255).all()


def test_predictions_are_not_stretched():
    _, guess, truth, _ = tiles(torch.ones(2, 2), torch.full((2, 2), 0.2), torch.full((2, 2), 0.6))
    assert (guess == 51).all()
    assert (truth == 153).all()


def test_errors_are_prediction_minus_truth_from_blue_over_white_to_red():
    pred = torch.tensor([[1.0, 0.0, 0.3], [0.6, 0.2, 1.0]])
    truth = torch.tensor([[0.0, 1.0, 0.3], [0.2, 0.6, 1.0]])
    error = tiles(torch.ones(2, 3), pred, truth)[3]
    red, blue, white = [255, 0, 0], [0, 0, 255], [255, 255, 255]
    assert error.tolist() == [[red, blue, white], [[255, 153, 153], [153, 153, 255], white]]


def test_speckles_are_stretched_to_their_percentile_of_99_and_a_half():
    """Of 1000 pixels the 5 brightest saturate; the rest keeps its proportion."""
    speckle = torch.arange(1000.0).view(20, 50)
    light = tiles(speckle * 7, torch.zeros(20, 50), torch.zeros(20, 50))[0]
    top = np.percentile(speckle.numpy(), 99.5)
    assert np.array_equal(light[..., 0], np.clip(speckle.numpy() / top * 255, 0, 255).round())
    assert (tiles(torch.zeros(4, 4), torch.zeros(4, 4), torch.zeros(4, 4))[0] == 0).all()


def test_the_title_and_the_score_are_written(data):
    speckle, _, target = data
    flat = torch.zeros_like(target)
    first, again, other = (contact_sheet(speckle, flat, target, title) for title in ("a", "a", "b"))
    assert np.array_equal(first, again)
    assert not np.array_equal(first[: HEADER // 2], other[: HEADER // 2])
    assert np.array_equal(first[HEADER:], other[HEADER:])
    prediction = first[HEADER : HEADER + TILE, TILE + GAP : TILE + GAP + TILE]
    assert (prediction == [255, 255, 0]).all(-1).any()


def test_a_prediction_with_nan_shows_no_score(data):
    speckle, pred, target = data
    broken = pred.clone()
    broken[0, 0, 15, 15] = torch.nan
    whole, sheet = (contact_sheet(speckle, images, target, "a") for images in (pred, broken))
    label = slice(HEADER, HEADER + 16), slice(TILE + GAP, TILE + GAP + 40)
    assert not np.array_equal(whole[label], sheet[label]), "NaN instead of the PCC"
    assert (cut(sheet, 0, 1, 2)[15, 15] == 0).all()


def test_save_writes_the_sheet_as_png(data, tmp_path):
    sheet = contact_sheet(*data, "five")
    path = tmp_path / "figures" / "val.png"
    assert save(sheet, path) == path
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert np.array_equal(np.asarray(image), sheet)
    assert [p.name for p in path.parent.iterdir()] == ["val.png"]


@pytest.mark.parametrize(
    ("count", "wanted", "expected"),
    [
        (10, 4, [0, 3, 6, 9]),
        (10, 1, [0]),
        (3, 8, [0, 1, 2]),
        (1, 4, [0]),
        (256, 3, [0, 128, 255]),
        (0, 4, []),
        (5, 5, [0, 1, 2, 3, 4]),
    ],
)
def test_evenly(count, wanted, expected):
    assert evenly(count, wanted) == expected
