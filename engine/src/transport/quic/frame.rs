//! A request stream: length-prefixed bencoded lists (`spec/transports` §3.2).

use std::{sync::Arc, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use quinn::RecvStream;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::bencode::Bt;

/// Characters of the longest prefix, its colon included.
const MAX_PREFIX: usize = 9;
/// Bytes taken from the connection at once.
const CHUNK: usize = 64 << 10;
/// How long the rest of a frame may take after its prefix.
const REST: Duration = Duration::from_secs(60);

/// The stream says something that is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad framing")]
pub struct BadFraming;

/// One message of a request stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Asks something; the answer carries the same number.
    Command {
        /// Chosen by the requester.
        rid: i64,
        /// What is asked.
        endpoint: Vec<u8>,
        /// With what.
        body: Vec<u8>,
    },
    /// What was asked for.
    Reply {
        /// Of the command.
        rid: i64,
        /// The answer.
        body: Vec<u8>,
    },
    /// Why not.
    Error {
        /// Of the command.
        rid: i64,
        /// The reason.
        body: Vec<u8>,
    },
}

impl Message {
    /// From the bytes of a frame.
    ///
    /// # Errors
    /// [`BadFraming`].
    pub fn parse(frame: &[u8]) -> Result<Self, BadFraming> {
        let Ok(Bt::List(items)) = Bt::parse(frame) else { return Err(BadFraming) };
        let rid = match items.get(1) {
            Some(Bt::Int(rid)) => i64::try_from(*rid).map_err(|_| BadFraming)?,
            _ => return Err(BadFraming),
        };
        let mut strings = items.into_iter().filter_map(|item| match item {
            Bt::Bytes(bytes) => Some(bytes),
            _ => None,
        });
        match (strings.next().as_deref(), strings.next(), strings.next(), strings.next()) {
            (Some(b"C"), Some(endpoint), Some(body), None) => Ok(Self::Command { rid, endpoint, body }),
            (Some(b"R"), Some(body), None, None) => Ok(Self::Reply { rid, body }),
            (Some(b"E"), Some(body), None, None) => Ok(Self::Error { rid, body }),
            _ => Err(BadFraming),
        }
    }

    /// The frame, its prefix included.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let (kind, rid, strings): (&[u8], i64, Vec<&[u8]>) = match self {
            Self::Command { rid, endpoint, body } => (b"C", *rid, vec![endpoint, body]),
            Self::Reply { rid, body } => (b"R", *rid, vec![body]),
            Self::Error { rid, body } => (b"E", *rid, vec![body]),
        };
        let mut items = vec![Bt::from(kind), Bt::Int(rid.into())];
        items.extend(strings.into_iter().map(Bt::from));
        let list = Bt::List(items).encode();
        let mut frame = list.len().to_string().into_bytes();
        frame.push(b':');
        frame.extend_from_slice(&list);
        frame.into()
    }
}

/// Bytes of the prefix (with its colon) and of the frame after it, which has at most `largest`; `None` while the colon has
/// not come.
///
/// # Errors
/// [`BadFraming`].
pub fn prefix(bytes: &[u8], largest: usize) -> Result<Option<(usize, usize)>, BadFraming> {
    let head = &bytes[..bytes.len().min(MAX_PREFIX)];
    let Some(digits) = head.iter().position(|byte| *byte == b':') else {
        let may_go_on = head.len() < MAX_PREFIX && head.iter().all(u8::is_ascii_digit);
        return if may_go_on { Ok(None) } else { Err(BadFraming) };
    };
    if digits == 0 || !head[..digits].iter().all(u8::is_ascii_digit) {
        return Err(BadFraming);
    }
    let length = head[..digits].iter().fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
    if length > largest { Err(BadFraming) } else { Ok(Some((digits + 1, length))) }
}

/// Takes frames out of a stream. `budget` is what all frames of the connection may take together, in bytes: a frame's
/// share is held from the moment its length is known until the permit is dropped.
pub(super) struct Frames {
    stream: RecvStream,
    buffer: BytesMut,
    budget: Arc<Semaphore>,
    largest: usize,
}

