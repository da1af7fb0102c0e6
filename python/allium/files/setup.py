"""From settings to the parts of a file server: its index, its place for blobs, its files."""

from __future__ import annotations

from allium.files.blobs import Blobs
from allium.files.directory import DirectoryBlobs
from allium.files.index import Index
from allium.files.object_store import ObjectBlobs
from allium.files.service import FileService, Limits
from allium.files.settings import FilesConfig
from allium.files.sqlite import FILE_NAME, SqliteIndex

#: In the data directory.
BLOBS_DIRECTORY = "blobs"


async def open_index(config: FilesConfig) -> Index:
    """The index that the settings name; raises a `Complaint`."""
    if config.index is None:
        return SqliteIndex(config.data_dir / FILE_NAME)
    from allium.files.postgres import PostgresIndex

    return await PostgresIndex.open(config.index)


def open_blobs(config: FilesConfig) -> Blobs:
    """The place for blobs that the settings name; raises a `Complaint`."""
    if config.storage is None:
        return DirectoryBlobs(config.data_dir / BLOBS_DIRECTORY)
    return ObjectBlobs(config.storage)


def service(config: FilesConfig, index: Index, blobs: Blobs) -> FileService:
    """The files of the server."""
    limits = Limits(int(config.max_file_bytes), int(config.max_bytes), float(config.ttl_seconds))
    return FileService(index, blobs, config.data_dir, limits, numeric=config.numeric_ids)
