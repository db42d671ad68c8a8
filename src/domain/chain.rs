//! The chain through the audit log: each record holds the SHA-256 of the one before it.
//!
//! What is hashed is the record's line as it is stored and exported: its JSON, byte for byte, without a line break.
//! Promises: whoever knows the last hash finds out whether any record before it was changed, taken out or moved; a
//! [`Break`] names the first place where the log is not what it was.
//! Deliberately does not: prove anything to whoever knows no hash from elsewhere. Who can write the whole log can
//! make another chain, or end it earlier: [`Head`] is what to keep in another place.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Invalid, Revision};

/// The hash of a record's line. Written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordHash([u8; 32]);

impl RecordHash {
    /// What the first record of a log holds: the hash of nothing.
    pub fn of_nothing() -> Self {
        Self::of(&[])
    }

    /// The hash of this line.
    pub fn of(line: &[u8]) -> Self {
        Self(Sha256::digest(line).into())
    }

    /// The hash with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for RecordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

impl fmt::Debug for RecordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for RecordHash {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let mut bytes = [0; 32];
        let digits = text.strip_prefix("sha256:").filter(|digits| hex::decode_to_slice(digits, &mut bytes).is_ok());
        digits.map(|_| Self(bytes)).ok_or_else(|| Invalid::new("is not sha256: and 64 hexadecimal digits"))
    }
}

impl Serialize for RecordHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RecordHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The end of a log: its last record's revision and hash. Written `57:sha256:…`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Head {
    /// The last record's revision; 0 for a log without records.
    pub revision: Revision,
    /// The last record's hash.
    pub hash: RecordHash,
}

impl Head {
    /// The head of a log without records.
    pub fn of_nothing() -> Self {
        Self { revision: Revision(0), hash: RecordHash::of_nothing() }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.revision.0, self.hash)
    }
}

impl FromStr for Head {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::new("is not a revision, a colon, and a hash, as in 57:sha256:…");
        let (revision, hash) = text.split_once(':').ok_or_else(wrong)?;
        let revision = revision.parse().map(Revision).map_err(|_| wrong())?;
        Ok(Self { revision, hash: hash.parse().map_err(|_| wrong())? })
    }
}

/// Where a log stops being what it was.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Break {
    /// A line is no record.
    #[error("line {line} ({}) is not a record: {why}", after(*last))]
    NotARecord {
        /// Which line, from 1 on.
        line: u64,
        /// The record before it.
        last: Revision,
        /// What is wrong with it.
        why: String,
    },
    /// A record stands behind one of a later or the same revision.
    #[error("revision {} stands behind revision {}: records were moved or repeated", revision.0, behind.0)]
    OutOfOrder {
        /// Its revision.
        revision: Revision,
        /// The record's before it.
        behind: Revision,
    },
    /// A record was changed: the next one, of the very next revision, holds another hash.
    #[error("revision {} was changed: the hash that revision {} holds of it is another", .0.0, .0.0 + 1)]
    Changed(Revision),
    /// Two records do not follow each other.
    #[error("{}", gap(*last, *next))]
    Gap {
        /// The former.
        last: Revision,
        /// The latter.
        next: Revision,
    },
    /// The first record tells of records before it, and none tells that they were removed for their age.
    #[error("the records before revision {} are missing, and no record says that they were removed for their age", .0.0)]
    NoBeginning(Revision),
    /// The log ends before the head that is known.
    #[error("the log ends at revision {}, and a record of revision {} is known: its end is missing", last.0, known.0)]
    NoEnd {
        /// The last record.
        last: Revision,
        /// The last one that is known to have been there.
        known: Revision,
    },
    /// The record at the head that is known has another hash, or is not there.
    #[error("revision {} was changed or is missing: its hash is known to be another", .0.0)]
    OtherHead(Revision),
}

fn after(last: Revision) -> String {
    if last == Revision(0) { "the first".into() } else { format!("after revision {}", last.0) }
}

