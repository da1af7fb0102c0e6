//! The certificate that clients do not check: made once, kept in the data directory (`spec/transports` §1.1).

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::{
    Error, InconsistentKeys,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use zeroize::Zeroizing;

use crate::files::{Replacement, make_private};

/// File names, as operators know them.
const CERTIFICATE: &str = "cert.pem";
const KEY: &str = "key.pem";

/// The certificate of `directory` and its key, made if there is none.
///
/// # Errors
/// `InvalidData`, with the file's name, for what no TLS connection can be accepted with.
pub(super) fn load_or_make(directory: &Path, provider: &CryptoProvider) -> io::Result<CertifiedKey> {
    let (certificate_path, key_path) = (directory.join(CERTIFICATE), directory.join(KEY));
    if !certificate_path.exists() || !key_path.exists() {
        make(&certificate_path, &key_path)?;
    }
    let exposed = File::open(&key_path).and_then(|key| make_private(&key)).map_err(|error| {
        let text = format!(
            "{}: {error}; others may read it, or we may not: chown it to the node's user, and chmod 600",
            key_path.display()
        );
        io::Error::new(error.kind(), text)
    });
    if exposed? {
        tracing::warn!(
            key = %key_path.display(),
            "others could read this key, and cannot any more (mode 600); delete it and cert.pem for a new one if they did"
        );
    }
    let certificate =
        CertificateDer::from_pem_file(&certificate_path).map_err(|error| unusable(&certificate_path, error))?;
    let key = PrivateKeyDer::from_pem_file(&key_path).map_err(|error| unusable(&key_path, error))?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| unusable(&key_path, format!("{error} (an RSA key needs 2048 bits at least)")))?;
    let certified = CertifiedKey::new(vec![certificate], key);
    match certified.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(Error::InconsistentKeys(_)) => Err(unusable(&key_path, format!("it is not the key of {CERTIFICATE}"))),
        Err(error) => Err(unusable(&certificate_path, format!("{error} (X.509 version 3 is needed)"))),
    }
}

fn unusable(path: &Path, error: impl std::fmt::Display) -> io::Error {
    let text =
        format!("{}: {error}; delete {CERTIFICATE} and {KEY} and start again to have new ones made", path.display());
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn make(certificate_path: &Path, key_path: &Path) -> io::Result<()> {
    let mut name = DistinguishedName::new();
    name.push(DnType::CountryName, "AU");
    name.push(DnType::CommonName, "localhost");
    name.push(DnType::OrganizationName, "Oxen");
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2060, 1, 1);
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let certificate = params.self_signed(&key).map_err(io::Error::other)?;
    write(key_path, Zeroizing::new(key.serialize_pem()).as_bytes(), 0o600)?;
    write(certificate_path, certificate.pem().as_bytes(), 0o644)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = Replacement::new(path)?;
    file.file().write_all(bytes)?;
    file.file().set_permissions(fs::Permissions::from_mode(mode))?;
    file.commit()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::cipher_suites;

    fn load(directory: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
        load_or_make(directory, &cipher_suites::provider()).map(|certified| certified.cert)
    }

    #[test]
    fn made_once_and_kept_secret() {
        let directory = tempfile::tempdir().unwrap();
        let first = load(directory.path()).unwrap();
        let second = load(directory.path()).unwrap();
        assert_eq!(first, second);
        let mode = fs::metadata(directory.path().join(KEY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // As other programs write it.
        fs::set_permissions(directory.path().join(KEY), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(load(directory.path()).unwrap(), first);
        let mode = fs::metadata(directory.path().join(KEY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(directory.path().join(KEY), "nonsense").unwrap();
        let error = load(directory.path()).unwrap_err().to_string();
        assert!(error.contains("delete cert.pem and key.pem"), "{error}");
    }
}
