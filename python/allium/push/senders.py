"""The services that a push server delivers to, as its settings name them."""

from __future__ import annotations

from dataclasses import dataclass

from allium.push import apns, firebase, webpush
from allium.push.outcome import Sender
from allium.push.settings import PushConfig
from allium.push.subscription import APNS_SERVICES, WEB_SERVICES
from allium.push.tokens import unpadded


@dataclass(frozen=True)
class Services:
    """Senders by service, and what clients have to know of them."""

    senders: dict[str, Sender]
    #: For the browser; `None` where there is no Web Push.
    vapid: str | None


def make(config: PushConfig) -> Services:
    """Raises a `SetupError` for a key that cannot be used. Has to be called in the event loop."""
    senders: dict[str, Sender] = {}
    vapid = None
    if config.webpush_contact is not None:
        key = webpush.load_key(config.data_dir)
        vapid = unpadded(webpush.public_bytes(key.public_key()))
        for service in WEB_SERVICES:
            senders[service] = webpush.WebPushSender(
                key, config.webpush_contact, config.webpush_private, config.deliveries
            )
    if config.firebase_account is not None:
        account = firebase.Account(config.firebase_account)
        senders["firebase"] = firebase.FirebaseSender(account, config.firebase_url, config.deliveries)
    if config.apns_key and config.apns_key_id and config.apns_team_id and config.apns_topic:
        provider = apns.load_key(config.apns_key)
        named = config.apns_key_id, config.apns_team_id, config.apns_topic
        for service, url in zip(APNS_SERVICES, (config.apns_url, config.apns_sandbox_url), strict=True):
            senders[service] = apns.ApnsSender(provider, *named, url)
    return Services(senders, vapid)