impl Frames {
    pub(super) fn new(stream: RecvStream, budget: Arc<Semaphore>, largest: usize) -> Self {
        Self { stream, buffer: BytesMut::new(), budget, largest }
    }

    /// The next frame; `None` when the stream or the connection ends.
    pub(super) async fn next(&mut self) -> Result<Option<(Bytes, OwnedSemaphorePermit)>, BadFraming> {
        let (head, length) = loop {
            if let Some(found) = prefix(&self.buffer, self.largest)? {
                break found;
            }
            if !self.fill().await {
                return Ok(None);
            }
        };
        let share = u32::try_from(length).map_err(|_| BadFraming)?;
        let Ok(permit) = Arc::clone(&self.budget).acquire_many_owned(share).await else { return Ok(None) };
        let whole = timeout(REST, async {
            while self.buffer.len() < head + length {
                if !self.fill().await {
                    return false;
                }
            }
            true
        });
        if !whole.await.unwrap_or(false) {
            return Ok(None);
        }
        self.buffer.advance(head);
        Ok(Some((self.buffer.split_to(length).freeze(), permit)))
    }

    async fn fill(&mut self) -> bool {
        match self.stream.read_chunk(CHUNK, true).await {
            Ok(Some(chunk)) => {
                self.buffer.extend_from_slice(&chunk.bytes);
                true
            }
            Ok(None) | Err(_) => false,
        }
    }

    /// Tells the other end that nothing more is read.
    pub(super) fn stop(mut self, code: u32) {
        let _ = self.stream.stop(code.into());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::REFERENCE_FRAME, *};

    fn prefix(bytes: &[u8]) -> Result<Option<(usize, usize)>, BadFraming> {
        super::prefix(bytes, REFERENCE_FRAME)
    }

    /// `spec/transports` §3.2.
    #[test]
    fn published_frames() {
        let ping = Message::Command { rid: 7, endpoint: b"snode_ping".to_vec(), body: Vec::new() };
        assert_eq!(ping.encode(), b"23:l1:Ci7e10:snode_ping0:e".as_slice());
        let pong = Message::Reply { rid: 7, body: b"pong".to_vec() };
        assert_eq!(pong.encode(), b"14:l1:Ri7e4:ponge".as_slice());
        assert_eq!(prefix(b"23:l1:C"), Ok(Some((3, 23))));
    }

    #[test]
    fn prefixes() {
        for (bytes, want) in [
            (&b""[..], Ok(None)),
            (b"12345678", Ok(None)),
            (b"123456789", Err(BadFraming)),
            (b"10000000:", Ok(Some((9, 10_000_000)))),
            (b"10000001:", Err(BadFraming)),
            (b"99999999:", Err(BadFraming)),
            (b":", Err(BadFraming)),
            (b"1x", Err(BadFraming)),
            (b"-1:", Err(BadFraming)),
            (b"0:", Ok(Some((2, 0)))),
        ] {
            assert_eq!(prefix(bytes), want, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_message_comes_back(rid: i64, a: Vec<u8>, b: Vec<u8>) {
            for message in [
                Message::Command { rid, endpoint: a.clone(), body: b.clone() },
                Message::Reply { rid, body: a.clone() },
                Message::Error { rid, body: b.clone() },
            ] {
                let frame = message.encode();
                let (head, length) = prefix(&frame).unwrap().unwrap();
                prop_assert_eq!(frame.len(), head + length);
                prop_assert_eq!(Message::parse(&frame[head..]), Ok(message));
            }
        }

        #[test]
        fn fuzz_quic_stream(bytes in crate::fuzz::hostile("quic")) {
            let mut rest = bytes.as_slice();
            while let Ok(Some((head, length))) = prefix(rest) {
                prop_assert!(length <= REFERENCE_FRAME);
                let Some(frame) = rest.get(head..head + length) else { break };
                if let Ok(message) = Message::parse(frame) {
                    let encoded = message.encode();
                    let (head, _) = prefix(&encoded).unwrap().unwrap();
                    prop_assert_eq!(Message::parse(&encoded[head..]), Ok(message));
                }
                rest = &rest[head + length..];
            }
        }
    }
}
