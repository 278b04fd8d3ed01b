"""report: one page with everything in it, and nothing from anywhere else."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import TINY, command, composed
from omegaconf import OmegaConf

from spt.errors import InvalidValue, MissingFile
from spt.run.folder import RunFolder
from spt.run.report import report
from spt.run.train import train

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page(HTMLParser):
    """Headings, images, addresses, cells and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[int] = []
        self.images: list[dict[str, str | None]] = []
        self.addresses: list[str] = []
        self.text: list[str] = []
        self.unclosed: list[str] = []
        self.feed(text)
        self.whole = " ".join(" ".join(self.text).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        if re.fullmatch(r"h\d", tag):
            self.headings.append(int(tag[1]))
        if tag == "img":
            self.images.append(known)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unclosed.append(tag)

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[RunFolder]:
    """Two runs of two epochs that differ in the loss."""
    folders = []
    for loss in ("bce_dice", "dice"):
        overrides = [f"loss={loss}", "trainer.max_epochs=2", "~logger"]
        config, folder = composed(*TINY, *overrides), RunFolder(tmp_path_factory.mktemp("runs") / loss)
        folder.config.parent.mkdir(parents=True)
        OmegaConf.save(config, folder.config)
        train(config, folder)
        folder.overrides.write_text(f"- loss={loss}\n- data.source.camera.bits=8 & <b>\n- hydra.run.dir=x\n")
        folders.append(folder)
    return folders


@pytest.fixture(scope="module")
def page(runs: list[RunFolder]) -> Page:
    """The page on one of them."""
    done = report([runs[0].path], runs[0].path / "report.html")
    assert (done.runs, done.problems) == (1, [])
    return Page(done.out.read_text(encoding="utf-8"))


def test_everything_is_inside_the_page(page: Page):
    assert page.addresses
    assert all(address.startswith("data:image/") for address in page.addresses)


def test_every_image_says_what_is_seen_and_there_is_one_of_every_split(page: Page):
    alts = [image["alt"] or "" for image in page.images]
    assert all(len(alt) > 20 for alt in alts)
    for split in ("val_seen", "val_class", "val_unseen"):
        assert any(split in alt and "worst" in alt for alt in alts)


def test_headings_go_down_by_one_and_all_tags_close(page: Page):
    assert page.headings[0] == 1
    assert all(b - a <= 1 for a, b in zip(page.headings, page.headings[1:], strict=False))
    assert page.unclosed == []
    assert page.open == []


def test_numbers_are_those_of_the_run(page: Page, runs: list[RunFolder]):
    final = json.loads(runs[0].metrics.read_text())
    for method in (final["val_unseen"], final["baselines"]["val_unseen"]["linear ridge"]):
        assert f"{method['pcc']['mean']:.3f} ± {method['pcc']['sem']:.3f}" in page.whole
    assert f"{final['run']['parameters']:,}" in page.whole
    assert page.whole.count("linear ridge") >= 4


def test_how_it_was_made_and_how_to_repeat_it(page: Page):
    assert "python train.py loss=bce_dice 'data.source.camera.bits=8 & <b>'" in page.whole
    assert "hydra.run.dir=x" not in page.whole
    assert "torch " in page.whole
    assert "camera.photoelectrons" in page.whole
    assert "max_epochs: 2" in page.whole


def test_two_runs_beside_each_other(runs: list[RunFolder], tmp_path: Path):
    done = report([folder.path for folder in runs], tmp_path / "both.html")
    page = Page(done.out.read_text(encoding="utf-8"))
    assert done.runs == 2
    assert "The runs beside each other" in page.whole
    assert "loss parameters s PCC val_seen" in page.whole
    assert all(address.startswith("data:image/") for address in page.addresses)


def test_curves_of_evaluations_are_in_the_page(runs: list[RunFolder], tmp_path: Path):
    copy = Path(shutil.copytree(runs[0].path, tmp_path / "run"))
    (copy / "evaluation" / "noise").mkdir(parents=True)
    shutil.copy(copy / "figures" / "val_seen.png", copy / "evaluation" / "noise" / "noise.png")
    page = Page(report([copy], tmp_path / "page.html").out.read_text(encoding="utf-8"))
    assert "Evaluations" in page.whole
    assert any("protocol=noise" in (image["alt"] or "") for image in page.images)


def test_a_run_of_which_parts_are_missing(runs: list[RunFolder], tmp_path: Path):
    (tmp_path / "run").mkdir()
    shutil.copy(runs[0].metrics, tmp_path / "run")
    page = Page(report([tmp_path / "run"], tmp_path / "page.html").out.read_text(encoding="utf-8"))
    assert page.images == []
    assert "PCC" in page.whole


@pytest.mark.parametrize(
    ("file", "content"), [("metrics.csv", b"epoch,train/loss\na,b\n1,2,3\n"), ("figures/val_seen.png", b"\x89PNG")]
)
def test_a_run_with_a_damaged_file_is_left_out(runs: list[RunFolder], tmp_path: Path, file: str, content: bytes):
    bad = tmp_path / "bad"
    shutil.copytree(runs[0].path, bad)
    (bad / file).write_bytes(content)
    done = report([bad, runs[1].path], tmp_path / "page.html")
    assert done.runs == 1
    assert done.problems[0].startswith(f"{bad / file} is damaged")
    with pytest.raises(InvalidValue, match="is damaged"):
        report([bad], tmp_path / "none.html")
    assert not (tmp_path / "none.html").exists()


def test_what_is_no_finished_run_writes_nothing(runs: list[RunFolder], tmp_path: Path):
    with pytest.raises(MissingFile, match="no finished run was found"):
        report([tmp_path], tmp_path / "page.html")
    with pytest.raises(InvalidValue, match=r"page.pdf must end in .html"):
        report([runs[0].path], tmp_path / "page.pdf")
    assert list(tmp_path.iterdir()) == []


def test_the_command(runs: list[RunFolder], tmp_path: Path):
    ended = command(
        "scripts/report.py", f"run={runs[0].path}", str(tmp_path / "none"), "--out", str(tmp_path / "a.html")
    )
    assert ended.code == 1
    assert "a.html: 1 run." in ended.out
    assert "Left out:" in ended.err
    assert "no such folder" in ended.err


def test_out_is_no_run(runs: list[RunFolder], tmp_path: Path):
    ended = command("scripts/report.py", f"out={tmp_path / 'a.html'}", f"run={runs[0].path}")
    assert (ended.code, ended.err) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]
    ended = command("scripts/report.py", f"out={tmp_path / 'b.html'}")
    assert ended.code == 2
    assert "give one run folder or more" in ended.err
    assert not (tmp_path / "b.html").exists()


