//! The token: a secret, its digest, and the text format.
//!
//! Promises: a [`Secret`] is shown by one call only and has no other text form; what is kept is its [`Digest`].
//! Deliberately does not: know which key a token belongs to.

use std::fmt;
use std::str::FromStr;

use rand::CryptoRng;
use rand::distr::{Alphanumeric, SampleString};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};

use super::{Invalid, Lifetime, Timestamp, TokenId};

const RANDOM_CHARACTERS: usize = 43; // 43 · log2(62) = 256.03 bits
const CHECK_CHARACTERS: usize = 6; // 62^6 > 2^32
/// What follows a token's underscore.
const SECRET_CHARACTERS: usize = RANDOM_CHARACTERS + CHECK_CHARACTERS;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Which bytes are base62 digits.
const IS_BASE62: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0);
    while byte < BASE62.len() {
        table[BASE62[byte] as usize] = true;
        byte += 1;
    }
    table
};

/// The word before a token's underscore: `[a-z][a-z0-9]{1,15}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Prefix(Box<str>);

impl Prefix {
    /// The prefix of administrators' tokens.
    pub fn administrators() -> Self {
        Self("rlva".into())
    }

    /// The prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self("rlv".into())
    }
}

impl FromStr for Prefix {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let legal = (2..=16).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            && text.starts_with(|c: char| c.is_ascii_lowercase());
        if !legal {
            return Err(Invalid::new("is not 2 to 16 of a-z 0-9, beginning with a letter"));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A token in clear: 16 to 512 visible ASCII characters. Wiped from memory when dropped; no `Debug`, no `Display`.
pub struct Secret(SecretString);

impl Secret {
    /// The lengths, in characters, that a token may have.
    pub const LENGTHS: std::ops::RangeInclusive<usize> = 16..=512;
    /// Below this length an imported token counts as weak.
    pub const STRONG_LENGTH: usize = 32;

    /// A new token of 256 random bits in the format `<prefix>_<43 base62><6 base62 of CRC-32>`.
    pub fn mint(prefix: &Prefix, rng: &mut impl CryptoRng) -> Self {
        let capacity = prefix.as_str().len() + 1 + RANDOM_CHARACTERS + CHECK_CHARACTERS;
        let mut text = String::with_capacity(capacity); // no growth leaves a copy behind
        text.push_str(prefix.as_str());
        text.push('_');
        Alphanumeric.append_string(rng, &mut text, RANDOM_CHARACTERS);
        let check = checksum(text.as_bytes());
        text.extend(check.iter().map(|b| char::from(*b)));
        Self(text.into())
    }

    /// A token made elsewhere, in any form of 16 to 512 visible ASCII characters.
    pub fn import(text: String) -> Result<Self, Invalid> {
        let secret = Self(text.into());
        let text = secret.0.expose_secret();
        if !Self::LENGTHS.contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Invalid::new("is not 16 to 512 visible ASCII characters"));
        }
        Ok(secret)
    }

    /// The token in clear: for the one reply, terminal or file that it is meant for.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// What is kept of the token.
    pub fn digest(&self) -> Digest {
        Digest::of(self.reveal().as_bytes())
    }

    /// The last four characters, where the token is long enough to lose nothing by showing them.
    pub fn hint(&self) -> Option<Hint> {
        let text = self.reveal().as_bytes();
        let tail = text.last_chunk::<4>()?;
        (text.len() >= Self::STRONG_LENGTH).then_some(Hint(*tail))
    }

    /// Whether the token is too short to be beyond guessing.
    pub fn is_weak(&self) -> bool {
        self.reveal().len() < Self::STRONG_LENGTH
    }
}

/// How a presented text stands to the token format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// In the format, checksum right.
    Sound,
    /// In the format, with a known prefix, but the checksum is wrong: refused before hashing.
    Broken,
    /// Not in the format: an imported token perhaps.
    Foreign,
}

/// Holds a presented text against the token format with any of `prefixes`.
pub fn form(text: &[u8], prefixes: &[Prefix]) -> Form {
    let known = |prefix: &[u8]| prefixes.iter().any(|p| p.as_str().as_bytes() == prefix);
    match split(text) {
        Some((prefix, checked, check)) if known(prefix) => {
            if checksum(checked) == check {
                Form::Sound
            } else {
                Form::Broken
            }
        }
        _ => Form::Foreign,
    }
}

