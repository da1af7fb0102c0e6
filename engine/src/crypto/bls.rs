//! BLS signatures on BN254 as the staking contracts verify them (`spec/contracts` §5): keys in G1, signatures in G2.
//!
//! The curve arithmetic is arkworks', which is not constant-time: sign where nobody can time single operations, as a
//! node does that answers over a network.

use std::fmt;

use ark_bn254::{Bn254, Fq, Fq2, Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::{AffineRepr, CurveGroup, PrimeGroup, pairing::Pairing, short_weierstrass::SWCurveConfig};
use ark_ff::{AdditiveGroup, BigInteger, Field, MontFp, PrimeField, Zero};
use sha3::{Digest, Keccak256};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of a key: `X || Y`, big-endian.
pub const PUBLIC_KEY_BYTES: usize = 64;
/// Bytes of a signature: `x.re || x.im || y.re || y.im`, big-endian.
pub const SIGNATURE_BYTES: usize = 128;

/// Why bytes are no key, no signature, or why nothing could be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BlsError {
    /// Not a scalar that makes a key.
    #[error("the BLS secret key is zero")]
    ZeroSecret,
    /// Not a point of G1 that the contract accepts as a key.
    #[error("the BLS public key is not a point of the curve")]
    PublicKey,
    /// Not a point of the subgroup that signatures are in.
    #[error("the BLS signature is not a point of the subgroup")]
    Signature,
    /// No counter from 0 to 255 gave a point: one message in 2^256.
    #[error("the message does not hash to the curve")]
    Unhashable,
    /// The sum of no keys or signatures, or of ones that cancel out.
    #[error("the sum of the BLS points is zero")]
    ZeroSum,
    /// The system has no randomness to give.
    #[error("the system gave no randomness")]
    Randomness,
}

/// A BLS secret key: a scalar in `[1, r)`.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct BlsSecretKey(Fr);

impl BlsSecretKey {
    /// A fresh key, uniform in `[1, r)`.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn random() -> Result<Self, BlsError> {
        loop {
            let mut bytes = Zeroizing::new([0; 32]);
            getrandom::fill(bytes.as_mut()).map_err(|_| BlsError::Randomness)?;
            bytes[0] &= 0x3f;
            let scalar = Fr::from_be_bytes_mod_order(bytes.as_slice());
            // A number that was reduced would make its key likelier than others.
            if !scalar.is_zero() && Self(scalar).to_bytes() == bytes {
                return Ok(Self(scalar));
            }
        }
    }

    /// From 32 bytes, big-endian. The reference's keys may lie above the group order and mean what is left below it.
    ///
    /// # Errors
    /// `ZeroSecret`.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, BlsError> {
        let secret = Self(Fr::from_be_bytes_mod_order(bytes));
        if secret.0.is_zero() { Err(BlsError::ZeroSecret) } else { Ok(secret) }
    }

    /// The scalar, 32 bytes big-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        let mut number = self.0.into_bigint();
        let limbs = Zeroizing::new(number.to_bytes_be());
        number.zeroize();
        let mut bytes = Zeroizing::new([0; 32]);
        bytes.copy_from_slice(&limbs);
        bytes
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> BlsPublicKey {
        BlsPublicKey((G1Projective::generator() * self.0).into_affine())
    }

    /// Signature of `message` under the domain separation tag `tag`.
    ///
    /// # Errors
    /// `Unhashable`.
    pub fn sign(&self, message: &[u8], tag: &[u8; 32]) -> Result<BlsSignature, BlsError> {
        Ok(BlsSignature((hash_to_g2(message, tag)? * self.0).into_affine()))
    }
}

impl fmt::Debug for BlsSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlsSecretKey(of {:?})", self.public())
    }
}

/// A BLS public key: a point of G1 without a zero coordinate. G1 has no other subgroup.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BlsPublicKey(G1Affine);

impl BlsPublicKey {
    /// From `X || Y`.
    ///
    /// # Errors
    /// `PublicKey`.
    pub fn from_bytes(bytes: &[u8; PUBLIC_KEY_BYTES]) -> Result<Self, BlsError> {
        let [x, y] = coordinates(bytes).ok_or(BlsError::PublicKey)?;
        let point = G1Affine::new_unchecked(x, y);
        if x.is_zero() || y.is_zero() || !point.is_on_curve() { Err(BlsError::PublicKey) } else { Ok(Self(point)) }
    }

