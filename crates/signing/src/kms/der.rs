//! What two numbers are in DER: the one structure that a service leaves to us.

/// `SEQUENCE { INTEGER, INTEGER }` of two unsigned big-endian numbers: an ECDSA signature (RFC 3279
/// section 2.2.3) of r and s, or an RSA public key (RFC 8017 section A.1.1) of modulus and exponent.
pub(crate) fn sequence_of_two(first: &[u8], second: &[u8]) -> Vec<u8> {
    element(0x30, &[integer(first), integer(second)].concat())
}

fn integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let mut content: Vec<u8> = number.iter().skip(zeros).copied().collect();
    // A first bit that is set would be a minus, and nothing at all is no number.
    if content.first().is_none_or(|first| first & 0x80 != 0) {
        content.insert(0, 0);
    }
    element(0x02, &content)
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length: Vec<u8> = length.iter().copied().skip_while(|byte| *byte == 0).collect();
    let mut bytes = vec![tag];
    match (length.as_slice(), u8::try_from(length.len())) {
        ([], _) => bytes.push(0),
        ([short], _) if *short < 0x80 => bytes.push(*short),
        // No content is longer than 2^64 bytes, so its length has eight bytes at most.
        (_, count) => bytes.push(0x80 | count.unwrap_or(8)),
    }
    if content.len() >= 0x80 {
        bytes.extend_from_slice(&length);
    }
    bytes.extend_from_slice(content);
    bytes
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    };
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_of_every_shape() {
        let table: [(&[u8], &[u8]); 6] = [
            (&[], &[2, 1, 0]),
            (&[0, 0], &[2, 1, 0]),
            (&[0x7f], &[2, 1, 0x7f]),
            (&[0x80], &[2, 2, 0, 0x80]),
            (&[0, 1, 2], &[2, 2, 1, 2]),
            (&[0, 0xff, 0], &[2, 3, 0, 0xff, 0]),
        ];
        for (number, expected) in table {
            assert_eq!(integer(number), expected, "{number:?}");
        }
        let long = element(0x30, &[7; 0x80]);
        assert_eq!(&long[..4], [0x30, 0x81, 0x80, 7]);
        let longer = element(0x30, &[7; 0x1234]);
        assert_eq!(&longer[..5], [0x30, 0x82, 0x12, 0x34, 7]);
    }

    #[test]
    fn a_signature_of_two_numbers_is_one_in_der() {
        let random = SystemRandom::new();
        let fixed = &ECDSA_P384_SHA384_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(fixed, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(fixed, document.as_ref()).unwrap();
        let asn1 =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, document.as_ref()).unwrap();
        let public = crate::PublicKey::from_raw(asn1.public_key().as_ref()).unwrap();
        for message in 0..64_u8 {
            let signature = key.sign(&random, &[message]).unwrap();
            let (r, s) = signature.as_ref().split_at(signature.as_ref().len() / 2);
            let der = sequence_of_two(r, s);
            public.verify(crate::Algorithm::EcdsaSha384, &[message], &der).unwrap();
        }
    }

    proptest! {
        #[test]
        fn never_panics(first: Vec<u8>, second: Vec<u8>) {
            let _ = sequence_of_two(&first, &second);
        }
    }
}
