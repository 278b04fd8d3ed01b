"""Every file of configs/optics builds, and keeps what all forward models promise."""

import dataclasses
import os

import numpy as np
import pytest
import torch
from conftest import ROOT, composed

from spt.errors import InvalidValue, MissingFile
from spt.optics import (
    DiffuserPsf,
    GaussianBeam,
    IncoherentSetup,
    IndependentPatterns,
    ModeMatrixSetup,
    MovingDiffuser,
    RandomMatrixSetup,
    ThickDiffuser,
    ThickDiffuserSetup,
    ThinDiffuser,
    ThinDiffuserSetup,
    effective_grit,
    select,
)
from spt.run.building import build

NAMES = sorted(path.stem for path in (ROOT / "configs/optics").glob("*.yaml"))
MEASURED = {"fibre", "incoherent"}


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def built(name: str):
    if name in MEASURED and not os.environ.get("SPT_DATA"):
        pytest.skip("SPT_DATA is not set: the measured media are not part of the repository")
    return build(composed(f"optics@data.source.setup={name}").data.source.setup)


@pytest.fixture(scope="module", params=NAMES)
def setup(request):
    return built(request.param)


# Configurations


def test_intensity_is_finite_not_negative_and_repeats_to_the_bit(setup):
    objects = torch.zeros(2, setup.window, setup.window)
    objects[:, : setup.window // 3] = 1
    before = torch.get_rng_state()
    first, second = (setup.intensity(objects, setup.draw(2, seeded(1))) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, second)
    assert first.shape == objects.shape
    assert first.dtype == torch.float32
    assert first.isfinite().all()
    assert first.min() >= 0
    assert first.std() > 0.1 * first.mean()


def test_every_setup_passes_its_own_validator(setup):
    setup.validate()
    assert not [finding for finding in setup.report() if finding.refused]


def test_media_are_rows_of_a_draw(setup):
    """Selecting a medium of a draw gives what the whole draw gives in that row: single precision of the brightest."""
    objects = torch.rand(2, setup.window, setup.window)
    medium = setup.draw(2, seeded(3))
    assert all(len(tensor) == 2 for tensor in medium.values())
    whole = setup.intensity(objects, medium)
    alone = setup.intensity(objects[1:], select(medium, torch.tensor([1])))
    assert ((whole[1:] - alone).abs().max() / whole.max()).item() < 1e-5
    swapped = setup.intensity(objects, select(medium, torch.tensor([1, 0])))
    assert (whole - swapped).abs().max() > 0.05 * whole.max()


def test_objects_are_seen(setup):
    """One medium, two objects: the speckle knows which."""
    objects = torch.zeros(2, setup.window, setup.window)
    quarter = setup.window // 4
    objects[0, quarter : 3 * quarter, quarter : 2 * quarter] = 1
    objects[1, quarter : 2 * quarter, quarter : 3 * quarter] = 0.5
    first, second = setup.intensity(objects, select(setup.draw(1, seeded(4)), torch.tensor([0, 0])))
    assert (first - second).norm() > 0.05 * first.norm()


@pytest.mark.parametrize("grit", [120, 220, 600, 1500])
def test_a_grit_chooses_its_diffuser(grit):
    setup = build(composed("data=grit", f"data.source.setup.grit={grit}").data.source.setup)
    assert setup.diffuser == effective_grit(grit)
    assert (setup.window, setup.grid, setup.pitch, setup.camera_range) == (256, 512, 8e-6, (20e-3, 60e-3))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "data.source.setup.diffuser.sigma_phi=5",
            r"rule 1, .*0\.8545 rad, limit 0\.5 rad\. Use correlation_length >= ",
        ),
        ("data.source.setup.object_distance=5e-3", r"rule 2, .*0\.005 m, limit 0\.00385 m\. Use grid >= 168 px"),
        ("data.source.setup.grid=96", r"rule 3, .*16 px, limit 17\.43 px\. Use grid >= 100 px"),
    ],
)
def test_a_setting_that_breaks_a_rule_is_refused_when_it_is_built(override, message):
    with pytest.raises(InvalidValue, match=message):
        build(composed("data=one_diffuser", override).data.source.setup)


