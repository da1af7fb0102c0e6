//! A part of a buffer, with the rest of the buffer kept around it.

use std::{fmt, ops::Range};

use bytes::{Bytes, BytesMut};

/// Bytes that go on from where they lie: what is peeled out of a request stays in the buffer in which the request came,
/// and what is said to the next node about it is written around it.
#[derive(Clone, Default)]
pub struct Piece {
    buffer: BytesMut,
    range: Range<usize>,
}

impl Piece {
    /// The part `range` of this piece; all of it when it is not that long.
    #[must_use]
    pub fn narrow(self, range: Range<usize>) -> Self {
        let length = self.range.len();
        if range.start > range.end || range.end > length {
            return self;
        }
        let start = self.range.start;
        Self { range: start + range.start..start + range.end, ..self }
    }

    /// The bytes, to be changed where they lie.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.range.clone()).unwrap_or_default()
    }

    /// Itself, between `before` and `after`; over what lies there, if that is long enough.
    #[must_use]
    pub fn between(mut self, before: &[u8], after: &[u8]) -> Bytes {
        let Range { start, end } = self.range;
        let Some(first) = start.checked_sub(before.len()) else {
            // Nobody who sends a layer leaves so little room.
            return [before, &self, after].concat().into();
        };
        if let Some(room) = self.buffer.get_mut(first..start) {
            room.copy_from_slice(before);
        }
        self.buffer.truncate(self.buffer.len().min(end + after.len()));
        let (over, beyond) = after.split_at((self.buffer.len() - end).min(after.len()));
        if let Some(room) = self.buffer.get_mut(end..) {
            room.copy_from_slice(over);
        }
        self.buffer.extend_from_slice(beyond);
        self.buffer.freeze().slice(first..)
    }
}

impl std::ops::Deref for Piece {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.get(self.range.clone()).unwrap_or_default()
    }
}

impl From<BytesMut> for Piece {
    fn from(buffer: BytesMut) -> Self {
        let range = 0..buffer.len();
        Self { buffer, range }
    }
}

impl From<Bytes> for Piece {
    /// Copies what somebody else holds too, and nothing else.
    fn from(bytes: Bytes) -> Self {
        BytesMut::from(bytes).into()
    }
}

impl From<Vec<u8>> for Piece {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<&[u8]> for Piece {
    fn from(bytes: &[u8]) -> Self {
        BytesMut::from(bytes).into()
    }
}

impl From<Piece> for Bytes {
    fn from(piece: Piece) -> Self {
        piece.buffer.freeze().slice(piece.range)
    }
}

impl PartialEq for Piece {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Piece {}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Piece({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_around_is_written_where_there_is_room() {
        for (range, before, after) in
            [(3..5, "ab", "cd"), (3..5, "abcd", "x"), (1..4, "q", "a longer tail"), (0..9, "", "")]
        {
            let piece = Piece::from(&b"123456789"[..]).narrow(range.clone());
            let room = range.start >= before.len();
            let at = piece.as_ptr();
            let whole = piece.between(before.as_bytes(), after.as_bytes());
            let want = [before, &"123456789"[range], after].concat();
            assert_eq!(whole, want.as_bytes());
            let fits = room && want.len() <= 9;
            assert!(!fits || whole.as_ptr() == at.wrapping_sub(before.len()), "moved");
        }
    }

    #[test]
    fn pieces_narrow_within_themselves() {
        let piece = Piece::from(b"123456789".to_vec()).narrow(2..8).narrow(1..3);
        assert_eq!(&*piece, b"45");
        assert_eq!(Bytes::from(piece.clone()), b"45".as_slice());
        assert_eq!(piece.clone().narrow(1..9), piece);
    }
}
