//! Which addresses a webhook may be dialled at.
//!
//! Promises: a name is resolved here, what is not public is left out, and what is left is what is dialled: nothing resolves
//! the name again in between.
//! Deliberately does not: look at addresses that are written out in a URL. The configuration's check does.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::config::is_public;

/// Resolves names to public addresses only.
pub(super) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let all = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(public(all)?)
        })
    }
}

fn public(all: impl Iterator<Item = SocketAddr>) -> Result<Addrs, &'static str> {
    let public: Vec<_> = all.filter(|address| is_public(address.ip())).collect();
    if public.is_empty() {
        return Err("its name leads to no public address, and allow_private is not set");
    }
    Ok(Box::new(public.into_iter()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_of_a_name_are_dialled() {
        let all = ["127.0.0.1:0", "1.1.1.1:0", "10.0.0.1:0", "[::1]:0"].map(|text| text.parse().expect("an address"));
        let left: Vec<_> = public(all.into_iter()).expect("one").collect();
        assert_eq!(left, [all[1]]);
        assert!(public([all[0], all[2]].into_iter()).is_err());
        assert!(public(std::iter::empty()).is_err());
    }

    #[tokio::test]
    async fn a_name_of_this_machine_leads_nowhere() {
        let resolved = PublicOnly.resolve("localhost".parse().expect("a name")).await;
        assert!(resolved.is_err_and(|error| error.to_string().contains("no public address")));
    }
}
