//! What a refused request is told when too many came before it from the same address.
//!
//! Promises: it is asked only where the verdict was no, so that a good token never pays for the failures of others; only a
//! credential that was presented and is not good counts.

use std::net::IpAddr;

use super::refusal::Refusal;
use crate::domain::Timestamp;
use crate::limiter::failures::Failures;

/// What a request from `address` that is refused for `refusal` at `now` is told.
pub(super) fn weigh(failures: &Failures, refusal: Refusal, address: IpAddr, now: Timestamp) -> Refusal {
    if !matches!(refusal, Refusal::CredentialInvalid | Refusal::TokenSuperseded | Refusal::TokenExpired) {
        return refusal;
    }
    let counted = failures.count(address, now);
    counted.retry_after_seconds.map_or(refusal, |retry_after_seconds| Refusal::TooManyFailures { retry_after_seconds })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn only_a_credential_that_was_presented_counts() {
        let failures = Failures::new(100);
        let (address, noon) = (IpAddr::V4(Ipv4Addr::LOCALHOST), Timestamp::from_millis(1_795_435_200_000));
        for refusal in [Refusal::CredentialMissing, Refusal::RoleMissing, Refusal::NotReady, Refusal::NoRoute] {
            for _ in 0..200 {
                assert_eq!(weigh(&failures, refusal.clone(), address, noon), refusal);
            }
        }
        for _ in 0..100 {
            assert_eq!(weigh(&failures, Refusal::TokenExpired, address, noon), Refusal::TokenExpired);
        }
        let told = weigh(&failures, Refusal::CredentialInvalid, address, noon);
        assert_eq!(told, Refusal::TooManyFailures { retry_after_seconds: 60 });
    }
}
