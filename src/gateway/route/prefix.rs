//! The path prefixes of one host's routes, and the methods below each.
//!
//! Promises: the longest prefix at a segment boundary, in logarithmic time and without an allocation.
//! Deliberately does not: know hosts, or what a route is beyond its place.

use http::{HeaderValue, Method};

use crate::config;
use crate::gateway::path::{Normalised, compared};
use crate::gateway::refusal::Refusal;

/// Whether a route's path is matched with regard to ASCII case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Case {
    Kept,
    Folded,
}

impl Case {
    const fn of(self, byte: u8) -> u8 {
        match self {
            Self::Kept => byte,
            Self::Folded => byte.to_ascii_lowercase(),
        }
    }
}

/// The routes of one host.
#[derive(Default, Debug)]
pub(super) struct Paths {
    kept: Prefixes,
    folded: Prefixes,
}

impl Paths {
    /// Adds the route at place `index`.
    pub(super) fn add(&mut self, route: &config::Route, index: usize, case: Case) {
        let key = compared(&route.path).map(|byte| case.of(byte)).collect();
        match case {
            Case::Kept => self.kept.add(key, route, index),
            Case::Folded => self.folded.add(key, route, index),
        }
    }

    /// To be called once all routes are added.
    pub(super) fn seal(&mut self) {
        self.kept.seal();
        self.folded.seal();
    }

    /// The routes with the longest prefix of `path`.
    pub(super) fn find(&self, path: &Normalised<'_>) -> Option<Found<'_>> {
        let (kept, folded) = match path.plain() {
            Some(bytes) => (self.kept.find(bytes), self.folded.find_by(|| bytes.iter().map(u8::to_ascii_lowercase))),
            None => (
                self.kept.find_by(|| path.compared()),
                self.folded.find_by(|| path.compared().map(|byte| byte.to_ascii_lowercase())),
            ),
        };
        match (kept, folded) {
            (Some(kept), Some(folded)) if kept.key.len() == folded.key.len() => {
                Some(Found { group: kept, twin: Some(folded) })
            }
            (Some(kept), Some(folded)) if kept.key.len() < folded.key.len() => {
                Some(Found { group: folded, twin: None })
            }
            (Some(group), _) | (None, Some(group)) => Some(Found { group, twin: None }),
            (None, None) => None,
        }
    }
}

/// The routes that fit a path best.
pub(super) struct Found<'a> {
    group: &'a Group,
    /// The routes with the same path under the other rule of case.
    twin: Option<&'a Group>,
}

impl Found<'_> {
    /// The place of the route that takes `method`.
    pub(super) fn choose(&self, method: &Method) -> Result<usize, Refusal> {
        let groups = || std::iter::once(self.group).chain(self.twin);
        let naming = |method: &Method| groups().find_map(|group| group.naming(method));
        let get_includes_head = || (method == Method::HEAD).then(|| naming(&Method::GET)).flatten();
        let named = naming(method).or_else(get_includes_head);
        let chosen = named.or_else(|| groups().find_map(|group| group.others));
        chosen.ok_or_else(|| Refusal::MethodNotAllowed { allow: self.allow() })
    }

    fn allow(&self) -> HeaderValue {
        let Some(twin) = self.twin else { return self.group.allow.clone() };
        let both = [self.group.allow.as_bytes(), twin.allow.as_bytes()].join(&b", "[..]);
        HeaderValue::from_bytes(&both).unwrap_or_else(|_| self.group.allow.clone())
    }
}

/// The routes of one path.
#[derive(Debug)]
struct Group {
    /// The path as it is compared.
    key: Box<[u8]>,
    /// The longest other key that begins this one, segment boundary or not.
    shorter: Option<usize>,
    by_method: Vec<(Method, usize)>,
    /// The route that takes every other method.
    others: Option<usize>,
    allow: HeaderValue,
}

impl Group {
    fn naming(&self, method: &Method) -> Option<usize> {
        self.by_method.iter().find(|(named, _)| named == method).map(|(_, index)| *index)
    }

    /// Whether the path, of which `next` is the byte after this key, ends a segment there.
    fn ends_segment(&self, next: Option<u8>) -> bool {
        self.key.last() == Some(&b'/') || next.is_none_or(|byte| byte == b'/')
    }
}

/// Groups in the order of their keys.
#[derive(Default, Debug)]
struct Prefixes(Vec<Group>);

impl Prefixes {
    fn add(&mut self, key: Box<[u8]>, route: &config::Route, index: usize) {
        let at = self.0.partition_point(|group| group.key < key);
        if self.0.get(at).is_none_or(|group| group.key != key) {
            let allow = HeaderValue::from_static("");
            self.0.insert(at, Group { key, shorter: None, by_method: Vec::new(), others: None, allow });
        }
        let Some(group) = self.0.get_mut(at) else { return };
        match &route.methods {
            Some(methods) => group.by_method.extend(methods.iter().map(|method| (method.0.clone(), index))),
            None => group.others = group.others.or(Some(index)),
        }
    }

    fn seal(&mut self) {
        for at in 0..self.0.len() {
            let (before, rest) = self.0.split_at_mut(at);
            let Some(group) = rest.first_mut() else { return };
            group.shorter = before.iter().rposition(|shorter| group.key.starts_with(&shorter.key));
            group.allow = allow(&group.by_method);
        }
    }

    /// The group of the longest key that begins `path` at a segment boundary.
    fn find(&self, path: &[u8]) -> Option<&Group> {
        let after = self.0.partition_point(|group| *group.key <= *path);
        let fits = |group: &Group| {
            path.strip_prefix(&*group.key).is_some_and(|rest| group.ends_segment(rest.first().copied()))
        };
        self.climb(after, fits)
    }

    /// The same where the path's bytes must be computed.
    fn find_by<I: Iterator<Item = u8>>(&self, path: impl Fn() -> I) -> Option<&Group> {
        let after = self.0.partition_point(|group| group.key.iter().copied().le(path()));
        let fits = |group: &Group| {
            let mut path = path();
            group.key.iter().all(|byte| path.next() == Some(*byte)) && group.ends_segment(path.next())
        };
        self.climb(after, fits)
    }

    /// Every key that begins a path also begins the greatest key that is not greater than the path, so it is found
    /// by going from there to ever shorter beginnings.
    fn climb(&self, after: usize, fits: impl Fn(&Group) -> bool) -> Option<&Group> {
        let mut at = after.checked_sub(1);
        while let Some(group) = at.and_then(|at| self.0.get(at)) {
            if fits(group) {
                return Some(group);
            }
            at = group.shorter;
        }
        None
    }
}

/// The methods that are named, each once, HEAD with GET.
fn allow(by_method: &[(Method, usize)]) -> HeaderValue {
    let mut names: Vec<&str> = by_method.iter().map(|(method, _)| method.as_str()).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    names.retain(|name| *name != "CONNECT" && *name != "TRACE");
    names.sort_unstable();
    names.dedup();
    // A method is a token (RFC 9110 §9.1), so the list is a legal value.
    HeaderValue::try_from(names.join(", ")).unwrap_or(HeaderValue::from_static(""))
}
