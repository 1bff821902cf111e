import hashlib
import multiprocessing
import os
import time

import pytest

from mila.data.cache import ContentCache


def entry(number: int, size: int = 1000) -> tuple[str, bytes]:
    data = number.to_bytes(4, "big") * (size // 4)
    return hashlib.sha256(data).hexdigest(), data


def size_of(folder) -> int:
    return sum(p.stat().st_size for p in folder.glob("??/*"))


def test_what_is_put_is_got(tmp_path):
    cache = ContentCache(tmp_path / "cache", 10_000)
    digest, data = entry(1)

    assert cache.get(digest) is None
    cache.put(digest, data)
    assert cache.get(digest) == data
    assert ContentCache(tmp_path / "cache", 10_000).get(digest) == data


def test_the_limit_holds_and_the_oldest_go(tmp_path):
    cache = ContentCache(tmp_path, 10_000)
    for number in range(9):
        cache.put(*entry(number))
        os.utime(next(tmp_path.glob(f"??/{entry(number)[0]}")), (number, number))
    cache.get(entry(0)[0])  # used again: now the youngest

    for number in range(9, 14):
        cache.put(*entry(number))
        assert size_of(tmp_path) <= 10_000

    assert cache.get(entry(0)[0]) is not None
    assert cache.get(entry(13)[0]) is not None
    assert cache.get(entry(1)[0]) is None


def test_the_same_entry_counts_once(tmp_path):
    cache = ContentCache(tmp_path, 3000)
    cache.put(*entry(1))
    for _ in range(10):
        cache.put(*entry(2))

    assert cache.get(entry(1)[0]) is not None
    assert (tmp_path / "total").read_text() == "2000"


def test_what_is_larger_than_the_limit_is_not_kept(tmp_path):
    cache = ContentCache(tmp_path, 3000)
    cache.put(*entry(1))

    cache.put(*entry(2, size=4000))

    assert cache.get(entry(1)[0]) is not None
    assert cache.get(entry(2, size=4000)[0]) is None


def test_a_lost_or_torn_total_is_counted_again(tmp_path):
    cache = ContentCache(tmp_path, 3000)
    for number in range(3):
        cache.put(*entry(number))
    (tmp_path / "total").write_text("")

    cache.put(*entry(4))

    assert size_of(tmp_path) <= 3000


def test_a_limit_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="keeps nothing"):
        ContentCache(tmp_path, 0)


def _fill(folder, first: int) -> None:
    cache = ContentCache(folder, 20_000)
    for number in range(first, first + 60):
        digest, data = entry(number % 40)
        got = cache.get(digest)
        assert got is None or got == data
        cache.put(digest, data)
        assert size_of_alive(folder) <= 20_000


def size_of_alive(folder) -> int:
    """Entries may go while they are counted."""
    total = 0
    for path in list(folder.glob("??/*")):
        try:
            total += path.stat().st_size if path.suffix != ".partial" else 0
        except FileNotFoundError:
            continue
    return total


def test_several_processes_share_it(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_fill, args=(tmp_path, 7 * i)) for i in range(4)]
    for worker in workers:
        worker.start()
    deadline = time.monotonic() + 60
    for worker in workers:
        worker.join(max(0.1, deadline - time.monotonic()))

    assert [worker.exitcode for worker in workers] == [0] * 4
    assert size_of(tmp_path) <= 20_000
    assert int((tmp_path / "total").read_text()) >= size_of(tmp_path)
