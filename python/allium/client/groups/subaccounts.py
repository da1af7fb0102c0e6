"""How members, who have no key of the group, sign requests to its swarm (`spec/groups` §4)."""

from __future__ import annotations

from dataclasses import dataclass, field

from allium.client import crypto, curve
from allium.client.account import Account, account_key
from allium.client.groups.identity import GroupIdentity

TOKEN_BYTES, AUTH_BYTES = 36, 100
READ, WRITE, DELETE, ANY_PREFIX = 1, 2, 4, 8
#: What members get.
MEMBER = READ | WRITE
_PREFIX = 0x03


class SubaccountError(ValueError):
    """Auth data that is not good for this account and group."""


@dataclass(frozen=True)
class SubaccountSignature:
    """What a request has beside its other fields."""

    token: bytes
    #: The admin's, over the token.
    token_signature: bytes
    #: The member's, over the request's text.
    signature: bytes


@dataclass(frozen=True)
class AuthData:
    """What a member has from an admin. Secret."""

    flags: int
    mask: bytes = field(repr=False)
    token_signature: bytes = field(repr=False)

    def encoded(self) -> bytes:
        """100 bytes, as in an invitation and in UserGroups."""
        return bytes([_PREFIX, self.flags, 0, 0]) + self.mask + self.token_signature

    @classmethod
    def parse(cls, data: bytes) -> AuthData:
        """The inverse; `SubaccountError` for other bytes."""
        if len(data) != AUTH_BYTES or data[0] != _PREFIX:
            raise SubaccountError("not auth data of a group")
        return cls(data[1], data[4:36], data[36:])


def token(group: GroupIdentity, account_id: str, flags: int = MEMBER) -> bytes:
    """The 36 bytes that name a member to the swarm; the admin makes them, also to revoke them."""
    return _token(flags, curve.times(_mask(group, account_id), curve.point_of(account_key(account_id))))


def issue(group: GroupIdentity, account_id: str, flags: int = MEMBER) -> AuthData:
    """What an admin gives a member; `ValueError` for an Account ID that is no good key."""
    signature = group.sign(token(group, account_id, flags))
    return AuthData(flags, _mask(group, account_id), signature)


def verify(group: GroupIdentity, account: Account, data: bytes) -> AuthData:
    """The auth data of an invitation to this account; `SubaccountError` if it is not good for it or read-only."""
    auth = AuthData.parse(data)
    if not auth.flags & WRITE:
        raise SubaccountError("auth data without the right to write")
    if not group.verify(auth.token_signature, _own_token(account, auth)):
        raise SubaccountError("auth data of somebody else, or of no admin")
    return auth


def sign(account: Account, auth: AuthData, message: bytes) -> SubaccountSignature:
    """Signs the text of a request; `SubaccountError` if the auth data is good for nothing."""
    scalar = curve.secret_scalar(account.ed25519_secret)
    # The token is of the point whose sign is 0, which our own key may not have.
    if curve.is_negative(account.ed25519_public):
        scalar = curve.negate(scalar)
    own = _own_token(account, auth)
    point = own[4:]
    seed = crypto.blake2b(32, account.ed25519_secret[: crypto.SEED_BYTES], key=b"SubaccountSeed")
    nonce = curve.reduce(crypto.blake2b(64, seed, point, message, key=b"SubaccountSig"))
    blinded = curve.multiply(auth.mask, scalar)
    return SubaccountSignature(own, auth.token_signature, curve.sign(blinded, point, nonce, message))


def _own_token(account: Account, auth: AuthData) -> bytes:
    try:
        return _token(auth.flags, curve.times(auth.mask, curve.point_of(account.x25519_public)))
    except curve.CurveError:
        raise SubaccountError("auth data that is no number") from None


def _token(flags: int, point: bytes) -> bytes:
    return bytes([_PREFIX, flags, 0, 0]) + point


def _mask(group: GroupIdentity, account_id: str) -> bytes:
    if group.seed is None:
        raise ValueError("only an admin can do this")
    key = crypto.blake2b(32, group.seed, key=b"SessionGroupSubaccountMask")
    return curve.reduce(crypto.blake2b(64, b"\x05", account_key(account_id), b"\x03", group.public, key=key))
