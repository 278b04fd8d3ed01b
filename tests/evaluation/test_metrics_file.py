import json
import math

import pytest

from spt.errors import InvalidValue
from spt.evaluation.metrics_file import read_metrics, write_metrics

SCORES = {"val_seen": {"pcc": {"mean": 0.1 + 0.2, "sem": None, "n": 3, "diffusers": 1}}}
BASELINES = {"val_seen": {"mean image": SCORES["val_seen"]}}


def test_metrics_survive_the_file(tmp_path):
    path = tmp_path / "metrics.json"
    write_metrics(path, SCORES, {"val_seen": {}}, {"epochs": 3})
    write_metrics(path, SCORES, BASELINES, {"epochs": 3})
    assert read_metrics(path) == {**SCORES, "baselines": BASELINES, "run": {"epochs": 3}}
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.json"]


def test_nan_never_reaches_the_file_and_the_old_one_stays(tmp_path):
    path = tmp_path / "metrics.json"
    write_metrics(path, SCORES, {}, {"seconds": 1.0})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_metrics(path, SCORES, {}, {"seconds": math.nan})
    assert json.loads(path.read_text())["run"] == {"seconds": 1.0}


@pytest.mark.parametrize(("text", "message"), [('{"val', "not valid JSON"), ('{"epochs": 3}', "not the metrics.json")])
def test_a_damaged_or_foreign_file_is_named(tmp_path, text, message):
    path = tmp_path / "metrics.json"
    path.write_text(text)
    with pytest.raises(InvalidValue, match=rf"{path}.*{message}"):
        read_metrics(path)
