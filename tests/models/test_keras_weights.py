"""The converter against Keras itself: the published network, random weights and statistics, every file format."""

import importlib
import itertools
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from spt.models import DeepSpeckle, deep_speckle
from spt.models.keras_weights import convert

Layers = list[tuple[str, dict[str, np.ndarray]]]

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras and numpy 2

LETTERS = ("letter_E", "letter_S", "number_8", "number_9")
PUBLISHED = (64, 128, 256, 512, 1024)
THIN = (8, 10, 12, 14, 16)
"""Channels of the five levels: the published network, and one whose files are small."""


@contextmanager
def widths(levels: tuple[int, ...]) -> Iterator[None]:
    """Our network has these channels inside the block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deep_speckle, "ENCODER", levels)
        patch.setattr(deep_speckle, "DECODER", levels[-2::-1])
        yield


@pytest.fixture(scope="module")
def keras() -> ModuleType:
    """Keras on torch and the CPU, imported only where a test asks for it."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KERAS_BACKEND", "torch")
        environment.setenv("KERAS_TORCH_DEVICE", "cpu")
        return pytest.importorskip("keras")


def built(keras: ModuleType, levels: tuple[int, ...]) -> Any:
    """The published network, layer by layer as its code has it, with its own or other channels."""
    make = keras.layers

    def conv(x, channels: int, kernel: int):
        return make.Conv2D(channels, kernel, padding="same", activation="relu")(x)

    def dense(x, units: int):
        for _ in range(units):
            y = make.Activation("relu")(make.BatchNormalization()(x))
            y = make.Conv2D(16, 5, dilation_rate=2, padding="same")(y)
            x = make.Concatenate()([x, make.Dropout(0.5)(y)])
        return x

    x = image = make.Input((None, None, 1))
    skips = []
    for depth, channels in enumerate(levels):
        x = dense(conv(make.MaxPooling2D(2)(x) if depth else x, channels, 3), 4)
        skips.append(x)
    for channels, skip in zip(levels[-2::-1], skips[-2::-1], strict=True):
        up = conv(make.UpSampling2D(2)(x), channels, 2)
        x = dense(conv(make.Concatenate()([skip, up]), channels, 3), 3)
    return keras.Model(image, make.Conv2D(2, 1, activation="softmax")(conv(x, 32, 3)))


def randomise(model: Any, last: float, variances: tuple[float, float]) -> None:
    """Draw the arrays that Keras starts at 0 or 1, the BatchNorms' statistics above all."""
    rng = np.random.default_rng(0)
    draw = {
        "bias": lambda n: rng.normal(0, 0.05, n),
        "gamma": lambda n: rng.normal(1, 0.2, n),
        "beta": lambda n: rng.normal(0, 0.05, n),
        "moving_mean": lambda n: rng.normal(0, 0.05, n),
        "moving_variance": lambda n: rng.uniform(*variances, n),
    }
    for variable in model.weights:
        if variable.name in draw:
            variable.assign(draw[variable.name](variable.shape).astype("float32"))
    # The image, not the biases, shall make the output, and the softmax shall stay away from its ends.
    for layer, factor in ((model.layers[1], 10), (model.layers[-1], last)):
        layer.kernel.assign(layer.kernel.numpy() * factor)


def trained(keras: ModuleType, levels: tuple[int, ...]) -> Any:
    """A network of Keras after one step of Adam, with random weights and statistics."""
    keras.utils.set_random_seed(0)
    model = built(keras, levels)
    model.compile(keras.optimizers.Adam(1e-6), "binary_crossentropy")
    model.train_on_batch(np.random.rand(2, 32, 32, 1).astype("float32"), np.full((2, 32, 32, 2), 0.5, "float32"))
    randomise(model, *((0.04, (0.01, 0.5)) if levels is PUBLISHED else (0.3, (0.5, 2.0))))
    return model


@pytest.fixture(scope="module")
def network(keras) -> Any:
    return trained(keras, THIN)


@pytest.fixture(scope="module")
def published(keras) -> Any:
    return trained(keras, PUBLISHED)


