"""Values that Hydra cannot read: its own message and exit code stay, and a line says how to write them."""

import shlex

import pytest
from conftest import command
from hydra.core.override_parser.overrides_parser import OverridesParser

from spt.run.quoting import enter, hints


@pytest.mark.parametrize(
    "path",
    ["/lab/实验", "~/run7", "/lab/[1]", "/lab/a{b}", "/lab/#3", "/lab/it's", "/lab/a(b)", 'a"b', "/lab/größe", "a]b"],
)
def test_what_the_hint_says_is_read_as_it_was_meant(path: str):
    (line,) = hints([f"data.source.root={path}"])
    (argument,) = shlex.split(line.split(": ", 2)[2])  # as the shell hands it over
    (override,) = OverridesParser.create().parse_overrides([argument])
    assert (override.key_or_group, override.value()) == ("data.source.root", path)


def test_no_hint_where_all_can_be_read():
    arguments = [
        "data=folder",
        "data.source.root=/lab/run 7",
        "-m",
        "seed=1,2",
        "~logger",
        'a="/lab/实验"',
        "--cfg=job",
    ]
    assert list(hints(arguments)) == []


@pytest.mark.parametrize("script", ["train.py", "scripts/check_data.py"])
def test_hydra_s_own_message_and_exit_code_stay(script: str):
    ended = command(script, "data=folder", "data.source.root=/lab/实验")
    assert ended.code == 1
    first, *_, last = ended.err.strip().splitlines()
    assert "LexerNoViableAltException: data.source.root=/lab/实验" in first
    assert last.startswith("Hint: ")
    assert last.endswith("""'data.source.root="/lab/实验"'""")


def test_other_ends_have_no_hint(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["train.py", "data.source.root=/lab/实验"])

    def end():
        raise SystemExit(2)

    with pytest.raises(SystemExit, match="2"):
        enter(end)
    assert capsys.readouterr().err == ""
