//! Messages on their way from node to node (`spec/swarms` §4).

use bytes::Bytes;

use super::member::PeerError;
use crate::{
    bencode::{Bt, encode_bytes},
    store::NewMessage,
    types::{AccountId, Millis, Namespace},
};

/// Version of the blob.
const VERSION: u8 = 1;
/// Bytes of a blob at most, as estimated (the transports take 10 MiB).
pub const MAX_BLOB: usize = 9_000_000;

/// The first version that names a message's namespace, and reads it.
pub(super) const NAMED: [u16; 3] = [2, 11, 3];

/// A message in a blob, not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transferred {
    /// Whose.
    pub account: AccountId,
    /// What the sender calls it.
    pub hash: Vec<u8>,
    /// When sent.
    pub timestamp: Millis,
    /// When to go.
    pub expiry: Millis,
    /// What.
    pub data: Vec<u8>,
    /// Where; senders before 2.11.3 do not say, which reads as 0.
    pub namespace: Namespace,
    /// When the swarm took it from a client, and when its expiry was last changed; only Allium says so.
    pub times: Option<(Millis, Millis)>,
}

impl From<NewMessage> for Transferred {
    fn from(message: NewMessage) -> Self {
        let hash = message.hash.to_string().into_bytes();
        let NewMessage { account, namespace, timestamp, expiry, stored, changed, data, .. } = message;
        Self { account, hash, timestamp, expiry, data, namespace, times: Some((stored, changed)) }
    }
}

/// Whether the answer to `sn.data` says that all was stored: it has no parts, or begins with `OK`.
///
/// # Errors
/// The refusal.
pub fn accepted(answer: &[Bytes]) -> Result<(), PeerError> {
    match answer {
        [] => Ok(()),
        [ok, ..] if ok.as_ref() == b"OK" => Ok(()),
        parts => Err(PeerError::Refused(String::from_utf8_lossy(&parts.concat()).into_owned())),
    }
}

/// A blob that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// An old or unknown form.
    #[error("unknown version")]
    Version,
    /// Not a list of messages.
    #[error("malformed")]
    Malformed,
}

/// What a message adds to a blob, estimated as the reference does.
const fn estimate(message: &Transferred) -> usize {
    1 + 2 + 36 + 30 + (4 + message.hash.len()) + (6 + message.data.len())
}

/// Blobs of `messages`, each of at most `limit` bytes or one message; one empty blob for none. `timed`: for Allium.
#[must_use]
pub fn encode(messages: &[Transferred], limit: usize, timed: bool) -> Vec<Vec<u8>> {
    let mut blobs = Vec::new();
    let mut blob = vec![VERSION, b'l'];
    let mut size = 2;
    for message in messages {
        if size + estimate(message) > limit && blob.len() > 2 {
            blob.push(b'e');
            blobs.push(std::mem::replace(&mut blob, vec![VERSION, b'l']));
            size = 3;
        }
        size += estimate(message);
        blob.push(b'l');
        encode_bytes(&message.account.0, &mut blob);
        encode_bytes(&message.hash, &mut blob);
        blob.extend_from_slice(format!("i{}ei{}e", message.timestamp, message.expiry).as_bytes());
        encode_bytes(&message.data, &mut blob);
        blob.extend_from_slice(format!("i{}e", message.namespace.0).as_bytes());
        if let Some((stored, changed)) = message.times.filter(|_| timed) {
            blob.extend_from_slice(format!("i{stored}ei{changed}e").as_bytes());
        }
        blob.push(b'e');
    }
    blob.push(b'e');
    blobs.push(blob);
    blobs
}

/// The messages of a blob.
///
/// # Errors
/// [`TransferError`].
pub fn decode(blob: &[u8]) -> Result<Vec<Transferred>, TransferError> {
    let Some((&VERSION, list)) = blob.split_first() else { return Err(TransferError::Version) };
    let Ok(Bt::List(items)) = Bt::parse(list) else { return Err(TransferError::Malformed) };
    items.into_iter().map(message).collect()
}

