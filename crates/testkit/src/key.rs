//! [`KeyPair`]: a key that signs images, as files have it.

/// An ECDSA key on P-256.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// The private key, PKCS#8 in PEM.
    pub private: String,
    /// The public key, SPKI in PEM.
    pub public: String,
}

impl KeyPair {
    /// A key that nobody had before.
    pub fn new() -> Self {
        let key = rcgen::KeyPair::generate().expect("a key can be made");
        Self { private: key.serialize_pem(), public: key.public_key_pem() }
    }
}

impl Default for KeyPair {
    fn default() -> Self {
        Self::new()
    }
}