def keras_2_layers(model: Any) -> Layers:
    """Name layers as Keras 2 does, from 1, and order their arrays as Keras 2 does."""
    kinds = {
        "InputLayer": "input",
        "Conv2D": "conv2d",
        "BatchNormalization": "batch_normalization",
        "MaxPooling2D": "max_pooling2d",
        "UpSampling2D": "up_sampling2d",
    }
    count, layers = Counter(), []
    for layer in model.layers:
        kind = kinds.get(type(layer).__name__, type(layer).__name__.lower())
        count[kind] += 1
        layers.append((f"{kind}_{count[kind]}", {w.name: w.numpy() for w in layer.weights}))
    return layers


def write_keras_2(path: Path, layers: Layers, *, pieces: int = 0, text: bool = False, values: bool = True) -> Path:
    """Write as `save_weights` of Keras 2; without values the arrays have only their shapes and take no room."""
    with h5py.File(path, "w") as file:
        names = [name if text else name.encode() for name, _ in layers]
        if pieces:
            for i, piece in enumerate(np.array_split(np.array(names), pieces)):
                file.attrs[f"layer_names{i}"] = piece
        else:
            file.attrs["layer_names"] = names
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.1.2"
        for name, arrays in layers:
            group = file.create_group(name)
            paths = [f"{name}/{array}:0" for array in arrays]
            group.attrs["weight_names"] = paths if text else [p.encode() for p in paths]
            for p, array in zip(paths, arrays.values(), strict=True):
                group.create_dataset(p, array.shape, array.dtype, array if values else None)
    return path


def weights_h5(model: Any, folder: Path) -> Path:
    model.save_weights(folder / "net.weights.h5")
    return folder / "net.weights.h5"


def legacy_h5(model: Any, folder: Path) -> Path:
    legacy = importlib.import_module("keras.src.legacy.saving.legacy_h5_format")
    with h5py.File(folder / "net.h5", "w") as file:
        legacy.save_weights_to_hdf5_group(file, model)
    return folder / "net.h5"


def saved_model(model: Any, folder: Path) -> Path:
    model.save(folder / "model.h5")
    with h5py.File(folder / "model.h5") as file:
        assert {"model_weights", "optimizer_weights"} <= set(file)
    return folder / "model.h5"


def keras_2(model: Any, folder: Path) -> Path:
    return write_keras_2(folder / "keras2.h5", keras_2_layers(model))


def keras_2_text(model: Any, folder: Path) -> Path:
    return write_keras_2(folder / "keras2.h5", keras_2_layers(model), text=True)


def keras_2_in_2(model: Any, folder: Path) -> Path:
    return write_keras_2(folder / "keras2.h5", keras_2_layers(model), pieces=2)


def keras_2_in_12(model: Any, folder: Path) -> Path:
    return write_keras_2(folder / "keras2.h5", keras_2_layers(model), pieces=12)


FORMATS = (weights_h5, legacy_h5, saved_model, keras_2, keras_2_text, keras_2_in_2, keras_2_in_12)


def converted(
    network: Any, write: Callable[[Any, Path], Path], folder: Path, levels: tuple[int, ...] = THIN
) -> DeepSpeckle:
    """Our network with the weights of one file, which does not stay."""
    path = write(network, folder)
    with widths(levels):
        state = convert(path)
        with torch.device("meta"):
            model = DeepSpeckle()
    path.unlink()
    model.load_state_dict(state, strict=True, assign=True)
    return model.eval()


@pytest.fixture(scope="module")
def ours(network, tmp_path_factory) -> DeepSpeckle:
    return converted(network, weights_h5, tmp_path_factory.mktemp("keras"))


def images(model: Any, x: np.ndarray) -> np.ndarray:
    """Softmax images (b, h, w, 2) of Keras' network or ours, one at a time."""
    with torch.no_grad():
        if isinstance(model, DeepSpeckle):
            out = [model(torch.from_numpy(one).permute(2, 0, 1)[None]).softmax(1).permute(0, 2, 3, 1) for one in x]
        else:
            out = [model(one[None], training=False) for one in x]
    return torch.cat(out).numpy()


