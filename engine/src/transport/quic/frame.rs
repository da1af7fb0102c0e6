//! A request stream: length-prefixed bencoded lists (`spec/transports` §3.2).

use std::{sync::Arc, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use quinn::RecvStream;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{
    bencode::{encode_bytes, encode_int, push_decimal},
    holder::Holder,
    transport::memory::{MemoryBudget, MemoryShare},
};

/// Bytes before a frame's body, behind its prefix and beside an endpoint's name, at most.
const REST_OF_HEAD: usize = 72;
/// Characters of the longest prefix, its colon included.
const MAX_PREFIX: usize = 9;
/// Frames of up to so many bytes count to their connection alone.
const SMALL: usize = 16 << 10;
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
pub enum QuicMessage {
    /// Asks something; the answer carries the same number.
    Command {
        /// Chosen by the requester.
        rid: i64,
        /// What is asked.
        endpoint: BytesMut,
        /// With what.
        body: BytesMut,
    },
    /// What was asked for.
    Reply {
        /// Of the command.
        rid: i64,
        /// The answer.
        body: BytesMut,
    },
    /// Why not.
    Error {
        /// Of the command.
        rid: i64,
        /// The reason.
        body: BytesMut,
    },
}

impl QuicMessage {
    /// From the bytes of a frame, of which its parts remain parts.
    ///
    /// # Errors
    /// [`BadFraming`].
    pub fn parse(mut frame: BytesMut) -> Result<Self, BadFraming> {
        open_list(&mut frame)?;
        let kind = take_string(&mut frame)?;
        let rid = take_int(&mut frame)?;
        let message = match kind.as_ref() {
            b"C" => {
                let endpoint = take_string(&mut frame)?;
                Self::Command { rid, endpoint, body: take_string(&mut frame)? }
            }
            b"R" => Self::Reply { rid, body: take_string(&mut frame)? },
            b"E" => Self::Error { rid, body: take_string(&mut frame)? },
            _ => return Err(BadFraming),
        };
        close_list(&frame)?;
        Ok(message)
    }
}

/// The list that a message is: to be followed by integers and strings.
pub(crate) fn open_list(bytes: &mut BytesMut) -> Result<(), BadFraming> {
    if bytes.first() != Some(&b'l') {
        return Err(BadFraming);
    }
    bytes.advance(1);
    Ok(())
}

/// Whether the list ends here, and nothing comes after it.
pub(crate) fn close_list(bytes: &[u8]) -> Result<(), BadFraming> {
    if bytes == b"e" { Ok(()) } else { Err(BadFraming) }
}

/// Cuts a string off the front.
pub(crate) fn take_string(bytes: &mut BytesMut) -> Result<BytesMut, BadFraming> {
    let (head, length) = prefix(bytes, bytes.len())?.ok_or(BadFraming)?;
    if bytes.len() - head < length {
        return Err(BadFraming);
    }
    bytes.advance(head);
    Ok(bytes.split_to(length))
}

/// Cuts an integer off the front.
pub(crate) fn take_int(bytes: &mut BytesMut) -> Result<i64, BadFraming> {
    let rest = bytes.strip_prefix(b"i").ok_or(BadFraming)?;
    // 20 characters are the longest.
    let end = rest.iter().take(21).position(|byte| *byte == b'e').ok_or(BadFraming)?;
    let (digits, _) = rest.split_at(end);
    let bare = digits.strip_prefix(b"-").unwrap_or(digits);
    if bare.is_empty() || !bare.iter().all(u8::is_ascii_digit) {
        return Err(BadFraming);
    }
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(BadFraming)?;
    bytes.advance(end + 2);
    Ok(number)
}

/// A frame as it is sent, its prefix included: what comes before the body, the body as it is, what comes after.
pub type Chunks = [Bytes; 3];

/// The frame of a command.
#[must_use]
pub fn command(rid: i64, endpoint: &str, body: Bytes) -> Chunks {
    chunks(b'C', rid, Some(endpoint), body)
}

/// The frame of an answer to command `rid`: of a reply, or of an error.
#[must_use]
pub fn answer(rid: i64, answer: Result<Bytes, Bytes>) -> Chunks {
    match answer {
        Ok(body) => chunks(b'R', rid, None, body),
        Err(body) => chunks(b'E', rid, None, body),
    }
}

/// What comes before the body is one piece of memory, exactly as long as it has to be.
fn chunks(kind: u8, rid: i64, endpoint: Option<&str>, body: Bytes) -> Chunks {
    let mut rest = Vec::with_capacity(REST_OF_HEAD + endpoint.map_or(0, str::len));
    rest.extend_from_slice(&[b'l', b'1', b':', kind]);
    encode_int(rid.into(), &mut rest);
    if let Some(endpoint) = endpoint {
        encode_bytes(endpoint.as_bytes(), &mut rest);
    }
    push_decimal(body.len() as u64, &mut rest);
    rest.push(b':');
    let length = rest.len() + body.len() + 1;
    let digits = length.ilog10() as usize + 1;
    let mut head = Vec::with_capacity(digits + 1 + rest.len());
    push_decimal(length as u64, &mut head);
    head.push(b':');
    head.extend_from_slice(&rest);
    [head.into(), body, Bytes::from_static(b"e")]
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
/// share is held from the moment its length is known until it is dropped.
pub(crate) struct Frames {
    stream: RecvStream,
    buffer: BytesMut,
    budget: Arc<Semaphore>,
    /// What a frame that is not small also counts to.
    memory: Option<(MemoryBudget, Holder)>,
    largest: usize,
}

/// What a frame takes of the memory for requests.
pub(crate) struct FrameShare {
    _permit: OwnedSemaphorePermit,
    _memory: Option<MemoryShare>,
}

impl Frames {
    pub(crate) fn new(
        stream: RecvStream,
        budget: Arc<Semaphore>,
        memory: Option<(MemoryBudget, Holder)>,
        largest: usize,
    ) -> Self {
        Self { stream, buffer: BytesMut::new(), budget, memory, largest }
    }

    /// The next frame; `None` when the stream or the connection ends.
    pub(crate) async fn next(&mut self) -> Result<Option<(BytesMut, FrameShare)>, BadFraming> {
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
        let memory = match &self.memory {
            Some((budget, holder)) if length > SMALL => match budget.take(*holder, length) {
                Some(share) => Some(share),
                None => return Err(BadFraming),
            },
            _ => None,
        };
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
        Ok(Some((self.buffer.split_to(length), FrameShare { _permit: permit, _memory: memory })))
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
    pub(crate) fn stop(mut self, code: u32) {
        let _ = self.stream.stop(code.into());
    }
}

/// What comes along a stream.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz_stream(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Ok(Some((head, length))) = prefix(rest, super::config::REFERENCE_FRAME) {
        assert!(length <= super::config::REFERENCE_FRAME);
        let Some(frame) = rest.get(head..head + length) else { break };
        // What is a message to us is bencode to everybody.
        assert!(QuicMessage::parse(frame.into()).is_err() || crate::bencode::Bt::parse(frame).is_ok());
        rest = &rest[head + length..];
    }
    0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::config::REFERENCE_FRAME, *};

    fn prefix(bytes: &[u8]) -> Result<Option<(usize, usize)>, BadFraming> {
        super::prefix(bytes, REFERENCE_FRAME)
    }

    /// `spec/transports` §3.2.
    #[test]
    fn published_frames() {
        assert_eq!(command(7, "snode_ping", Bytes::new()).concat(), b"23:l1:Ci7e10:snode_ping0:e");
        assert_eq!(answer(7, Ok("pong".into())).concat(), b"14:l1:Ri7e4:ponge");
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
        fn any_message_comes_back(rid: i64, a in "\\PC*", b: Vec<u8>) {
            let body = || Bytes::from(b.clone());
            let (endpoint, parsed) = (a.as_bytes().into(), BytesMut::from(b.as_slice()));
            for (frame, want) in [
                (command(rid, &a, body()), QuicMessage::Command { rid, endpoint, body: parsed.clone() }),
                (answer(rid, Ok(body())), QuicMessage::Reply { rid, body: parsed.clone() }),
                (answer(rid, Err(body())), QuicMessage::Error { rid, body: parsed.clone() }),
            ] {
                let frame = frame.concat();
                let (head, length) = prefix(&frame).unwrap().unwrap();
                prop_assert_eq!(frame.len(), head + length);
                prop_assert_eq!(QuicMessage::parse(frame[head..].into()), Ok(want));
            }
        }
    }
}
