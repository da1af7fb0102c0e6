//! Who may do what with an account (`spec/node-rpc` §2): the only authoriser, for clients and peers alike.

use super::{
    params::{Invalid, Params},
    value::Encoding,
};
use crate::{
    crypto::{Proof, ed25519_to_x25519, verify_many},
    store::{Store, StoreError},
    types::{AccountId, decode_hex},
};

/// What a subaccount token permits (`spec/node-rpc` §2.4).
pub mod flag {
    /// Retrieve.
    pub const READ: u8 = 1;
    /// Store.
    pub const WRITE: u8 = 2;
    /// Delete and shorten.
    pub const DELETE: u8 = 4;
    /// Good for accounts of any prefix.
    pub const ANY_PREFIX: u8 = 8;
}

/// Permission that an account's main key gave to another key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subaccount {
    /// Prefix, flags, two reserved bytes, Ed25519 key.
    pub token: [u8; 36],
    /// By the main key, over the token.
    pub signature: [u8; 64],
}

impl Subaccount {
    /// Whether the token carries all of `flags`.
    #[must_use]
    pub const fn permits(&self, flags: u8) -> bool {
        self.token[1] & flags == flags
    }

    fn key(&self) -> [u8; 32] {
        let mut key = [0; 32];
        key.copy_from_slice(&self.token[4..]);
        key
    }
}

/// The fields that prove a request is the account's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// Over the text that the method defines.
    pub signature: [u8; 64],
    /// The Ed25519 key behind a 05 account.
    pub pubkey_ed25519: Option<[u8; 32]>,
    /// Set when another key than the main one signed.
    pub subaccount: Option<Subaccount>,
}

/// The account of a request. `alias`: whether `pubKey` will do.
///
/// # Errors
/// [`Invalid`].
pub fn account(params: &Params<'_>, alias: bool) -> Result<AccountId, Invalid> {
    let (main, other) = (params.string("pubkey")?, if alias { params.string("pubKey")? } else { None });
    let text = match (main, other) {
        (Some(_), Some(_)) => return Err(Invalid::new("Cannot specify both 'pubkey' and 'pubKey'")),
        (Some(text), None) | (None, Some(text)) => text,
        (None, None) => return Err(Invalid::missing("pubkey")),
    };
    let mut bytes = [0; 33];
    if text.len() == bytes.len() {
        bytes.copy_from_slice(text);
    } else {
        bytes = decode_hex(text).ok_or_else(|| Invalid::new("Pubkey must be 66 hex digits (33 bytes) long"))?;
    }
    Ok(AccountId(bytes))
}

/// Characters of the longest value that is read so: a signature, padded.
const SIGNATURE_TEXT: usize = 88;

/// `N` bytes of base64, at most those of a signature, padded or not, whatever its last bits.
fn base64<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let unpadded = (N * 4).div_ceil(3);
    let bare = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    if bare.len() != unpadded || (bare.len() != text.len() && !text.len().is_multiple_of(4)) {
        return None;
    }
    let mut room = [0; SIGNATURE_TEXT];
    let room = room.get_mut(..text.len())?;
    room.copy_from_slice(text);
    (&*base64_simd::forgiving_decode_inplace(room).ok()?).try_into().ok()
}

/// What base64 of any length says, padded or not, whatever its last bits.
#[must_use]
pub(super) fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let bare = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let decoded = base64_simd::forgiving_decode_to_vec(text).ok()?;
    // The decoder passes over blanks, with which there is less than so many characters say.
    (bare.len() % 4 != 1 && decoded.len() == bare.len() * 3 / 4).then_some(decoded)
}

fn signature(params: &Params<'_>, text: &[u8], what: &str) -> Result<[u8; 64], Invalid> {
    let (found, wanted) = match params.encoding() {
        Encoding::Json => (base64(text), "base64 encoded Ed25519 signature"),
        Encoding::Bencode => (text.try_into().ok(), "64-byte Ed25519 signature"),
    };
    found.ok_or_else(|| Invalid(format!("invalid {what}: expected {wanted}")))
}

