"""Errors a user can cause end in a line or two and an exit code; faults of the program keep their traceback."""

import errno

import pytest
import torch
from hydra.errors import InstantiationException
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import OmegaConf

from spt.run.command import explain
from spt.run.building import build


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("width must be positive"), "width must be positive"),
        (KeyError("x holds no array 'y'"), "x holds no array 'y'"),
        (OSError(errno.ENOSPC, "No space left on device", "/data/a.npz"), "/data/a.npz: No space left on device"),
        (FileNotFoundError("/data is not there"), "/data is not there"),
        (MisconfigurationException("No supported gpu backend found!"), "Choose trainer=auto or trainer=cpu"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), "Lower data.batch_size"),
    ],
)
def test_user_errors_are_explained(error: Exception, text: str):
    message = explain(error)
    assert message is not None
    assert text in message
    assert len(message.splitlines()) <= 2


@pytest.mark.parametrize(
    "error", [AssertionError("bug"), RuntimeError("shape"), AttributeError("x"), ZeroDivisionError()]
)
def test_faults_of_the_program_are_not(error: Exception):
    assert explain(error) is None


def test_a_constructors_refusal_names_the_place():
    with pytest.raises(InstantiationException) as caught:
        build(OmegaConf.create({"model": {"_target_": "spt.models.SpTUNet", "width": 6}}))
    message = explain(caught.value)
    assert message is not None
    assert message.startswith("model: width must be")
