"""Free space against closed forms, an independent library and the laws a lossless propagator must keep."""

import math

import numpy as np
import pytest
import torch
from scipy.special import fresnel
from torchoptics import Field

from spt.optics import propagate, transfer_function
from spt.optics.propagation import band_limit, transfer_functions

WAVELENGTH = 532e-9
PITCH = 4e-6
SHAPES = [(64, 64), (48, 80), (51, 65)]


def axis(samples: int, pitch: float) -> torch.Tensor:
    """Coordinates with zero at sample ``samples // 2``."""
    return (torch.arange(samples, dtype=torch.float64) - samples // 2) * pitch


def random_field(
    shape: tuple[int, int], distance: float, dtype: torch.dtype = torch.complex64, seed: int = 0
) -> torch.Tensor:
    """Random field with a spectrum inside the band limit of ``distance`` (written out, not imported)."""
    noise = torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))
    fy, fx = (torch.fft.fftfreq(n, PITCH, dtype=torch.float64).abs() for n in shape)
    limit_y, limit_x = (0.999 / (WAVELENGTH * math.sqrt((2 * distance / (n * PITCH)) ** 2 + 1)) for n in shape)
    keep = (fy < limit_y)[:, None] & (fx < limit_x)
    assert keep.double().mean() > 0.02, "the limit leaves too few waves to test anything"
    return torch.fft.ifft2(noise * keep).to(dtype)


def relative_error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return ((actual - expected).norm() / expected.norm()).item()


def free_space(field: torch.Tensor, distance: float) -> torch.Tensor:
    return propagate(field, distance, PITCH, WAVELENGTH)


# Laws


@pytest.mark.parametrize("shape", SHAPES)
def test_energy_is_kept(shape):
    field = random_field(shape, 2e-3)
    energy = free_space(field, 2e-3).abs().square().sum() / field.abs().square().sum()
    assert energy.item() == pytest.approx(1, abs=5e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_there_and_back_is_the_identity(shape):
    field = random_field(shape, 2e-3)
    there = free_space(field, 2e-3)
    assert relative_error(there, field) > 0.5
    assert relative_error(free_space(there, -2e-3), field) < 5e-6


@pytest.mark.parametrize("shape", SHAPES)
def test_distances_add(shape):
    field = random_field(shape, 2e-3)
    stepwise = free_space(free_space(field, 0.5e-3), 1.5e-3)
    assert relative_error(stepwise, free_space(field, 2e-3)) < 5e-6


@pytest.mark.parametrize("shape", SHAPES)
def test_minus_distance_is_the_adjoint(shape):
    # No band limit on x and y: the adjoint must hold where the propagator cuts, too.
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(2, *shape, dtype=torch.complex64, generator=generator)
    forward = torch.vdot(y.flatten(), free_space(x, 20e-3).flatten())
    backward = torch.vdot(free_space(y, -20e-3).flatten(), x.flatten())
    assert abs(forward - backward) < 5e-6 * x.norm() * y.norm()


@pytest.mark.parametrize("shape", SHAPES)
def test_zero_distance_is_the_identity(shape):
    field = torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(2))
    assert relative_error(free_space(field, 0), field) < 1e-14


def test_every_field_of_a_batch_is_propagated_alone():
    fields = torch.randn(2, 3, 32, 48, dtype=torch.complex64, generator=torch.Generator().manual_seed(3))
    together = free_space(fields, 1e-3)
    assert together.shape == fields.shape
    torch.testing.assert_close(together[1, 2], free_space(fields[1, 2], 1e-3))


# Closed forms


