//! The vectors of `spec/contracts` §5.

use ark_ff::{BigInt, UniformRand};
use proptest::prelude::*;

use super::*;

const DST: &str = "ff54977c9d08fb9098f6beae0e4634cb9b2d4c2b9c86f0b3e2f2f0073b73f51c";
const OPERATOR: &str = "66d801a70615979d82c304b7db374d11c232db66";
const ED25519: &str = "3621a81c1ef05d48fc9be9dd590ab0869a70fa751e40d8fbebdb0d90e285dbd8";
const MAINNET: &str = "c2b9fc251ac068763ebdfdecc792e3352e351c00";

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    hex::decode(hex.replace(char::is_whitespace, "")).unwrap().try_into().unwrap()
}

fn number(decimal: &str) -> Fq {
    let number: num_bigint::BigUint = decimal.parse().unwrap();
    Fq::from_bigint(BigInt::try_from(number).unwrap()).unwrap()
}

fn mainnet() -> BlsDomain {
    BlsDomain::new(42161, &bytes(MAINNET))
}

fn key_a() -> BlsSecretKey {
    let mut secret = [0; 32];
    secret[24..].copy_from_slice(&0x1234_5678_90ab_cdf0_u64.to_be_bytes());
    BlsSecretKey::from_bytes(&secret).unwrap()
}

fn key_b() -> BlsSecretKey {
    BlsSecretKey::from_bytes(&[0x22; 32]).unwrap()
}

/// Signs, and sees that the signature verifies for this message and key only.
fn signed(secret: &BlsSecretKey, message: &[u8], tag: &[u8; 32]) -> String {
    let signature = secret.sign(message, tag).unwrap();
    assert!(secret.public().verify(message, tag, &signature));
    assert!(!secret.public().verify(&[message, b"!"].concat(), tag, &signature));
    assert!(!secret.public().verify(message, &[0; 32], &signature));
    assert!(!BlsSecretKey::from_bytes(&[1; 32]).unwrap().public().verify(message, tag, &signature));
    assert_eq!(BlsSignature::from_bytes(&signature.to_bytes()), Ok(signature));
    hex::encode(signature.to_bytes())
}

#[test]
fn tags_of_mainnet() {
    let domain = mainnet();
    for (tag, expected) in [
        (domain.possession, "f8666b8b1d99d2bf09637bdfa3bf96849a13719bbf24dcc30dbf27dcf4f12cb5"),
        (domain.reward, "8ef21a6f151a224f0b101c51e6e587b27d26c1f4c16e72874221f0102fa68ae7"),
        (domain.exit, "130a247491e7d86e4558eee311c8069b287bcbbec42abcf394a62f094ced0e2a"),
        (domain.liquidate, "9dfecf2e180dfeadf1955ee168feb02c597064b025dd7ada0a114855d13ced3b"),
        (domain.hash_to_g2, "d857cbedbbe8a1ef31e7da11d2bf76bedd605f2bb420e5362a7dde61a4fdb24e"),
    ] {
        assert_eq!(hex::encode(tag), expected);
    }
}

