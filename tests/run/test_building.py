"""Names and types of a configuration are checked against the constructor; a constructor's own fault is not hidden."""

import sys
import traceback
from pathlib import Path

import pytest
from conftest import composed
from omegaconf import OmegaConf

from spt.errors import InvalidType, InvalidValue
from spt.run.building import build


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.max_epochs=two", r"^trainer\.max_epochs must be int or null, got 'two'\.$"),
        ("data.batch_size=many", r"^data\.batch_size must be int, got 'many'\.$"),
        ("optimizer.lr=[1,2]", r"^optimizer\.lr must be "),
        ("optimizer.betas=[0.9]", r"^optimizer\.betas must be tuple"),
        (
            "data.source.setup.modulation=colour",
            r"^data\.source\.setup\.modulation must be 'phase' or 'amplitude', got",
        ),
    ],
)
def test_a_value_of_another_type_is_refused_by_its_place(override: str, message: str):
    group = override.split(".", maxsplit=1)[0]
    with pytest.raises(InvalidType, match=message):
        build(composed("optimizer=adamw", override)[group])


def test_a_whole_number_serves_where_a_float_is_asked_for():
    assert build(composed("model.width=8", "optimizer.lr=1").optimizer).keywords["lr"] == 1


def test_a_name_that_the_constructor_does_not_have_is_refused_with_those_it_has():
    with pytest.raises(InvalidValue, match=r"^model\.depth: SpTUNet has no such argument\. It has in_channels, "):
        build(composed("+model.depth=3").model)


def test_a_class_that_is_not_there_is_refused():
    with pytest.raises(InvalidValue, match=r"there is no spt\.models\.SpTNet"):
        build(OmegaConf.create({"_target_": "spt.models.SpTNet"}))


def test_a_refusal_of_a_library_names_the_place():
    with pytest.raises(InvalidValue, match=r"^trainer: .*soon.*DD:HH:MM:SS"):
        build(composed("+trainer.max_time=soon").trainer)


OWN = """
class Network:
    def __init__(self, width: int = 1) -> None:
        {fault}  # the line that its author needs
"""


@pytest.mark.parametrize("fault", ["{}['width']", "1 + 'a'", "int('wide')", "open('nowhere.txt')", "assert width == 2"])
def test_a_fault_of_ones_own_network_keeps_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str):
    (tmp_path / "own_network.py").write_text(OWN.format(fault=fault))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_network", raising=False)
    from spt.run.command import explain

    with pytest.raises(Exception) as caught:  # noqa: PT011  any kind
        build(OmegaConf.create({"_target_": "own_network.Network", "width": 1}))
    assert explain(caught.value) is None
    assert "the line that its author needs" in "".join(traceback.format_exception(caught.value))
    monkeypatch.delitem(sys.modules, "own_network", raising=False)


def test_a_base_of_other_files_is_no_choice():
    with pytest.raises(InvalidValue, match=r"data.source names no class: the chosen file is only a base of others"):
        build(composed("data=recorded").data)
