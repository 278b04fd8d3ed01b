"""Which axis is which: every accepted shape, and a question wherever two readings are possible."""

import numpy as np
import pytest

from spt.data.files import FileSettings
from spt.data.files.layout import find_layout
from spt.errors import InvalidValue


def found(sizes, partner=None, matlab=False, **settings):
    return find_layout("a.npy", sizes, FileSettings(**settings), partner, matlab)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((40, 48), "hw"),
        ((480, 640), "hw"),
        ((200, 64, 64), "nhw"),
        ((5, 40, 48), "nhw"),
        ((1, 40, 48), "nhw"),
        ((40, 48, 1), "hwn"),
        ((600, 60, 80), "nhw"),
        ((20000, 256, 256), "nhw"),
        ((5, 256, 256, 1), "nhwc"),
        ((4000, 16, 16, 1), "nhwc"),
        ((1, 64, 64, 1), "nhwc"),
        ((4000, 1, 16, 16), "nchw"),
        ((1, 1, 64, 64), "nchw"),
        ((16, 16, 1, 4000), "hwcn"),
    ],
)
def test_shapes_without_a_doubt(shape, axes):
    layout = found(shape)
    assert layout.axes == axes
    assert layout.said == ""


@pytest.mark.parametrize(
    "shape",
    [
        (64, 64, 200),  # 200 frames of 64x64, or 64 of 64x200
        (64, 64, 64),
        (270, 480, 500),  # both are plausible
        (256, 240, 5),
        (100, 30, 300),  # neither is
        (64, 64, 200, 1),
    ],
)
def test_shapes_that_are_asked_about(shape):
    first, middle, last = shape[:3]
    message = (
        rf"a.npy has shape .*, and this can be {first} images of {middle}x{last} px \(set data.source.axes=nhw\) or "
        rf"{last} images of {first}x{middle} px \(set data.source.axes=hwn\)."
    )
    with pytest.raises(InvalidValue, match=message):
        found(shape, prefix="data.source.")


def test_the_partner_decides_and_it_is_said():
    layout = found((270, 480, 500), partner=500)
    assert layout.axes == "hwn"
    assert layout.said == (
        "a.npy: shape (270, 480, 500) is read as 500 images of 270x480 px (axes=hwn), because the array that belongs "
        "to it has 500 images"
    )
    assert found((270, 480, 500), partner=270).axes == "nhw"
    assert found((64, 64, 200), partner=200).axes == "hwn"
    assert found((600, 48, 60, 1), partner=600).axes == "nhwc"


@pytest.mark.parametrize(
    ("shape", "partner"),
    [
        ((64, 64, 64), 64),  # it cannot decide
        ((64, 64, 200), 64),  # it says 64 frames of 64x200, whose aspect is odd
        ((64, 64, 200), 100),  # it says neither
    ],
)
@pytest.mark.parametrize("matlab", [False, True])
def test_a_partner_that_does_not_decide(shape, partner, matlab):
    if matlab and partner == 100:
        assert found(shape, partner, matlab).axes == "hwn"  # by squareness, and it is said
        return
    with pytest.raises(InvalidValue, match=r"this can be .*axes="):
        found(shape, partner, matlab)


@pytest.mark.parametrize(
    ("shape", "axes", "why"),
    [
        ((64, 64, 200), "hwn", "these images are square"),
        ((500, 448, 448), "nhw", "these images are square"),
        ((48, 60, 500), "hwn", "other axes would be very long images"),
        ((500, 48, 60), "nhw", "other axes would be very long images"),
    ],
)
def test_matlab_files_are_concluded_and_it_is_said(shape, axes, why):
    layout = found(shape, matlab=True)
    assert layout.axes == axes
    assert layout.said.endswith(f"(axes={axes}), because {why}")


def test_matlab_files_that_are_asked_about():
    with pytest.raises(InvalidValue, match=r"axes=nhw.* or .*axes=hwn"):
        found((64, 64, 64), matlab=True)


@pytest.mark.parametrize("axes", ["nhw", "hwn", "nwh", "whn"])
def test_the_setting_decides(axes):
    layout = found((64, 64, 200), axes=axes)
    assert layout.axes == axes
    assert layout.number((64, 64, 200)) == (64 if axes[0] == "n" else 200)