#[test]
fn expanding_and_hashing_a_message() {
    // The vector's message has no counter: "asd" with "f" in the counter's place is the same bytes.
    let uniform = expand_message(b"asd", b'f', &bytes(DST));
    assert_eq!(
        hex::encode(uniform),
        "a9289d6c3626c2275c7f94a2aec2b47e90522afcfacea9d7d2d6d758bfcd0209\
         e929d19bf0b1b42ec2674bc2d6395aa7a1d5988766413feb1aa4dc9c2e87a15d\
         d34bd9627c1e82adcdb3359afde8ddc5946db33c4255c47497956d677155af6b\
         47debeec9747b0b08909e419594a087497df70f8b60fdc66ebb577dab9a33696"
    );
    assert_eq!(
        Fq::from_be_bytes_mod_order(&uniform[..48]),
        number("307410635215970536626579586125711284326114787973043528925905382633054236085")
    );
    assert_eq!(
        Fq::from_be_bytes_mod_order(&uniform[48..96]),
        number("1183035087006320090803410940370628752170722813268233981705860145243604330069")
    );
    let point = hash_to_g2(b"asdf", &bytes(DST)).unwrap().into_affine();
    assert!(point.is_on_curve() && point.is_in_correct_subgroup_assuming_on_curve());
    assert_eq!(
        [point.x.c0, point.x.c1, point.y.c0, point.y.c1],
        [
            "19189915860137431079386522879690122856688294325465708199336832782170312067121",
            "15535223446109944113608034043028578815523886415276106172424605798046484857389",
            "6360731316450783452006337331860083449871826567543820590988699106738714548980",
            "16837432134274790228040920419929221854111066928434534723565854753119425243509",
        ]
        .map(number)
    );
}

#[test]
fn square_roots_are_the_contracts() {
    for [re, im, root_re, root_im] in [
        [
            "18400763209162137698378342072679747343805045379991482883044659141807904813804",
            "3757716903061301937348252070019908304499894848840852657694527662312163652493",
            "21113773905939110219807704586191458336348141462234245963448200970029289972960",
            "4757623815106826332652416853619432081835467211624617316558602106633360047377",
        ],
        [
            "18643117260133094081555630496908182148979888402907667429281989499686433042481",
            "18767426827650792022715527615257676532671283520119768371866051896505585913537",
            "13983740723413048141287686746094829568564621238524191737326450062318360253841",
            "7253166406823230892838512371946295413549476296573503802098707278836650652634",
        ],
    ] {
        assert_eq!(sqrt_fq2(&Fq2::new(number(re), number(im))), Some(Fq2::new(number(root_re), number(root_im))));
    }
}

#[test]
fn keys_add_up() {
    let one = BlsPublicKey::from_bytes(&bytes(
        "12c59fb45c483177873406e5b74a2e6914fe25a591185f30d2788e737da6f2ed\
         016e56f330d11faaf90ec281b1c4184e98a52d4043075fcbe45a976de0f795ab",
    ))
    .unwrap();
    let other = BlsPublicKey::from_bytes(&bytes(
        "2ef6b73ab4486484de80681753a6a90c6a88a71f60aace9520fe6bb8bb8de34e\
         29b8f2a87a758a89c394b121298b946dce9ada3226b5d008e54e54ddcd9e5227",
    ))
    .unwrap();
    assert_eq!(
        hex::encode(BlsPublicKey::aggregate([&one, &other]).unwrap().to_bytes()),
        "040a638a13320ea807115f1e7865c89c70d2d3df83e2e8c3eaea519e18b6e6b0\
         019081a4475388be53e1088f6ec0dd79f99fc794709b9cf8b1ad401a9c4d3413"
    );
    let negative = BlsPublicKey(-one.0);
    assert_eq!(BlsPublicKey::aggregate([&one, &negative]), Err(BlsError::ZeroSum));
    assert_eq!(BlsPublicKey::aggregate([]), Err(BlsError::ZeroSum));
    assert_eq!(BlsSignature::aggregate([]), Err(BlsError::ZeroSum));
}