def same(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    assert (expected[0] - expected[-1]).std() > 0.02
    assert ((expected > 0.01) & (expected < 0.99)).mean() > 0.5
    assert np.abs(found - expected).max() < 1e-5


@pytest.mark.parametrize("write", FORMATS)
def test_every_array_of_every_format_arrives_once(network, tmp_path, write):
    model = converted(network, write, tmp_path)
    for kind, order in (("Conv2D", ("weight", "bias")), ("Batch", ("weight", "bias", "running_mean", "running_var"))):
        theirs = [layer for layer in network.layers if type(layer).__name__.startswith(kind)]
        mine = [m for m in model.modules() if isinstance(m, nn.Conv2d if kind == "Conv2D" else nn.BatchNorm2d)]
        for layer, module in zip(theirs, mine, strict=True):
            for array, attribute in zip(layer.weights, order, strict=True):
                array, tensor = array.numpy(), getattr(module, attribute).detach().numpy()
                np.testing.assert_array_equal(tensor, array.transpose(3, 2, 0, 1) if array.ndim == 4 else array)
                assert tensor.dtype == np.float32


def test_random_images_equal_keras(network, ours):
    x = np.random.default_rng(1).random((2, 48, 64, 1), dtype="float32")
    same(images(ours, x), images(network, x))


@pytest.mark.slow
def test_the_published_network_equals_keras_on_random_images_and_measured_speckles(real_data, published, tmp_path):
    assert sum(int(np.prod(w.shape)) for w in published.trainable_weights) == 21_850_530
    assert sum(int(np.prod(w.shape)) for w in published.non_trainable_weights) == 22_976
    ours = converted(published, weights_h5, tmp_path, PUBLISHED)
    whole = [np.load(real_data / "deep_speckle_test" / f"{letter}.npy") for letter in LETTERS]
    crops = np.concatenate([frames[1:3, 96:160, 96:160] for frames in whole]).astype("float32")
    whole = np.stack([frames[0] for frames in whole[::2]]).astype("float32")
    assert whole.shape == (2, 256, 256, 1)
    for x in (np.random.default_rng(1).random((2, 48, 64, 1), dtype="float32"), crops, whole):
        same(images(ours, x), images(published, x))


@pytest.fixture(scope="module")
def shapes() -> Layers:
    """Layers of a Keras 2 file, of the right shapes and without values; written without Keras."""
    layers: Layers = [("input_1", {})]
    convs, norms = itertools.count(1), itertools.count(1)

    def conv(kernel: int, channels: int, out: int) -> None:
        arrays = {"kernel": np.empty((kernel, kernel, channels, out), "f4"), "bias": np.empty(out, "f4")}
        layers.append((f"conv2d_{next(convs)}", arrays))

    def dense(channels: int, units: int) -> int:
        for c in range(channels, channels + 16 * units, 16):
            arrays = {k: np.empty(c, "f4") for k in ("gamma", "beta", "moving_mean", "moving_variance")}
            layers.append((f"batch_normalization_{next(norms)}", arrays))
            conv(5, c, 16)
            layers.append((f"dropout_{len(layers)}", {}))
        return channels + 16 * units

    channels, skips = 1, []
    for width in PUBLISHED:
        conv(3, channels, width)
        channels = dense(width, 4)
        skips.append(channels)
    for width, skip in zip(PUBLISHED[-2::-1], skips[-2::-1], strict=True):
        conv(2, channels, width)
        conv(3, skip + width, width)
        channels = dense(width, 3)
    conv(3, channels, 32)
    conv(1, 32, 2)
    return layers


def refused(path: Path, layers: Layers) -> str:
    with pytest.raises(ValueError, match=str(path)) as caught:
        convert(write_keras_2(path, layers, values=False))
    return str(caught.value)


def test_the_unchanged_file_of_shapes_is_accepted(tmp_path, shapes):
    convert(write_keras_2(tmp_path / "a.h5", shapes, values=False))


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("conv2d_1", r"encoder.0.0.0 (64, 1, 3, 3)"),
        ("conv2d_13", r"encoder.2.1.units.1.2 (16, 272, 5, 5)"),
        ("conv2d_26", r"decoder.0.up (512, 1088, 2, 2)"),
        ("conv2d_47", r"head.1 (2, 32, 1, 1)"),
        ("batch_normalization_7", r"encoder.1.1.units.2.0 (160,)"),
        ("batch_normalization_32", r"decoder.3.fuse.1.units.2.0 (96,)"),
    ],
)
def test_a_missing_layer_is_named(tmp_path, shapes, name, needed):
    said = refused(tmp_path / "a.h5", [layer for layer in shapes if layer[0] != name])
    whole = 47 if name.startswith("conv") else 32
    assert f"where it has nothing, the network needs {needed}. " in said
    assert f"({whole - 1} layers of this kind in the file, {whole} in the network.)" in said


