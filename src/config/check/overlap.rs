//! Routes beside each other: the choice among them must be one and the same for everybody who reads the file.
//!
//! Promises: no two routes take the same host, path and method; no route passes encoded slashes past a longer one.

use std::collections::BTreeSet;

use super::super::file::File;
use super::super::mistake::Findings;
use super::super::{HostPattern, Route, Upstream};

/// Judges every pair of routes.
pub(super) fn check(routes: &[Option<Route>], file: &File, upstreams: &[Option<Upstream>], findings: &mut Findings) {
    let folds =
        |route: &Route| upstreams.get(route.upstream).and_then(Option::as_ref).is_some_and(|u| u.case_insensitive);
    for (place, route) in routes.iter().enumerate() {
        let Some(route) = route else { continue };
        let at = &file.routes[place];
        for (other_place, other) in routes.iter().enumerate() {
            let Some(other) = other.as_ref().filter(|other| other_place != place && share_host(route, other)) else {
                continue;
            };
            let fold = folds(route) || folds(other);
            let (own, theirs) = (spelled(&route.path, fold), spelled(&other.path, fold));
            if other_place < place && own == theirs && share_method(route, other) {
                let span = at.value.path.as_ref().map_or(&at.span, |path| &path.span);
                let message = format!("has host, path and method of routes[{other_place}] already");
                findings.push(format!("routes[{place}].path"), span, message);
            }
            if route.encoded_slash && lies_below(&theirs, &own) {
                let message =
                    format!("lets %2F pass while routes[{other_place}] lies below: one path would have two routes");
                findings.push(format!("routes[{place}].encoded_slash"), &at.value.encoded_slash.span, message);
            }
        }
    }
}

fn spelled(path: &str, fold: bool) -> String {
    if fold { path.to_ascii_lowercase() } else { path.to_owned() }
}

/// Whether some request's host leads to both: they name one pattern alike, or neither names any.
fn share_host(a: &Route, b: &Route) -> bool {
    let hosts = |route: &Route| route.hosts.iter().cloned().collect::<BTreeSet<HostPattern>>();
    (a.hosts.is_empty() && b.hosts.is_empty()) || !hosts(a).is_disjoint(&hosts(b))
}

/// Whether both name one method, `GET` including `HEAD`, or both take what is left.
fn share_method(a: &Route, b: &Route) -> bool {
    let named = |route: &Route| -> Option<BTreeSet<String>> {
        let mut names: BTreeSet<_> = route.methods.as_ref()?.iter().map(|name| name.0.as_str().to_owned()).collect();
        if names.contains("GET") {
            names.insert("HEAD".to_owned());
        }
        Some(names)
    };
    match (named(a), named(b)) {
        (Some(a), Some(b)) => !a.is_disjoint(&b),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn lies_below(longer: &str, shorter: &str) -> bool {
    let rest = longer.strip_prefix(shorter.trim_end_matches('/'));
    longer != shorter && rest.is_some_and(|rest| rest.starts_with('/'))
}
