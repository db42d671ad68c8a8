//! Routes beside each other: the choice among them must be one and the same for everybody who reads the file.
//!
//! Promises: no two routes take the same host, path and method; no route passes encoded slashes past a longer one.

use std::collections::BTreeSet;

use super::super::file::File;
use super::super::mistake::Findings;
use super::super::{HostPattern, Route, Upstream};

/// One route as it is compared: its paths as written and folded to lower case.
struct Compared<'a> {
    place: usize,
    route: &'a Route,
    folds: bool,
    folded: String,
}

/// Judges every pair of routes.
pub(super) fn check(routes: &[Option<Route>], file: &File, upstreams: &[Option<Upstream>], findings: &mut Findings) {
    let all = routes.iter().enumerate().filter_map(|(place, route)| {
        let route = route.as_ref()?;
        let folds = upstreams.get(route.upstream)?.as_ref().is_some_and(|upstream| upstream.case_insensitive);
        Some(Compared { place, route, folds, folded: route.path.to_ascii_lowercase() })
    });
    let all: Vec<_> = all.collect();
    for one in &all {
        for other in all.iter().filter(|other| other.place != one.place) {
            judge(one, other, file, findings);
        }
    }
}

fn judge(one: &Compared<'_>, other: &Compared<'_>, file: &File, findings: &mut Findings) {
    let fold = one.folds || other.folds;
    let spelled = |it: &Compared<'_>| if fold { it.folded.clone() } else { it.route.path.clone() };
    let (own, theirs) = (spelled(one), spelled(other));
    let same = other.place < one.place && own == theirs;
    let below = one.route.encoded_slash && lies_below(&theirs, &own);
    if !(same || below) || !share_host(one.route, other.route) {
        return;
    }
    let (key, at, beside) = (format!("routes[{}]", one.place), &file.routes[one.place], other.place);
    if same && share_method(one.route, other.route) {
        let span = at.value.path.as_ref().map_or(&at.span, |path| &path.span);
        findings.push(format!("{key}.path"), span, format!("has host, path and method of routes[{beside}] already"));
    }
    if below {
        let message = format!("lets %2F pass while routes[{beside}] lies below: one path would have two routes");
        findings.push(format!("{key}.encoded_slash"), &at.value.encoded_slash.span, message);
    }
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
