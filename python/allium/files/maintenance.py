"""What an operator does with a server's files, also while it serves: verify, collect garbage, count."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from allium.files import content, setup
from allium.files.blobs import BlobMissingError, Blobs, FoundBlob
from allium.files.index import FileRecord, Index, Totals
from allium.files.service import LONGEST_UPLOAD_SECONDS
from allium.files.settings import FilesConfig

_STEP = 500
#: Problems that are told one by one.
_TOLD = 1000

Progress = Callable[[int], object]


@dataclass
class VerifyReport:
    """What a walk through all files has found."""

    files: int = 0
    bytes: int = 0
    blobs: int = 0
    #: Blobs that neither a file has nor the index knows to be loose, older than any upload takes.
    orphans: int = 0
    #: How many things do not agree.
    found: int = 0
    #: The first of them, in words.
    problems: list[str] = field(default_factory=list)

    def complain(self, problem: str) -> None:
        """Notes something that does not agree."""
        self.found += 1
        if len(self.problems) < _TOLD:
            self.problems.append(problem)


@dataclass(frozen=True)
class GcReport:
    """What a collection has removed."""

    expired: int
    orphans: int
    orphan_bytes: int


async def stats(config: FilesConfig) -> Totals:
    """How much there is."""
    index = await setup.open_index(config)
    try:
        return await index.totals()
    finally:
        await index.close()


async def verify(config: FilesConfig, progress: Progress = lambda _: None) -> VerifyReport:
    """Reads every file and hashes it anew, and looks for blobs that belong to none."""
    index, blobs = await setup.open_index(config), setup.open_blobs(config)
    report = VerifyReport()
    try:
        async for records in _files(index):
            for record in records:
                await _verify_file(index, blobs, record, report)
                progress(report.files)
        async for orphans in _orphans(index, blobs, report):
            report.orphans += len(orphans)
            for orphan in orphans:
                report.complain(f"blob {orphan.blob} belongs to no file; `allium files gc` removes it")
    finally:
        await index.close()
    return report


async def _verify_file(index: Index, blobs: Blobs, record: FileRecord, report: VerifyReport) -> None:
    hasher, size = content.hasher(), 0
    try:
        reader = await blobs.open(record.blob, record.size)
    except BlobMissingError:
        # A file that expired since the index was read is no problem.
        if await index.find(record.name, time.time()) == record:
            report.complain(f"file {record.name}: blob {record.blob} is not there, or is cut off; restore a copy")
        return
    try:
        async for chunk in reader.chunks():
            size += len(chunk)
            await asyncio.to_thread(hasher.update, chunk)
    finally:
        reader.close()
    if size != record.size or content.name(hasher.digest()) != record.name:
        report.complain(f"file {record.name}: blob {record.blob} has another content; restore a copy")
    report.files += 1
    report.bytes += size


async def gc(config: FilesConfig) -> GcReport:
    """Drops what has expired, and removes blobs that no file has and that are older than any upload takes."""
    index, blobs = await setup.open_index(config), setup.open_blobs(config)
    removed = size = 0
    try:
        expired = await setup.service(config, index, blobs).tidy()
        async for orphans in _orphans(index, blobs, VerifyReport()):
            await blobs.delete([orphan.blob for orphan in orphans])
            removed += len(orphans)
            size += sum(orphan.size for orphan in orphans)
    finally:
        await index.close()
    return GcReport(expired, removed, size)


async def _files(index: Index) -> AsyncIterator[list[FileRecord]]:
    after = ""
    while records := await index.scan(after, _STEP):
        yield records
        after = records[-1].name


async def _orphans(index: Index, blobs: Blobs, report: VerifyReport) -> AsyncIterator[list[FoundBlob]]:
    before = time.time() - LONGEST_UPLOAD_SECONDS
    async for listed in blobs.listing():
        report.blobs += len(listed)
        old = [blob for blob in listed if blob.modified < before]
        known = await index.known([blob.blob for blob in old])
        orphans = [blob for blob in old if blob.blob not in known]
        if orphans:
            yield orphans
