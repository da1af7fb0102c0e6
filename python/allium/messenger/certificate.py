"""The certificate with which the messenger is served over the network: made by itself, known by its fingerprint."""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from allium.base import files

#: How long it is good, and when it is made anew. Telephones take none that is good for longer.
_DAYS, _LEFT = 820, 30


def prepare(path: Path, names: Sequence[str]) -> str:
    """Has a certificate for these names and addresses in a file, with its key; its SHA-256, hex."""
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
        if _names(found) >= set(names) and found.not_valid_after_utc > datetime.now(UTC) + timedelta(days=_LEFT):
            return found.fingerprint(hashes.SHA256()).hex()
    except (OSError, ValueError, x509.ExtensionNotFound):
        pass
    made, key = _make(names)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files.replace(path, private + made.public_bytes(serialization.Encoding.PEM), files.PRIVATE)
    return hashlib.sha256(made.public_bytes(serialization.Encoding.DER)).hexdigest()


def _make(names: Sequence[str]) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Allium messenger")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName([_general(each) for each in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    return built.sign(key, hashes.SHA256()), key


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _names(certificate: x509.Certificate) -> set[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = {str(each) for each in found.get_values_for_type(x509.IPAddress)}
    return addresses | set(found.get_values_for_type(x509.DNSName))


def own_addresses(bound: str) -> list[str]:
    """Addresses at which others reach what listens on one; of all interfaces, those that this machine knows of."""
    if not ipaddress.ip_address(bound).is_unspecified:
        return [bound]
    found: list[str] = []
    # Nothing is sent: it only says which of our addresses would be used.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(("192.0.2.1", 9))
        found.append(str(probe.getsockname()[0]))
    with contextlib.suppress(OSError):
        found += [str(each[4][0]) for each in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
    return list(dict.fromkeys([*found, "127.0.0.1"]))
