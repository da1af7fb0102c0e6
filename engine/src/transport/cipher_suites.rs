//! The cipher suites of TLS, wherever this node speaks it.

use std::sync::Arc;

use rustls::{CipherSuite, crypto::CryptoProvider};

/// All that the library has, AES-128 first.
///
/// Its keys are derived by SHA-256, for which processors have instructions; those of AES-256 by SHA-384, for which they have
/// none (`docs/benchmarks.md`). A server goes by this order, not by the client's.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| !is_aes_128(suite.suite()));
    Arc::new(provider)
}

const fn is_aes_128(suite: CipherSuite) -> bool {
    matches!(
        suite,
        CipherSuite::TLS13_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_suite_is_lost_and_both_versions_begin_with_aes_128() {
        let suites: Vec<_> = provider().cipher_suites.iter().map(|suite| suite.suite()).collect();
        assert_eq!(suites.len(), rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES.len());
        assert!(suites[..3].iter().all(|suite| is_aes_128(*suite)));
        assert_eq!(suites[0], CipherSuite::TLS13_AES_128_GCM_SHA256);
    }
}