    /// `X || Y`.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; PUBLIC_KEY_BYTES] {
        encode([self.0.x, self.0.y])
    }

    /// The key that signatures of all `keys` together verify against.
    ///
    /// # Errors
    /// `ZeroSum`.
    pub fn aggregate<'a>(keys: impl IntoIterator<Item = &'a Self>) -> Result<Self, BlsError> {
        let sum = keys.into_iter().fold(G1Projective::ZERO, |sum, key| sum + key.0).into_affine();
        if sum.is_zero() { Err(BlsError::ZeroSum) } else { Ok(Self(sum)) }
    }

    /// Whether `signature` of `message` under `tag` is by this key.
    #[must_use]
    pub fn verify(&self, message: &[u8], tag: &[u8; 32], signature: &BlsSignature) -> bool {
        hash_to_g2(message, tag).is_ok_and(|hash| {
            Bn254::multi_pairing([G1Affine::generator(), -self.0], [signature.0, hash.into_affine()]).is_zero()
        })
    }
}

impl fmt::Debug for BlsPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.to_bytes()))
    }
}

/// A BLS signature: a point of the subgroup of order r of G2, not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlsSignature(G2Affine);

impl BlsSignature {
    /// From `x.re || x.im || y.re || y.im`.
    ///
    /// # Errors
    /// `Signature`.
    pub fn from_bytes(bytes: &[u8; SIGNATURE_BYTES]) -> Result<Self, BlsError> {
        let [x0, x1, y0, y1] = coordinates(bytes).ok_or(BlsError::Signature)?;
        let point = G2Affine::new_unchecked(Fq2::new(x0, x1), Fq2::new(y0, y1));
        if !point.is_zero() && point.is_on_curve() && point.is_in_correct_subgroup_assuming_on_curve() {
            Ok(Self(point))
        } else {
            Err(BlsError::Signature)
        }
    }

    /// `x.re || x.im || y.re || y.im`.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; SIGNATURE_BYTES] {
        g2_bytes(&self.0)
    }

    /// The signature of all signers of one message together.
    ///
    /// # Errors
    /// `ZeroSum`.
    pub fn aggregate<'a>(signatures: impl IntoIterator<Item = &'a Self>) -> Result<Self, BlsError> {
        let sum = signatures.into_iter().fold(G2Projective::ZERO, |sum, one| sum + one.0).into_affine();
        if sum.is_zero() { Err(BlsError::ZeroSum) } else { Ok(Self(sum)) }
    }
}

/// The places of those whose signature of `message` under `tag` is not by their key, in order. All are tried together,
/// then halves of what is bad, so that few are found with little work.
///
/// What is left verifies as a whole, which is all that an aggregate is used for.
///
/// # Errors
/// `Unhashable`.
pub fn faulty(signed: &[(BlsPublicKey, BlsSignature)], message: &[u8], tag: &[u8; 32]) -> Result<Vec<usize>, BlsError> {
    let hash = hash_to_g2(message, tag)?.into_affine();
    let good = |part: &[(BlsPublicKey, BlsSignature)]| {
        let key = part.iter().fold(G1Projective::ZERO, |sum, (key, _)| sum + key.0).into_affine();
        let signature = part.iter().fold(G2Projective::ZERO, |sum, (_, one)| sum + one.0).into_affine();
        Bn254::multi_pairing([G1Affine::generator(), -key], [signature, hash]).is_zero()
    };
    let mut found = Vec::new();
    let mut doubted = vec![(0, signed.len())];
    while let Some((start, end)) = doubted.pop() {
        if start == end || good(&signed[start..end]) {
            continue;
        }
        if end - start == 1 {
            found.push(start);
            continue;
        }
        let middle = usize::midpoint(start, end);
        doubted.extend([(middle, end), (start, middle)]);
    }
    Ok(found)
}

/// The bytes that one rewards contract on one chain has signed, and the tag they are hashed under
/// (`spec/contracts` §5.2, §5.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlsDomain {
    possession: [u8; 32],
    reward: [u8; 32],
    exit: [u8; 32],
    liquidate: [u8; 32],
    /// The domain separation tag of hashing to G2.
    pub hash_to_g2: [u8; 32],
}