#[test]
fn signatures_of_the_reference() {
    let secret = BlsSecretKey::from_bytes(&bytes(&"0123456789abcdef".repeat(4))).unwrap();
    assert_eq!(
        hex::encode(secret.public().to_bytes()),
        "14c6615c4fbecfa4a2c2197ae8152904ce2c0d9daab228650993959c9d5c322c\
         1310113ec96bd4f56c1a3abb96dea45ffb8d785ea7a55faf38e12bfd92ba179b"
    );
    let hello = "57caa176af1ac0433c5df30e8dabcd2ec1af1e92a26eced5f719b88458777cd6";
    let shout = "dc85a6bbfd4658040ef305c9333cf0d5a82ede2854f112549f3925df6b2c0e71";
    let nowhere = "0000000000000000000000000000000000000000";
    let somewhere = "3433798131a72d99c5779e2b4998b17039941f7b";
    for (contract, message, expected) in [
        (
            nowhere,
            hello,
            "28dcb2b1512acd2eb2405c6e25cdfa3172b3f3244f4f13b32c5cb0a6e52de22f\
             1d1c84e8b728675709c43c53d465601fb7cde902470547fc92e39f47820a2cc3\
             25c76fabbab649f9e786d727cc4c5123e1ec677087b920cc3bcd7e6701ed3953\
             236410a224c9ba5eccf6189533838c9ef8e0b4354ae11556c705650b9d6a7cc6",
        ),
        (
            nowhere,
            shout,
            "04da80bc677397dbd11c1a1a68ba0525e5e461c0eed3011af2445173c5331536\
             2f72a0cb8043ac3f5345b218e0cb4d5e2a76da9450d18eeccc8b10a0e97abed7\
             2bd7d00154ca33fa1491457dddfcd3874c2892a1e7bead5b4a9b8a588bb8edfe\
             23b92cef33ef5fe950f166b4902ac98d6b96c7bc6a537c275bc9044c6b42ff3d",
        ),
        (
            somewhere,
            shout,
            "219efae61cb5c45e0d5a253a1438d03006f324971668579bd31494390b02982e\
             0341f283f79d1c2adfa74005a2948c0092a3ed4d683e6488880047c31b4811e5\
             1684a9fe7e85c7aaca017c770294aa08fa9303e659773f11b1369cd541c395b1\
             2a66ecf20e0372b8cff3a52f65442c96c5eb3fe066bdb50f1f1c82898d80df9e",
        ),
    ] {
        let tag = BlsDomain::new(42161, &bytes(contract)).hash_to_g2;
        assert_eq!(signed(&secret, &bytes::<32>(message), &tag), expected);
    }
}

#[test]
fn proofs_of_possession() {
    let domain = mainnet();
    for (secret, key, expected) in [
        (
            key_a(),
            "139f8ab7d6c709e447d13cde4e71a2a90b02f64ee9b8870397343aa9e2f29f10\
             00da6b3bfd76d594137eeee1c9cc13bda573d6a0ec651eb2cf8311973ceb9a42",
            "230f764ccb8b759ec6adacb6be3270d8a3161a3b205da1d0debad814efb6e9fb\
             0f86ea7ef6400b3d372c73d28e5c9f3d25d777ddcfa72b2b37ea48ece33e8f84\
             0243d299874f76fc4996a13ac6443d6a0e2c442d99c6a16b596346eb3b8e1d90\
             17a672f4dce79391d0756479f8bde4cd437a3999fa8e470ffbb16bf89efffe1a",
        ),
        (
            key_b(),
            "0f298fd69902d9b3c258abaf6bf19b5cf9e9314ac9e0fc3c2c371c108f94c603\
             001d99766d403ba8ba181a2a3f414d07014084966053b330d8d9d5bab3a5d307",
            "1376fa3ac838b1df93138be8ca32687542901f597e16e886d80bf0801c3c98f4\
             16700ca609ffa12513c5601a6553af0b869ed2ab9183d348e69ea78aa78b113c\
             2d08965c60beba894c8608a1c2dff5fc8c16f7ce2bb1ccf15e591c967ef5b7c5\
             0f953d65476525bcc71e07f7e475f946b7ba22e498c7cd57b347fbf35da6e0a2",
        ),
    ] {
        assert_eq!(hex::encode(secret.public().to_bytes()), key);
        let message = domain.possession_message(&secret.public(), &bytes(OPERATOR), &bytes(ED25519));
        assert_eq!(message.len(), 148);
        assert_eq!(signed(&secret, &message, &domain.hash_to_g2), expected);
    }
}

