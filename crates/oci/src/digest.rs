//! [`Digest`] and what computes and checks one.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest as hash;

use crate::InvalidName;
use crate::name::serde_as_text;

/// A hash algorithm that the image spec registers.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Algorithm {
    /// SHA-256, what nearly all content uses.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// The name before the colon of a digest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The digest of content, `sha256:<64 hex digits>` or `sha512:<128 hex digits>`.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Digest {
    /// A SHA-256 digest.
    Sha256([u8; 32]),
    /// A SHA-512 digest.
    Sha512([u8; 64]),
}

impl Digest {
    /// The digest of `content`.
    pub fn of(algorithm: Algorithm, content: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(content);
        hasher.finish()
    }

    /// The SHA-256 digest of `content`.
    pub fn sha256(content: &[u8]) -> Self {
        Self::of(Algorithm::Sha256, content)
    }

    /// The algorithm that made it.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// The part after the colon.
    pub fn hex(&self) -> String {
        self.bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Sha256(bytes) => bytes,
            Self::Sha512(bytes) => bytes,
        }
    }
}

impl FromStr for Digest {
    type Err = InvalidName;

    fn from_str(input: &str) -> Result<Self, InvalidName> {
        let invalid = |problem: String| InvalidName::new("digest", input, problem);
        let (algorithm, hex) = input
            .split_once(':')
            .ok_or_else(|| invalid("it must be `sha256:` or `sha512:` and hex digits".into()))?;
        match algorithm {
            "sha256" => decode(hex).map(Self::Sha256),
            "sha512" => decode(hex).map(Self::Sha512),
            _ => {
                return Err(invalid(format!(
                    "`{algorithm}` is not an algorithm known here (sha256, sha512)"
                )));
            }
        }
        .ok_or_else(|| {
            let length = if algorithm == "sha256" { 64 } else { 128 };
            invalid(format!(
                "{algorithm} has {length} lower-case hex digits, this has {} characters",
                hex.chars().count()
            ))
        })
    }
}

/// Lower-case hex to exactly `N` bytes.
fn decode<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.algorithm())?;
        self.bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(Digest);

/// Computes a digest piece by piece.
#[derive(Clone)]
pub struct Hasher {
    algorithm: Algorithm,
    context: hash::Context,
}

impl Hasher {
    /// A hasher that has seen nothing yet.
    pub fn new(algorithm: Algorithm) -> Self {
        let context = hash::Context::new(match algorithm {
            Algorithm::Sha256 => &hash::SHA256,
            Algorithm::Sha512 => &hash::SHA512,
        });
        Self { algorithm, context }
    }

    /// Takes the next piece of content.
    pub fn update(&mut self, piece: &[u8]) {
        self.context.update(piece);
    }

    /// The digest of all pieces.
    pub fn finish(self) -> Digest {
        let value = self.context.finish();
        match self.algorithm {
            Algorithm::Sha256 => Digest::Sha256(exactly(value.as_ref())),
            Algorithm::Sha512 => Digest::Sha512(exactly(value.as_ref())),
        }
    }
}

/// The hash as an array; an algorithm's output length is fixed, so nothing is cut or padded.
fn exactly<const N: usize>(value: &[u8]) -> [u8; N] {
    std::array::from_fn(|i| value.get(i).copied().unwrap_or_default())
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// Content that is not what was promised.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Mismatch {
    /// More bytes came than the descriptor says; the rest was not read.
    #[error("more than the expected {expected} bytes")]
    TooLong {
        /// The size promised, in bytes.
        expected: u64,
    },
    /// The content ended early.
    #[error("ended after {actual} of {expected} bytes")]
    TooShort {
        /// The size promised, in bytes.
        expected: u64,
        /// The bytes that came.
        actual: u64,
    },
    /// As many bytes as promised, but others, with this digest.
    #[error("the bytes have digest {0}")]
    Digest(Digest),
}

/// Checks streamed content against its digest, and against its size where that is known.
#[derive(Clone, Debug)]
pub struct Verifier {
    expected: Digest,
    size: Option<u64>,
    seen: u64,
    hasher: Hasher,
}

impl Verifier {
    /// A verifier for content with this digest and, where known, this size in bytes.
    pub fn new(expected: Digest, size: Option<u64>) -> Self {
        Self { expected, size, seen: 0, hasher: Hasher::new(expected.algorithm()) }
    }

    /// How many bytes have come so far.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// [`Mismatch::TooLong`] as soon as more has come than the size allows.
    pub fn update(&mut self, piece: &[u8]) -> Result<(), Mismatch> {
        self.seen += piece.len() as u64;
        if let Some(expected) = self.size
            && self.seen > expected
        {
            return Err(Mismatch::TooLong { expected });
        }
        self.hasher.update(piece);
        Ok(())
    }

    /// Whether all of it came and is what was promised.
    ///
    /// # Errors
    /// [`Mismatch::TooShort`] or [`Mismatch::Digest`].
    pub fn finish(self) -> Result<(), Mismatch> {
        if let Some(expected) = self.size
            && self.seen < expected
        {
            return Err(Mismatch::TooShort { expected, actual: self.seen });
        }
        let actual = self.hasher.finish();
        if actual == self.expected { Ok(()) } else { Err(Mismatch::Digest(actual)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn known_values() {
        assert_eq!(Digest::sha256(b"").to_string(), EMPTY);
        let long = Digest::of(Algorithm::Sha512, b"abc").to_string();
        assert!(long.starts_with("sha512:ddaf35a193617abacc417349ae204131"), "{long}");
        assert_eq!(long.parse::<Digest>().unwrap().to_string(), long);
    }

    #[test]
    fn parses_only_canonical_text() {
        assert_eq!(EMPTY.parse::<Digest>().unwrap(), Digest::sha256(b""));
        let upper = format!("sha256:{}", EMPTY[7..].to_uppercase());
        for bad in ["", "sha256", "sha256:", "sha256:abc", "md5:abc", "sha256:zz", upper.as_str()] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn verifier_tells_each_way_to_be_wrong() {
        let check = |content: &[u8], size| {
            let mut verifier = Verifier::new(Digest::sha256(b"abc"), size);
            verifier.update(content).and_then(|()| verifier.finish())
        };
        assert_eq!(check(b"abc", Some(3)), Ok(()));
        assert_eq!(check(b"abc", None), Ok(()));
        assert_eq!(check(b"abcd", Some(3)), Err(Mismatch::TooLong { expected: 3 }));
        assert_eq!(check(b"ab", Some(3)), Err(Mismatch::TooShort { expected: 3, actual: 2 }));
        assert!(matches!(check(b"abd", Some(3)), Err(Mismatch::Digest(_))));
    }
}
