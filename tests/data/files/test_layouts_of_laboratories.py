"""Small imitations of the files that laboratories publish, written as they write them, and read back exactly."""

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image

from spt.data.files import FileSettings, as_objects, keys_of, open_folder, open_frames, split_key
from spt.errors import InvalidValue

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (12, 32, 32)).astype(np.uint8)


def test_scattering(tmp_path):
    """zcshinee/Scattering: PackBits TIFF, unpadded numbers, .DS_Store beside."""
    for k, image in enumerate(BYTES, start=1):
        Image.fromarray(image).save(tmp_path / f"{k}.tif", compression="packbits")
    (tmp_path / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    assert np.array_equal(open_folder(tmp_path)[:], BYTES)


def test_deep_speckle_correlation(tmp_path):
    """bu-cisl/Deep-Speckle-Correlation: float64, channel last, divided by the maximum."""
    array = (BYTES / 255.0)[..., None][:5]
    np.save(tmp_path / "letter_E.npy", array)
    frames = open_frames(tmp_path / "letter_E.npy")
    assert frames.dtype == torch.float32
    np.testing.assert_allclose(frames[:], array[..., 0], rtol=1e-7)


def test_nn_bildrekonstruktion(tmp_path):
    """duha887b: MATLAB 7.3, 16x16x1xn of double 0..255, which HDF5 holds as (n, 1, 16, 16) with rows as columns."""
    image = np.arange(256.0).reshape(16, 16)
    matlab = np.stack([image + 0 * k for k in range(20)], -1)[:, :, None]
    with h5py.File(tmp_path / "DATA_MMF_16.mat", "w", userblock_size=512) as file:
        for key in ("XTrain", "YTrain", "XTest", "YTest"):
            file[key] = matlab.transpose()
            assert file[key].shape == (20, 1, 16, 16)
            file[key].attrs["MATLAB_class"] = np.bytes_(b"double")
    with open(tmp_path / "DATA_MMF_16.mat", "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: PCWIN64".ljust(128))
    frames = open_frames(*split_key(f"{tmp_path}/DATA_MMF_16.mat:YTrain"))
    assert np.array_equal(frames[[0, 19]], [image, image])
    objects, said = as_objects(frames)
    assert "8 bit, full scale 255" in said
    np.testing.assert_allclose(objects[0], image / 255, rtol=1e-6)


def test_opticalfibreml(tmp_path):
    """rodms/opticalfibreml: one HDF5 file, the speckle as flat rows and larger than the objects."""
    speckle, objects = RNG.random((40, 120, 120)), RNG.random((40, 92, 92))
    with h5py.File(tmp_path / "Data.h5", "w") as file:
        file["Training/Original_images/ImageNet"] = objects
        file["Training/Speckle_images/ImageNet"] = speckle.reshape(40, 14400)
    path = tmp_path / "Data.h5"
    assert keys_of(path)["Training/Speckle_images/ImageNet"] == (40, 14400)
    with pytest.raises(InvalidValue, match=r"40 images as rows of 14400 pixels \(set shape=\[120,120\]\)"):
        open_frames(path, "Training/Speckle_images/ImageNet")
    frames = open_frames(path, "Training/Speckle_images/ImageNet", FileSettings(shape=[120, 120]))
    np.testing.assert_allclose(frames[:], speckle, rtol=1e-6)
    np.testing.assert_allclose(open_frames(path, "Training/Original_images/ImageNet")[7], objects[7], rtol=1e-6)


def test_speckle_image_reconstruction(tmp_path):
    """Zye3: uint16 speckle and float objects."""
    words = BYTES.astype(np.uint16) * 200
    np.save(tmp_path / "speckle.npy", words)
    np.save(tmp_path / "original.npy", BYTES / 255)
    assert np.array_equal(open_frames(tmp_path / "speckle.npy")[:], words)
    assert "floats in [0, 1]" in as_objects(open_frames(tmp_path / "original.npy"))[1]


def test_ultra_wide_field(tmp_path):
    """LintaoPeng: one MATLAB 5 file a frame, variable `data`, float64 around 367; smaller PNG objects."""
    for k in (1, 2, 10):
        scipy.io.savemat(tmp_path / f"{k}.mat", {"data": 358 + 18 * BYTES[k] / 255})
    np.testing.assert_allclose(open_folder(tmp_path)[:], 358 + 18 * BYTES[[1, 2, 10]] / 255, rtol=1e-6)


def test_lensless_learning(tmp_path):
    """Waller-Lab: one rectangular colour image a file, float32, slightly negative."""
    colour = RNG.normal(0.3, 0.1, (3, 27, 48, 3)).astype(np.float32)
    for k, image in enumerate(colour, start=9):
        np.save(tmp_path / f"im{k}.npy", image)
    with pytest.raises(InvalidValue, match=r"im9.npy has shape \(27, 48, 3\), and this can be one colour image"):
        open_folder(tmp_path)
    assert np.array_equal(open_folder(tmp_path, FileSettings(colour="green"))[:], colour[..., 1])
    luminance = open_folder(tmp_path, FileSettings(colour="luminance"))[:]
    np.testing.assert_allclose(luminance, colour @ np.array([0.299, 0.587, 0.114]), rtol=1e-5)


def test_digicam(tmp_path):
    """LenslessPiCam: 12-bit values in 16-bit PNG."""
    words = BYTES.astype(np.uint16) * 16
    words[:, 0, 0] = 4095
    for k, image in enumerate(words):
        Image.fromarray(image).save(tmp_path / f"{k}.png")
    frames = open_folder(tmp_path)
    assert np.array_equal(frames[:], words)
    assert "values 0..4095 in 16 bit: 12-bit camera, full scale 4095" in as_objects(frames)[1].replace("16..", "0..")


def test_st_unet_and_fjnnet(tmp_path):
    """BMP and PNG with a prefix before an unpadded number."""
    for folder, name in (("speckle", "sp_{}.png"), ("label", "TestImage_{}.bmp")):
        (tmp_path / folder).mkdir()
        for k in range(12):
            Image.fromarray(BYTES[k]).save(tmp_path / folder / name.format(k))
        assert np.array_equal(open_folder(tmp_path / folder)[:], BYTES)


def test_transmission_matrices_of_rice(tmp_path):
    """MATLAB 7.3, flat rows of pixels in MATLAB's own order."""
    rows = np.stack([image.flatten(order="F") for image in BYTES]).astype(float)
    with h5py.File(tmp_path / "YH_squared_train.mat", "w") as file:
        file["YH_squared_train"] = rows.transpose()
        file["YH_squared_train"].attrs["MATLAB_class"] = np.bytes_(b"double")
    frames = open_frames(tmp_path / "YH_squared_train.mat", None, FileSettings(shape=(32, 32), order="F"))
    assert np.array_equal(frames[:], BYTES)


def test_information_retrieval(tmp_path):
    """Babak70: records of a label and an image without a header. They must be converted, and the message says so."""
    records = b"".join(bytes([k]) + image.tobytes() for k, image in enumerate(BYTES))
    (tmp_path / "a.bin").write_bytes(records)
    with pytest.raises(InvalidValue, match=r"a.bin holds pixels without a description"):
        open_frames(tmp_path / "a.bin")
    with pytest.raises(InvalidValue, match=r"not a whole number of images .* be converted to .npy \(numpy.fromfile"):
        open_frames(tmp_path / "a.bin", None, FileSettings(dtype="u1", shape=(32, 32)))


def test_mmf_of_stanwade(tmp_path):
    """Rows of 256 pixels beside frames."""
    np.save(tmp_path / "pattern.npy", BYTES[:, :16, :16].reshape(12, 256))
    frames = open_frames(tmp_path / "pattern.npy", None, FileSettings(shape=(16, 16)), partner=12)
    assert np.array_equal(frames[:], BYTES[:, :16, :16])


def test_descatter_net(tmp_path, caplog):
    """MATLAB files whose number comes first: the square images show it, and it is said."""
    scipy.io.savemat(tmp_path / "input_retinex.mat", {"input": BYTES})
    with caplog.at_level("INFO"):
        assert np.array_equal(open_frames(tmp_path / "input_retinex.mat", "input")[:], BYTES)
    assert "12 images of 32x32 px (axes=nhw), because these images are square" in caplog.text


def test_speckle_cn2_profiler(tmp_path):
    """One HDF5 file a frame."""
    for k in range(3):
        with h5py.File(tmp_path / f"Mixed-{k:05}.h5", "w") as file:
            file["data"] = BYTES[k]
            file["J"] = RNG.random(8)
    assert np.array_equal(open_folder(tmp_path)[:], BYTES[:3])


def test_mmf_of_wavefrontshaping(tmp_path):
    """Complex transmission matrices are no images."""
    np.savez(tmp_path / "TM_modes_1.0.npz", TM_corr_modes=np.ones((110, 110), complex))
    with pytest.raises(InvalidValue, match=r"TM_modes_1.0.npz:TM_corr_modes holds complex numbers"):
        open_frames(tmp_path / "TM_modes_1.0.npz")


def test_the_real_deep_speckle_file(real_data):
    frames = open_frames(real_data / "deep_speckle_test" / "letter_E.npy")
    array = np.load(real_data / "deep_speckle_test" / "letter_E.npy")
    np.testing.assert_allclose(frames[:], array[..., 0], rtol=1e-6)


def test_the_real_scattering_files(real_data):
    frames = open_folder(real_data / "scattering_220grit" / "220grit1" / "train", limit=5)
    assert frames.shape == (5, 512, 512)
    assert frames.dtype == torch.uint8
    assert np.array_equal(frames[0], np.asarray(Image.open(frames.name(0))))