/// Splits a text of the format's shape into prefix, all that the checksum covers, and the checksum.
fn split(text: &[u8]) -> Option<(&[u8], &[u8], [u8; CHECK_CHARACTERS])> {
    let (checked, check) = text.split_last_chunk::<CHECK_CHARACTERS>()?;
    let (head, random) = checked.split_at_checked(checked.len().checked_sub(RANDOM_CHARACTERS)?)?;
    let prefix = head.strip_suffix(b"_")?;
    let base62 = |bytes: &[u8]| bytes.iter().all(|byte| IS_BASE62[usize::from(*byte)]);
    (base62(random) && base62(check)).then_some((prefix, checked, *check))
}

/// CRC-32 (ISO-HDLC) as six base62 digits, most significant first.
fn checksum(text: &[u8]) -> [u8; CHECK_CHARACTERS] {
    let mut rest = crc32fast::hash(text) as usize;
    let mut digits = [0; CHECK_CHARACTERS];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[rest % 62];
        rest /= 62;
    }
    digits
}

/// Replaces what is secret of everything in `text` that has the shape of a token by `***`, for logs. The prefix stays:
/// it is public, and its first letter may be the last of an escape (`\t`) that must stay whole.
pub fn mask(text: &str) -> std::borrow::Cow<'_, str> {
    let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_secret = |part: &str| part.len() >= SECRET_CHARACTERS;
    // Of a word, every part that follows an underscore.
    if !has_room_for_a_secret(text.as_bytes())
        || !text.split(|c| !in_word(c)).any(|word| word.split('_').skip(1).any(is_secret))
    {
        return text.into();
    }
    let mut masked = String::with_capacity(text.len());
    for piece in text.split_inclusive(|c| !in_word(c)) {
        let word = piece.trim_end_matches(|c| !in_word(c));
        for (at, part) in word.split('_').enumerate() {
            masked.push_str(if at > 0 { "_" } else { "" });
            masked.push_str(if at > 0 && is_secret(part) { "***" } else { part });
        }
        masked.push_str(&piece[word.len()..]);
    }
    masked.into()
}

/// Whether as many letters and digits stand together somewhere as follow a token's underscore. Looks at few of the bytes:
/// where that many stand together, one of them is at every place that is looked at.
fn has_room_for_a_secret(text: &[u8]) -> bool {
    let mut end = SECRET_CHARACTERS;
    while let Some(window) = end.checked_sub(SECRET_CHARACTERS).and_then(|start| text.get(start..end)) {
        match window.iter().rposition(|byte| !byte.is_ascii_alphanumeric()) {
            None => return true,
            Some(last) => end += last + 1,
        }
    }
    false
}

/// The SHA-256 digest of a token: all that is ever kept of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of a token's characters.
    pub fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// The digest with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let mut bytes = [0; 32];
        text.strip_prefix("sha256:")
            .and_then(|digits| hex::decode_to_slice(digits, &mut bytes).ok())
            .map(|()| Self(bytes))
            .ok_or_else(|| Invalid::new("is not sha256: and 64 hex digits"))
    }
}

/// The last four characters of a token of 32 or more: enough to recognise it, nothing to guess it by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Hint([u8; 4]);

impl Hint {
    /// The hint with these four characters, if they are visible ASCII.
    pub fn from_bytes(bytes: [u8; 4]) -> Option<Self> {
        bytes.iter().all(u8::is_ascii_graphic).then_some(Self(bytes))
    }

    /// The four characters.
    pub const fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| fmt::Write::write_char(f, char::from(*b)))
    }
}

/// What brought a token into being.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The creation of its key.
    Created,
    /// A renewal.
    Renewed,
}

/// One token that its key keeps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// Names the token in logs and lists.
    pub id: TokenId,
    /// What is kept of the secret.
    pub digest: Digest,
    /// The last four characters; unknown for a token of which only the digest was given.
    pub hint: Option<Hint>,
    /// Whether it is shorter than a token should be.
    pub weak: bool,
    /// When it was made; its duration counts from here.
    pub created_at: Timestamp,
    /// When a request first carried it.
    pub first_used_at: Option<Timestamp>,
    /// What brought it into being.
    pub origin: Origin,
}

impl Token {
    /// A token that has just been made of `secret`.
    pub fn of(secret: &Secret, id: TokenId, now: Timestamp, origin: Origin) -> Self {
        let (hint, weak) = (secret.hint(), secret.is_weak());
        Self { hint, weak, ..Self::of_digest(secret.digest(), id, now, origin) }
    }

    /// A token of which only the digest is known.
    pub fn of_digest(digest: Digest, id: TokenId, now: Timestamp, origin: Origin) -> Self {
        Self { id, digest, hint: None, weak: false, created_at: now, first_used_at: None, origin }
    }

    /// Whether a token of duration `lifetime` is past its end at `now`: accepted strictly before, ended at it and after.
    pub fn is_past(&self, lifetime: Lifetime, now: Timestamp) -> bool {
        lifetime.end(self.created_at).is_some_and(|end| now >= end)
    }
}

