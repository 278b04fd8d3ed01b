"""The documentation: every command that it shows is one that works, every option is explained, every example runs."""

import argparse
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT, TINY, command
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from spt.errors import UserError
from spt.losses import check_head
from spt.run.building import build
from spt.run.continuing import for_hydra, override, own_changes

CONFIGS = ROOT / "configs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
EXPERIMENTS = sorted((CONFIGS / "experiment").glob("*.yaml"))
PROGRAMS = ("python", "make", "pip", "uv", "tensorboard", "bash")


# What the pages show --------------------------------------------------------------------------------------------------


def blocks(text: str) -> list[tuple[str, str]]:
    """Language and content of each fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)


def commands(text: str) -> list[str]:
    """Commands of a page: in fenced blocks, in indented lines, between backticks."""
    shown = [line for language, block in blocks(text) if language != "python" for line in joined(block)]
    rest = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    shown += joined("\n".join(re.findall(r"^    (.*)$", rest, re.M)))
    shown += [span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", re.sub(r"^    .*$", "", rest, flags=re.M))]
    return [line for line in shown if is_command(line)]


def joined(block: str) -> list[str]:
    """Lines without comments, continued ones in one."""
    return [line.partition("  #")[0].strip() for line in re.sub(r"\\\n\s*", "", block).splitlines()]


def is_command(line: str) -> bool:
    """Whether a line starts with a program, behind variables of the environment."""
    words = line.split()
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words.pop(0)
    return len(words) > 1 and words[0] in PROGRAMS


def experiment_command(path: Path) -> str:
    """The line `Command:` of an experiment's head, with the lines that continue it."""
    found = re.search(r"^# Command:  (.*(?:\n#  {10,}(?!then:).*)*)", path.read_text(), re.M)
    assert found, f"{path} names no command"
    return re.sub(r"\n# +", " ", found[1])


SHOWN = {
    **{line: page.name for page in reversed(PAGES) for line in commands(page.read_text())},
    **{experiment_command(path): path.name for path in EXPERIMENTS},
}
"""Each command, once, and where it stands."""


# Words and links ------------------------------------------------------------------------------------------------------

AVOIDED = re.compile(r"\bjudg|\brival|\bremark|\bheld\b|\bheld[- ]out\b", re.I)


@pytest.mark.parametrize("path", [*PAGES, *sorted(CONFIGS.rglob("*.yaml"))], ids=lambda path: path.name)
def test_plain_words(path: Path):
    assert AVOIDED.findall(path.read_text()) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    for file, heading in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", page.read_text()):
        target = page.parent / file if file else page
        assert target.exists(), f"{page.name}: there is no {file}"
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
            anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
            assert heading in anchors, f"{page.name}: {file} has no heading #{heading}"


