//! Session tickets (RFC 8446 §4.6.1, RFC 5077) that a restart does not end: their keys are in the data directory, each for
//! half a day. Clients that connect anew after a restart then need no signature from a node that all of them come back to.
//!
//! Whoever has the keys can read the sessions of TLS 1.2 that a ticket was given to while they were in force; those of TLS 1.3
//! cannot be read with them.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use parking_lot::RwLock;
use rustls::server::ProducesTickets;
use zeroize::Zeroizing;

use crate::files::Replacement;

/// In the data directory: for each key when it was made, in seconds since 1970, and the key; the newest first.
const FILE: &str = "session-tickets.key";
const TIME: usize = 8;
const SECRET: usize = 32;
/// Seconds for which a key makes tickets, and for which it opens them.
const MAKES: u64 = 6 * 3600;
const OPENS: u64 = 2 * MAKES;
/// Bytes of the largest ticket that is looked at; a client's certificate may be in it.
const LARGEST: usize = 16 << 10;

struct Key {
    made: u64,
    secret: Zeroizing<[u8; SECRET]>,
    aead: RandomizedNonceKey,
}

impl Key {
    fn new(made: u64, secret: Zeroizing<[u8; SECRET]>) -> Option<Self> {
        let aead = RandomizedNonceKey::new(&AES_256_GCM, secret.as_slice()).ok()?;
        Some(Self { made, secret, aead })
    }

    fn random(now: u64) -> Option<Self> {
        let mut secret = Zeroizing::new([0; SECRET]);
        getrandom::fill(secret.as_mut_slice()).ok()?;
        Self::new(now, secret)
    }

    /// Whether it is younger than so many seconds. One of the future is not.
    fn is_within(&self, seconds: u64, now: u64) -> bool {
        now.checked_sub(self.made).is_some_and(|age| age < seconds)
    }
}

/// Makes and opens tickets.
pub(super) struct SessionTickets {
    path: PathBuf,
    /// The newest first, two at most.
    keys: RwLock<Vec<Key>>,
}

impl std::fmt::Debug for SessionTickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionTickets").finish_non_exhaustive()
    }
}

impl SessionTickets {
    /// With the keys of `directory`, where they are kept. What is no such file counts as none.
    pub(super) fn of(directory: &Path) -> Self {
        Self::at(directory, seconds())
    }

    fn at(directory: &Path, now: u64) -> Self {
        let path = directory.join(FILE);
        let bytes = Zeroizing::new(fs::read(&path).unwrap_or_default());
        let (records, rest) = bytes.as_chunks::<{ TIME + SECRET }>();
        let mut keys = Vec::new();
        if rest.is_empty() && records.len() <= 2 {
            keys.extend(records.iter().filter_map(|record| {
                let (made, secret) = record.split_at(TIME);
                Key::new(u64::from_be_bytes(made.try_into().ok()?), Zeroizing::new(secret.try_into().ok()?))
            }));
        }
        let tickets = Self { path, keys: RwLock::new(keys) };
        // Now, and not while a client waits. A node without randomness serves without tickets.
        let _ = tickets.renew(now);
        tickets
    }

    /// Makes a key where there is none that is new enough. `None` when the system has no randomness.
    fn renew(&self, now: u64) -> Option<()> {
        let is_new = |keys: &[Key]| keys.first().is_some_and(|key| key.is_within(MAKES, now));
        if is_new(&self.keys.read()) {
            return Some(());
        }
        let mut keys = self.keys.write();
        if !is_new(&keys) {
            keys.retain(|key| key.is_within(OPENS, now));
            keys.insert(0, Key::random(now)?);
            keys.truncate(2);
            // It opens tickets until the process ends in any case.
            if let Err(error) = self.keep(&keys) {
                tracing::warn!(%error, file = %self.path.display(), "session tickets will not outlast a restart");
            }
        }
        Some(())
    }

    fn encrypt_at(&self, plain: &[u8], now: u64) -> Option<Vec<u8>> {
        self.renew(now)?;
        let keys = self.keys.read();
        let mut sealed = plain.to_vec();
        let nonce = keys.first()?.aead.seal_in_place_append_tag(Aad::empty(), &mut sealed).ok()?;
        Some([nonce.as_ref().as_slice(), &sealed].concat())
    }