@pytest.mark.parametrize("cycles", [(0, 0), (5, 0), (-3, 9)])
def test_plane_wave_advances_by_kz(cycles):
    height, width, distance = 40, 64, 0.3e-3
    fy, fx = cycles[0] / (height * PITCH), cycles[1] / (width * PITCH)
    carrier = fy * axis(height, PITCH)[:, None] + fx * axis(width, PITCH)
    wave = torch.polar(torch.ones_like(carrier), 2 * math.pi * carrier)
    advance = 2 * math.pi * distance * math.sqrt(WAVELENGTH**-2 - fy**2 - fx**2)
    expected = wave * complex(math.cos(advance), math.sin(advance))
    assert relative_error(free_space(wave, distance), expected) < 1e-9


@pytest.mark.parametrize("rayleigh_lengths", [-1, 0.5, 1, 2])
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_astigmatic_gaussian_beam(rayleigh_lengths, dtype):
    """Two unlike waists on a non-square, odd grid: a swap of y and x or an off-centre transform would show.

    The bound is the paraxial closed form's own error, (wavelength / (pi waist))**2 ~ 3e-6.
    """
    pitch, waists, shape = 8e-6, (100e-6, 140e-6), (301, 288)
    distance = rayleigh_lengths * math.pi * waists[0] ** 2 / WAVELENGTH

    def beam(x: torch.Tensor, waist: float, z: float) -> torch.Tensor:
        q = 1 + 1j * z * WAVELENGTH / (math.pi * waist**2)
        return torch.exp(-(x**2) / (waist**2 * q)) / q**0.5

    def field(z: float) -> torch.Tensor:
        y, x = (axis(n, pitch) for n in shape)
        product = beam(y, waists[0], z)[:, None] * beam(x, waists[1], z)
        return product * np.exp(2j * math.pi * z / WAVELENGTH)

    actual = propagate(field(0).to(dtype), distance, pitch, WAVELENGTH)
    assert relative_error(actual, field(distance)) < 1e-5


