//! SHA-256 (FIPS 180-4), for the names of shared limiters.
//!
//! A library would add six crates to every build for one digest per client.

use secrecy::zeroize::Zeroizing;

const BLOCK: usize = 64;

#[rustfmt::skip]
const ROUNDS: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

/// Returns the SHA-256 digest of `message`. Working copies of it are overwritten.
pub(super) fn sha256(message: &[u8]) -> [u8; 32] {
    let mut state =
        [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
    let mut blocks = message.chunks_exact(BLOCK);
    for block in &mut blocks {
        compress(&mut state, block);
    }
    // The rest is followed by a one bit, zeros, and the length in bits.
    let mut tail = Zeroizing::new([0; 2 * BLOCK]);
    let rest = blocks.remainder().iter().copied();
    for (byte, value) in tail.iter_mut().zip(rest.chain([0x80])) {
        *byte = value;
    }
    let end = if blocks.remainder().len() < BLOCK.saturating_sub(8) { BLOCK } else { 2 * BLOCK };
    let bits = (message.len() as u64).wrapping_mul(8).to_be_bytes();
    for (byte, value) in tail.iter_mut().take(end).rev().zip(bits.into_iter().rev()) {
        *byte = value;
    }
    for block in tail.chunks_exact(BLOCK).take(end / BLOCK) {
        compress(&mut state, block);
    }
    let mut digest = [0; 32];
    for (byte, value) in digest.iter_mut().zip(state.iter().flat_map(|word| word.to_be_bytes())) {
        *byte = value;
    }
    digest
}

#[allow(clippy::many_single_char_names, reason = "the names of the standard")]
fn compress(state: &mut [u32; 8], block: &[u8]) {
    let mut words = Zeroizing::new([0_u32; 16]);
    for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for constant in ROUNDS {
        let [first, second, .., tenth, _, _, _, _, fifteenth, _] = *words;
        let sum = h
            .wrapping_add(e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25))
            .wrapping_add(e & f ^ !e & g)
            .wrapping_add(constant)
            .wrapping_add(first);
        let other = (a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22)).wrapping_add(a & b ^ a & c ^ b & c);
        (h, g, f, e) = (g, f, e, d.wrapping_add(sum));
        (d, c, b, a) = (c, b, a, sum.wrapping_add(other));
        // The schedule of the next rounds, as a queue of 16 words.
        let next = first
            .wrapping_add(second.rotate_right(7) ^ second.rotate_right(18) ^ second >> 3)
            .wrapping_add(tenth)
            .wrapping_add(fifteenth.rotate_right(17) ^ fifteenth.rotate_right(19) ^ fifteenth >> 10);
        words.rotate_left(1);
        if let Some(last) = words.last_mut() {
            *last = next;
        }
    }
    for (word, value) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = word.wrapping_add(value);
    }
}

#[cfg(test)]
#[allow(clippy::panic, reason = "tests")]
mod tests {
    use tokio_rustls::rustls::SupportedCipherSuite;
    use tokio_rustls::rustls::crypto::aws_lc_rs;

    use super::sha256;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    #[test]
    fn the_digests_are_those_of_the_standard() {
        let cases = [
            (Vec::new(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (b"abc".to_vec(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".to_vec(),
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
            (vec![b'a'; 1_000_000], "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
        ];
        for (message, digest) in cases {
            assert_eq!(hex(&sha256(&message)), digest, "{} bytes", message.len());
        }
    }

    /// The digests of another implementation (aws-lc), for each position of the end in a block.
    #[test]
    fn the_digest_is_right_for_each_length() {
        let SupportedCipherSuite::Tls13(suite) = aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256 else {
            panic!("a suite of TLS 1.3");
        };
        for length in 0..300 {
            let message: Vec<u8> = (0..=255_u8).cycle().take(length).collect();
            let expected = suite.common.hash_provider.hash(&message);
            assert_eq!(hex(expected.as_ref()), hex(&sha256(&message)), "{length} bytes");
        }
    }
}
