"""The validator: each rule on either side of its limit, and a remedy that works."""

import dataclasses
import math
import re

import pytest

from spt.optics import (
    Camera,
    DiffuserPsf,
    Finding,
    IncoherentSetup,
    ThickDiffuser,
    ThickDiffuserSetup,
    ThinDiffuser,
    ThinDiffuserSetup,
)
from spt.optics.sampling_rules import diffuser_findings, expected_grain, refuse

WAVELENGTH = 532e-9
GLASS = ThinDiffuser(2.92, 33.1e-6)
DEFAULT = ThinDiffuserSetup(64, 128, 4e-6, WAVELENGTH, 1e-3, 3.3e-3, GLASS)
DEVELOPED = dataclasses.replace(DEFAULT, camera_distance=6.5e-3, grid=224)


def rules(setup, pixel: float = 1.0) -> list[str]:
    return [finding.rule.split(",")[0] for finding in setup.report(pixel)]


def broken(**changed) -> list[Finding]:
    """Findings of the developed setup with changes, without building it."""
    settings = {
        "window": 64,
        "grid": 224,
        "pitch": 4e-6,
        "wavelength": WAVELENGTH,
        "distances": [1e-3, 6.5e-3],
        "camera_distances": (6.5e-3, 6.5e-3),
        "diffuser": GLASS,
    }
    return diffuser_findings(**settings | changed)


def advised(remedy: str, name: str) -> float:
    """The number that a remedy proposes for a setting."""
    found = re.search(rf"{name} [<>]= ([0-9.e+-]+\d)", remedy)
    assert found, f"no {name} in {remedy!r}"
    return float(found[1])


def test_a_developed_setup_breaks_nothing():
    assert DEVELOPED.report() == broken() == []


def test_the_default_set_breaks_rule_5_alone():
    (finding,) = DEFAULT.report()
    assert finding.rule == "rule 5, spread of the scattered light at the nearest camera"
    assert finding.value == pytest.approx(34.86e-6, rel=1e-3)
    assert finding.limit == pytest.approx(66.2e-6)
    assert not finding.refused
    assert advised(finding.remedy, "camera_distance") == pytest.approx(3.3e-3 * 66.2 / 34.86, rel=5e-3)


def test_weak_scatter_is_reported_as_easy_and_passes():
    weak = dataclasses.replace(
        DEFAULT, camera_distance=1.2e-3, modulation="amplitude", diffuser=ThinDiffuser(1.75, 20e-6)
    )
    assert rules(weak) == ["rule 5", "ballistic light"]
    assert weak.report()[1].value == pytest.approx(math.exp(-(1.75**2)))
    assert all("Easy" in finding.remedy for finding in weak.report())


# Rule 1


def test_rule_1_at_its_limit():
    # sigma_phi sqrt(2) dx / l = 0.5 rad a sample.
    limit = 2.92 * math.sqrt(2) * 4e-6 / 0.5
    assert broken(diffuser=ThinDiffuser(2.92, 1.001 * limit)) == []
    (finding,) = broken(diffuser=ThinDiffuser(2.92, 0.9 * limit))
    assert finding.rule.startswith("rule 1")
    assert finding.value == pytest.approx(0.5 / 0.9)
    assert finding.limit == 0.5
    assert finding.refused


def test_rule_1_names_settings_that_work():
    (finding,) = broken(diffuser=ThinDiffuser(2.92, 25e-6), grid=256)
    for changed in (
        {"diffuser": ThinDiffuser(2.92, advised(finding.remedy, "correlation_length"))},
        {"diffuser": ThinDiffuser(advised(finding.remedy, "sigma_phi"), 25e-6)},
        {"pitch": advised(finding.remedy, "pitch"), "grid": 512},
    ):
        assert not [f for f in broken(**{"grid": 256, **changed}) if f.rule.startswith("rule 1")]


def test_rule_1_counts_all_slices():
    one = ThinDiffuser(1.0, 16e-6)
    assert not [f for f in broken(diffuser=one) if f.rule.startswith("rule 1")]
    thick = ThickDiffuser(1.0, 16e-6, 4, 1e-3)
    assert [f.value for f in broken(diffuser=thick) if f.rule.startswith("rule 1")] == pytest.approx([math.sqrt(0.5)])


# Rule 2


def test_rule_2_at_its_limit():
    limit = 224 * 4e-6**2 / WAVELENGTH
    assert broken(distances=[1e-3, limit]) == []
    (finding,) = broken(distances=[1e-3, 1.01 * limit])
    assert finding.rule.startswith("rule 2")
    assert (finding.value, finding.limit) == pytest.approx((1.01 * limit, limit))
    assert finding.refused


def test_rule_2_names_settings_that_work():
    (finding,) = broken(distances=[1e-3, 9e-3])
    grid = int(advised(finding.remedy, "grid"))
    assert (grid - 224) % 2 == 0
    assert broken(distances=[1e-3, 9e-3], grid=grid) == []
    assert broken(distances=[1e-3, 9e-3], grid=grid - 2) != []
    assert broken(distances=[1e-3, advised(finding.remedy, "a distance")]) == []


def test_rule_2_can_be_opted_in():
    far = {"object_distance": 20e-3, "allow_band_limited": True}
    (finding,) = dataclasses.replace(DEVELOPED, **far).report()
    assert finding.rule.startswith("rule 2")
    assert not finding.refused
    with pytest.raises(ValueError, match=r"rule 2, longest distance .* 0\.02 m, limit 0\.006737 m.*allow_band_limited"):
        dataclasses.replace(DEVELOPED, object_distance=20e-3)


