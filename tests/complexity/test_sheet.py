"""One table as text, Markdown, CSV, JSON and TensorBoard."""

import csv
import json

import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from spt.complexity.sheet import Sheet, show, shown, write
from spt.evaluation.score_table import markdown

SHEET = Sheet(
    "costs",
    "What it costs",
    [{"network": "a", "px": 64, "GMAC": 1.25, "note": None}, {"network": "b", "px": 64, "GMAC": 2e6, "note": "x"}],
    ["One note."],
)


@pytest.mark.parametrize(
    ("value", "text"), [(24.28561, "24.2856"), (1234567.8, "1,234,568"), (12345, "12,345"), (None, ""), ("a", "a")]
)
def test_values_as_text(value, text):
    assert shown(value) == text


def test_files_hold_the_same_numbers(tmp_path):
    written = write([SHEET], tmp_path / "new", "all", "python x.py (a machine)", markdown)
    assert [path.name for path in written] == ["all.md", "all.json", "costs.csv", "tensorboard"]
    text = written[0].read_text()
    assert text.startswith("`python x.py (a machine)`\n\n## What it costs\n\n| network | px | GMAC | note |")
    assert "| b | 64 | 2,000,000 | x |\n\nOne note.\n" in text
    assert json.loads(written[1].read_text())["costs"]["rows"] == SHEET.rows
    with written[2].open() as file:
        assert [row["GMAC"] for row in csv.DictReader(file)] == ["1.25", "2000000.0"]
    top = EventAccumulator(str(written[3] / "all")).Reload()
    assert "costs/text_summary" in top.Tags()["tensors"]
    run = EventAccumulator(str(written[3] / "all" / "a_64")).Reload()
    assert [event.value for event in run.Scalars("costs/GMAC")] == [1.25]


def test_rows_of_one_network_stay_apart_in_tensorboard(tmp_path):
    rows = [{"network": "a", "px": 64, "mode": mode, "ms": ms} for mode, ms in (("eager", 2.0), ("compiled", 1.0))]
    write([Sheet("times", "Times", rows)], tmp_path, "all", "", markdown)
    run = EventAccumulator(str(tmp_path / "tensorboard" / "all" / "a_64")).Reload()
    assert [run.Scalars(f"times/{mode}/ms")[0].value for mode in ("eager", "compiled")] == [2, 1]


def test_printing_shows_title_rows_and_notes():
    console = Console(width=100)
    with console.capture() as capture:
        show(SHEET, console)
    text = capture.get()
    assert all(words in text for words in ("What it costs", "network", "1.25", "2,000,000", "One note."))