/// A subaccount token: raw in bencode, base64 or hex in JSON.
#[must_use]
pub fn token(encoding: Encoding, text: &[u8]) -> Option<[u8; 36]> {
    match (encoding, text.len()) {
        (Encoding::Json, 72) => hex::decode(text).ok()?.try_into().ok(),
        (Encoding::Json, _) => base64(text),
        (Encoding::Bencode, _) => text.try_into().ok(),
    }
}

impl Auth {
    /// From the fields of a request by `account`.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn parse(params: &Params<'_>, account: &AccountId) -> Result<Self, Invalid> {
        Self::check_types(params)?;
        let auth = Self::parse_main(params, account)?;
        let subaccount = params.string("subaccount")?.filter(|text| !text.is_empty());
        let subaccount = subaccount.map(|text| subaccount_of(params, text)).transpose()?;
        Ok(Self { subaccount, ..auth })
    }

    /// Refuses fields of [`Self::parse`] that are no text, also where a request needs no proof.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn check_types(params: &Params<'_>) -> Result<(), Invalid> {
        let fields = ["pubkey_ed25519", "signature", "subaccount", "subaccount_sig"];
        fields.into_iter().try_for_each(|name| params.string(name).map(drop))
    }

    /// As [`Self::parse`], for what only the main key may ask: a subaccount is not looked at.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn parse_main(params: &Params<'_>, account: &AccountId) -> Result<Self, Invalid> {
        let text = params.string("signature")?.ok_or_else(|| Invalid::missing("signature"))?;
        let pubkey_ed25519 = params.string("pubkey_ed25519")?.map(|text| ed25519_key(text, account)).transpose()?;
        Ok(Self { signature: signature(params, text, "signature")?, pubkey_ed25519, subaccount: None })
    }

    /// Whether this proves that `account` wants what `text` says. `revocable`: whether a revoked token is refused.
    ///
    /// # Errors
    /// When the store cannot say what was revoked.
    pub fn verify(
        &self,
        store: &Store,
        account: &AccountId,
        text: &[u8],
        flags: u8,
        revocable: bool,
    ) -> Result<bool, StoreError> {
        let proofs = self.proofs(store, account, text, flags, revocable)?;
        Ok(proofs.is_some_and(|proofs| verify_many(&proofs).into_iter().all(|holds| holds)))
    }

    /// The signatures that must hold for [`Self::verify`]; `None` when they would prove nothing.
    ///
    /// # Errors
    /// When the store cannot say what was revoked.
    pub fn proofs(
        &self,
        store: &Store,
        account: &AccountId,
        text: &[u8],
        flags: u8,
        revocable: bool,
    ) -> Result<Option<Vec<Proof>>, StoreError> {
        let main = match self.pubkey_ed25519 {
            None => account.key(),
            Some(key) if ed25519_to_x25519(&key) == Some(account.key()) => key,
            Some(_) => return Ok(None),
        };
        let Some(subaccount) = &self.subaccount else {
            return Ok(Some(vec![Proof { key: main, message: text.to_vec(), signature: self.signature }]));
        };
        if revocable && store.is_revoked(account, &subaccount.token)? {
            return Ok(None);
        }
        let prefix_fits = subaccount.token[0] == account.netid() || subaccount.permits(flag::ANY_PREFIX);
        let token = Proof { key: main, message: subaccount.token.to_vec(), signature: subaccount.signature };
        let request = Proof { key: subaccount.key(), message: text.to_vec(), signature: self.signature };
        Ok((prefix_fits && subaccount.permits(flags)).then(|| vec![token, request]))
    }
}

