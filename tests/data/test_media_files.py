"""Measured media: which side of a transmission matrix is which, tiles of speckle, and errors that name the file."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from spt.data.media_files import MeasuredFibre, MeasuredPsf


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def fibre():
    root = os.environ.get("SPT_DATA")
    if not root:
        pytest.skip("SPT_DATA is not set: the measured matrices are not part of the repository")
    return MeasuredFibre(f"{root}/mmf_transmission_matrix")


# The measured fibre


def test_sizes_of_the_measured_fibre(fibre):
    assert fibre.built.matrices.shape == (52, 110, 110)
    assert fibre.built.modes_in.shape == (55, 35**2)
    assert fibre.built.modes_out.shape == (55, 41**2)


def test_mode_bases_are_orthonormal(fibre):
    for modes in (fibre.built.modes_in, fibre.built.modes_out):
        assert (modes.conj() @ modes.T - torch.eye(55)).abs().max() < 5e-3


def test_the_fibre_is_passive_and_nearly_lossless_in_its_low_modes(fibre):
    singular = torch.linalg.svdvals(fibre.built.matrices)
    assert singular.max().item() == pytest.approx(1)
    assert (singular[:, 80] > 0.5).all()


def test_modes_couple_within_their_groups(fibre, real_data):
    """Nine tenths of the power stay among modes of nearly equal speed: the matrices and the bases are in one order."""
    mask = torch.from_numpy(np.load(real_data / "mmf_transmission_matrix/mask_near_degenerate.npy"))
    power = fibre.built.matrices[0, :55, :55].abs().square()
    assert (power * mask).sum() / power.sum() > 0.85
    shuffled = power[torch.randperm(55, generator=torch.Generator().manual_seed(0))]
    assert (shuffled * mask).sum() / shuffled.sum() < 0.3


def test_columns_are_the_input_and_rows_the_output(fibre):
    """The two input polarisations come from two arms of the modulator and drift against each other; the two output
    polarisations lie in one camera frame and cannot. Between successive states at rest the relative phase of the
    halves of the columns moves by some 0.3 rad RMS, that of the rows by 0.002: the columns are the input."""
    blocks = fibre.built.matrices.unflatten(1, (2, 55)).unflatten(3, (2, 55))
    turn = torch.einsum("simjn,simjn->sij", blocks[1:-1].conj(), blocks[2:])
    between_rows = (turn[:, 0] * turn[:, 1].conj()).angle()
    between_columns = (turn[:, :, 0] * turn[:, :, 1].conj()).angle()
    assert between_rows.square().mean().sqrt() < 0.01
    assert between_columns.square().mean().sqrt() > 0.1
    # That drift, right of the matrix, is most of what changes between two states at rest; left of it, none.
    # A turn of the whole matrix, which either side explains, is taken out first.
    first, second = fibre.built.matrices[2], fibre.built.matrices[3]
    second = second * torch.vdot(second.flatten(), first.flatten()).sgn()
    halves = torch.block_diag(torch.ones(55, 1), torch.ones(55, 1)).to(first)

    def left_over(turned: list[torch.Tensor]) -> float:
        columns = torch.stack([t.flatten() for t in turned], 1)
        best = torch.linalg.lstsq(columns, second.flatten()[:, None]).solution
        return ((columns @ best)[:, 0] - second.flatten()).norm().item() / (second - first).norm().item()

    assert left_over([first * halves[:, k] for k in range(2)]) < 0.5
    assert left_over([first * halves[:, k][:, None] for k in range(2)]) > 0.9


def test_neighbouring_states_are_alike_and_the_ends_are_not(fibre):
    matrices = fibre.built.matrices[:, :, :55].flatten(1)

    def alike(a: int, b: int) -> float:
        return (torch.vdot(matrices[a], matrices[b]).abs() / (matrices[a].norm() * matrices[b].norm())).item()

    assert alike(1, 2) > 0.98
    assert alike(50, 51) > 0.95
    assert alike(0, 51) < 0.3


def test_both_polarisations_lower_the_contrast(fibre):
    """One polariser passes one speckle; without it two nearly independent ones add, 1.10 against 1.40 in the core."""
    objects = torch.rand(8, 64, 64, generator=torch.Generator().manual_seed(1))
    polarised = MeasuredFibre(fibre.root, polariser=True)
    contrasts = []
    for setup in (polarised, fibre):
        light = setup.intensity(objects, {"state": torch.arange(8) * 6})
        core = light[:, 22:42, 22:42]
        contrasts.append((core.std((1, 2)) / core.mean((1, 2))).mean().item())
    assert contrasts[1] < 0.85 * contrasts[0]


def test_chosen_positions(fibre):
    few = MeasuredFibre(fibre.root, positions=["5.12", "4.5"])
    ratio = few.built.matrices[0] / fibre.built.matrices[51]
    assert ratio.abs().std() < 1e-9
    assert sorted(few.draw(2, seeded())["state"].tolist()) == [0, 1]
    with pytest.raises(ValueError, match="3 media were asked for, but there are only 2 states of the fibre"):
        few.draw(3, seeded())


def test_a_missing_position_is_named(fibre):
    with pytest.raises(FileNotFoundError, match=r"TM_modes_9\.9\.npz is not there"):
        MeasuredFibre(fibre.root, positions=["9.9"])


def test_no_matrices(fibre, tmp_path):
    np.savez(tmp_path / "conversion_matrices.npz", modes_in=np.eye(4), modes_out=np.eye(4))
    with pytest.raises(FileNotFoundError, match="holds no TM_modes_<position>"):
        MeasuredFibre(str(tmp_path))


# Point-spread functions


def test_measured_functions(real_data):
    psf = MeasuredPsf(str(real_data / "memory_effect_psf_220grit"))
    # 540 x 720, binned to 270 x 360: 4 x 5 tiles of 64 px, of five positions.
    assert psf.tiles.shape == (100, 64, 64)
    assert psf.tiles.min() >= 0
    assert psf.tiles.sum((1, 2)).tolist() == pytest.approx([1] * 100, rel=1e-5)
    drawn = psf.draw(20, seeded(2))
    different = torch.corrcoef(drawn.flatten(1)) - torch.eye(20)
    assert different.mean().abs() < 0.05
    assert different.max() < 0.6


def folder_with(tmp_path, shape=(20, 32), positions=(0,)):
    for position in positions:
        frame = np.random.default_rng(position + 5).integers(30, 200, shape, dtype=np.uint8)
        Image.fromarray(frame).save(tmp_path / f"{position}.bmp")
    return str(tmp_path)


def test_tiles_by_hand(tmp_path):
    root = folder_with(tmp_path)
    psf = MeasuredPsf(root, size=8, binning=1, positions=[0], floor=40)
    frame = torch.from_numpy(np.array(Image.open(tmp_path / "0.bmp"))).float().sub(40).clamp(min=0)
    assert psf.tiles.shape == (8, 8, 8)  # 2 x 4
    expected = frame[8:16, 16:24]
    torch.testing.assert_close(psf.tiles[1 * 4 + 2], expected / expected.sum())


def test_a_draw_repeats_no_tile(tmp_path):
    psf = MeasuredPsf(folder_with(tmp_path), size=8, binning=1, positions=[0])
    assert len(psf.draw(8, seeded(3)).flatten(1).unique(dim=0)) == 8
    with pytest.raises(ValueError, match="9 media were asked for, but there are only 8 tiles of measured speckle"):
        psf.draw(9, seeded())


def test_a_frame_smaller_than_a_tile_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"0\.bmp: a frame of \(20, 32\) px, 2-fold binned, holds no tile of 16 px"):
        MeasuredPsf(folder_with(tmp_path), size=16, positions=[0])


@pytest.mark.parametrize("setting", [{"size": 0}, {"binning": 0}, {"positions": []}])
def test_refuses_no_tile(tmp_path, setting):
    with pytest.raises(ValueError, match="size and binning must be at least 1 and positions must name a file"):
        MeasuredPsf(folder_with(tmp_path), **setting)


def test_a_file_that_is_no_image_is_named(tmp_path):
    (tmp_path / "0.bmp").write_bytes(b"BM, but not a picture")
    with pytest.raises(ValueError, match=r"0\.bmp cannot be read as a picture"):
        MeasuredPsf(str(tmp_path), positions=[0])
    with pytest.raises(FileNotFoundError, match=r"1\.bmp is not there\. Check the path"):
        MeasuredPsf(str(tmp_path), positions=[1])


@pytest.mark.parametrize(("kind", "name"), [(MeasuredFibre, "mmf_"), (MeasuredPsf, "memory_effect_psf_220grit")])
def test_no_folder(kind, name, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=f"Set the environment variable SPT_DATA to the folder that holds {name}"
    ):
        kind(None)
    with pytest.raises(FileNotFoundError, match=r"none is not a folder\. Set SPT_DATA, or data\.source\.setup"):
        kind(str(tmp_path / "none"))