fn gap(last: Revision, next: Revision) -> String {
    if last == Revision(0) {
        return format!("revision {} is said to be the first and is not", next.0);
    }
    let (from, to) = (last.0 + 1, next.0.saturating_sub(1));
    let between = if from == to { format!("revision {from}") } else { format!("some of revisions {from} to {to}") };
    format!("revision {} was changed, or {between} removed: what revision {} holds is another hash", last.0, next.0)
}

impl Break {
    /// The first revision that is not what it was, or may not be.
    pub fn revision(&self) -> Revision {
        match self {
            Self::NotARecord { last, .. } | Self::NoEnd { last, .. } => Revision(last.0 + 1),
            Self::OutOfOrder { revision, .. }
            | Self::Changed(revision)
            | Self::NoBeginning(revision)
            | Self::OtherHead(revision) => *revision,
            Self::Gap { last, .. } => *last,
        }
    }
}

/// What a line says of its place in the chain.
#[derive(Deserialize)]
struct Link {
    revision: Revision,
    action: String,
    previous: RecordHash,
    #[serde(default)]
    after: Option<serde_json::Value>,
}

impl Link {
    /// The hash of the last record that this one says was removed for its age.
    fn anchor(&self) -> Option<RecordHash> {
        let facts = self.after.as_ref().filter(|_| self.action == PRUNED)?;
        facts.get("hash")?.as_str()?.parse().ok()
    }
}

/// The action of the record that tells of others removed for their age.
pub(super) const PRUNED: &str = "audit.pruned";

/// Goes along a log, record by record.
#[derive(Clone, Debug)]
pub struct Verifier {
    /// What is known to have been in the log, and has not been met yet.
    known: Vec<Head>,
    lines: u64,
    /// The first record's revision and what it holds.
    first: Option<Head>,
    /// Whether the first record is the first there ever was, or a later one tells of those before it.
    begins: bool,
    last: Head,
    /// Two records that do not follow each other. The next one tells whether they were moved.
    gap: Option<Break>,
}

/// A log that is whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verified {
    /// How many records there are.
    pub records: u64,
    /// The first record's revision.
    pub first: Option<Revision>,
    /// The log's end: what to keep elsewhere.
    pub head: Head,
    /// A head that was to be met, and whose record was removed for its age since: it proves nothing any more.
    pub removed: Option<Revision>,
}

impl Verifier {
    /// A verifier that expects the records at these heads, as far as they were not removed for their age since.
    pub fn knowing(known: Vec<Head>) -> Self {
        let known = known.into_iter().filter(|head| head.revision > Revision(0)).collect();
        Self { known, lines: 0, first: None, begins: false, last: Head::of_nothing(), gap: None }
    }

    /// Expects the record at this head in place of those before.
    pub fn expect(&mut self, head: Head) {
        self.known = if head == self.last { Vec::new() } else { vec![head] };
    }

    /// Takes the next record's line.
    pub fn take(&mut self, line: &[u8]) -> Result<(), Break> {
        self.lines += 1;
        let not_a_record = |why: String| Break::NotARecord { line: self.lines, last: self.last.revision, why };
        let told: Link = serde_json::from_slice(line).map_err(|error| not_a_record(error.to_string()))?;
        if self.first.is_some() && told.revision <= self.last.revision {
            return Err(Break::OutOfOrder { revision: told.revision, behind: self.last.revision });
        }
        self.gap.take().map_or(Ok(()), Err)?;
        if self.first.is_none() {
            self.first = Some(Head { revision: told.revision, hash: told.previous });
            self.begins = told.previous == RecordHash::of_nothing();
        } else if told.previous != self.last.hash {
            let last = self.last.revision;
            let is_next = told.revision.0 == last.0 + 1;
            self.gap = Some(if is_next { Break::Changed(last) } else { Break::Gap { last, next: told.revision } });
        }
        self.begins |= self.first.map(|first| first.hash) == told.anchor();
        self.last = Head { revision: told.revision, hash: RecordHash::of(line) };
        let last = self.last;
        self.known.retain(|known| *known != last);
        let is_other = |known: &Head| known.revision == last.revision;
        if self.gap.is_none() && self.known.iter().any(is_other) {
            return Err(Break::OtherHead(told.revision));
        }
        Ok(())
    }

