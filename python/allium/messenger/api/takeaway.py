"""Backups and exports: what one takes away, written in the background."""

from __future__ import annotations

from pathlib import Path

from allium.messenger import requests, takeaways, values
from allium.messenger.calls import Call, Operations
from allium.messenger.errors import ApiError
from allium.messenger.jobs import Told
from allium.messenger.views import AccountView, JobRef, JobView

table = Operations()
_ACCOUNT = "/api/accounts/{account}"


@table.add(
    "POST",
    f"{_ACCOUNT}/backups",
    "Write a backup on this machine",
    body=requests.BackupWanted,
    answer=JobRef,
    status=202,
)
async def backup(call: Call) -> JobRef:
    account, path, password = call.account, _path(call, call.body.path), call.body.password

    async def work(told: Told) -> object:
        return await account.session.backups.write(path, password=password, progress=lambda rows: told(rows, None))

    return JobRef(job=call.service.jobs.begin(account.id, "backup", work))


@table.add(
    "POST",
    "/api/backups/restore",
    "An account of a backup on this machine",
    body=requests.RestoreWanted,
    answer=AccountView,
    status=201,
)
async def restore(call: Call) -> AccountView:
    wanted, path = call.body, _path(call, call.body.path)
    return await call.service.restore(
        path, phrase=wanted.phrase, backup_password=wanted.backup_password, password=wanted.password
    )


@table.add(
    "POST",
    f"{_ACCOUNT}/exports",
    "Write what was said, in the clear, or one conversation sealed",
    body=requests.ExportWanted,
    answer=JobRef,
    status=202,
)
async def export(call: Call) -> JobRef:
    account, path, html = call.account, _path(call, call.body.path), call.body.format == "html"
    conversation = values.from_url(call.body.conversation) if call.body.conversation else None
    as_zip, password = call.body.format == "zip", call.body.password
    if (conversation is not None and call.body.format == "json") or (conversation is None and as_zip):
        raise ApiError("invalid", "Of one conversation a page or a zip can be written: say html or zip.")
    if password is not None and not as_zip:
        raise ApiError("invalid", "Only a zip is sealed.")

    async def work(told: Told) -> None:
        exports = account.session.exports
        if conversation is not None and as_zip:
            await takeaways.write(account, path, conversation, password, told)
            return

        def progress(done: int) -> None:
            told(done, None)

        if conversation is not None:
            await exports.write_page(path, conversation, progress=progress)
        elif html:
            await exports.write_html(path, progress=progress)
        else:
            await exports.write_json(path, progress=progress)

    return JobRef(job=call.service.jobs.begin(account.id, "export", work))


@table.add(
    "POST",
    f"{_ACCOUNT}/imports",
    "Add a conversation that was written as a zip; what is there already stays",
    body=requests.ImportWanted,
    answer=JobRef,
    status=202,
)
async def take_in(call: Call) -> JobRef:
    account, path, password = call.account, _path(call, call.body.path), call.body.password

    async def work(told: Told) -> None:
        found = await takeaways.read(account, path, password, told)
        told(found.added, found.added + found.known)
        call.service.hub.tell("config_changed", account.id, namespace=0)

    return JobRef(job=call.service.jobs.begin(account.id, "import", work))


def _path(call: Call, given: str) -> Path:
    path = Path(given).expanduser()
    if not path.is_absolute() or "\0" in given:
        raise ApiError("invalid", "Say the whole path of the file, from the root or from ~.")
    if path.resolve().is_relative_to(call.service.places.directory.resolve()):
        raise ApiError("invalid", "The messenger's own directory is no place for it; choose another one.")
    if not path.parent.is_dir():
        raise ApiError("invalid", f"There is no directory {path.parent}; make it, or choose another one.")
    return path


@table.add("GET", f"{_ACCOUNT}/jobs/{{job}}", "How far something is", answer=JobView)
async def job(call: Call) -> JobView:
    return call.service.jobs.get(call.account.id, call.path("job"))


@table.add("DELETE", f"{_ACCOUNT}/jobs/{{job}}", "End it", answer=JobView)
async def cancel(call: Call) -> JobView:
    return await call.service.jobs.cancel(call.account.id, call.path("job"))
