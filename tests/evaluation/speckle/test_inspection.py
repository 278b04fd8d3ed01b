"""The report: a table of every number, a figure of every curve, the words."""

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from spt.evaluation.speckle.checks import Limits
from spt.evaluation.speckle.figure import TITLES, draw
from spt.evaluation.speckle.frame_statistics import Frames, measure
from spt.evaluation.speckle.inspection import report
from spt.evaluation.speckle.statistics_table import rows


def frames(name: str, seed: int, count: int = 6, target: bool = True) -> Frames:
    generator = torch.Generator().manual_seed(seed)
    speckle = torch.empty(count, 32, 32).exponential_(generator=generator)
    return Frames(name, speckle, torch.rand(count, 32, 32, generator=generator) if target else None)


def test_table_has_a_row_a_quantity_and_a_column_a_diffuser():
    measured = [measure(frames("a", 0)), measure(frames("b", 1, target=False)), measure(frames("c", 2, count=1))]
    table = list(rows(measured, [torch.tensor([0.25, 0.75]), torch.empty(0), torch.empty(0)], 5e-6))
    assert table[0] == ["", "a", "b", "c"]
    assert {len(row) for row in table} == {4}
    cells = {row[0]: row[1:] for row in table}
    assert cells["PCC of frames, other diffusers"] == ["0.500 ± 0.354", "–", "–"]
    assert cells["PCC of frames, same diffuser"][2] == "–"
    assert cells["frames"] == ["6 of 32x32 px", "6 of 32x32 px", "1 of 32x32 px"]
    assert cells["grain FWHM y, x in µm"][0] == ", ".join(f"{5 * g:.1f}" for g in measured[0].grain)
    assert cells["PCC speckle - object, own / others"][1:] == ["–", "–"]
    assert cells["contrast"][0].startswith(f"{measured[0].contrast.mean():.3f} ± ")


def test_without_a_pitch_there_is_no_length():
    measured = [measure(frames("a", 0))]
    assert not any("µm" in row[0] for row in rows(measured, [torch.empty(0)]))


def test_figure_has_a_curve_a_diffuser_in_every_panel():
    measured = [measure(frames("a", 0)), measure(frames("b", 1))]
    figure = draw(measured, [torch.tensor([0.1, 0.2]), torch.empty(0)])
    assert isinstance(figure, Figure)
    assert [ax.get_title() for ax in figure.axes[:7]] == list(TITLES)
    for ax in figure.axes[:7]:
        colours = {line.get_color() for line in ax.lines} | {patch.get_edgecolor() for patch in ax.patches}
        assert len(colours) >= 2, ax.get_title()
    assert [text.get_text() for text in figure.axes[7].get_legend().get_texts()] == ["a", "b"]
    spectrum = figure.axes[2].lines[0]
    assert np.allclose(spectrum.get_ydata(), measured[0].spectrum[1][1:] * 32 * 32)


def test_report_writes_and_prints(tmp_path, capsys):
    report([[frames("a", 0), frames("b", 1)], [frames("c", 2)]], Limits(grain=0.1), tmp_path / "new")
    printed = capsys.readouterr().out
    assert "Nothing is suspicious." in printed
    text = (tmp_path / "new" / "speckle_statistics.md").read_text()
    assert text.startswith("|  | a | b | c |")
    assert text.endswith("- Nothing is suspicious.\n")
    assert Image.open(tmp_path / "new" / "speckle_statistics.png").size[0] > 1000
    cells = next(line for line in text.splitlines() if "other diffusers" in line).split(" | ")
    assert "±" in cells[1]
    assert "±" in cells[2]
    assert "–" in cells[3]


def test_words_name_the_diffuser(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("spt.evaluation.speckle.inspection.draw", lambda measured, across: Figure())
    report([[frames("mine", 0)]], Limits(), tmp_path)
    assert "mine: grain " in capsys.readouterr().out
    assert "- mine: grain " in (tmp_path / "speckle_statistics.md").read_text()


def test_the_words_on_spectra_come_last(tmp_path, capsys):
    noise = torch.empty(8, 64, 64).exponential_(generator=torch.Generator().manual_seed(0))
    report([[Frames("mine", noise)]], Limits(grain=0.1), tmp_path)
    *_, agree, cut = (tmp_path / "speckle_statistics.md").read_text().rstrip().splitlines()
    assert "mine: the spectra of the left and the right half of a frame do not agree" in agree
    assert "mine: the spectrum reaches 0.4" in cut
    assert agree.removeprefix("- ") in capsys.readouterr().out