@pytest.mark.parametrize("name", sorted(MEASURED))
def test_measured_media_say_where_to_look(name, monkeypatch):
    monkeypatch.delenv("SPT_DATA", raising=False)
    with pytest.raises(MissingFile, match="Set the environment variable SPT_DATA to the folder that holds"):
        build(composed(f"optics@data.source.setup={name}").data.source.setup)


# Gradients, in complex128, from the objects to the irradiance in the camera's window


def modal() -> ModeMatrixSetup:
    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.complex128)

    return ModeMatrixSetup(6, draw(2, 4, 6), draw(3, 16) / 4, draw(2, 25) / 5)


WEAK = ThinDiffuser(0.8, 12e-6)
THIN = ThinDiffuserSetup(6, 16, 4e-6, 532e-9, 0.1e-3, 0.2e-3, WEAK)
SMALL = {
    "thin": THIN,
    "amplitude": dataclasses.replace(THIN, modulation="amplitude"),
    "range": dataclasses.replace(THIN, camera_distance=(0.1e-3, 0.3e-3)),
    "beam": dataclasses.replace(THIN, illumination=GaussianBeam(10e-6)),
    "patterns": dataclasses.replace(THIN, averaging=IndependentPatterns(2)),
    "moving": dataclasses.replace(THIN, averaging=MovingDiffuser(2, (1e-6, 2e-6), 0.1)),
    "thick": ThickDiffuserSetup(6, 16, 4e-6, 532e-9, 0.1e-3, 0.2e-3, ThickDiffuser(0.5, 12e-6, 2, 0.1e-3)),
    "random matrix": RandomMatrixSetup(6, 4),
    "modal matrix": modal(),
    "incoherent": IncoherentSetup(6, DiffuserPsf(5, 16, 4e-6, 532e-9, 0.2e-3, 12e-6, WEAK)),
}


@pytest.mark.parametrize("name", SMALL)
def test_gradients_are_exact(name):
    setup = SMALL[name]
    medium = setup.draw(2, seeded(6))
    # Away from 0 and 1: the incoherent image is cut at darkness.
    objects = 0.2 + 0.6 * torch.rand(2, 6, 6, dtype=torch.float64)
    assert setup.intensity(objects, medium).dtype == torch.float64
    assert torch.autograd.gradcheck(lambda o: setup.intensity(o, medium), objects.requires_grad_())


@pytest.mark.parametrize("name", ["thin", "patterns", "thick", "incoherent"])
def test_gradients_reach_the_medium(name):
    setup = SMALL[name]
    ((key, state),) = setup.draw(1, seeded(8)).items()
    objects = 0.2 + 0.6 * torch.rand(1, 6, 6, dtype=torch.float64)
    state = state.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda s: setup.intensity(objects, {key: s}), state)


@pytest.mark.parametrize("name", SMALL)
def test_precision_follows_the_objects(name):
    setup = SMALL[name]
    medium, objects = setup.draw(2, seeded(10)), torch.rand(2, 6, 6)
    single, double = setup.intensity(objects, medium), setup.intensity(objects.double(), medium)
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    assert ((single - double).abs().max() / double.max()).item() < 1e-5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", NAMES)
def test_cpu_and_gpu_agree_given_the_same_draws(name):
    setup = built(name)
    medium = setup.draw(2, seeded(12))
    objects = torch.rand(2, setup.window, setup.window)
    here = setup.intensity(objects, medium)
    there = setup.intensity(objects.cuda(), {key: state.cuda() for key, state in medium.items()})
    assert there.is_cuda
    assert ((there.cpu() - here).abs().max() / here.max()).item() < 1e-5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_gets_the_same_draws(name):
    setup = built(name)
    here, there = (setup.draw(2, seeded(14), device) for device in ("cpu", "cuda"))
    for key, state in there.items():
        assert state.is_cuda
        torch.testing.assert_close(state.cpu(), here[key], rtol=0, atol=1e-4)


def test_every_file_is_listed_in_the_documentation():
    text = (ROOT / "docs/optics.md").read_text()
    assert not [name for name in NAMES if f"`{name}`" not in text]
