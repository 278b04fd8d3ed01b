import csv
import io
import re

import pytest

from spt.evaluation.compare.comparison import Comparison, Row, Value
from spt.evaluation.compare.formats import as_csv, as_latex, as_markdown, number

SEEN, UNSEEN = ("pcc", "val_seen"), ("pcc", "val_unseen")
TABLE = Comparison(
    "Data: weak_scatter",
    ["model", "loss"],
    [SEEN, UNSEEN],
    [
        Row(("spt_unet", "dice & 50%"), {SEEN: Value(0.5, 0.0123456789), UNSEEN: Value(0.1, 0.02)}, 3, 1234567, 61.4),
        Row(("sa_cnn", "bce"), {SEEN: Value(0.4), UNSEEN: Value(None)}, 1, 10, 9.0),
    ],
    [Row(("mean image", ""), {SEEN: Value(0.3), UNSEEN: Value(0.45)})],
    over_seeds=True,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Value(0.5, 0.01), "0.500 ± 0.010"),
        (Value(0.5, 0.0), "0.500 ± 0.000"),
        (Value(0.5, 0.0002), "0.5000 ± 0.0002"),
        (Value(12.345, 0.2), "12.35 ± 0.20"),
        (Value(-0.25), "-0.250"),
        (Value(None), "null"),
    ],
)
def test_numbers(value: Value, text: str):
    assert number(value) == text


def test_markdown_has_the_best_in_bold():
    assert as_markdown([TABLE]).splitlines() == [
        "**Data: weak_scatter**",
        "",
        "| model | loss | n | parameters | s | PCC val_seen | PCC val_unseen |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| spt_unet | dice & 50% | 3 | 1,234,567 | 61 | **0.500 ± 0.012** | 0.100 ± 0.020 |",
        "| sa_cnn | bce | 1 | 10 | 9 | 0.400 | null |",
        "| mean image |  |  |  |  | 0.300 | **0.450** |",
        "",
        "Mean ± standard deviation over seeds; n is the number of seeds. No ± where there is one seed.",
    ]


def test_csv_has_every_digit_and_names_its_columns():
    first, second, simple = csv.DictReader(io.StringIO(as_csv([TABLE])))
    assert first == {
        "data set": "Data: weak_scatter", "method": "network", "model": "spt_unet", "loss": "dice & 50%", "runs": "3",
        "parameters": "1234567", "seconds": "61.4", "val_seen pcc mean": "0.5", "val_seen pcc std": "0.0123456789",
        "val_unseen pcc mean": "0.1", "val_unseen pcc std": "0.02",
    }  # fmt: skip
    assert (second["val_unseen pcc mean"], second["val_seen pcc std"]) == ("", "")
    assert (simple["method"], simple["model"], simple["runs"]) == ("mean image", "", "")


def test_latex_is_a_booktabs_table_with_as_many_cells_in_every_line():
    text = as_latex([TABLE])
    assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 2, 1]
    columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", text)
    assert columns
    assert columns[1] == "llrrrrr"
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    for line in lines[1:]:
        assert len(re.findall(r"(?<!\\)&", line)) == 6, line
    assert r"& & & & & \multicolumn{2}{c}{PCC} \\" in text
    assert r"\cmidrule(lr){6-7}" in text


def test_latex_escapes_what_it_would_read_as_a_command():
    text = as_latex([TABLE])
    assert r"spt\_unet & dice \& 50\% & 3 & 1,234,567 & 61 & \textbf{0.500 $\pm$ 0.012}" in text
    assert r"Data: weak\_scatter." in text


def test_every_data_set_has_its_own_table():
    other = Comparison("Data set 2: grit", ["loss"], [SEEN], [Row(("dice",), {SEEN: Value(0.1)}, 1)], [], False)
    assert as_markdown([TABLE, other]).count("| --- | --- |\n") == 2
    assert as_latex([TABLE, other]).count(r"\begin{tabular}") == 2
    assert [row["data set"] for row in csv.DictReader(io.StringIO(as_csv([TABLE, other])))][-1] == "Data set 2: grit"