@pytest.mark.parametrize(("axes", "shape"), [("nhw", (4, 4)), ("hw", (2, 8, 8)), ("nhwc", (2, 8, 8))])
def test_a_setting_that_does_not_fit(axes, shape):
    with pytest.raises(InvalidValue, match=rf"has shape .*, and axes={axes} names {len(axes)} axes"):
        found(shape, axes=axes)


# Rows of pixels


def test_rows_and_columns():
    assert found((50, 784), shape=(28, 28)).axes == "np"
    assert found((784, 50), shape=(28, 28)).axes == "pn"
    assert found((28, 28), shape=(28, 28)).axes == "hw"
    assert found((50, 600), shape=(20, 30), axes="rows").image == (20, 30)
    assert found((600, 50), shape=(20, 30), axes="columns").axes == "pn"


@pytest.mark.parametrize(
    ("shape", "partner", "message"),
    [
        ((5000, 784), None, r"5000 images as rows of 784 pixels \(set shape=\[28,28\]\) or one image of 5000x784 px"),
        ((1000, 784), None, r"1000 images as rows of 784 pixels"),  # its aspect alone would do
        ((50, 600), None, r"50 images as rows of 600 pixels \(set shape=\[height,width\]\)"),
        ((500, 600), 500, r"500 images as rows of 600 pixels .* or one image of 500x600 px \(set axes=hw\)"),
    ],
)
def test_rows_that_are_asked_about(shape, partner, message):
    with pytest.raises(InvalidValue, match=message):
        found(shape, partner)


def test_rows_that_do_not_fit():
    with pytest.raises(InvalidValue, match=r"rows of 784 pixels are no images of shape=\[20, 30\]"):
        found((5000, 784), shape=(20, 30))
    with pytest.raises(InvalidValue, match=r"an image is a row of 784 pixels. Set shape=\[28,28\]"):
        found((5000, 784), axes="rows")
    with pytest.raises(InvalidValue, match=r"an image is a row of 600 pixels. Set shape=\[height,width\]"):
        found((5000, 600), axes="rows")
    with pytest.raises(InvalidValue, match=r"one image a row \(set axes=rows\) or one a column \(set axes=columns\)"):
        found((64, 64), shape=(8, 8))
    with pytest.raises(InvalidValue, match=r"rows of pixels need two axes: axes=rows"):
        found((5, 8, 8), axes="rows", shape=(8, 8))


@pytest.mark.parametrize(("order", "flat"), [("C", [0, 1, 2, 3, 4, 5]), ("F", [0, 3, 1, 4, 2, 5])])
def test_order_of_the_pixels_of_a_row(order, flat):
    image = np.array([[0, 1, 2], [3, 4, 5]])
    for axes, block in (("rows", np.array([flat, flat])), ("columns", np.array([flat, flat]).T)):
        layout = found(block.shape, axes=axes, shape=(2, 3), order=order)
        assert np.array_equal(layout.images(block)[..., 0], [image, image])


# Colour


def test_colour_or_number():
    with pytest.raises(InvalidValue, match=r"one colour image \(set colour=luminance\) or 3 images of 270x480 px"):
        found((270, 480, 3))
    assert found((270, 480, 3), colour="green").axes == "hwc"
    assert found((270, 480, 3), partner=3).axes == "hwn"
    assert found((270, 480, 3), axes="hwn").axes == "hwn"
    assert found((3, 64, 64)).axes == "nhw"
    assert found((10, 270, 480, 3)).axes == "nhwc"
    assert found((10, 3, 270, 480)).axes == "nchw"
    assert found((270, 480, 3, 10)).axes == "hwcn"


@pytest.mark.parametrize("shape", [(8,), (2, 3, 4, 5, 6), (2, 8, 8, 5)])
def test_what_is_no_set_of_images(shape):
    with pytest.raises(InvalidValue, match=r"has shape .*, and (images \(n, h, w\)|no axis is one channel)"):
        found(shape)


@pytest.mark.parametrize(
    ("axes", "order"), [("nhw", "n h w"), ("hwn", "h w n"), ("nwh", "n w h"), ("hwcn", "h w c n"), ("nchw", "n c h w")]
)
def test_images_come_out_as_number_height_width_channel(axes, order):
    sizes = {"n": 2, "h": 3, "w": 4, "c": 1}
    image = np.arange(24).reshape(2, 3, 4, 1)
    block = image[..., 0] if "c" not in axes else image
    block = block.transpose(["nhwc".index(letter) for letter in axes])
    layout = found(tuple(sizes[letter] for letter in axes), axes=axes)
    assert np.array_equal(layout.images(block), image)
