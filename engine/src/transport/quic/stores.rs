//! `stores`: many stores in one message between Allium nodes, and what became of each in one answer.
//!
//! The body is a bencoded list of the params of each store, as strings: those that `storage_cc` would have. The answer is a
//! list with as many items, in order: `[200, result]`, or as a string the error that `storage_cc` would have answered.

use bytes::{Bytes, BytesMut};

use super::frame::{BadFraming, close_list, open_list, take_string};
use crate::{
    bencode::{Bt, encode_bytes},
    replicate::{MemberAnswer, refusal},
};

/// Stores in one message, at most: as many as are signed together.
pub(crate) const MOST: usize = 64;
/// Bytes of them, at most, unless one alone has more.
pub(crate) const MOST_BYTES: usize = 1 << 20;

/// The body that asks for the stores with these `params`.
pub(crate) fn request<'a>(params: impl IntoIterator<Item = &'a Bytes>) -> Vec<u8> {
    let mut body = vec![b'l'];
    params.into_iter().for_each(|params| encode_bytes(params, &mut body));
    body.push(b'e');
    body
}

/// The params of each store in a body.
///
/// # Errors
/// [`BadFraming`]: it is no such list, or has more than [`MOST`].
pub(crate) fn each(mut body: BytesMut) -> Result<Vec<BytesMut>, BadFraming> {
    open_list(&mut body)?;
    let mut found = Vec::new();
    while close_list(&body).is_err() {
        if found.len() == MOST {
            return Err(BadFraming);
        }
        found.push(take_string(&mut body)?);
    }
    Ok(found)
}

/// The answer: what `storage_cc` would answer to each.
pub(crate) fn answer(each: impl IntoIterator<Item = Result<Vec<u8>, Vec<u8>>>) -> Vec<u8> {
    let mut body = vec![b'l'];
    for one in each {
        match one {
            // A list already.
            Ok(list) => body.extend_from_slice(&list),
            Err(text) => encode_bytes(&text, &mut body),
        }
    }
    body.push(b'e');
    body
}

/// What became of each of `count` stores. Those that the answer does not reach have none.
pub(crate) fn outcomes(answer: &[u8], count: usize) -> Vec<MemberAnswer> {
    let Ok(Bt::List(items)) = Bt::parse(answer) else { return vec![MemberAnswer::Bad; count] };
    let told = items.into_iter().map(outcome).take(count);
    let mut outcomes: Vec<MemberAnswer> = told.collect();
    outcomes.resize(count, MemberAnswer::TimedOut);
    outcomes
}

/// A refusal, of one or of all.
pub(crate) fn refused(text: &[u8]) -> MemberAnswer {
    let (code, reason) = refusal(text);
    MemberAnswer::Refused { code, reason }
}

fn outcome(item: Bt) -> MemberAnswer {
    match item {
        Bt::List(parts) => match <[Bt; 2]>::try_from(parts) {
            Ok([Bt::Int(200), result @ Bt::Dict(_)]) => MemberAnswer::Done(result),
            _ => MemberAnswer::Bad,
        },
        Bt::Bytes(text) => refused(&text),
        Bt::Int(_) | Bt::Dict(_) => MemberAnswer::Bad,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_outcome_for_each() {
        let done = |key: &str| Ok(format!("li200ed1:{key}i1eee").into_bytes());
        let dict = |key: &str| MemberAnswer::Done(Bt::dict([(key, Bt::Int(1))]));
        let refused = |code: &str, reason: &str| MemberAnswer::Refused { code: code.into(), reason: reason.into() };
        let body = answer([done("a"), Err(b"401 Unauthorized\n\nno".to_vec()), done("b")]);
        assert_eq!(outcomes(&body, 3), [dict("a"), refused("401", "no"), dict("b")]);
        // An answer that ends too early, and one that goes on.
        assert_eq!(outcomes(&body, 5)[2..], [dict("b"), MemberAnswer::TimedOut, MemberAnswer::TimedOut]);
        assert_eq!(outcomes(&body, 1), [dict("a")]);
        // One that makes no sense, and one whose items do not.
        assert_eq!(outcomes(b"no", 2), [MemberAnswer::Bad, MemberAnswer::Bad]);
        assert_eq!(outcomes(b"li200eli200ed1:ai1eee", 2), [MemberAnswer::Bad, MemberAnswer::Bad]);
        assert_eq!(outcomes(b"li200eli500edeeli200edeee", 3)[2], MemberAnswer::Done(Bt::dict::<&str>([])));
    }

    #[test]
    fn no_more_than_may_be() {
        let params = Bytes::from_static(b"de");
        let body = |count| BytesMut::from(request(std::iter::repeat_n(&params, count)).as_slice());
        assert_eq!(each(body(MOST)).map(|found| found.len()), Ok(MOST));
        assert_eq!(each(body(MOST + 1)), Err(BadFraming));
        for wrong in
            [&b""[..], b"l", b"e", b"l2:de", b"l2:deee", b"l3:dee", b"l:e", b"l-1:e", b"l9999999999:e", b"li1ee"]
        {
            assert_eq!(each(wrong.into()), Err(BadFraming), "{}", String::from_utf8_lossy(wrong));
        }
    }

    proptest! {
        #[test]
        fn what_is_asked_is_what_comes(params in prop::collection::vec(any::<Vec<u8>>(), 0..MOST)) {
            let params: Vec<Bytes> = params.into_iter().map(Bytes::from).collect();
            let body = request(&params);
            prop_assert!(Bt::parse(&body).is_ok());
            let found = each(body.as_slice().into()).unwrap();
            prop_assert_eq!(found.into_iter().map(BytesMut::freeze).collect::<Vec<_>>(), params);
        }

        #[test]
        fn nothing_panics(bytes: Vec<u8>, count in 0_usize..100) {
            let _ = each(bytes.as_slice().into());
            prop_assert_eq!(outcomes(&bytes, count).len(), count);
        }
    }
}