fn message(item: Bt) -> Result<Transferred, TransferError> {
    let malformed = || TransferError::Malformed;
    let Bt::List(fields) = item else { return Err(malformed()) };
    let mut fields = fields.into_iter();
    let mut bytes = || match fields.next() {
        Some(Bt::Bytes(bytes)) => Ok(bytes),
        _ => Err(TransferError::Malformed),
    };
    let account = AccountId(bytes()?.try_into().map_err(|_| malformed())?);
    let hash = bytes()?;
    let time = |field: Option<Bt>| match field {
        Some(Bt::Int(time)) => u64::try_from(time).map(Millis).map_err(|_| TransferError::Malformed),
        _ => Err(TransferError::Malformed),
    };
    let (timestamp, expiry) = (time(fields.next())?, time(fields.next())?);
    let Some(Bt::Bytes(data)) = fields.next() else { return Err(malformed()) };
    let namespace = match fields.next() {
        None => Namespace(0),
        Some(Bt::Int(number)) => Namespace(i16::try_from(number).map_err(|_| malformed())?),
        Some(_) => return Err(malformed()),
    };
    let times = match (fields.next(), fields.next()) {
        (None, None) => None,
        (stored, changed) => Some((time(stored)?, time(changed)?)),
    };
    Ok(Transferred { account, hash, timestamp, expiry, data, namespace, times })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published() -> Transferred {
        Transferred {
            account: "054368520005786b249bcd461d28f75e560ea794014eeb17fcf6003f37d876783e".parse().unwrap(),
            hash: b"hash\0\x01\x02\x03".to_vec(),
            timestamp: Millis(12_345_678),
            expiry: Millis(15_801_678),
            data: b"da\0ta".to_vec(),
            namespace: Namespace(0),
            times: None,
        }
    }

    /// `spec/node-tests` §6; ours names the namespace too.
    #[test]
    fn the_references_blobs_are_read_and_ours_begin_alike() {
        let mut blob = b"\x01ll33:".to_vec();
        blob.extend_from_slice(&published().account.0);
        blob.extend_from_slice(b"8:hash\0\x01\x02\x03i12345678ei15801678e5:da\0ta");
        let [ours] = &encode(&[published()], MAX_BLOB, true)[..] else { panic!("one blob") };
        assert!(ours.starts_with(&blob) && ours.ends_with(b"5:da\0tai0eee"));
        blob.extend_from_slice(b"ee");
        assert_eq!(decode(&blob), Ok(vec![published()]));
        assert_eq!(decode(ours), Ok(vec![published()]));
        assert_eq!(encode(&[], MAX_BLOB, false), [b"\x01le"]);
        assert_eq!(decode(b"\x01le"), Ok(Vec::new()));
        assert_eq!(decode(b"0:"), Err(TransferError::Version));
        let timed = Transferred { times: Some((Millis(7), Millis(9))), ..published() };
        let [told] = &encode(std::slice::from_ref(&timed), MAX_BLOB, true)[..] else { panic!("one blob") };
        assert!(told.ends_with(b"5:da\0tai0ei7ei9eee"));
        assert_eq!(decode(told), Ok(vec![timed.clone()]));
        assert_eq!(encode(&[timed], MAX_BLOB, false), std::slice::from_ref(ours));
    }

    #[test]
    fn large_sets_take_several_blobs() {
        let message = Transferred { data: vec![0; 100_000], ..published() };
        let fit = (MAX_BLOB - 2) / estimate(&message);
        assert_eq!(encode(&vec![message.clone(); fit], MAX_BLOB, false).len(), 1);
        let blobs = encode(&vec![message; fit + 1], MAX_BLOB, false);
        assert_eq!(blobs.iter().map(|blob| decode(blob).unwrap().len()).collect::<Vec<_>>(), [fit, 1]);
    }
}
