//! A key's name, most often short, in 24 bytes.
//!
//! Promises: a name of up to 22 bytes needs no memory of its own.

/// A text that does not change.
pub(super) enum Label {
    Short { length: u8, bytes: [u8; Self::SHORT] },
    Long(Box<str>),
}

impl Label {
    const SHORT: usize = 22;

    pub(super) fn new(text: &str) -> Self {
        let mut bytes = [0; Self::SHORT];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(start), Ok(length)) => {
                start.copy_from_slice(text.as_bytes());
                Self::Short { length, bytes }
            }
            (None, _) | (_, Err(_)) => Self::Long(text.into()),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Short { length, bytes } => {
                let text = bytes.get(..usize::from(*length)).unwrap_or_default();
                std::str::from_utf8(text).unwrap_or_default() // it was made of a text
            }
            Self::Long(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_says_what_it_was_made_of() {
        assert_eq!(size_of::<Label>(), 24);
        for text in ["", "ci", &"x".repeat(22), &"x".repeat(23), &"ä".repeat(11), &"ä".repeat(12), &"x".repeat(480)] {
            assert_eq!(Label::new(text).as_str(), text);
        }
    }
}
