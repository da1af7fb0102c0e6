//! The certificate that clients do not check: made once, kept in the data directory (`spec/transports` §1.1).

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use zeroize::Zeroizing;

/// File names, as operators know them.
const CERTIFICATE: &str = "cert.pem";
const KEY: &str = "key.pem";

/// The certificate of `directory`, made if there is none.
pub(super) fn load_or_make(directory: &Path) -> io::Result<(CertificateDer<'static>, PrivateKeyDer<'static>)> {
    let (certificate_path, key_path) = (directory.join(CERTIFICATE), directory.join(KEY));
    if !certificate_path.exists() || !key_path.exists() {
        make(&certificate_path, &key_path)?;
    }
    let certificate =
        CertificateDer::from_pem_file(&certificate_path).map_err(|error| unusable(&certificate_path, error))?;
    let key = PrivateKeyDer::from_pem_file(&key_path).map_err(|error| unusable(&key_path, error))?;
    Ok((certificate, key))
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

/// Complete or not there at all, even if we are stopped meanwhile.
fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let _ = fs::remove_file(&unfinished);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn made_once_and_kept_secret() {
        let directory = tempfile::tempdir().unwrap();
        let (first, _) = load_or_make(directory.path()).unwrap();
        let (second, _) = load_or_make(directory.path()).unwrap();
        assert_eq!(first, second);
        let mode = fs::metadata(directory.path().join(KEY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(directory.path().join(KEY), "nonsense").unwrap();
        let error = load_or_make(directory.path()).unwrap_err().to_string();
        assert!(error.contains("delete cert.pem and key.pem"), "{error}");
    }
}
