//! What is wrong with a request, as far as it is told.
//!
//! Promises: every mistake is counted; the first hundred are kept, each at a place of 256 bytes at most: what is
//! wrong with a long request costs no more than a short answer.

use serde::Serialize;

/// How many mistakes are told one by one.
const MOST: usize = 100;
/// How long the place of a mistake is at most; a longer one is cut.
const LONGEST_PATH_BYTES: usize = 256;

/// One mistake of a request: where, and what.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Mistake {
    /// The place: a field (`delete_old.after`, `roles[2]`), a query parameter, a header, or `body`.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

/// The mistakes of one request.
#[derive(Default, Debug)]
pub struct Mistakes {
    first: Vec<Mistake>,
    more: usize,
}

impl Mistakes {
    /// Notes one.
    pub fn push(&mut self, mut mistake: Mistake) {
        if self.first.len() == MOST {
            self.more += 1;
            return;
        }
        if mistake.path.len() > LONGEST_PATH_BYTES {
            let end = mistake.path.floor_char_boundary(LONGEST_PATH_BYTES - '…'.len_utf8());
            mistake.path.truncate(end);
            mistake.path.push('…');
            mistake.path.shrink_to_fit();
        }
        self.first.push(mistake);
    }

    /// Notes all of `others`, which come after these.
    pub fn append(&mut self, others: Self) {
        others.first.into_iter().for_each(|mistake| self.push(mistake));
        self.more += others.more;
    }

    /// How many there are, with those that are not kept.
    pub fn count(&self) -> usize {
        self.first.len() + self.more
    }

    /// The first of them.
    pub fn first(&self) -> &[Mistake] {
        &self.first
    }

    /// The first of them, by themselves.
    pub fn into_first(self) -> Vec<Mistake> {
        self.first
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }
}

impl FromIterator<Mistake> for Mistakes {
    fn from_iter<I: IntoIterator<Item = Mistake>>(all: I) -> Self {
        let mut mistakes = Self::default();
        all.into_iter().for_each(|mistake| mistakes.push(mistake));
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(count: usize) -> Mistakes {
        (0..count).map(|at| Mistake { path: format!("keys[{at}]"), message: "is wrong".into() }).collect()
    }

    #[test]
    fn the_first_hundred_are_kept_and_the_others_are_counted() {
        let mut all = mistakes(70);
        all.append(mistakes(250));
        assert_eq!((all.first().len(), all.count()), (100, 320));
        assert_eq!((&*all.first()[69].path, &*all.first()[99].path), ("keys[69]", "keys[29]"));
    }

    #[test]
    fn a_long_place_is_cut_between_characters() {
        let path = "ä".repeat(1_000);
        let mistake =
            [Mistake { path, message: String::new() }].into_iter().collect::<Mistakes>().into_first().remove(0);
        assert_eq!(mistake.path, "ä".repeat(126) + "…");
    }
}
