"""Blobs with a provider of object storage, by its URL: S3 and what speaks as it does, Google's, Azure's."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import os
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from allium.errors import SetupError
from allium.files.blobs import BlobMissingError, BlobsUnusableError, FoundBlob, blob_at, path_of
from allium.server.messages import CHUNK_BYTES

if TYPE_CHECKING:
    from obstore import GetResult

T = TypeVar("T")

#: Parts of a blob that are sent at once, and blobs: what is in memory is at most their product.
_PART_BYTES, _PARTS, _PUTS = 5 << 20, 2, 4
_LISTED = 1000
#: A provider that fails is asked again, while the client waits.
_RETRIES, _RETRY_SECONDS, _CONNECT = 4, 15, "5s"
#: What allows a provider without TLS, in the environment.
_ALLOW_HTTP = ("AWS_ALLOW_HTTP", "AZURE_ALLOW_HTTP", "GOOGLE_ALLOW_HTTP")
#: Of the provider's words.
_LONGEST_REASON = 200


class ObjectBlobs:
    """`Blobs` at the place of a URL. The keys to it come from the environment, as the provider's tools have them."""

    def __init__(self, url: str) -> None:
        """Raises `SetupError` when obstore is missing or the URL means nothing."""
        try:
            self._obstore = importlib.import_module("obstore")
            store = importlib.import_module("obstore.store")
            self._errors = importlib.import_module("obstore.exceptions")
        except ModuleNotFoundError:
            raise SetupError('storage at a provider needs obstore; run: pip install "allium[files]"') from None
        try:
            retries = {"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_RETRY_SECONDS)}
            # Options that are given count in place of the environment's, and not beside them.
            allow_http = any(os.environ.get(name, "").lower() in ("1", "true") for name in _ALLOW_HTTP)
            options = {"connect_timeout": _CONNECT, "allow_http": allow_http}
            self._store = store.from_url(url, retry_config=retries, client_options=options)
        except (self._errors.BaseError, ValueError) as error:
            raise SetupError(f"storage = {url!r} cannot be used: {_short(error)}") from None
        self._puts = asyncio.Semaphore(_PUTS)

    async def put(self, blob: str, content: Path) -> None:
        """See `Blobs`."""
        async with self._puts:
            await self._ask(
                lambda: self._obstore.put_async(
                    self._store, path_of(blob), content, chunk_size=_PART_BYTES, max_concurrency=_PARTS
                )
            )
        await asyncio.to_thread(content.unlink, missing_ok=True)

    async def open(self, blob: str, size: int) -> ObjectReader:
        """See `Blobs`."""
        result = await self._ask(lambda: self._obstore.get_async(self._store, path_of(blob)))
        if result.meta["size"] < size:
            raise BlobMissingError
        return ObjectReader(result, self._failure)

    async def delete(self, blobs: Sequence[str]) -> None:
        """See `Blobs`."""
        for blob in blobs:
            with contextlib.suppress(BlobMissingError):
                await self._ask(functools.partial(self._obstore.delete_async, self._store, path_of(blob)))

    async def listing(self) -> AsyncIterator[list[FoundBlob]]:
        """See `Blobs`."""
        stream = self._obstore.list(self._store, chunk_size=_LISTED)
        while True:
            try:
                listed = await anext(stream)
            except StopAsyncIteration:
                return
            except self._errors.BaseError as error:
                raise self._failure(error) from None
            yield [
                FoundBlob(blob, each["size"], each["last_modified"].timestamp())
                for each in listed
                if (blob := blob_at(each["path"])) is not None
            ]

    async def probe(self) -> None:
        """See `Blobs`."""
        name = f"probe-{secrets.token_hex(4)}"
        await self._ask(lambda: self._obstore.put_async(self._store, name, b"probe"))
        await self._ask(lambda: self._obstore.delete_async(self._store, name))

    async def _ask(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        try:
            return await ask()
        except self._errors.NotFoundError:
            raise BlobMissingError from None
        except FileNotFoundError:
            raise BlobMissingError from None
        except self._errors.BaseError as error:
            raise self._failure(error) from None

    def _failure(self, error: Exception) -> BlobsUnusableError:
        return BlobsUnusableError(f"the provider of the storage did not do it: {_short(error)}")


class ObjectReader:
    """A `BodyReader` of an object."""

    def __init__(self, result: GetResult, failure: Callable[[Exception], BlobsUnusableError]) -> None:
        self._result = result
        self._failure = failure

    @property
    def file(self) -> BinaryIO | None:
        """See `BodyReader`."""
        return None

    async def read(self) -> bytes:
        """See `BodyReader`."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `BodyReader`."""
        stream = self._result.stream(min_chunk_size=CHUNK_BYTES)
        while True:
            try:
                chunk = await anext(stream)
            except StopAsyncIteration:
                return
            except Exception as error:
                raise self._failure(error) from None
            yield bytes(chunk)

    def close(self) -> None:
        """See `BodyReader`."""


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _LONGEST_REASON else text[:_LONGEST_REASON] + "…"