fn ed25519_key(text: &[u8], account: &AccountId) -> Result<[u8; 32], Invalid> {
    if account.netid() != AccountId::SESSION {
        return Err(Invalid::new("pubkey_ed25519 is only permitted for 05[...] pubkeys"));
    }
    match text.len() {
        32 => text.try_into().ok(),
        64 => return decode_hex(text).ok_or_else(|| Invalid::new("invalid pubkey_ed25519: value is not hex")),
        _ => None,
    }
    .ok_or_else(|| Invalid::new("Invalid pubkey_ed25519: expected 64 hex char or 32 byte pubkey"))
}

fn subaccount_of(params: &Params<'_>, text: &[u8]) -> Result<Subaccount, Invalid> {
    let (wrong_token, what) = match params.encoding() {
        Encoding::Json => {
            ("invalid subaccount: expected base64 or hex-encoded subaccount token", "subaccount signature")
        }
        Encoding::Bencode => ("invalid subaccount token: invalid token length", "signature"),
    };
    let proof = params
        .string("subaccount_sig")?
        .ok_or_else(|| Invalid::new("invalid subaccount: subaccount_sig is required when using subaccount"))?;
    let token = token(params.encoding(), text).ok_or_else(|| Invalid::new(wrong_token))?;
    Ok(Subaccount { token, signature: signature(params, proof, what)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Clock,
        crypto::Ed25519Secret,
        store::{Change, Command, StoreConfig},
    };

    fn params(json: &serde_json::Value) -> Params<'_> {
        Params::Json(Box::leak(Box::new(json.as_object().unwrap().into())))
    }

    fn secret(first: u8) -> Ed25519Secret {
        Ed25519Secret::from_seed(&std::array::from_fn(|i| first + i as u8))
    }

    const TOKEN: &str = "030300002543b92ff1095511476adc8369db6ddc933665a11978dda1404ee1066ca9559d";

    /// `spec/node-tests` §4: group G and its subaccount; `spec/node-tests` §9: the permission matrix.
    #[test]
    fn subaccounts_do_what_their_flags_say() {
        let dir = tempfile::TempDir::new().unwrap();
        let store = Store::open(StoreConfig::new(dir.path()), Clock::default()).unwrap();
        let (group, member) = (secret(32), secret(64));
        let account = AccountId::new(AccountId::GROUP, group.public().0);
        assert_eq!(account.hex(), "0329acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794bc9322966dd7");
        let text = b"retrieve111700000000000";
        let signature = base64_simd::STANDARD.encode_to_string(member.sign(text));
        let signed_token = base64_simd::STANDARD.encode_to_string(group.sign(&hex::decode(TOKEN).unwrap()));
        let base64_token = "AwMAACVDuS/xCVURR2rcg2nbbdyTNmWhGXjdoUBO4QZsqVWd";
        for token in [TOKEN, base64_token] {
            let fields = serde_json::json!({
                "signature": signature, "subaccount": token, "subaccount_sig": signed_token.trim_end_matches('='),
            });
            let auth = Auth::parse(&params(&fields), &account).unwrap();
            for (flags, want) in [(flag::READ, true), (flag::READ | flag::WRITE, true), (flag::DELETE, false)] {
                assert_eq!(auth.verify(&store, &account, text, flags, true), Ok(want), "{flags}");
            }
            let elsewhere = AccountId::new(0x05, group.public().0);
            assert_eq!(auth.verify(&store, &elsewhere, text, flag::READ, true), Ok(false));
            assert_eq!(auth.verify(&store, &account, b"other", flag::READ, true), Ok(false));
        }
        let auth = Auth::parse(
            &params(&serde_json::json!({"signature": signature, "subaccount": TOKEN, "subaccount_sig": signed_token})),
            &account,
        )
        .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let command = Command { method: "revoke_subaccount".to_owned(), params: b"de".to_vec() };
        let change = Change { at: store.stamp(), command, members: Vec::new() };
        let token = auth.subaccount.as_ref().unwrap().token;
        runtime.block_on(store.set_revoked(account, vec![token], true, change)).unwrap();
        assert_eq!(auth.verify(&store, &account, text, flag::READ, true), Ok(false));
        assert_eq!(auth.verify(&store, &account, text, flag::READ, false), Ok(true));
    }

    #[test]
    fn session_accounts_name_their_signing_key() {
        let dir = tempfile::TempDir::new().unwrap();
        let store = Store::open(StoreConfig::new(dir.path()), Clock::default()).unwrap();
        let user = secret(0);
        let account = AccountId::new(AccountId::SESSION, user.x25519().public().0);
        let signature = user.sign(b"x");
        for (key, want) in [(Some(user.public().0), true), (None, false), (Some(secret(1).public().0), false)] {
            let auth = Auth { signature, pubkey_ed25519: key, subaccount: None };
            assert_eq!(auth.verify(&store, &account, b"x", flag::READ, true), Ok(want));
        }
    }

    #[test]
    fn base64_has_no_blanks() {
        for text in ["", "aGk", "aGk=", "aGl=", "aGkh", "aG==", "aG"] {
            assert!(decode_base64(text.as_bytes()).is_some(), "{text:?}");
        }
        for text in [
            "aG k=", "aGk=\n", "aGk=\n\n", "\taGk", " aGkh", "aGkh ", "a G k h", "aGk =", "  ", "=", "aG=", "aGk==",
            "_-_-",
        ] {
            assert_eq!(decode_base64(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn texts() {
        let session = AccountId::new(5, [1; 32]);
        let group = AccountId::new(3, [1; 32]);
        let sig = "A".repeat(86);
        for (account, fields, want) in [
            (session, serde_json::json!({}), "Required field 'signature' missing"),
            (
                session,
                serde_json::json!({"signature": "AAAA"}),
                "invalid signature: expected base64 encoded Ed25519 signature",
            ),
            (
                group,
                serde_json::json!({"signature": sig, "pubkey_ed25519": "00"}),
                "pubkey_ed25519 is only permitted for 05[...] pubkeys",
            ),
            (
                session,
                serde_json::json!({"signature": sig, "pubkey_ed25519": "z".repeat(64)}),
                "invalid pubkey_ed25519: value is not hex",
            ),
            (
                session,
                serde_json::json!({"signature": sig, "pubkey_ed25519": "00"}),
                "Invalid pubkey_ed25519: expected 64 hex char or 32 byte pubkey",
            ),
            (
                group,
                serde_json::json!({"signature": sig, "subaccount": TOKEN}),
                "invalid subaccount: subaccount_sig is required when using subaccount",
            ),
            (
                group,
                serde_json::json!({"signature": sig, "subaccount": "AAAA"}),
                "invalid subaccount: subaccount_sig is required when using subaccount",
            ),
            (
                group,
                serde_json::json!({"signature": sig, "subaccount": "AAAA", "subaccount_sig": sig}),
                "invalid subaccount: expected base64 or hex-encoded subaccount token",
            ),
            (
                group,
                serde_json::json!({"signature": sig, "subaccount": TOKEN, "subaccount_sig": ""}),
                "invalid subaccount signature: expected base64 encoded Ed25519 signature",
            ),
            (
                group,
                serde_json::json!({"signature": sig, "subaccount": "", "subaccount_sig": 1}),
                "Invalid value given for 'subaccount_sig': expected string",
            ),
            (session, serde_json::json!({"pubkey_ed25519": "00"}), "Required field 'signature' missing"),
        ] {
            assert_eq!(Auth::parse(&params(&fields), &account).unwrap_err().to_string(), want);
        }
        let wrong = account(&params(&serde_json::json!({"pubkey": "05"})), false);
        assert_eq!(wrong.unwrap_err().to_string(), "Pubkey must be 66 hex digits (33 bytes) long");
        let alias = serde_json::json!({"pubKey": session.hex()});
        let alias = params(&alias);
        assert_eq!(account(&alias, true), Ok(session));
        assert_eq!(account(&alias, false).unwrap_err().to_string(), "Required field 'pubkey' missing");
    }
}
