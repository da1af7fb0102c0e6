//! What the frames of a message say (`spec/transports` §2.2), its sender's set apart.

use bytes::Bytes;

use super::endpoints::Endpoint;

/// Errors that a listener answers with. One that comes in is never answered.
const ERRORS: [&[u8]; 5] = [b"UNKNOWNCOMMAND", b"FORBIDDEN", b"NOT_A_SERVICE_NODE", b"FORBIDDEN_SN", b"NO_REPLY_TAG"];

/// Bytes of a command and of a tag (`spec/transports` §2.2: 50 and 200 characters, and 15 bytes).
const MAX_NAME: usize = 255;

/// A message, recognised.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OmqMessage {
    /// A greeting, to be returned.
    Greeting,
    /// Whoever listens there closes the connection.
    Bye,
    /// A request.
    Call { endpoint: Endpoint, tag: Bytes, parts: Vec<Bytes> },
    /// What became of a request of ours.
    Reply {
        tag: Bytes,
        /// The data parts, or the error.
        answer: Result<Vec<Bytes>, String>,
    },
    /// Something that is answered with these frames.
    Refused(Vec<Bytes>),
    /// Nothing to do: a greeting returned, an error that names no request, no frames at all.
    Nothing,
}

impl OmqMessage {
    pub(super) fn read(mut frames: Vec<Bytes>) -> Self {
        match frames.as_slice() {
            [] => return Self::Nothing,
            [hello] if hello.as_ref() == b"HELLO" => return Self::Nothing,
            [hi, ..] if hi.as_ref() == b"HI" => return Self::Greeting,
            [bye, ..] if bye.as_ref() == b"BYE" => return Self::Bye,
            [reply, tag, parts @ ..] if reply.as_ref() == b"REPLY" => {
                return Self::Reply { tag: tag.clone(), answer: Ok(parts.to_vec()) };
            }
            [reply] if reply.as_ref() == b"REPLY" => return Self::Nothing,
            [error, reply, tag] if reply.as_ref() == b"REPLY" && ERRORS.contains(&error.as_ref()) => {
                let error = String::from_utf8_lossy(error).into_owned();
                return Self::Reply { tag: tag.clone(), answer: Err(error) };
            }
            [error, ..] if ERRORS.contains(&error.as_ref()) => return Self::Nothing,
            _ => {}
        }
        // What would be sent back is bounded: neither name is as long in any software.
        if frames.iter().take(2).any(|frame| frame.len() > MAX_NAME) {
            return Self::Nothing;
        }
        let parts = frames.split_off(frames.len().min(2));
        let mut head = frames.into_iter();
        match (head.next(), head.next()) {
            (None, _) => Self::Nothing,
            (Some(command), tag) => match (Endpoint::find(&command), tag) {
                (None, _) => Self::Refused(vec![Bytes::from_static(b"UNKNOWNCOMMAND"), command]),
                (Some(_), None) => Self::Refused(vec![Bytes::from_static(b"NO_REPLY_TAG"), command]),
                (Some(endpoint), Some(tag)) => Self::Call { endpoint, tag, parts },
            },
        }
    }
}

/// Frames, each behind its length of two bytes, as one message.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz_message(bytes: &[u8]) -> usize {
    let (mut rest, mut frames) = (bytes, Vec::new());
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (frame, after) = after.split_at(usize::from(u16::from_be_bytes(*length)).min(after.len()));
        frames.push(Bytes::copy_from_slice(frame));
        rest = after;
    }
    let count = frames.len();
    match OmqMessage::read(frames) {
        OmqMessage::Nothing | OmqMessage::Greeting | OmqMessage::Bye => {}
        OmqMessage::Reply { answer, .. } => assert_eq!(answer.map_or(3, |parts| parts.len() + 2), count),
        OmqMessage::Refused(frames) => assert_eq!(frames.len(), 2),
        OmqMessage::Call { parts, .. } => assert_eq!(parts.len(), count - 2),
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(texts: &[&'static [u8]]) -> Vec<Bytes> {
        texts.iter().map(|text| Bytes::from_static(text)).collect()
    }

    fn read(texts: &[&'static [u8]]) -> OmqMessage {
        OmqMessage::read(frames(texts))
    }

    #[test]
    fn messages_are_told_apart() {
        assert_eq!(read(&[]), OmqMessage::Nothing);
        assert_eq!(read(&[b"HI"]), OmqMessage::Greeting);
        assert_eq!(read(&[b"BYE"]), OmqMessage::Bye);
        let call = OmqMessage::Call { endpoint: Endpoint::Rpc("info"), tag: "t".into(), parts: frames(&[b"{}"]) };
        assert_eq!(read(&[b"storage.info", b"t", b"{}"]), call);
        assert_eq!(read(&[b"sn.ping"]), OmqMessage::Refused(frames(&[b"NO_REPLY_TAG", b"sn.ping"])));
        let unknown = OmqMessage::Refused(frames(&[b"UNKNOWNCOMMAND", b"storage.batch2"]));
        assert_eq!(read(&[b"storage.batch2", b"t"]), unknown);
    }

    #[test]
    fn nothing_that_answers_is_answered() {
        let reply = |answer| OmqMessage::Reply { tag: "t".into(), answer };
        assert_eq!(read(&[b"REPLY", b"t"]), reply(Ok(Vec::new())));
        assert_eq!(read(&[b"REPLY", b"t", b"a", b"b"]), reply(Ok(frames(&[b"a", b"b"]))));
        for error in ERRORS {
            assert_eq!(read(&[error, b"REPLY", b"t"]), reply(Err(String::from_utf8_lossy(error).into_owned())));
            assert_eq!(read(&[error, b"sn.ping"]), OmqMessage::Nothing);
            assert_eq!(read(&[error]), OmqMessage::Nothing);
        }
        assert_eq!(read(&[b"HELLO"]), OmqMessage::Nothing);
        assert_eq!(read(&[b"REPLY"]), OmqMessage::Nothing);
    }
}
