//! Client tokens: one per attempt, kept across its retries, never shared by two attempts.

use crate::model::action::WriteKind;
use crate::model::ids::{BootId, Epoch, HavipId, Target};
use sha2::{Digest, Sha256};

/// The `clientToken` of one attempt: 40 hexadecimal digits over boot id, epoch and attempt, and over
/// what is asked for, so that a token can never meet another body (`IdempotentParameterMismatch`).
pub(crate) fn client_token(
    boot: BootId,
    epoch: Epoch,
    attempt: u64,
    havip: &HavipId,
    kind: WriteKind,
    targets: &[Target],
) -> String {
    let mut hash = Sha256::new();
    hash.update(boot.0);
    hash.update(epoch.0.to_be_bytes());
    hash.update(attempt.to_be_bytes());
    hash.update(havip.as_str());
    hash.update([0, u8::from(kind == WriteKind::Attach)]);
    for target in targets {
        hash.update(target.id());
        hash.update([0]);
    }
    hex::encode(&hash.finalize()[..20])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differs_by_attempt_and_fits_the_limit() {
        let havip: HavipId = "havip-1".parse().expect("valid");
        let targets = ["i-1".parse().expect("valid")];
        let of = |attempt| client_token(BootId([1; 16]), Epoch(1), attempt, &havip, WriteKind::Attach, &targets);
        assert_ne!(of(1), of(2));
        assert_eq!(of(1), of(1));
        assert!(of(1).len() <= 64 && of(1).is_ascii());
    }
}
