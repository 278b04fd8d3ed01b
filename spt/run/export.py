"""A trained network as one file for other programs: measured speckle in, image out."""

import importlib.util
import io
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spt.data.preparation import Preparation
from spt.errors import InvalidValue, UserError
from spt.files import atomic, check_writable
from spt.heads import Head
from spt.optics.resampling import resized

TOLERANCE = 1e-4
OPSET = 20


class Reconstruction(nn.Module):
    """Preparation, network and head as one module: measured speckle (b, 1, h, w) to image (b, 1, p, q) in [0, 1]."""

    def __init__(
        self, model: nn.Module, head: Head, preparation: Preparation, object_size: tuple[int, int] | None = None
    ) -> None:
        super().__init__()
        self.model, self.head, self.preparation, self.object_size = model, head, preparation, object_size

    def forward(self, speckle: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 p q"]:
        """Reconstruct."""
        logits = self.model(self.preparation(speckle))
        return self.head.decode(logits if self.object_size is None else resized(logits, self.object_size))


def export(reconstruction: Reconstruction, size: tuple[int, int], path: Path, form: str) -> float:
    """Write one file with a free batch size and check it against PyTorch at batches 1 and 3.

    Args:
        reconstruction: in evaluation mode, on the CPU.
        size: height and width [px]; the file takes no others.
        path: file to write; must not exist.
        form: ``onnx`` (input ``speckle``, output ``image``) or ``torch_export``.
    Returns:
        Greatest difference of the images from PyTorch's.
    Raises:
        InvalidValue: if the file is there already, the form is unknown, the packages for ONNX are not installed, the
            network does not take the size or cannot be exported at it, or the file's images differ by more than 1e-4.
            Nothing is left behind.
    """
    if form not in FORMS:
        raise InvalidValue(f"format must be one of {', '.join(FORMS)}, got {form!r}.")
    if path.exists():
        raise InvalidValue(f"{path} exists already. Choose another file with out=….")
    check_writable(path.parent)
    speckle = _speckles(3, size)
    with torch.no_grad():
        expected = reconstruction(speckle)
    write, read = FORMS[form]
    with atomic(path) as part:
        try:
            write(reconstruction, speckle[:2], part)
        except UserError:
            raise
        except Exception as error:  # the exporters raise all sorts; the first line says what they could not do
            line = str(error).strip().splitlines()[0] if str(error).strip() else ""
            raise InvalidValue(
                f"{type(reconstruction.model).__name__} cannot be exported as {form} at {size[0]}x{size[1]} px: "
                f"{type(error).__name__}: {line}"
            ) from error
        run = read(part)
        with torch.no_grad():
            difference = max(float((run(speckle[:b]) - expected[:b]).abs().max()) for b in (1, 3))
        if not difference < TOLERANCE:
            raise InvalidValue(
                f"the file's images differ from PyTorch's by {difference:.1e}, more than {TOLERANCE:.0e}."
            )
    return difference


def _speckles(count: int, size: tuple[int, int]) -> Tensor:
    """Fully developed speckle as a camera gives it: exponential intensities, mean 40 grey levels."""
    generator = torch.Generator().manual_seed(0)
    return -40 * torch.rand(count, 1, *size, generator=generator).clamp_min(1e-6).log()


def _write_torch_export(reconstruction: Reconstruction, speckle: Tensor, path: Path) -> None:
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(reconstruction, (speckle,), dynamic_shapes={"speckle": {0: batch}})
    buffer = io.BytesIO()  # torch warns of file names that do not end in .pt2, as a temporary one does not
    torch.export.save(program, buffer)
    path.write_bytes(buffer.getbuffer())


def _read_torch_export(path: Path) -> Callable[[Tensor], Tensor]:
    return torch.export.load(io.BytesIO(path.read_bytes())).module()


def _write_onnx(reconstruction: Reconstruction, speckle: Tensor, path: Path) -> None:
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing:
        raise InvalidValue(f"format=onnx needs {', '.join(missing)}. Install them: pip install 'spt[export]'.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's warnings on its own internals
        torch.onnx.export(
            reconstruction,
            (speckle,),
            str(path),
            input_names=["speckle"],
            output_names=["image"],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes={"speckle": {0: torch.export.Dim("batch", min=1)}},
            external_data=False,
            verbose=False,
        )


def _read_onnx(path: Path) -> Callable[[Tensor], Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return lambda speckle: torch.from_numpy(session.run(["image"], {"speckle": speckle.numpy()})[0])


FORMS: dict[
    str, tuple[Callable[[Reconstruction, Tensor, Path], None], Callable[[Path], Callable[[Tensor], Tensor]]]
] = {
    "onnx": (_write_onnx, _read_onnx),
    "torch_export": (_write_torch_export, _read_torch_export),
}
"""Name to (write, read)."""

SUFFIXES = {"onnx": ".onnx", "torch_export": ".pt2"}