#[test]
fn aggregates_of_a_reward() {
    let domain = mainnet();
    let message = domain.reward_message(&bytes(OPERATOR), 123_456_789_012_345);
    assert_eq!(
        hex::encode(&message),
        "8ef21a6f151a224f0b101c51e6e587b27d26c1f4c16e72874221f0102fa68ae7\
         66d801a70615979d82c304b7db374d11c232db66\
         00000000000000000000000000000000000000000000000000007048860ddf79"
    );
    let signatures = [key_a(), key_b()].map(|secret| secret.sign(&message, &domain.hash_to_g2).unwrap());
    let signature = BlsSignature::aggregate(&signatures).unwrap();
    assert_eq!(
        hex::encode(signature.to_bytes()),
        "0dce182ab2f6008996d0d1d86d91e2587e75ca5c9ea53f3e403ddad5ac372575\
         23983dc5c6003253d252cf3b6b22f34f710eb5da1874ae126eeff090d90f7e03\
         06799be6661ffb1b92d657dfd92bdcea95f481ea44c335f90f78679bc51003a5\
         2f9e4610f80ec10abe13a4e233a8c21f3702d582abd2becabdce9274c75ef2ab"
    );
    let key = BlsPublicKey::aggregate(&[key_a().public(), key_b().public()]).unwrap();
    assert_eq!(
        hex::encode(key.to_bytes()),
        "18c4433a6e2392ea9277f641ec0c3bcd16d12a38edccd9f425ec26e75615b6ed\
         0ce1ec3b62cad3409059adb4df29b286d78fdf8ed1c4bd7917c2f02b070c1b6e"
    );
    assert!(key.verify(&message, &domain.hash_to_g2, &signature));
    assert!(!key_a().public().verify(&message, &domain.hash_to_g2, &signature));
}

#[test]
fn exits_and_liquidations() {
    let domain = mainnet();
    let exit = domain.exit_message(&key_a().public(), 1_750_000_000);
    assert_eq!(exit.len(), 128);
    assert_eq!(
        signed(&key_b(), &exit, &domain.hash_to_g2),
        "118bbff1c3f2f75d6d03bdea932472050d3de68acc691a485d3fd7c2250b8f1a\
         1a98a20d114578d8af8bff6038480db009261d05a102c254162d43b1714ac52f\
         01152ecfd9d0ff3bc8068c3c0d2bd9a90d0cdd87469114bdcd865bbab27b2790\
         1460768da6ea584ca2fedb5382f4d29f4e2e4763b39c3746f37fbdc03a94ee26"
    );
    assert_eq!(
        signed(&key_b(), &domain.liquidation_message(&key_a().public(), 1_750_000_000), &domain.hash_to_g2),
        "01c7454b643485d2fbbcd6e33a835eb5802fac6a97b6d8eb266c10cefdc66840\
         06845ed7863bf8393f38c1c71d136d29c5f18f5728b2538e6482c82b4e92966a\
         08b51aa125e5b28490d084813e873452b58a7d8cc9c5b4f3223b7873efbfe995\
         20047017845a504fb4412c9d4b5d2435d87dfbb439f7b6e38b86cae6d8cb5495"
    );
}

#[test]
fn secrets_above_the_order_mean_what_is_left() {
    assert!(matches!(BlsSecretKey::from_bytes(&[0; 32]), Err(BlsError::ZeroSecret)));
    let order: [u8; 32] = Fr::MODULUS.to_bytes_be().try_into().unwrap();
    assert!(matches!(BlsSecretKey::from_bytes(&order), Err(BlsError::ZeroSecret)));
    let mut above = order;
    above[31] += 1;
    assert_eq!(BlsSecretKey::from_bytes(&above).unwrap().to_bytes()[..], [&[0; 31][..], &[1]].concat());
    let secret = BlsSecretKey::random().unwrap();
    assert_eq!(BlsSecretKey::from_bytes(&secret.to_bytes()).unwrap().public(), secret.public());
    assert_eq!(format!("{secret:?}"), format!("BlsSecretKey(of {})", hex::encode(secret.public().to_bytes())));
}

