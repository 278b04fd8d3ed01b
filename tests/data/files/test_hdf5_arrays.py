"""HDF5: packed chunks are kept, others are not read beyond the images that are wanted."""

import h5py
import numpy as np
import pytest

from spt.data.files.hdf5_arrays import CHUNKS, _Opened, open_hdf5

PIXELS = np.random.default_rng(0).integers(0, 255, (12, 6, 5)).astype(np.uint8)


@pytest.mark.parametrize(
    ("settings", "kept"), [({}, 0), ({"chunks": (4, 6, 5)}, 0), ({"chunks": (4, 6, 5), "compression": "gzip"}, CHUNKS)]
)
def test_only_packed_chunks_are_kept(tmp_path, settings, kept):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=PIXELS, **settings)
    opened = _Opened(tmp_path / "a.h5", "x")
    assert opened.file.id.get_access_plist().get_cache()[2] == kept
    opened.close()
    rows = [7, 2, 2, 11, 3]
    assert np.array_equal(open_hdf5(tmp_path / "a.h5", "x").take(0, rows), PIXELS[rows])
