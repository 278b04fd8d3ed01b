import pytest

from spt.data.cache import free_memory


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of 64,000 kB, of which 1,000 kB are available, without limits."""
    monkeypatch.setattr(free_memory, "memory", lambda: 64_000_000)
    monkeypatch.setattr(free_memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(free_memory, "GROUP", tmp_path)
    (tmp_path / "meminfo").write_text("MemTotal: 64000 kB\nMemFree: 500 kB\nMemAvailable:     1000 kB\n")
    return tmp_path


def limit(folder, limit, used):
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")


def test_what_the_system_says(machine):
    assert free_memory.free_memory() == 1_024_000


def test_a_system_that_does_not_say_it(machine):
    (machine / "meminfo").unlink()
    assert free_memory.free_memory() == 64_000_000


def test_no_limit(machine):
    limit(machine, "max", 5)
    assert free_memory.free_memory() == 1_024_000


@pytest.mark.parametrize(("most", "used", "free"), [(700_000, 300_000, 400_000), (100, 200, 0), (10**9, 0, 1_024_000)])
def test_the_limit_of_a_job(machine, most, used, free):
    limit(machine, most, used)
    assert free_memory.free_memory() == free


def test_the_limit_of_a_job_on_an_older_system(machine):
    (machine / "memory").mkdir()
    (machine / "memory" / "memory.limit_in_bytes").write_text("5000\n")
    (machine / "memory" / "memory.usage_in_bytes").write_text("2000\n")
    assert free_memory.free_memory() == 3000


@pytest.mark.parametrize(
    ("size", "words"), [(999, "999 B"), (1500, "1.5 kB"), (2_000_000, "2.0 MB"), (1.2e9, "1.2 GB")]
)
def test_sizes_in_words(size, words):
    assert free_memory.in_words(int(size)) == words