#[test]
fn what_is_no_key_or_signature_is_refused() {
    let p: [u8; 32] = Fq::MODULUS.to_bytes_be().try_into().unwrap();
    let generator = BlsPublicKey(G1Affine::generator()).to_bytes();
    assert!(BlsPublicKey::from_bytes(&generator).is_ok());
    let mut unreduced = p;
    unreduced[31] += 1;
    for (x, y) in [
        ([0; 32], [0; 32]),
        ([0; 32], generator[32..].try_into().unwrap()),
        (generator[..32].try_into().unwrap(), [0; 32]),
        (unreduced, generator[32..].try_into().unwrap()),
        (generator[..32].try_into().unwrap(), [3; 32]),
        ([0xff; 32], [0xff; 32]),
    ] {
        assert_eq!(BlsPublicKey::from_bytes(&[x, y].concat().try_into().unwrap()), Err(BlsError::PublicKey));
    }
    assert_eq!(BlsSignature::from_bytes(&[0; 128]), Err(BlsError::Signature));
    assert_eq!(BlsSignature::from_bytes(&[0xff; 128]), Err(BlsError::Signature));
    // On the curve, but not in the subgroup.
    let mut rng = ark_std::test_rng();
    let outside = std::iter::repeat_with(|| Fq2::rand(&mut rng))
        .find_map(|x| Some(G2Affine::new_unchecked(x, sqrt_fq2(&(x.square() * x + ark_bn254::g2::Config::COEFF_B))?)))
        .unwrap();
    assert!(outside.is_on_curve());
    assert_eq!(BlsSignature::from_bytes(&g2_bytes(&outside)), Err(BlsError::Signature));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// arkworks' own root, up to its sign, and its own clearing of the subgroup check.
    #[test]
    fn points_lie_in_the_subgroup(message: Vec<u8>, tag: [u8; 32]) {
        let point = hash_to_g2(&message, &tag).unwrap().into_affine();
        prop_assert!(!point.is_zero() && point.is_on_curve() && point.is_in_correct_subgroup_assuming_on_curve());
    }

    #[test]
    fn roots_square_to_what_they_are_of(seed: u64) {
        let a = Fq2::new(Fq::from(seed).pow([7]), Fq::from(seed) + Fq::ONE);
        match sqrt_fq2(&a) {
            Some(root) => prop_assert_eq!(root.square(), a),
            None => prop_assert!(a.legendre().is_qnr()),
        }
    }

    #[test]
    fn who_signed_wrongly_is_found(count in 0_u64..12, wrong in 0_u16..1 << 12) {
        let tag = [7; 32];
        let is_wrong = |place: usize| wrong >> place & 1 == 1;
        let pairs: Vec<_> = (0..count).enumerate().map(|(place, seed)| {
            let secret = BlsSecretKey(Fr::from(seed + 1));
            let message: &[u8] = if is_wrong(place) { b"another" } else { b"message" };
            (secret.public(), secret.sign(message, &tag).unwrap())
        }).collect();
        let expected: Vec<_> = (0..pairs.len()).filter(|place| is_wrong(*place)).collect();
        prop_assert_eq!(faulty(&pairs, b"message", &tag).unwrap(), expected);
    }

    /// Bytes that are read say the same when written.
    #[test]
    fn fuzz_bls_bytes(low: [u8; 32], high: [u8; 32]) {
        let pair: [u8; 64] = [low, high].concat().try_into().unwrap();
        if let Ok(key) = BlsPublicKey::from_bytes(&pair) {
            prop_assert_eq!(key.to_bytes(), pair);
        }
        let four: [u8; 128] = [low, high, high, low].concat().try_into().unwrap();
        if let Ok(signature) = BlsSignature::from_bytes(&four) {
            prop_assert_eq!(signature.to_bytes(), four);
        }
    }
}
