"""What an account's database costs with a million messages: `python bench/client_database.py`; one process, one core.

Messages of as many words as people write, of a vocabulary as unequal as a language's, in conversations of which a few
have most. They are put in as the client does, many in one transaction; another process opens the file and reads:

* opening, with the key and with a password;
* the last page of a conversation, and one in its middle;
* searches: a rare word, a frequent one, two, a beginning, in all conversations and in one;
* a message added, one deleted, a thousand cleared, each time on the disk; what the process has resident after all that;
* pages while another thread adds messages;
* with `--backup`, a backup, another one after a change, and both read and restored.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sized
from dataclasses import replace
from functools import partial
from pathlib import Path

from allium.client.database import Database, archive, keys
from allium.client.database.rows import ConversationKind, NewMessage
from allium.client.messages.kinds import Attachment

PASSWORD = "a password"  # noqa: S105 - of nothing
START = 1_600_000_000_000
CONVERSATIONS, PEOPLE, VOCABULARY, BATCH = 500, 2_000, 50_000, 500
LETTERS = "etaoinshrdlucmfwypvbgkjqxz"


def account(number: int) -> str:
    """An Account ID."""
    return f"05{number:064x}"


def word(number: int) -> str:
    """A word; frequent ones are short."""
    found = ""
    number += 1
    while number:
        number, letter = divmod(number - 1, len(LETTERS))
        found += LETTERS[letter]
    return found


def zipf(chance: random.Random, size: int) -> int:
    """A number below `size`, the smaller the likelier."""
    return min(int(size ** chance.random()) - 1, size - 1)


def messages(count: int) -> Iterator[NewMessage]:
    """The same in every run."""
    chance = random.Random(23)
    for number in range(count):
        conversation = zipf(chance, CONVERSATIONS)
        words = [word(zipf(chance, VOCABULARY)) for _ in range(min(1 + int(chance.expovariate(1 / 12)), 400))]
        name = f"{word(zipf(chance, VOCABULARY))} {number}.jpg"
        yield NewMessage(
            account(conversation),
            account(zipf(chance, PEOPLE)),
            START + number * 1000,
            " ".join(words),
            read=True,
            hash=f"{number:043d}",
            attachments=(Attachment(f"http://files/{number}", bytes(32), name=name),) if chance.random() < 0.1 else (),
        )


def fill(path: Path, count: int) -> None:
    """Makes the database."""
    began = time.perf_counter()
    with keys.create(path, PASSWORD) as database:
        for number in range(CONVERSATIONS):
            database.conversations.ensure(account(number), ConversationKind.CONTACT, name=word(number))
        waiting = messages(count)
        for _ in range(0, count, BATCH):
            with database.transaction():
                for _, message in zip(range(BATCH), waiting, strict=False):
                    database.messages.add(message)
    seconds = time.perf_counter() - began
    size = path.stat().st_size / 1e6
    print(
        f"{count} messages put in: {seconds:.0f} s, {count / seconds:.0f} a second; {size:.0f} MB on disk", flush=True
    )


def timed(name: str, work: Callable[[], object], rounds: int = 20) -> None:
    """Prints the first time, and the median and the worst of the others."""
    seconds, found = [], None
    for _ in range(rounds):
        began = time.perf_counter()
        found = work()
        seconds.append((time.perf_counter() - began) * 1000)
    first, *others = seconds
    others.sort()
    more = f", then {others[len(others) // 2]:.2f} ms (worst {others[-1]:.2f})" if others else ""
    rows = f" ({len(found)} found)" if isinstance(found, Sized) else ""
    print(f"{name}{rows}: first {first:.2f} ms{more}", flush=True)


def read(path: Path) -> None:
    """What a process that has just begun finds."""
    before = resident()
    opened: list[Database] = []
    timed("open with the password", lambda: opened.append(keys.open_with_password(path, PASSWORD)), 1)
    database = opened[0]
    busy, quiet = account(0), account(CONVERSATIONS - 1)
    timed("list of conversations", database.conversations.all)
    timed("last page of the busiest conversation", lambda: database.messages.page(busy))
    chance = random.Random(5)
    total = database.messages.count()

    def middle() -> None:
        anchor = database.messages.get(chance.randrange(1, total))
        if anchor is not None:
            database.messages.page(anchor.conversation, before=anchor)

    timed("a page in the middle of any conversation", middle, 200)
    rare, frequent = word(VOCABULARY - 7), word(1)
    for name, text, where in (
        ("a rare word", rare + " ", None),
        ("a frequent word", frequent + " ", None),
        ("two frequent words", f"{word(0)} {word(2)} ", None),
        ("a frequent and a rare word", f"{frequent} {rare} ", None),
        ("the beginning of a word, 2 letters", word(800)[:2], None),
        ("the beginning of a word, 3 letters", word(20_000)[:3], None),
        ("files' names", f"{word(3)} jpg", None),
        ("no such word", "nowhere123", None),
        ("a frequent word in a quiet conversation", frequent + " ", quiet),
        ("a rare word in the busiest conversation", rare + " ", busy),
        ("two frequent words in the busiest conversation", f"{word(0)} {word(2)} ", busy),
    ):
        timed(f"search for {name}", partial(database.search.find, text, conversation=where))
    fresh = iter(range(1, 1000))
    timed(
        "a message added, on the disk",
        lambda: database.messages.add(NewMessage(busy, busy, START - next(fresh), "one more text", hash="h")),
        200,
    )
    timed("a message deleted", lambda: database.messages.remove([total - next(fresh)]), 50)
    timed("a thousand messages cleared", lambda: database.messages.clear(busy, limit=1000), 3)
    timed("a step of forgetting their words", database.tidy, 50)
    beside(database)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"resident: {resident():.0f} MB, of which {before:.0f} MB before it was opened; at most {peak:.0f} MB")
    database.close()


def beside(database: Database) -> None:
    """Pages that are read while another thread adds messages, each of them a commit on the disk."""
    reader, ended = database.second(), threading.Event()
    if reader is None:
        return
    source, written = messages(1_000_000), list[float]()

    def write() -> None:
        for number, message in enumerate(source):
            if ended.is_set():
                return
            began = time.perf_counter()
            database.messages.add(replace(message, timestamp=START - 10_000 - number, hash=f"beside {number}"))
            written.append(time.perf_counter() - began)

    writer = threading.Thread(target=write)
    writer.start()
    for name, own in (("wall", time.perf_counter), ("processor", time.thread_time)):
        seconds = []
        for number in range(1_000):
            began = own()
            reader.messages.page(account(number % 50))
            seconds.append((own() - began) * 1000)
        seconds.sort()
        told = f"median {seconds[500]:.2f} ms, of a hundred the worst {seconds[990]:.2f}, worst {seconds[-1]:.2f}"
        print(f"a page while messages are added, {name}: {told}", flush=True)
    ended.set()
    writer.join()
    written.sort()
    place = len(written) * 99 // 100
    print(
        f"{len(written)} added meanwhile, each on the disk: median {written[len(written) // 2] * 1000:.2f} ms, "
        f"of a hundred the worst {written[place] * 1000:.2f}, worst {written[-1] * 1000:.2f}",
        flush=True,
    )
    reader.close()


def back_up(path: Path) -> None:
    """A backup, what a second one costs, and the way back."""
    with tempfile.TemporaryDirectory(dir=path.parent) as directory:
        file, restored = Path(directory, "backup"), Path(directory, "restored")
        with keys.open_with_password(path, PASSWORD) as database:
            for name in ("the first", "the second"):
                began, longest = time.perf_counter(), 0.0
                steps, made = archive.backup_steps(database, file, PASSWORD), None
                while made is None:
                    step = time.perf_counter()
                    try:
                        next(steps)
                    except StopIteration as end:
                        made = end.value
                    longest = max(longest, time.perf_counter() - step)
                print(
                    f"{name} backup: {time.perf_counter() - began:.0f} s, its longest step {longest * 1000:.0f} ms; "
                    f"{made.added / 1e6:.1f} MB more",
                    flush=True,
                )
                database.messages.add(NewMessage(account(0), account(0), START - 5_000, "one more"))
        timed("the backup read whole", lambda: archive.verify(file, PASSWORD), 1)
        timed("the backup restored", lambda: archive.restore(file, PASSWORD, restored, bytes(32)), 1)


def resident() -> float:
    """Of this process, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> None:
    """Fills a database, unless it is there, and has another process read it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--path", type=Path, help="where the database is made, or lies from an earlier run")
    parser.add_argument("--backup", action="store_true", help="back the database up and restore it, too")
    parser.add_argument("--read", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        read(options.path)
        return
    with tempfile.TemporaryDirectory() as directory:
        path = options.path or Path(directory, "account.sqlite")
        if not path.exists():
            fill(path, options.messages)
        subprocess.run([sys.executable, __file__, "--read", "--path", path], check=True)
        if options.backup:
            back_up(path)


if __name__ == "__main__":
    main()