/// Why a remembered token is accepted no longer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndReason {
    /// It was replaced: deleted, undone, renewed with `now`, or ended by its renewal's plan.
    Superseded,
    /// Its duration was over.
    Expired,
}

/// A token that has ended and is remembered for a while, so that its last users can be told why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ended {
    /// The token's id.
    pub id: TokenId,
    /// What was kept of its secret.
    pub digest: Digest,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Why.
    pub reason: EndReason,
}

impl Ended {
    /// How many ended tokens a key remembers at most.
    pub const MOST: usize = 8;
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn minted(seed: u64) -> Secret {
        Secret::mint(&Prefix::default(), &mut rand::rngs::StdRng::seed_from_u64(seed))
    }

    #[test]
    fn a_minted_token_is_in_the_format_and_every_changed_character_is_noticed() {
        let secret = minted(1);
        let prefixes = [Prefix::default()];
        assert_eq!(secret.reveal().len(), 3 + 1 + 43 + 6);
        assert_eq!(form(secret.reveal().as_bytes(), &prefixes), Form::Sound);
        for at in 4..secret.reveal().len() {
            let mut changed = secret.reveal().as_bytes().to_vec();
            changed[at] = if changed[at] == b'a' { b'b' } else { b'a' };
            assert_eq!(form(&changed, &prefixes), Form::Broken, "position {at}");
        }
    }

    #[test]
    fn only_the_exact_shape_with_a_known_prefix_is_ours() {
        let secret = minted(2);
        let text = secret.reveal();
        let other = ["ab".parse::<Prefix>().expect("prefix")];
        assert_eq!(form(text.as_bytes(), &other), Form::Foreign);
        let known = [Prefix::default()];
        for foreign in [&text[1..], &text[..text.len() - 1], "", "rlv_", &format!("{text}x"), &text.replace('_', "-")] {
            assert_eq!(form(foreign.as_bytes(), &known), Form::Foreign, "{foreign}");
        }
    }

    #[test]
    fn the_format_has_not_changed() {
        // CRC-32 of "rlv_" and 43 zeros, checked with another implementation (Python's zlib.crc32 = 0x70de3b98).
        let text = format!("rlv_{}", "0".repeat(43));
        let check = checksum(text.as_bytes());
        let value = check
            .iter()
            .fold(0_u64, |sum, digit| sum * 62 + BASE62.iter().position(|b| b == digit).expect("base62") as u64);
        assert_eq!(value, u64::from(crc32fast::hash(text.as_bytes())));
    }

    #[test]
    fn imported_tokens_may_have_any_visible_form() {
        assert!(Secret::import("x".repeat(15)).is_err());
        assert!(Secret::import("x".repeat(513)).is_err());
        assert!(Secret::import(format!("{} ", "x".repeat(20))).is_err());
        assert!(Secret::import("ä".repeat(20)).is_err());
        let weak = Secret::import("x".repeat(31)).expect("legal");
        assert!(weak.is_weak() && weak.hint().is_none());
        let strong = Secret::import("y".repeat(32)).expect("legal");
        assert!(!strong.is_weak() && strong.hint().is_some());
    }

    #[test]
    fn a_mask_hides_tokens_and_nothing_else() {
        let secret = minted(3);
        let line = format!("GET /a?t={} x_y", secret.reveal());
        assert_eq!(mask(&line), "GET /a?t=rlv_*** x_y");
        assert_eq!(mask("plain text_with words"), "plain text_with words");
        assert_eq!(mask(&format!("é{}é", secret.reveal())), "érlv_***é");
    }

    #[test]
    fn what_is_as_long_as_a_secret_is_masked_wherever_it_stands() {
        for before in 0..120 {
            for after in [0, 1, 60] {
                let text = |length| format!("{}a_{} {}", ".".repeat(before), "x".repeat(length), "-".repeat(after));
                assert_eq!(mask(&text(SECRET_CHARACTERS)), text(0).replace("a_", "a_***"), "{before} {after}");
                assert_eq!(mask(&text(SECRET_CHARACTERS - 1)), text(SECRET_CHARACTERS - 1), "{before} {after}");
            }
        }
    }

    #[test]
    fn a_token_that_is_part_of_a_longer_word_is_masked_too() {
        let (one, other) = (minted(4), minted(5));
        let (one, other) = (one.reveal(), other.reveal());
        assert_eq!(mask(&format!("/{one}_1/x")), "/rlv_***_1/x");
        assert_eq!(mask(&format!("app_{one}")), "app_rlv_***");
        assert_eq!(mask(&format!("{one}_{other}, {one}{other}")), "rlv_***_rlv_***, rlv_***_***");
    }
}
