//! One row of the file: its bytes, what is in them, and its place.
//!
//! Promises: a row read is the row written under that very key, or damaged: every row ends with a CRC-32 of its key
//! and its content.
//! Deliberately does not: know tables from each other, or transactions.

use std::fmt;

use crate::domain::{Head, KeyId, Realm, RecordHash, Revision, Timestamp};
use crate::store::Stored;
use crate::store::record::Damaged;

const CHECK_BYTES: usize = 4;

/// Where a row is: its table's name and its key.
pub(super) struct Place {
    pub(super) table: &'static str,
    pub(super) key: Vec<u8>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {}, row {}", self.table, hex::encode(&self.key))
    }
}

/// The row of `content` under `key`.
pub(super) fn seal(key: &[u8], mut content: Vec<u8>) -> Vec<u8> {
    let check = check(key, &content);
    content.extend_from_slice(&check);
    content
}

/// The content of the `row` under `key`.
pub(super) fn open<'r>(key: &[u8], row: &'r [u8]) -> Result<&'r [u8], Damaged> {
    match row.split_last_chunk::<CHECK_BYTES>() {
        Some((content, stored)) if check(key, content) == *stored => Ok(content),
        Some(_) => Err(Damaged::new("the row's checksum is wrong")),
        None => Err(Damaged::new("the row is cut short")),
    }
}

fn check(key: &[u8], content: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(content);
    hasher.finalize().to_le_bytes()
}

/// `record` with the revision of its last write before it.
pub(super) fn with_revision(record: &[u8], Revision(revision): Revision) -> Vec<u8> {
    let mut content = Vec::with_capacity(size_of::<u64>() + record.len() + CHECK_BYTES);
    content.extend_from_slice(&revision.to_be_bytes());
    content.extend_from_slice(record);
    content
}

/// The reverse of [`with_revision`].
pub(super) fn split_revision(content: &[u8]) -> Result<Stored<&[u8]>, Damaged> {
    let (revision, value) = content.split_first_chunk().ok_or_else(|| Damaged::new("the row is cut short"))?;
    Ok(Stored { value, revision: Revision(u64::from_be_bytes(*revision)) })
}

/// The content of a deleted key's row: when, then the living row's content.
pub(super) fn with_end(living: &[u8], at: Timestamp) -> Vec<u8> {
    let mut content = at.as_millis().to_be_bytes().to_vec();
    content.extend_from_slice(living);
    content
}

/// The reverse of [`with_end`].
pub(super) fn split_end(content: &[u8]) -> Result<(Timestamp, &[u8]), Damaged> {
    let (at, living) = content.split_first_chunk().ok_or_else(|| Damaged::new("the row is cut short"))?;
    Ok((Timestamp::from_millis(u64::from_be_bytes(*at)), living))
}

/// Whose a digest is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Owner {
    pub(super) realm: Realm,
    pub(super) id: KeyId,
}

impl Owner {
    /// Realm and id as bytes.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let realm: u8 = match self.realm {
            Realm::Gateway => 0,
            Realm::Admin => 1,
        };
        let mut bytes = vec![realm];
        bytes.extend_from_slice(&id_bytes(self.id));
        bytes
    }

    /// The reverse of [`Owner::to_bytes`].
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Damaged> {
        let realm = match bytes.first() {
            Some(0) => Realm::Gateway,
            Some(1) => Realm::Admin,
            Some(_) | None => return Err(Damaged::new("it names no realm")),
        };
        Ok(Self { realm, id: id_from(&bytes[1..])? })
    }
}

/// An id as bytes.
pub(super) fn id_bytes(id: KeyId) -> [u8; 16] {
    id.as_bits().to_be_bytes()
}

/// The reverse of [`id_bytes`].
pub(super) fn id_from(bytes: &[u8]) -> Result<KeyId, Damaged> {
    let bits = bytes.try_into().map_err(|_| Damaged::new("it holds no id"))?;
    Ok(KeyId::from_bits(u128::from_be_bytes(bits)))
}

/// The end of the chain as bytes.
pub(super) fn head_bytes(head: Head) -> Vec<u8> {
    let Revision(revision) = head.revision;
    [&revision.to_be_bytes()[..], head.hash.as_bytes()].concat()
}

/// The reverse of [`head_bytes`].
pub(super) fn head_from(bytes: &[u8]) -> Result<Head, Damaged> {
    let split = bytes.split_first_chunk().and_then(|(revision, hash)| Some((revision, hash.try_into().ok()?)));
    let (revision, hash) = split.ok_or_else(|| Damaged::new("it is not a revision and a hash"))?;
    Ok(Head { revision: Revision(u64::from_be_bytes(*revision)), hash: RecordHash::from_bytes(hash) })
}

/// What holds for the store as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct State {
    /// The last revision given to a change.
    pub(super) last: Revision,
    /// How many keys live in each realm, as [`super::table::nth`] numbers them.
    pub(super) living: [u64; 2],
}

impl State {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let Revision(last) = self.last;
        [last, self.living[0], self.living[1]].iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Damaged> {
        let number = |at: usize| {
            let bytes = bytes.get(at * 8..at * 8 + 8)?;
            bytes.try_into().ok().map(u64::from_be_bytes)
        };
        match (number(0), number(1), number(2), bytes.len()) {
            (Some(last), Some(gateway), Some(admin), 24) => Ok(Self { last: Revision(last), living: [gateway, admin] }),
            _ => Err(Damaged::new("it is not three numbers")),
        }
    }
}