impl BlsDomain {
    /// Of the rewards contract at `contract` on chain `chain_id`.
    #[must_use]
    pub fn new(chain_id: u64, contract: &[u8; 20]) -> Self {
        let tag = |base: &str| {
            Keccak256::new()
                .chain_update(base)
                .chain_update([0; 24])
                .chain_update(chain_id.to_be_bytes())
                .chain_update(contract)
                .finalize()
                .into()
        };
        Self {
            possession: tag("BLS_SIG_TRYANDINCREMENT_POP"),
            reward: tag("BLS_SIG_TRYANDINCREMENT_REWARD"),
            exit: tag("BLS_SIG_TRYANDINCREMENT_EXIT"),
            liquidate: tag("BLS_SIG_TRYANDINCREMENT_LIQUIDATE"),
            hash_to_g2: tag("BLS_SIG_HASH_TO_FIELD_TAG"),
        }
    }

    /// What a new node signs to prove that it has the secret of `key`.
    #[must_use]
    pub fn possession_message(&self, key: &BlsPublicKey, operator: &[u8; 20], ed25519: &[u8; 32]) -> Vec<u8> {
        [&self.possession[..], &key.to_bytes(), operator, ed25519].concat()
    }

    /// What the network signs for a recipient: all that it ever earned, in atomic units.
    #[must_use]
    pub fn reward_message(&self, recipient: &[u8; 20], amount: u128) -> Vec<u8> {
        [&self.reward[..], recipient, &[0; 16], &amount.to_be_bytes()].concat()
    }

    /// What the network signs for the node `key` that may leave; `timestamp` in Unix seconds.
    #[must_use]
    pub fn exit_message(&self, key: &BlsPublicKey, timestamp: u64) -> Vec<u8> {
        [&self.exit[..], &key.to_bytes(), &[0; 24], &timestamp.to_be_bytes()].concat()
    }

    /// What the network signs for the node `key` that may be liquidated; `timestamp` in Unix seconds.
    #[must_use]
    pub fn liquidation_message(&self, key: &BlsPublicKey, timestamp: u64) -> Vec<u8> {
        [&self.liquidate[..], &key.to_bytes(), &[0; 24], &timestamp.to_be_bytes()].concat()
    }
}

/// The point of G2's subgroup that `message` hashes to under `tag`, as [`BlsSignature::to_bytes`] writes points.
///
/// # Errors
/// `Unhashable`.
pub fn hash_to_g2_bytes(message: &[u8], tag: &[u8; 32]) -> Result<[u8; SIGNATURE_BYTES], BlsError> {
    hash_to_g2(message, tag).map(|point| g2_bytes(&point.into_affine()))
}

/// Try and increment, then the cofactor cleared (`spec/contracts` §5.4).
fn hash_to_g2(message: &[u8], tag: &[u8; 32]) -> Result<G2Projective, BlsError> {
    (0..=u8::MAX)
        .find_map(|counter| {
            let uniform = expand_message(message, counter, tag);
            let x =
                Fq2::new(Fq::from_be_bytes_mod_order(&uniform[..48]), Fq::from_be_bytes_mod_order(&uniform[48..96]));
            let y = sqrt_fq2(&(x.square() * x + ark_bn254::g2::Config::COEFF_B))?;
            // The contract takes a zero component for "no root".
            if y.c0.is_zero() || y.c1.is_zero() {
                return None;
            }
            Some(G2Affine::new_unchecked(x, if uniform[127] & 1 == 1 { -y } else { y }))
        })
        .map(clear_cofactor)
        .ok_or(BlsError::Unhashable)
}

