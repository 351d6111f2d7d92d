//! SHA-256 of what is secret. A digest keeps the last block of its text in itself, which ring leaves on the stack (requirement E6).

use ring::digest::{Context, Digest, SHA256};

use crate::secret::wipe_stack;

/// How much of the stack is overwritten after a digest: several times what ring uses, in a debug build, too.
const STACK_WIPED: usize = 16 * 1024;

/// The SHA-256 of `parts`, one after the other.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let digest = on_a_stack_of_its_own(parts);
    wipe_stack::<STACK_WIPED>();
    digest.as_ref().try_into().unwrap_or_else(|_| unreachable!("SHA-256 has 32 bytes"))
}

/// What it leaves lies below the caller's frame.
#[inline(never)]
fn on_a_stack_of_its_own(parts: &[&[u8]]) -> Digest {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    context.finish()
}

/// The first `bytes` bytes of the SHA-256 of `parts`, in hex.
pub(crate) fn short_digest(parts: &[&[u8]], bytes: usize) -> String {
    sha256(parts)[..bytes].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-2, appendix B.1.
    #[test]
    fn it_is_sha_256_however_the_text_is_cut() {
        assert_eq!(short_digest(&[b"abc"], 8), "ba7816bf8f01cfea");
        assert_eq!(sha256(&[b"a", b"", b"bc"]), sha256(&[b"abc"]));
    }

    #[cfg(target_os = "linux")]
    mod on_the_stack {
        use std::{fs::File, hint::black_box, os::unix::fs::FileExt};

        use super::*;

        const FRAME: usize = 4 * 1024;
        const LEVELS: usize = 32;

        /// Calls `then` far below the caller's frame, so that what it leaves on the stack is not written over by what the caller
        /// calls next.
        #[inline(never)]
        fn far_below(levels: usize, then: &dyn Fn()) -> usize {
            let frame = black_box([0_u8; FRAME]);
            let at = if levels == 0 {
                then();
                frame.as_ptr().addr()
            } else {
                far_below(levels - 1, then)
            };
            black_box(frame);
            at
        }

        /// Whether `then` leaves on the stack what it is given. Another secret each time: nobody clears up after the one before.
        fn is_left(seed: u8, then: impl Fn(&[u8])) -> bool {
            // Only the heap knows it.
            let secret: Vec<u8> = (0..40).map(|n: u8| n.wrapping_mul(83) ^ seed).collect();
            let lowest = far_below(LEVELS, &|| then(&secret));
            let mut stack = vec![0; LEVELS / 2 * FRAME];
            let start = lowest - LEVELS / 4 * FRAME;
            let memory = File::open("/proc/self/mem").unwrap();
            memory.read_exact_at(&mut stack, start.try_into().unwrap()).unwrap();
            stack.windows(16).any(|bytes| bytes == &secret[secret.len() - 16..])
        }

        #[test]
        fn e6_nothing_of_what_was_digested_is_left() {
            let copies = |secret: &[u8]| {
                let mut copy = [0; 40];
                copy.copy_from_slice(secret);
                black_box(&copy);
            };
            assert!(is_left(1, copies), "the search finds what is there");
            let digests = |secret: &[u8]| {
                black_box(sha256(&[b"sign-in", secret]));
            };
            assert!(!is_left(2, digests));
            let left_alone = |secret: &[u8]| {
                black_box(on_a_stack_of_its_own(&[secret]));
            };
            assert!(is_left(3, left_alone), "nothing is left that would have to be overwritten");
        }
    }
}