@pytest.mark.parametrize("place", [0, 40, 10_000])
def test_a_convolution_left_over_is_named(tmp_path, shapes, place):
    extra = ("conv2d_48", {"kernel": np.empty((7, 7, 8, 9), "f4"), "bias": np.empty(9, "f4")})
    said = refused(tmp_path / "a.h5", [*shapes[:place], extra, *shapes[place:]])
    assert "where it has conv2d_48 (9, 8, 7, 7), the network needs nothing. (48 layers" in said


@pytest.mark.parametrize(
    ("name", "arrays", "said"),
    [
        (
            "conv2d_13",
            {"kernel": (5, 5, 99, 16), "bias": (16,)},
            "has conv2d_13 (16, 99, 5, 5), the network needs encoder.2.1.units.1.2 (16, 272, 5, 5).",
        ),
        (
            "conv2d_47",
            {"kernel": (1, 1, 32, 1), "bias": (1,)},
            "has conv2d_47 (1, 32, 1, 1), the network needs head.1 (2, 32, 1, 1).",
        ),
        (
            "batch_normalization_1",
            dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (65,)),
            "has batch_normalization_1 (65,), the network needs encoder.0.1.units.0.0 (64,).",
        ),
    ],
)
def test_a_layer_of_another_shape_is_named(tmp_path, shapes, name, arrays, said):
    other = {key: np.empty(shape, "f4") for key, shape in arrays.items()}
    assert said in refused(tmp_path / "a.h5", [(n, other if n == name else a) for n, a in shapes])


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (("conv2d_48", {"kernel": (3, 3, 4, 4)}), "layer conv2d_48 is unknown: its arrays kernel are those of neither"),
        (("p_re_lu_1", {"alpha": (4,)}), "layer p_re_lu_1 is unknown: its arrays alpha are those of neither"),
        (
            ("batch_normalization_33", {"beta": (4,), "moving_mean": (4,), "moving_variance": (4,)}),
            "layer batch_normalization_33 is unknown: its arrays beta, moving_mean, moving_variance are",
        ),
        (("dense_1", {"kernel": (4, 10), "bias": (10,)}), "where it has dense_1 (4, 10), the network needs nothing."),
    ],
)
def test_an_unknown_layer_is_named(tmp_path, shapes, layer, said):
    name, arrays = layer
    extra = (name, {key: np.empty(shape, "f4") for key, shape in arrays.items()})
    assert said in refused(tmp_path / "a.h5", [*shapes[:30], extra, *shapes[30:]])


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ([(3, 3, 1, 64)], "layer conv2d_1 is unknown: its arrays array 0 are"),
        ([(4, 12), (4, 12), (2, 12)], "layer conv2d_1 is unknown: its arrays array 0, array 1, array 2 are"),
    ],
)
def test_an_unknown_layer_of_keras_3_is_named(tmp_path, variables, said):
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        for name, arrays in {"conv2d": [(3, 3, 1, 64), (64,)], "dropout": [], "conv2d_1": variables}.items():
            group = file.create_group(f"layers/{name}/vars")
            for i, shape in enumerate(arrays):
                group[str(i)] = np.zeros(shape, "f4")
    with pytest.raises(ValueError, match=said):
        convert(tmp_path / "a.weights.h5")


def test_a_file_that_is_no_hdf5_is_refused(tmp_path):
    (tmp_path / "a.h5").write_text("weights")
    with pytest.raises(ValueError, match=r"a\.h5 is no HDF5 file"):
        convert(tmp_path / "a.h5")


def test_an_archive_of_keras_is_refused_with_the_way_out(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(ValueError, match=r"a\.keras is no HDF5 file.*model\.save_weights first"):
        convert(tmp_path / "a.keras")


def test_a_file_cut_short_is_refused(tmp_path, shapes):
    path = write_keras_2(tmp_path / "a.h5", shapes, values=False)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match="is no HDF5 file"):
        convert(path)


@pytest.mark.parametrize("group", ["data", "model_weights"])
def test_hdf5_without_weights_is_refused(tmp_path, group):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[f"{group}/speckles"] = np.zeros(3)
    with pytest.raises(ValueError, match=r"a\.h5 holds no Keras weights"):
        convert(tmp_path / "a.h5")


@pytest.mark.parametrize("name", ["nothing.h5", "."])
def test_no_such_file(tmp_path, name):
    with pytest.raises(FileNotFoundError, match="no such file"):
        convert(tmp_path / name)