/// `expand_message_xmd` of RFC 9380 with Keccak-256, of `message || counter` to 128 bytes.
fn expand_message(message: &[u8], counter: u8, tag: &[u8; 32]) -> [u8; 128] {
    let block = |head: [u8; 32], index: u8| -> [u8; 32] {
        Keccak256::new().chain_update(head).chain_update([index]).chain_update(tag).chain_update([32]).finalize().into()
    };
    let first: [u8; 32] = Keccak256::new()
        .chain_update([0; 136])
        .chain_update(message)
        .chain_update([counter, 0, 128, 0])
        .chain_update(tag)
        .chain_update([32])
        .finalize()
        .into();
    let mut uniform = [0; 128];
    let mut last = [0; 32];
    for (index, out) in (1..).zip(uniform.as_chunks_mut::<32>().0) {
        last = block(std::array::from_fn(|i| first[i] ^ last[i]), index);
        *out = last;
    }
    uniform
}

/// The root of `a` that is a square itself; `None` when there is none. p = 3 mod 4.
fn sqrt_fq(a: &Fq) -> Option<Fq> {
    /// (p + 1) / 4.
    const EXPONENT: [u64; 4] =
        [0x4f08_2305_b61f_3f52, 0x65e0_5aa4_5a1c_72a3, 0x6e14_116d_a060_5617, 0x0c19_139c_b84c_680a];
    let root = a.pow(EXPONENT);
    (root.square() == *a).then_some(root)
}

/// The root that the contract takes: which of the two is part of the protocol.
fn sqrt_fq2(a: &Fq2) -> Option<Fq2> {
    if a.c1.is_zero() {
        return match sqrt_fq(&a.c0) {
            Some(root) => Some(Fq2::new(root, Fq::ZERO)),
            None => sqrt_fq(&-a.c0).map(|root| Fq2::new(Fq::ZERO, root)),
        };
    }
    /// 1 / 2.
    const HALF: Fq = MontFp!("10944121435919637611123202872628637544348155578648911831344518947322613104292");
    let norm = sqrt_fq(&(a.c0.square() + a.c1.square()))?;
    let re = sqrt_fq(&((a.c0 + norm) * HALF)).or_else(|| sqrt_fq(&((a.c0 - norm) * HALF)))?;
    Some(Fq2::new(re, a.c1 * HALF * re.inverse()?))
}

/// `[z]P + psi([3z]P) + psi^2([z]P) + psi^3(P)`.
fn clear_cofactor(point: G2Affine) -> G2Projective {
    const Z: [u64; 1] = [4_965_661_367_192_848_881];
    let once = point.mul_bigint(Z);
    once + psi(once.double() + once) + psi(psi(once)) + psi(psi(psi(point.into_group())))
}

/// Untwist, Frobenius, twist. On Jacobian coordinates, where conjugation also holds for Z.
fn psi(mut point: G2Projective) -> G2Projective {
    const X: Fq2 = Fq2::new(
        MontFp!("21575463638280843010398324269430826099269044274347216827212613867836435027261"),
        MontFp!("10307601595873709700152284273816112264069230130616436755625194854815875713954"),
    );
    const Y: Fq2 = Fq2::new(
        MontFp!("2821565182194536844548159561693502659359617185244120367078079554186484126554"),
        MontFp!("3505843767911556378687030309984248845540243509899259641013678093033130930403"),
    );
    for coordinate in [&mut point.x, &mut point.y, &mut point.z] {
        coordinate.conjugate_in_place();
    }
    point.x *= X;
    point.y *= Y;
    point
}

fn g2_bytes(point: &G2Affine) -> [u8; SIGNATURE_BYTES] {
    encode([point.x.c0, point.x.c1, point.y.c0, point.y.c1])
}

/// 32 bytes big-endian each; `BYTES = 32 * N`.
fn encode<const N: usize, const BYTES: usize>(elements: [Fq; N]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    for (element, out) in elements.into_iter().zip(bytes.chunks_exact_mut(32)) {
        out.copy_from_slice(&element.into_bigint().to_bytes_be());
    }
    bytes
}

/// The reverse of [`encode`]; `None` when a number is not below p.
fn coordinates<const N: usize, const BYTES: usize>(bytes: &[u8; BYTES]) -> Option<[Fq; N]> {
    let mut elements = [Fq::ZERO; N];
    for (element, bytes) in elements.iter_mut().zip(bytes.chunks_exact(32)) {
        let candidate = Fq::from_be_bytes_mod_order(bytes);
        if candidate.into_bigint().to_bytes_be() != bytes {
            return None;
        }
        *element = candidate;
    }
    Some(elements)
}

#[cfg(test)]
mod tests;