# Commands -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", SHOWN, ids=[f"{page}: {line}" for line, page in SHOWN.items()])
def test_every_command_that_is_shown_works(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if "SPT_DATA=" in line:
        monkeypatch.setenv("SPT_DATA", str(tmp_path))
    try_command(line)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_block_without_a_language_shows_commands_that_are_tried(page: Path):
    shown = [line for language, block in blocks(page.read_text()) if not language for line in joined(block) if line]
    assert [line for line in shown if not is_command(line)] == []


@pytest.mark.parametrize("overrides", sorted(set(re.findall(r"`((?:[\w.@]+=[\w.]+ ?)+)`", PAGES[0].read_text()))))
def test_settings_that_the_readme_shows_compose(overrides: str):
    if overrides != "name=value":
        composed("train", overrides.split())


def try_command(line: str) -> None:
    """Do what a command does first: compose and build, or parse. Nothing is trained."""
    words = shlex.split(re.sub(r"<[^>]*>|2026-…|…", "placeholder", line))
    while re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words.pop(0)
    program, first, *rest = words
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
        assert {first, *rest} <= set(targets), f"make {first}: the Makefile has {targets}"
    elif program == "bash":
        assert (ROOT / first).is_file()
    elif program == "python" and first == "-m":
        assert rest[0] == "pytest"
        assert all((ROOT / path).exists() for path in rest[1:] if not path.startswith("-"))
    elif program == "python" and first == "train.py":
        try_training(rest)
    elif program == "python":
        assert (ROOT / first).is_file(), f"{first} is not there"
        try_script(first, rest)


def try_training(arguments: list[str]) -> None:
    """Compose each run of `train.py` and build what is cheap; for `run=`, change the values."""
    if "--help" in arguments:
        return
    if any(argument.startswith("run=") for argument in arguments):
        override(composed("train", []), [argument for argument in arguments if not argument.startswith("run=")])
        return
    for overrides in each_run([argument for argument in arguments if argument != "-m"], sweep="-m" in arguments):
        check(composed("train", overrides))


def test_a_command_whose_error_is_shown_ends_in_that_error():
    page = (ROOT / "docs" / "optics.md").read_text()
    found = re.search(r"^    \$ python train.py (.*)\n    Error: ((?:.*\n    )*.*)", page, re.M)
    assert found
    with pytest.raises(UserError) as caught:
        try_training(shlex.split(found[1]))
    assert str(caught.value).split() == found[2].split()


def check(config: DictConfig) -> None:
    """Build the parts of a run."""
    check_head(build(config.loss), build(config.head))
    check_node("model", OmegaConf.to_yaml(config.model, resolve=True))
    if not measured(config.data):
        check_node("data", OmegaConf.to_yaml(config.data, resolve=True))


@cache
def check_node(name: str, text: str) -> None:
    """Build a part, once for all commands that share it: a network without numbers and without fetched weights."""
    node = OmegaConf.create({name: OmegaConf.create(text)})[name]
    if "pretrained" in node:
        node.pretrained = False
    with torch.device("meta" if name == "model" else "cpu"):
        build(node)


def measured(data: Any) -> bool:
    """Whether the optics are read from files, which the repository does not contain."""
    return any("spt.data.media_files" in str(value) for value in flat(OmegaConf.to_container(data)).values())


def each_run(overrides: list[str], sweep: bool) -> Iterator[list[str]]:
    """The overrides of every job of a sweep; those of a single run."""
    parsed = OverridesParser.create().parse_overrides(for_hydra(overrides))
    several = [change.is_sweep_override() for change in parsed]
    assert sweep or not any(several), f"{overrides}: several values need -m"
    longest = max([len(list(change.sweep_string_iterator())) for change in parsed if change.is_sweep_override()] or [1])
    for k in range(longest):
        yield [
            f"{change.get_key_element()}={choices[k % len(choices)]}"
            if (choices := list(change.sweep_string_iterator()) if change.is_sweep_override() else [])
            else text
            for change, text in zip(parsed, overrides, strict=True)
        ]


def try_script(script: str, arguments: list[str]) -> None:
    """Compose the root of a script that uses Hydra; let any other one parse its arguments."""
    root = re.search(r'config_name="(\w+)"', (ROOT / script).read_text())
    if root and root[1] == "evaluate":
        arguments, changes = own_changes(arguments)
        override(composed("train", []), changes)
    if root:
        config = composed(root[1], arguments)
        assert not OmegaConf.missing_keys(config)
        if config.get("data") is not None and not measured(config.data):
            check_node("data", OmegaConf.to_yaml(config.data, resolve=True))
        if config.get("model") is not None:
            check_node("model", OmegaConf.to_yaml(config.model, resolve=True))
    elif "ArgumentParser" in (ROOT / script).read_text() or "parser(" in (ROOT / script).read_text():
        assert parsed_arguments(script, arguments) is not None
    else:
        composed("train", [argument for argument in arguments if "=" in argument])


class Parsed(Exception):
    """Ends a script once its arguments are parsed."""


def parsed_arguments(script: str, arguments: list[str]) -> argparse.Namespace | None:
    """What the parser of a script makes of its arguments; the script goes no further."""
    found: list[argparse.Namespace] = []
    parse = argparse.ArgumentParser.parse_args

    def once(self: argparse.ArgumentParser, *given: Any) -> argparse.Namespace:
        found.append(parse(self, *given))
        raise Parsed

    path = str((ROOT / script).parent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", once)
        patch.setattr(sys, "argv", [script, *arguments])
        patch.syspath_prepend(path)
        with pytest.raises(Parsed):
            runpy.run_path(str(ROOT / script), run_name="__main__")
    return found[0] if found else None


@cache
def _composed(root: str, overrides: tuple[str, ...]) -> DictConfig:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose(root, list(overrides))


def composed(root: str, overrides: list[str]) -> DictConfig:
    """Compose a root of `configs/` as its command would."""
    return _composed(root, tuple(for_hydra(overrides)))


def flat(node: Any, prefix: str = "") -> dict[str, Any]:
    """Every value by its dotted name; lists and dictionaries of numbers are values."""
    if not isinstance(node, dict) or not node or not all(isinstance(key, str) for key in node):
        return {prefix: node}
    parts = [flat(value, f"{prefix}.{key}" if prefix else key) for key, value in node.items()]
    return {name: value for part in parts for name, value in part.items()}


# Options --------------------------------------------------------------------------------------------------------------

REFERENCE = (ROOT / "docs" / "reference.md").read_text()
GROUPS = {
    **{name: name for name in ("model", "loss", "head", "data", "optimizer", "scheduler", "trainer", "callbacks")},
    "logger": "logger",
    "optics": "optics@data.source.setup",
    "objects": "objects@data.source.objects",
    "preparation": "preparation@data.preparation",
    "augmentation": "augmentation@data.augmentation",
    "twin": "twin@data.twin",
    "experiment": "experiment",
}
CHOICES = [(folder, path.stem) for folder in GROUPS for path in sorted((CONFIGS / folder).glob("*.yaml"))]


def section(title: str) -> str:
    """The page from a heading to the next of any level."""
    found = re.search(rf"^##+ `?{re.escape(title)}`?\n(.*?)(?=^##|\Z)", REFERENCE, re.M | re.S)
    assert found, f"docs/reference.md has no section {title}"
    return found[1]


def options(file: str, package: str = "") -> list[str]:
    """Dotted names of what a file of `configs/` sets; what it takes from another file stands there."""
    content = OmegaConf.to_container(OmegaConf.load(CONFIGS / f"{file}.yaml"))
    assert isinstance(content, dict)
    own = {name: value for name, value in content.items() if name not in ("defaults", "hydra")}
    names = flat(own, package) if own else []
    return [name for name in names if name and not name.rpartition(".")[2].startswith("_")]


def unexplained(names: list[str], text: str) -> list[str]:
    """Names that begin no row of a table."""
    return [name for name in names if f"| `{name}` |" not in text]


@pytest.mark.parametrize(("folder", "choice"), CHOICES)
def test_every_option_of_every_file_is_in_the_reference(folder: str, choice: str):
    assert f"`{choice}`" in section(GROUPS[folder])
    if folder == "experiment":
        return  # it changes options of the other folders
    assert unexplained(options(f"{folder}/{choice}", GROUPS[folder].rpartition("@")[2]), REFERENCE) == []


@pytest.mark.parametrize(
    "root",
    [
        "train",
        "check_data",
        "complexity",
        "evaluate",
        "evaluate_twin",
        "export",
        "inspect_speckle",
        "look_inside",
        "predict",
        "read_objects",
        "simulate",
        "sweep",
    ],
)
def test_every_option_of_every_command_is_in_the_reference(root: str):
    title = "The run" if root == "train" else f"scripts/{root}.py"
    assert unexplained(options(root), section(title)) == []


def test_the_reference_names_nothing_that_is_not_there():
    files = [(f"{folder}/{choice}", GROUPS[folder].rpartition("@")[2]) for folder, choice in CHOICES]
    there = {
        name
        for file, package in [*files, ("train", ""), ("inspect_speckle", ""), ("sweep", "")]
        for name in options(file, package)
    }
    named = set(re.findall(r"^\| `([a-z_]+\.[\w.]+)` \|", REFERENCE, re.M))
    assert named - {"hydra.run.dir"} <= there


# Examples -------------------------------------------------------------------------------------------------------------

PYTHON = [
    (page.name, number, block)
    for page in PAGES
    for number, (language, block) in enumerate(blocks(page.read_text()))
    if language == "python"
]


@pytest.mark.parametrize(("page", "number", "block"), PYTHON, ids=[f"{page}-{number}" for page, number, _ in PYTHON])
def test_every_python_example_is_python(page: str, number: int, block: str):
    compile(block, page, "exec")


def example(page: str) -> str:
    """The first Python example of a page."""
    return next(block for name, _, block in PYTHON if name == page)


def test_arrays_are_written_as_the_page_says_and_read_as_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    exec(example("your_speckles.md"), {})
    data = build(composed("train", ["data=hdf5", "data.source.path=mine.h5", "data.batch_size=8"]).data)
    data.prepare_data()
    data.setup()
    assert {name: len(pairs) for name, pairs in data.splits.items()} == {
        "train": 360,
        "val_seen": 40,
        "test_unseen": 10,
    }
    seen = data.splits["val_seen"]
    assert seen.object.unique().tolist() == list(range(10))
    assert not set(seen.object.tolist()) & set(data.splits["train"].object.tolist())
    assert data.splits["test_unseen"].diffuser.unique().tolist() == [4]
    assert next(iter(data.train_dataloader()))["speckle"].shape == (8, 1, 64, 64)


def test_files_of_arrays_are_read_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for number in (1, 2, 3):
        np.savez(f"d{number}.npz", speckle=rng.integers(0, 256, (60, 32, 32), np.uint8))
    objects = rng.integers(0, 256, (60, 32, 32), np.uint8)
    np.savez("objects.npz", object=objects)
    line = next(text for text, page in SHOWN.items() if page == "your_speckles.md" and "d3.npz" in text)
    splits = build(composed("train", shlex.split(line)[2:]).data).source.load()
    assert {name: len(pairs) for name, pairs in splits.items()} == {"train": 20, "val_seen": 100, "test_unseen": 50}
    assert torch.equal(splits["test_unseen"].target[:], torch.from_numpy(objects[:50]))


def test_new_images_are_reconstructed_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    short = ["trainer.max_epochs=1", "baseline_pairs=0", "logger=null", "callbacks=null"]
    ended = command("train.py", *TINY, *short, f"hydra.run.dir={tmp_path / 'run'}")
    assert ended.code == 0, ended.err
    monkeypatch.chdir(tmp_path)
    np.save("new_speckle.npy", np.random.default_rng(0).integers(1, 256, (20, 32, 32), np.uint8))
    found: dict[str, Any] = {}
    exec(example("use_results.md").replace("outputs/<folder>", "run"), found)
    images = found["images"]
    assert images.shape == (20, 32, 32)
    trained, speckle = found["net"], torch.from_numpy(np.load("new_speckle.npy"))
    with torch.no_grad():
        last = trained.head.decode(trained.model(trained.preparation(speckle[16:, None])))
    np.testing.assert_allclose(images[16:], last[:, 0].numpy(), atol=1e-6)