    fn decrypt_at(&self, ticket: &[u8], now: u64) -> Option<Vec<u8>> {
        let (nonce, sealed) = ticket.split_at_checked(NONCE_LEN)?;
        let nonce: [u8; NONCE_LEN] = nonce.try_into().ok()?;
        if sealed.len() > LARGEST {
            return None;
        }
        let keys = self.keys.read();
        keys.iter().filter(|key| key.is_within(OPENS, now)).find_map(|key| {
            let mut opened = sealed.to_vec();
            let length = key.aead.open_in_place(Nonce::from(&nonce), Aad::empty(), &mut opened).ok()?.len();
            opened.truncate(length);
            Some(opened)
        })
    }

    fn keep(&self, keys: &[Key]) -> io::Result<()> {
        let mut file = Replacement::new(&self.path)?;
        for key in keys {
            file.file().write_all(&key.made.to_be_bytes())?;
            file.file().write_all(key.secret.as_slice())?;
        }
        file.commit()
    }
}

impl ProducesTickets for SessionTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        OPENS as u32
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.encrypt_at(plain, seconds())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.decrypt_at(cipher, seconds())
    }
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOW: u64 = 1_000_000;

    #[test]
    fn a_ticket_outlasts_a_restart_and_no_more_than_its_key() {
        let directory = tempfile::tempdir().unwrap();
        let before = SessionTickets::at(directory.path(), NOW);
        let ticket = before.encrypt_at(b"session", NOW).unwrap();
        let mode = fs::metadata(directory.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let after = SessionTickets::at(directory.path(), NOW);
        assert_eq!(after.decrypt_at(&ticket, NOW).unwrap(), b"session");
        assert_eq!(after.decrypt_at(&ticket, NOW + OPENS - 1).unwrap(), b"session");
        assert_eq!(after.decrypt_at(&ticket, NOW + OPENS), None);
        // A clock that was put back.
        assert_eq!(after.decrypt_at(&ticket, NOW - 1), None);
        let next = after.encrypt_at(b"next", NOW + MAKES).unwrap();
        let again = SessionTickets::at(directory.path(), NOW + MAKES);
        assert_eq!(again.decrypt_at(&ticket, NOW + MAKES).unwrap(), b"session");
        assert_eq!(again.decrypt_at(&next, NOW + MAKES).unwrap(), b"next");
        assert_eq!(before.decrypt_at(&next, NOW + MAKES), None);
        // The third key takes the place of the first.
        again.encrypt_at(b"", NOW + OPENS).unwrap();
        assert_eq!(fs::metadata(directory.path().join(FILE)).unwrap().len(), 2 * (TIME + SECRET) as u64);
        let last = SessionTickets::at(directory.path(), NOW + OPENS);
        assert_eq!(last.decrypt_at(&ticket, NOW + OPENS - 1), None);
    }

    #[test]
    fn what_a_stranger_makes_up_opens_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let tickets = SessionTickets::at(directory.path(), NOW);
        assert_eq!(tickets.decrypt_at(&[0; 64], NOW), None);
        let ticket = tickets.encrypt_at(b"session", NOW).unwrap();
        for length in 0..ticket.len() {
            assert_eq!(tickets.decrypt_at(&ticket[..length], NOW), None);
        }
        for place in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[place] ^= 1;
            assert_eq!(tickets.decrypt_at(&changed, NOW), None);
        }
        assert_eq!(tickets.decrypt_at(&vec![0; LARGEST * 2], NOW), None);
    }

    #[test]
    fn a_broken_file_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), [7; 55]).unwrap();
        let ticket = SessionTickets::at(directory.path(), NOW).encrypt_at(b"session", NOW).unwrap();
        assert_eq!(SessionTickets::at(directory.path(), NOW).decrypt_at(&ticket, NOW).unwrap(), b"session");
        fs::remove_dir_all(directory.path()).unwrap();
        // Where nothing can be written tickets are of this process.
        let tickets = SessionTickets::at(directory.path(), NOW);
        let ticket = tickets.encrypt_at(b"session", NOW).unwrap();
        assert_eq!(tickets.decrypt_at(&ticket, NOW).unwrap(), b"session");
    }
}