@pytest.mark.parametrize("fresnel_number", [20, 5, 1, 0.3])
def test_square_aperture_against_fresnel_integrals(fresnel_number):
    """Mean square error of the intensity over the geometric aperture, relative to the lit intensity 1.

    Measured 2e-4, 2e-6, 3e-5, 1e-5; without the band limit 3e-3 and 7e-3 at 1 and 0.3.
    """
    grid, half = 1024, 80
    side = half * PITCH
    distance = side**2 / (WAVELENGTH * fresnel_number)
    x = (np.arange(grid) - grid / 2 + 0.5) * PITCH
    lit = torch.from_numpy(np.abs(x) < side).to(torch.complex64)
    scale = math.sqrt(2 / (WAVELENGTH * distance))
    (sin_right, cos_right), (sin_left, cos_left) = fresnel(scale * (side - x)), fresnel(scale * (-side - x))
    intensity = ((cos_right - cos_left) ** 2 + (sin_right - sin_left) ** 2) / 2
    expected = torch.from_numpy(intensity[:, None] * intensity)
    actual = free_space(lit[:, None] * lit, distance).abs().square()
    inside = slice(grid // 2 - half, grid // 2 + half)
    assert (actual - expected)[inside, inside].square().mean() < 1e-3


@pytest.mark.parametrize("fresnel_number", [1, 1.5, 2, 3, 4])
def test_circular_aperture_on_axis(fresnel_number):
    """On the axis the intensity is 4 sin^2(pi N_F / 2); the rim is area-weighted, 3 x 3 points a pixel."""
    grid, radius, fine = 768, 70 * PITCH, 3
    x = axis(grid * fine, PITCH / fine)
    disc = (x[:, None] ** 2 + x**2 < radius**2).float()
    # The sub-samples are centred on the pixel's own coordinate, so that the axis is sample (grid/2, grid/2).
    disc = disc.roll((fine // 2, fine // 2), (0, 1)).reshape(grid, fine, grid, fine).mean((1, 3))
    on_axis = free_space(disc.to(torch.complex64), radius**2 / (WAVELENGTH * fresnel_number))
    expected = 4 * math.sin(math.pi * fresnel_number / 2) ** 2
    assert on_axis[grid // 2, grid // 2].abs().square().item() == pytest.approx(expected, abs=0.02)


def test_talbot_self_image():
    """Full Talbot length: the grating again; half: shifted by half a period; quarter: in quadrature.

    A sinusoidal grating has two diffraction orders only, both paraxial here.
    """
    period, shape = 32 * PITCH, (8, 256)
    phase = 2 * math.pi * axis(shape[1], PITCH) / period
    grating = (1 + 0.4 * torch.cos(phase)).expand(shape).to(torch.complex64)
    length = 2 * period**2 / WAVELENGTH

    def intensity(z: float) -> torch.Tensor:
        return propagate(grating.T.contiguous(), z, PITCH, WAVELENGTH).T.abs().square()

    image = grating.abs().square()
    assert (intensity(length) - image).abs().max() < 1e-3
    assert (intensity(length / 2) - image.roll(16, -1)).abs().max() < 1e-3
    assert (intensity(length / 4) - (1 + 0.16 * torch.cos(phase) ** 2)).abs().max() < 1e-3


# Reference library


@pytest.mark.parametrize("distance", [0.5e-3, 2e-3, -1e-3])
def test_agrees_with_torchoptics(distance):
    """torchoptics has no band limit, so the field lies inside ours; without its padding both are periodic."""
    field = random_field((51, 64), abs(distance), torch.complex128)
    oracle = Field(field, WAVELENGTH, spacing=PITCH).propagate_to_z(distance, propagation_method="ASM", asm_pad=0)
    assert relative_error(free_space(field, distance), oracle.data) < 1e-10


def test_agrees_with_direct_integration():
    """Rayleigh-Sommerfeld integral, no Fourier transform of the transfer function involved."""
    y, x = axis(120, 1e-6)[:, None], axis(128, 1e-6)
    field = torch.exp(-(y**2) / (14e-6) ** 2 - (x - 6e-6) ** 2 / (10e-6) ** 2 + 0.1j * y / 1e-6)
    oracle = Field(field, WAVELENGTH, spacing=1e-6).propagate_to_z(0.2e-3, propagation_method="DIM")
    assert relative_error(propagate(field, 0.2e-3, 1e-6, WAVELENGTH), oracle.data) < 1e-6


# The transfer function


def test_band_limit_by_hand():
    # 2 z / (N dx) = 1, hence 1 / (0.5 um sqrt 2).
    assert band_limit(1000, 0.5e-3, 1e-6, 0.5e-6) == pytest.approx(1.41421356e6)
    assert band_limit(1000, 0, 1e-6, 0.5e-6) == pytest.approx(2e6)


def test_waves_beyond_the_band_limit_are_cut_per_axis():
    height, width, distance = 64, 128, 8e-3
    transfer = transfer_function(height, width, distance, PITCH, WAVELENGTH)
    # By hand: 1 / (532 nm * sqrt((16 mm / 256 um)^2 + 1)) = 30.07 / mm = 7.7 steps of 1 / 256 um;
    # along x the doubled width doubles the limit, in steps of half the size: 30.8.
    assert [transfer[k, 0].abs().round().item() for k in (7, 8, -7, -8)] == [1, 0, 1, 0]
    assert [transfer[0, k].abs().round().item() for k in (30, 31, -30, -31)] == [1, 0, 1, 0]


def test_phase_is_built_in_double_precision():
    """Half a metre is 5.9e6 rad: one float32 step there is 0.5 rad."""
    grid, pitch, distance = 256, 8e-6, 0.5
    transfer = transfer_function(grid, grid, distance, pitch, WAVELENGTH).numpy()
    f = np.fft.fftfreq(grid, pitch).astype(np.longdouble)
    kz = np.sqrt(1 / np.longdouble(WAVELENGTH) ** 2 - f[:, None] ** 2 - f**2)
    phase = 2 * np.longdouble(math.pi) * distance * kz
    passed = np.abs(transfer) > 0.5
    assert passed.sum() > 100
    exact = np.exp(1j * (phase % (2 * np.longdouble(math.pi))).astype(float))
    rounded = np.exp(1j * phase.astype(np.float32).astype(float))
    assert np.abs(transfer - exact)[passed].max() < 1e-6
    assert np.abs(rounded - exact)[passed].max() > 0.1


@pytest.mark.parametrize("distance", [0.2e-6, -0.2e-6])
def test_evanescent_waves_decay_either_way(distance):
    grid, pitch = 32, 0.2e-6
    step = 1 / (grid * pitch)
    # fy = fx = 11 steps = 1.72 / um: each below 1 / wavelength = 1.88 / um, together beyond it.
    kappa = 2 * math.pi * math.sqrt(2 * (11 * step) ** 2 - WAVELENGTH**-2)
    transfer = transfer_function(grid, grid, distance, pitch, WAVELENGTH, dtype=torch.complex128)
    assert transfer[11, 11].item() == pytest.approx(math.exp(-kappa * abs(distance)))
    assert 0.05 < abs(transfer[11, 11].item()) < 0.95


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_precision_is_kept(dtype):
    field = random_field((32, 48), 1e-3, dtype)
    assert free_space(field, 1e-3).dtype == dtype


# A distance for every field


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_distances_of_a_batch_are_those_of_single_fields(dtype):
    distances = torch.tensor([0.0, 1e-3, -2e-3, 8e-3], dtype=torch.float64)
    fields = torch.randn(4, 3, 33, 48, dtype=dtype, generator=torch.Generator().manual_seed(5))
    together = propagate(fields, distances[:, None], PITCH, WAVELENGTH)
    for k, z in enumerate(distances.tolist()):
        assert torch.equal(together[k], free_space(fields[k], z))


def test_the_functions_of_a_batch_stay_double_precise():
    """Half a metre, as in the single function."""
    z = torch.tensor([0.5, 0.25], dtype=torch.float64)
    functions = transfer_functions(64, 64, z, 8e-6, WAVELENGTH)
    assert functions.shape == (2, 64, 64)
    exact = transfer_functions(64, 64, z, 8e-6, WAVELENGTH, torch.complex128)
    assert (functions - exact).abs().max() < 1e-6


def test_gradients_reach_the_distance():
    z = torch.tensor([1e-3, 2e-3], dtype=torch.float64)
    field = torch.randn(2, 8, 9, dtype=torch.complex128, generator=torch.Generator().manual_seed(6))
    mask = torch.rand(2, 8, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(7))

    def light(scaled: torch.Tensor) -> torch.Tensor:
        # In units of 10 um, of the order of what moves the light by a grain: the carrier's phase drops out of |u|^2.
        return (propagate(field, z + scaled * 1e-5, PITCH, WAVELENGTH).abs().square() * mask).sum()

    assert torch.autograd.gradcheck(light, torch.zeros(2, dtype=torch.float64, requires_grad=True), eps=1e-4)


# The Fresnel transfer function


def fresnel_space(field: torch.Tensor, distance: float) -> torch.Tensor:
    return propagate(field, distance, PITCH, WAVELENGTH, "fresnel")


@pytest.mark.parametrize("shape", SHAPES)
def test_fresnel_keeps_energy_and_adds_distances(shape):
    field = random_field(shape, 2e-3)
    there = fresnel_space(field, 2e-3)
    assert (there.norm() / field.norm()).item() == pytest.approx(1, abs=5e-6)
    assert relative_error(fresnel_space(fresnel_space(field, 0.5e-3), 1.5e-3), there) < 5e-6
    assert relative_error(fresnel_space(there, -2e-3), field) < 5e-6
    assert relative_error(fresnel_space(field, 0), field) < 5e-6


def test_fresnel_is_the_paraxial_limit_of_the_angular_spectrum():
    """Phase error pi lambda^3 z f^4 / 4 at most; the amplitude is the same."""
    f = 0.05 / PITCH  # a wave at 0.38 degree
    z, samples = 2e-3, 40
    exact, paraxial = (
        transfer_function(samples, samples, z, PITCH, WAVELENGTH, dtype=torch.complex128, method=method)
        for method in ("angular_spectrum", "fresnel")
    )
    k = round(f * samples * PITCH)
    expected = -math.pi * WAVELENGTH**3 * z * f**4 / 4
    assert (exact / paraxial)[0, k].angle().item() == pytest.approx(expected, rel=1e-3)
    assert exact[0, 0].item() == pytest.approx(paraxial[0, 0].item())


def test_fresnel_gaussian_beam_is_the_closed_form():
    """Without the paraxial error of the angular spectrum: 1e-9 instead of 1e-6."""
    pitch, waist = 8e-6, 100e-6
    distance = math.pi * waist**2 / WAVELENGTH
    x = axis(288, pitch)

    def beam(z: float) -> torch.Tensor:
        q = 1 + 1j * z * WAVELENGTH / (math.pi * waist**2)
        line = torch.exp(-(x**2) / (waist**2 * q)) / q**0.5
        return line[:, None] * line * np.exp(2j * math.pi * z / WAVELENGTH)

    assert relative_error(propagate(beam(0), distance, pitch, WAVELENGTH, "fresnel"), beam(distance)) < 1e-9


def test_fresnel_band_limit_is_that_of_its_own_phase():
    # N dx / (2 lambda z): 64 * 4 um / (2 * 532 nm * 8 mm) = 30.08 / mm = 7.7 steps of 1 / 256 um.
    transfer = transfer_function(64, 128, 8e-3, PITCH, WAVELENGTH, method="fresnel")
    assert [transfer[k, 0].abs().round().item() for k in (7, 8, -7, -8)] == [1, 0, 1, 0]


def test_refuses_an_unknown_method():
    with pytest.raises(ValueError, match="method must be 'angular_spectrum' or 'fresnel', got 'rays'"):
        propagate(torch.ones(8, 8, dtype=torch.complex64), 1e-3, PITCH, WAVELENGTH, "rays")


# Gradients


def test_gradients_are_exact():
    field = torch.randn(4, 5, dtype=torch.complex128, generator=torch.Generator().manual_seed(4))
    assert torch.autograd.gradcheck(lambda u: free_space(u, 1e-4), field.requires_grad_())


def test_gradients_flow_after_a_first_call_in_inference_mode():
    """The cached transfer function must not stay an inference tensor (as in a validation loop)."""
    field = random_field((16, 16), 1.2345e-4)
    with torch.inference_mode():
        free_space(field, 1.2345e-4)
    field.requires_grad_()
    free_space(field, 1.2345e-4).abs().square().sum().backward()
    assert relative_error(field.grad, 2 * field.detach()) < 5e-6


# Errors


@pytest.mark.usefixtures("own_checks")
def test_refuses_a_real_field():
    with pytest.raises(TypeError, match=r"field must be complex, got torch\.float32"):
        free_space(torch.ones(8, 8), 1e-3)


@pytest.mark.parametrize(("pitch", "wavelength"), [(0, 532e-9), (-4e-6, 532e-9), (4e-6, 0), (math.nan, 532e-9)])
def test_refuses_lengths_that_are_not_positive(pitch, wavelength):
    with pytest.raises(ValueError, match="pitch and wavelength must be positive"):
        propagate(torch.ones(8, 8, dtype=torch.complex64), 1e-3, pitch, wavelength)


@pytest.mark.parametrize("distance", [math.inf, math.nan])
def test_refuses_a_distance_that_is_not_finite(distance):
    with pytest.raises(ValueError, match="distance must be finite"):
        free_space(torch.ones(8, 8, dtype=torch.complex64), distance)