    /// The last record taken.
    pub fn head(&self) -> Head {
        self.last
    }

    /// The judgement when every record has been taken.
    pub fn finish(&self) -> Result<Verified, Break> {
        self.gap.clone().map_or(Ok(()), Err)?;
        let last = self.last.revision;
        if let Some(known) = self.known.iter().find(|known| known.revision > last) {
            return Err(Break::NoEnd { last, known: known.revision });
        }
        let first = self.first.map(|first| first.revision);
        if let Some(first) = first.filter(|_| !self.begins) {
            return Err(Break::NoBeginning(first));
        }
        let is_left = |known: &&Head| first.is_none_or(|first| known.revision >= first);
        if let Some(missing) = self.known.iter().find(is_left) {
            return Err(Break::OtherHead(missing.revision));
        }
        // The oldest record that is left holds the hash of the last one removed.
        let anchor = self.first.map(|first| first.hash);
        let removed = self.known.iter().find(|known| Some(known.hash) != anchor).map(|known| known.revision);
        Ok(Verified { records: self.lines, first, head: self.last, removed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(revision: u64, previous: RecordHash, more: &str) -> String {
        format!("{{\"revision\":{revision},\"action\":\"key.edited\"{more},\"previous\":\"{previous}\"}}")
    }

    /// A log of these revisions.
    fn log(revisions: &[u64]) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for revision in revisions {
            let previous = lines.last().map_or_else(RecordHash::of_nothing, |last| RecordHash::of(last.as_bytes()));
            lines.push(line(*revision, previous, ""));
        }
        lines
    }

    fn verify(lines: &[String], known: Vec<Head>) -> Result<Verified, Break> {
        let mut verifier = Verifier::knowing(known);
        lines.iter().try_for_each(|line| verifier.take(line.as_bytes()))?;
        verifier.finish()
    }

    fn head(lines: &[String], at: usize, revision: u64) -> Head {
        Head { revision: Revision(revision), hash: RecordHash::of(lines[at].as_bytes()) }
    }

    #[test]
    fn a_log_that_is_whole_is_found_so_and_its_head_told() {
        let lines = log(&[1, 2, 5, 9]);
        let end = head(&lines, 3, 9);
        let whole = Verified { records: 4, first: Some(Revision(1)), head: end, removed: None };
        assert_eq!(verify(&lines, vec![]), Ok(whole));
        assert_eq!(verify(&lines, vec![end, head(&lines, 1, 2)]), Ok(whole));
        assert_eq!(verify(&[], vec![]).map(|verified| verified.head), Ok(Head::of_nothing()));
        assert_eq!(end.to_string().parse(), Ok(end));
    }

    #[test]
    fn a_changed_record_is_named() {
        for at in 0..3 {
            let mut lines = log(&[1, 2, 3, 4]);
            lines[at] = lines[at].replace("key.edited", "key.erased");
            assert_eq!(verify(&lines, vec![]), Err(Break::Changed(Revision(at as u64 + 1))));
        }
        let mut lines = log(&[1, 5, 9]);
        lines[1] = lines[1].replace("key.edited", "key.erased");
        assert_eq!(verify(&lines, vec![]), Err(Break::Gap { last: Revision(5), next: Revision(9) }));
    }

    #[test]
    fn a_removed_record_is_named() {
        let mut lines = log(&[1, 2, 3, 4]);
        lines.remove(1);
        let broken = verify(&lines, vec![]).expect_err("broken");
        assert_eq!(broken, Break::Gap { last: Revision(1), next: Revision(3) });
        assert!(broken.to_string().contains("or revision 2 removed"), "{broken}");
        let lines = log(&[1, 2, 3, 4]);
        assert_eq!(verify(&lines[1..], vec![]), Err(Break::NoBeginning(Revision(2))));
    }

    #[test]
    fn records_that_were_moved_or_repeated_are_named() {
        let mut lines = log(&[1, 2, 3, 4]);
        lines.swap(1, 2);
        assert_eq!(verify(&lines, vec![]), Err(Break::OutOfOrder { revision: Revision(2), behind: Revision(3) }));
        let mut lines = log(&[1, 2, 3]);
        lines.insert(1, lines[0].clone());
        assert_eq!(verify(&lines, vec![]), Err(Break::OutOfOrder { revision: Revision(1), behind: Revision(1) }));
    }

    #[test]
    fn an_end_that_is_missing_or_another_is_seen_by_whoever_knows_the_head() {
        let lines = log(&[1, 2, 3, 4]);
        let end = head(&lines, 3, 4);
        assert!(verify(&lines[..2], vec![]).is_ok(), "nothing in the log itself tells of its end");
        let missing = Break::NoEnd { last: Revision(2), known: Revision(4) };
        assert_eq!(verify(&lines[..2], vec![end]), Err(missing));
        assert_eq!(verify(&[], vec![end]), Err(Break::NoEnd { last: Revision(0), known: Revision(4) }));
        let mut lines = lines;
        lines[3] = lines[3].replace("key.edited", "key.erased");
        assert_eq!(verify(&lines, vec![end]), Err(Break::OtherHead(Revision(4))));
        let inside = Head { revision: Revision(3), ..end };
        assert_eq!(verify(&log(&[1, 2, 4]), vec![inside]), Err(Break::OtherHead(Revision(3))), "no record has it");
        let forged = log(&[1, 3, 4]);
        assert_eq!(verify(&forged, vec![end]), Err(Break::OtherHead(Revision(4))));
    }

    #[test]
    fn a_beginning_that_was_removed_for_its_age_is_told_of_by_a_later_record() {
        let mut lines = log(&[1, 2, 3, 4]);
        let gone = RecordHash::of(lines[1].as_bytes());
        let told = format!(",\"after\":{{\"through\":2,\"hash\":\"{gone}\",\"records\":2}}");
        let pruned = line(5, RecordHash::of(lines[3].as_bytes()), &told);
        lines.push(pruned.replace("key.edited", PRUNED));
        assert!(verify(&lines, vec![]).is_ok());
        assert!(verify(&lines[2..], vec![]).is_ok());
        let removed = |known| verify(&lines[2..], vec![known]).map(|verified| verified.removed);
        assert_eq!(removed(head(&lines, 1, 2)), Ok(None), "the last one removed is what the oldest one left holds");
        assert_eq!(removed(head(&lines, 0, 1)), Ok(Some(Revision(1))), "of one before it nothing is left to tell");
        assert_eq!(verify(&lines[3..], vec![]), Err(Break::NoBeginning(Revision(4))));
        assert_eq!(verify(&lines[1..], vec![]), Err(Break::NoBeginning(Revision(2))));
        lines[4] = pruned; // another action tells of nothing
        assert_eq!(verify(&lines[2..], vec![]), Err(Break::NoBeginning(Revision(3))));
    }

    #[test]
    fn a_line_that_is_no_record_is_named() {
        let mut lines = log(&[1, 2, 3]);
        for wrong in ["", "{", "[]", "{\"revision\":2,\"action\":\"x\"}"] {
            lines[1] = wrong.into();
            let broken = verify(&lines, vec![]).expect_err("no record");
            assert!(matches!(broken, Break::NotARecord { line: 2, .. }), "{broken:?}");
            assert_eq!(broken.revision(), Revision(2));
        }
    }
}
