"""Procedural objects: binary, seeded, unbroken, inside the image."""

import numpy as np
import pytest
from scipy.ndimage import label

from spt.data.objects import GLYPHS, SparseObjects, draw_glyph, draw_object, draw_strokes
from spt.data.streams import SPLITS

SIZES = [32, 64, 100]


class OneCurve(np.random.Generator):
    """Asks for one curve and, if told, for one kind of it (0 Bezier, 1 ellipse, 2 polygon)."""

    def __init__(self, seed, kind=None):
        super().__init__(np.random.PCG64(seed))
        self.kind = kind

    def integers(self, low, high=None, *args, **kwargs):
        if (low, high) == (1, 4):
            return 1
        if (low, high) == (3, None) and self.kind is not None:
            return self.kind
        return super().integers(low, high, *args, **kwargs)


def draws(size):
    rng = np.random.default_rng(size)
    return (
        [draw_glyph(c, size, rng) for c in GLYPHS]
        + [draw_strokes(size, rng) for _ in range(40)]
        + [draw_object(size, GLYPHS, 0.5, rng) for _ in range(20)]
    )


def touches_border(image):
    return bool(image[0].any() or image[-1].any() or image[:, 0].any() or image[:, -1].any())


@pytest.mark.parametrize("size", SIZES)
def test_objects_are_binary_images_with_some_ink(size):
    for image in draws(size):
        assert image.shape == (size, size)
        assert image.dtype == np.uint8
        assert set(np.unique(image)) == {0, 255}
        assert 0.01 < (image > 0).mean() < 0.6


@pytest.mark.parametrize("size", SIZES)
def test_a_single_curve_has_no_gap(size):
    for seed in range(150):
        image = draw_strokes(size, OneCurve(seed))
        assert label(image, np.ones((3, 3)))[1] == 1, f"seed {seed}"


@pytest.mark.parametrize(("kind", "share"), [(1, 0.95), (2, 0.6)])
def test_ellipses_and_polygons_are_closed(kind, share):
    """They enclose dark ground, unless the pen fills a sliver: 1.00 and 0.78 do, an open polygon 0.19."""
    images = [draw_strokes(100, OneCurve(seed, kind)) for seed in range(100)]
    assert np.mean([label(image == 0)[1] >= 2 for image in images]) > share


def test_strokes_hold_more_than_one_curve_but_no_crumbs():
    """Curves may cross, so pieces are at most three; an image of three apart is rare."""
    rng = np.random.default_rng(0)
    pieces = [label(draw_strokes(64, rng), np.ones((3, 3)))[1] for _ in range(200)]
    assert {1, 2} <= set(pieces) <= {1, 2, 3}


def test_strokes_stay_inside_the_image():
    rng = np.random.default_rng(1)
    assert not any(touches_border(draw_strokes(64, rng)) for _ in range(200))


@pytest.mark.parametrize("size", SIZES)
def test_glyphs_are_not_cut_off(size):
    """Only the widest (W, M, w), largest and most turned, may touch the border: 1 to 2 in 1000."""
    cut = {c: [touches_border(draw_glyph(c, size, np.random.default_rng(s))) for s in range(10)] for c in GLYPHS}
    assert np.mean(list(cut.values())) < 0.005
    assert {c for c, touches in cut.items() if any(touches)} <= set("WMwm")


def test_glyph_is_as_large_and_bold_as_asked():
    """The font is 0.55 to 0.85 of the image; a capital fills about 0.7 of that, and more when turned."""
    rows = [np.flatnonzero(draw_glyph("H", 100, np.random.default_rng(s)).any(1)) for s in range(60)]
    heights = np.array([r[-1] - r[0] + 1 for r in rows])
    assert 34 <= heights.min() < 50
    assert 60 < heights.max() <= 85


def test_glyph_classes_differ():
    """Every two of the 62 classes, with the same jitter, differ by more than 0.2 % of the pixels."""
    images = np.stack([draw_glyph(c, 64, np.random.default_rng(0)).ravel() > 0 for c in GLYPHS])
    assert len(set(GLYPHS)) == 62
    differing = (images[:, None] != images[None]).mean(-1)
    assert differing[~np.eye(62, dtype=bool)].min() > 0.002


def test_glyphs_vary_within_a_class():
    rng = np.random.default_rng(2)
    assert len({draw_glyph("R", 64, rng).tobytes() for _ in range(20)}) == 20


@pytest.mark.parametrize("seed", [0, 7])
def test_objects_follow_the_generator_and_nothing_else(seed):
    before = np.random.get_state()[1].copy()
    first, second = (
        [draw_object(64, GLYPHS, 0.5, rng) for _ in range(10)]
        for rng in (np.random.default_rng(seed), np.random.default_rng(seed))
    )
    assert np.array_equal(first, second)
    other = np.random.default_rng(seed + 1)
    assert not np.array_equal(first, [draw_object(64, GLYPHS, 0.5, other) for _ in range(10)])
    assert np.array_equal(np.random.get_state()[1], before)


def test_glyph_share_chooses_between_glyphs_and_strokes():
    def after_the_choice(seed):
        rng = np.random.default_rng(seed)
        rng.random()
        return rng

    for seed in range(5):
        strokes = draw_object(64, "A", 0.0, np.random.default_rng(seed))
        assert np.array_equal(strokes, draw_strokes(64, after_the_choice(seed)))
        rng = after_the_choice(seed)
        glyph = draw_object(64, "A", 1.0, np.random.default_rng(seed))
        rng.integers(1)
        assert np.array_equal(glyph, draw_glyph("A", 64, rng))


def test_only_the_given_glyphs_are_drawn():
    """The held-out classes must never leak: with one class the draw is that class."""
    rng, twin = np.random.default_rng(3), np.random.default_rng(3)
    for _ in range(10):
        image = draw_object(64, "QZ", 1.0, rng)
        twin.random()
        assert np.array_equal(image, draw_glyph("QZ"[twin.integers(2)], 64, twin))


def test_an_object_depends_on_seed_split_and_number_alone():
    objects = SparseObjects()
    some = objects.draw("train", [5, 2], 32, 0)
    assert np.array_equal(some, objects.draw("train", range(6), 32, 0)[[5, 2]])
    assert not np.array_equal(some, objects.draw("train", [5, 2], 32, 1))
    assert not np.array_equal(some, objects.draw("val_seen", [5, 2], 32, 0))


def test_no_object_is_in_two_splits_and_no_number_is_given_twice():
    objects = SparseObjects()
    images = [image.tobytes() for split in SPLITS for image in objects.draw(split, range(30), 64, 0)]
    assert len(set(images)) == 150
    assert len({name for split in SPLITS for name in objects.identify(split, range(30), 0)}) == 150


@pytest.mark.parametrize("glyphs", ["", "A?", GLYPHS])
def test_held_out_glyphs_that_leave_nothing_or_are_unknown(glyphs):
    with pytest.raises(ValueError, match=r"data.source.objects.held_out = .* must name some, not all"):
        SparseObjects(held_out=glyphs)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_glyph_share_out_of_range(share):
    with pytest.raises(ValueError, match=r"data.source.objects.glyph_share must lie in \(0, 1\]"):
        SparseObjects(glyph_share=share)
