"""HTTP for clients of a file server and for the network's nodes; plain downloads have a way of their own."""

from __future__ import annotations

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from allium.files.api import FileApi
from allium.files.metrics import Metrics
from allium.files.quick_get import QuickGet
from allium.files.quick_handler import QuickHandler, QuickSettings
from allium.files.settings import FilesConfig
from allium.server.http_server import HEAD_SECONDS, HttpServer
from allium.server.messages import Answerer
from allium.server.quota import SourceQuota


class FilesHttpServer(HttpServer):
    """The HTTP server of files."""

    def __init__(
        self,
        config: FilesConfig,
        source_quota: SourceQuota,
        api: FileApi,
        onion: Answerer,
        metrics: Metrics,
        quick: QuickGet | None = None,
    ) -> None:
        super().__init__(config, source_quota, api.answer, onion, metrics)
        self._quick = None
        if quick is not None:
            slow = metrics.refused.labels("slow").inc
            self._quick = QuickSettings(quick, metrics.downloaded, slow, HEAD_SECONDS, config.longest, self.under_way)

    def __call__(self) -> RequestHandler:
        """What a new connection is given to."""
        return QuickHandler(self._quick, self, loop=self._loop, **self._options)

    def begun(self, request: web.BaseRequest) -> None:
        """Told of each request that begins."""
        if isinstance(request.protocol, QuickHandler):
            request.protocol.request_begun()

    def kind(self, request: web.BaseRequest) -> str:
        """What is asked, of a fixed number of words."""
        parts = request.rel_url.raw_path.split("/")
        known = parts[1] if len(parts) > 1 and parts[1] in ("file", "files", "session_version", "oxen") else "other"
        if known == "file" and len(parts) > 3:
            known = parts[3] if parts[3] in ("info", "extend") else "other"
        return f"{super().kind(request)} {known}"
