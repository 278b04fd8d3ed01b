"""One reader for one file: every picture and array format of the field, read when an image is asked for."""

from spt.data.files.frames import Frames, Joined, Selected
from spt.data.files.levels import as_objects, describe_levels
from spt.data.files.names import ARRAYS, PICTURES, RAW, natural_key, split_key
from spt.data.files.opening import files_of, keys_of, open_folder, open_frames, open_picture
from spt.data.files.settings import FileSettings
from spt.data.files.whole import read_array, read_arrays

__all__ = [
    "ARRAYS",
    "PICTURES",
    "RAW",
    "FileSettings",
    "Frames",
    "Joined",
    "Selected",
    "as_objects",
    "describe_levels",
    "files_of",
    "keys_of",
    "natural_key",
    "open_folder",
    "open_frames",
    "open_picture",
    "read_array",
    "read_arrays",
    "split_key",
]