def test_rule_2_looks_at_the_far_end_of_a_range_and_between_slices():
    with pytest.raises(ValueError, match=r"rule 2.* 0\.005 m"):
        dataclasses.replace(DEVELOPED, camera_distance=(1e-3, 5e-3), grid=144)
    with pytest.raises(ValueError, match=r"rule 2.* 0\.006 m"):
        ThickDiffuserSetup(64, 160, 4e-6, WAVELENGTH, 1e-3, 2e-3, ThickDiffuser(0.5, 20e-6, 2, 6e-3))


# Rule 3


def test_rule_3_at_its_limit():
    spread = GLASS.scattering_angle(WAVELENGTH) * 6.5e-3 / 4e-6
    (finding,) = broken(grid=64 + 2 * math.floor(2 * spread), distances=[1e-3])
    assert finding.rule.startswith("rule 3")
    assert finding.limit == pytest.approx(2 * spread)
    assert finding.refused
    assert broken(grid=64 + 2 * math.ceil(2 * spread), distances=[1e-3]) == []


def test_rule_3_names_settings_that_work():
    (finding,) = broken(grid=120, distances=[1e-3])
    grid, window = (int(advised(finding.remedy, name)) for name in ("grid", "window"))
    assert (grid - 64) % 2 == (120 - window) % 2 == 0
    assert broken(grid=grid, distances=[1e-3]) == []
    assert broken(grid=120, window=window, distances=[1e-3]) == []


def test_rule_3_without_room_for_any_window_proposes_none():
    (finding,) = broken(grid=66, distances=[1e-3], camera_distances=(6.5e-3, 8e-3))
    assert finding.rule.startswith("rule 3")
    assert "a window" not in finding.remedy


# Rule 4


def test_rule_4_sees_the_camera_with_its_binning():
    # Grain 1.177 l / sigma_phi = 13.3 um, three samples.
    grain = expected_grain(64, 4e-6, WAVELENGTH, 1e-3, DEFAULT.diffuser)
    assert grain == pytest.approx(1.177 * 33.1e-6 / 2.92, rel=1e-3)
    assert rules(DEVELOPED, Camera(binning=2).footprint) == []
    (finding,) = DEVELOPED.report(Camera(pixel=2.0, binning=2).footprint)
    assert finding.rule == "rule 4, speckle grain (FWHM) in pixels of the camera"
    assert finding.value == pytest.approx(13.9 / 16, rel=1e-3)  # the window is the coarser limit
    with pytest.raises(ValueError, match=r"rule 4, speckle grain .* limit 1 px\. Use a camera pixel"):
        DEVELOPED.validate(4.0)
    DEVELOPED.validate(advised(finding.remedy, r"a camera pixel \(binning included\)"))


def test_the_grain_grows_with_distance_where_the_window_limits_it():
    near, far = (expected_grain(16, 4e-6, WAVELENGTH, z, DEFAULT.diffuser) for z in (2e-3, 10e-3))
    assert near == pytest.approx(1.029 * WAVELENGTH * 2e-3 / 64e-6)
    assert far == pytest.approx(5 * near)


def test_no_screen_has_no_grain_of_its_own():
    assert expected_grain(16, 4e-6, WAVELENGTH, 1e-3, ThinDiffuser(0, 1e-6)) == math.inf


# Rule 5 and ballistic light


def test_rule_5_shallow_screen():
    findings = broken(diffuser=ThinDiffuser(1.9, 22e-6))
    assert [f.rule for f in findings] == [
        "rule 5, RMS phase of developed speckle",
        "ballistic light, unscattered share of the power",
    ]
    assert not any(f.refused for f in findings)


def test_rule_5_counts_the_phase_of_all_slices():
    assert not [f for f in broken(diffuser=ThickDiffuser(1.0, 26e-6, 5, 1e-3)) if "RMS phase of dev" in f.rule]


@pytest.mark.parametrize(("sigma_phi", "easy"), [(2.14, True), (2.15, False)])
def test_ballistic_light_above_a_hundredth(sigma_phi, easy):
    found = [f for f in broken(diffuser=ThinDiffuser(sigma_phi, 25e-6)) if f.rule.startswith("ballistic")]
    assert bool(found) == easy


def test_no_scattering_at_all_is_reported():
    assert [f.rule.split(",")[0] for f in broken(diffuser=ThinDiffuser(0, 25e-6))] == ["rule 5", "ballistic light"]


# Refusal


def test_everything_that_is_wrong_is_said_at_once():
    with pytest.raises(ValueError, match=r"the optics cannot be sampled\. rule 1.* rule 2.* rule 3") as error:
        ThinDiffuserSetup(64, 80, 4e-6, WAVELENGTH, 1e-3, 9e-3, ThinDiffuser(4.0, 20e-6))
    assert "rule 5" not in str(error.value)


def test_nothing_is_refused_for_being_easy():
    refuse([Finding("rule 5", 1, 2, "rad", "", refused=False)])
    with pytest.raises(ValueError, match=r"rule 9: 1 m, limit 2 m\. Move\."):
        refuse([Finding("rule 9", 1, 2, "m", "Move.", refused=True)])


def test_a_simulated_psf_is_checked_with_its_aperture_as_window():
    good = DiffuserPsf(64, 256, 4e-6, WAVELENGTH, 6.8e-3, 0.34e-3, ThinDiffuser(3.0, 34e-6))
    assert IncoherentSetup(64, good).report() == []
    with pytest.raises(ValueError, match="rule 3, guard band"):
        IncoherentSetup(64, dataclasses.replace(good, aperture=0.38e-3))