def test_every_row_of_scores_is_headed_by_its_method(runs: list[RunFolder], tmp_path: Path):
    text = report([runs[0].path], tmp_path / "page.html").out.read_text(encoding="utf-8")
    assert '<th scope="row">linear ridge</th>' in text


def test_one_diffuser_is_no_plural(runs: list[RunFolder], tmp_path: Path):
    (tmp_path / "run").mkdir()
    final = json.loads(runs[0].metrics.read_text())
    final["run"]["data"]["splits"]["train"] |= {"n": 1, "diffusers": 1, "objects": 2}
    (tmp_path / "run" / "metrics.json").write_text(json.dumps(final))
    page = Page(report([tmp_path / "run"], tmp_path / "page.html").out.read_text(encoding="utf-8"))
    assert "1 pair, 1 diffuser, 2 objects" in page.whole


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [800, 1280])
def test_a_browser_shows_it_without_a_message_and_nothing_is_wider_than_the_window(
    runs: list[RunFolder], tmp_path: Path, width: int
):
    text = report([folder.path for folder in runs], tmp_path / "page.html").out.read_text(encoding="utf-8")
    probe = (
        "<script>addEventListener('load', () => { document.title = 'wide ' + document.documentElement.scrollWidth"
        " + ' broken ' + [...document.images].filter(i => !i.naturalWidth).length; })</script>"
    )
    (tmp_path / "page.html").write_text(text.replace("</body>", f"{probe}</body>"), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=10000"]
    ended = subprocess.run(
        [str(CHROMIUM), *options, f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900", "--dump-dom",
         (tmp_path / "page.html").as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    found = re.search(r"<title>wide (\d+) broken (\d+)</title>", ended.stdout)
    assert found, ended.stdout[:500]
    assert int(found[1]) <= width
    assert found[2] == "0"
    assert "CONSOLE" not in ended.stderr
