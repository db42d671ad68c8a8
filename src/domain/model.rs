//! A naive model of a key's life, written from the rules of `docs/domain.md` alone, against which `model_test` holds
//! the real thing.
//!
//! Promises: one flat list of every token there ever was, and time replayed from event to event.
//! Deliberately does not: share a line with `transition` or `grant`, or care for speed.

/// Milliseconds.
type Millis = u64;

/// Where a token stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// The only one.
    Current,
    /// To be left.
    Old,
    /// To be taken.
    New,
    /// Ended because another took its place.
    Replaced,
    /// Ended because its duration was over.
    Expired,
    /// Ended, and not even that is known any more.
    Forgotten,
}

/// A token.
#[derive(Clone, Debug)]
pub(super) struct Coin {
    pub(super) digest: u32,
    pub(super) born: Millis,
    pub(super) first_used: Option<Millis>,
    pub(super) by_renewal: bool,
    pub(super) place: Place,
    left: Millis,
    /// Ended by its duration while it was the old token of a renewal.
    cut_short: bool,
}

/// The conditions of a renewal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Conditions {
    pub(super) after: Option<Millis>,
    pub(super) quiet: Option<Millis>,
    pub(super) delete_unused: bool,
}

/// An open renewal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Overlap {
    pub(super) opened: Millis,
    pub(super) conditions: Conditions,
    pub(super) held: bool,
}

/// A key's token duration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Duration {
    /// As the settings say.
    AsSet,
    /// Its own; `None` is `never`.
    Own(Option<Millis>),
}

/// What the gateway would answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    Accepted,
    Superseded,
    Expired,
    Unknown,
}

/// What a command is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Said {
    Done,
    RenewalOpen,
    NoOldToken,
    OldTokenExpired,
    DigestInUse,
    Past,
    Affects(u64, u64),
}

/// What is told of a change: its name and when it happened.
pub(super) type Line = (&'static str, Millis);

/// A key and all that ever happened to it.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    pub(super) now: Millis,
    pub(super) coins: Vec<Coin>,
    pub(super) overlap: Option<Overlap>,
    pub(super) version: u64,
    pub(super) active: bool,
    pub(super) name: u8,
    pub(super) duration: Duration,
    pub(super) set_duration: Option<Millis>,
    pub(super) refuses: bool,
    pub(super) told: Vec<Line>,
    endings: Vec<usize>,
    /// When the key's own duration is being changed; 0 otherwise.
    changed: Millis,
}

impl Ledger {
    pub(super) fn new(now: Millis, digest: u32, set_duration: Option<Millis>) -> Self {
        let first = Coin {
            digest,
            born: now,
            first_used: None,
            by_renewal: false,
            place: Place::Current,
            left: 0,
            cut_short: false,
        };
        Self {
            now,
            coins: vec![first],
            overlap: None,
            version: 1,
            active: true,
            name: 0,
            duration: Duration::AsSet,
            set_duration,
            refuses: true,
            told: Vec::new(),
            endings: Vec::new(),
            changed: 0,
        }
    }

    /// The place in the list of the token that stands at `place`, if there is one.
    pub(super) fn at(&self, place: Place) -> Option<usize> {
        self.coins.iter().position(|coin| coin.place == place)
    }

    fn end_of(&self, coin: usize) -> Option<Millis> {
        let duration = match self.duration {
            Duration::AsSet => self.set_duration,
            Duration::Own(own) => own,
        };
        duration.map(|duration| self.coins[coin].born + duration)
    }

    /// Rule 7: refused at the instant and after, in `refuse` mode.
    fn refused_by_age(&self, coin: usize) -> bool {
        self.refuses && self.end_of(coin).is_some_and(|end| end <= self.now)
    }

    /// When the open renewal is due, if it has a time.
    pub(super) fn deadline(&self) -> Option<Millis> {
        let overlap = self.overlap?;
        overlap.conditions.after.map(|after| overlap.opened + after)
    }

    /// When a living token's duration ends it.
    pub(super) fn expiry(&self) -> Option<Millis> {
        let oldest = self.at(Place::Old).or(self.at(Place::Current))?;
        self.end_of(oldest)
    }

    pub(super) fn answer(&self, digest: u32) -> Answer {
        let Some(coin) = self.coins.iter().rposition(|coin| coin.digest == digest) else { return Answer::Unknown };
        match self.coins[coin].place {
            Place::Current | Place::Old | Place::New if self.refused_by_age(coin) => Answer::Expired,
            Place::Current | Place::Old | Place::New => Answer::Accepted,
            Place::Replaced => Answer::Superseded,
            Place::Expired => Answer::Expired,
            Place::Forgotten => Answer::Unknown,
        }
    }

    fn tell(&mut self, what: &'static str, at: Millis) {
        self.told.push((what, at));
        self.version += 1;
    }

    fn end(&mut self, coin: usize, place: Place, at: Millis) {
        self.coins[coin].place = place;
        self.coins[coin].left = at;
        self.endings.push(coin);
        if self.endings.len() > 8 {
            let oldest = self.endings.remove(0);
            self.coins[oldest].place = Place::Forgotten;
        }
    }

    fn end_old(&mut self, place: Place, at: Millis) {
        if let (Some(old), Some(new)) = (self.at(Place::Old), self.at(Place::New)) {
            self.end(old, place, at);
            self.coins[new].place = Place::Current;
            self.overlap = None;
            self.tell("completed", at);
        }
    }

    /// Time goes on to `until`, and what falls due on the way happens when it does (rules 4 and 7).
    pub(super) fn pass(&mut self, until: Millis) {
        while let (Some(old), Some(new), Some(overlap)) = (self.at(Place::Old), self.at(Place::New), self.overlap) {
            let deadline = self.deadline().filter(|at| *at <= until);
            let expiry = self.end_of(old).filter(|at| self.refuses && *at <= until);
            match (deadline, expiry) {
                (None, None) => break,
                (Some(at), expiry) if expiry.is_none_or(|expiry| at <= expiry) => {
                    let used_before = self.coins[new].first_used.is_some_and(|used| used < at);
                    if used_before || overlap.conditions.delete_unused {
                        self.end_old(Place::Replaced, at);
                    } else {
                        self.overlap = Some(Overlap { conditions: Conditions::default(), held: true, ..overlap });
                        self.tell("held", at);
                    }
                }
                (_, expiry) => {
                    // A duration made shorter cannot have ended it before the renewal was opened.
                    let at = expiry.unwrap_or(until).max(overlap.opened + 1).max(self.changed);
                    self.coins[old].cut_short = true;
                    self.end_old(Place::Expired, at);
                }
            }
        }
        self.now = until;
    }

    /// The token's first use, unless it is known; whether it tells of an adoption.
    pub(super) fn use_token(&mut self, coin: usize) -> bool {
        let at = self.now;
        let coin = &mut self.coins[coin];
        if coin.first_used.is_some() {
            return false;
        }
        coin.first_used = Some(at);
        coin.place == Place::New
    }

    pub(super) fn renew(&mut self, digest: u32, conditions: Conditions, at_once: bool) -> Said {
        let known = self.coins.iter().rev().find(|coin| coin.digest == digest).map(|c| (c.place, c.by_renewal));
        match known {
            // Rule 3: an answer to `now` would say that only the new token is valid.
            Some((Place::New, _)) if at_once => return Said::RenewalOpen,
            // Rule 10: a retry is harmless.
            Some((Place::New, _) | (Place::Current, true)) => return Said::Done,
            Some((Place::Current | Place::Old | Place::Replaced | Place::Expired, _)) => return Said::DigestInUse,
            Some((Place::Forgotten, _)) | None => {}
        }
        let Some(current) = self.at(Place::Current) else { return Said::RenewalOpen };
        let expired = self.refused_by_age(current);
        let now = self.now;
        if expired {
            let end = self.end_of(current).unwrap_or(now);
            self.end(current, Place::Expired, end);
        } else if at_once {
            self.end(current, Place::Replaced, now);
        } else {
            self.coins[current].place = Place::Old;
            self.overlap = Some(Overlap { opened: now, conditions, held: false });
        }
        let place = if self.overlap.is_some() { Place::New } else { Place::Current };
        self.coins.push(Coin {
            digest,
            born: now,
            first_used: None,
            by_renewal: true,
            place,
            left: 0,
            cut_short: false,
        });
        self.tell(if place == Place::New { "opened" } else { "completed" }, now);
        Said::Done
    }

    pub(super) fn change_plan(&mut self, conditions: Conditions) -> Said {
        let Some(overlap) = self.overlap else { return Said::NoOldToken };
        if conditions.after.is_some_and(|after| overlap.opened + after <= self.now) {
            return Said::Past;
        }
        let changed = Overlap { conditions, held: false, ..overlap };
        if changed != overlap {
            self.overlap = Some(changed);
            self.tell("plan_changed", self.now);
        }
        Said::Done
    }

    pub(super) fn delete_old(&mut self) -> Said {
        if self.overlap.is_none() {
            return Said::NoOldToken;
        }
        self.end_old(Place::Replaced, self.now);
        Said::Done
    }

    pub(super) fn undo(&mut self) -> Said {
        if let (Some(old), Some(new)) = (self.at(Place::Old), self.at(Place::New)) {
            self.end(new, Place::Replaced, self.now);
            self.coins[old].place = Place::Current;
            self.overlap = None;
            self.tell("undone", self.now);
            return Said::Done;
        }
        // Rule 7: the last renewal ended because its old token reached its end.
        // An ending of before the present token is another renewal's: that of this one may be forgotten.
        let born = self.at(Place::Current).map(|current| self.coins[current].born);
        let last = self.endings.last().map(|last| &self.coins[*last]);
        let cut_short = last.is_some_and(|last| last.cut_short && Some(last.left) > born);
        if cut_short { Said::OldTokenExpired } else { Said::NoOldToken }
    }

    pub(super) fn set_active(&mut self, active: bool) {
        if self.active != active {
            self.active = active;
            self.tell(if active { "activated" } else { "deactivated" }, self.now);
        }
    }

    pub(super) fn rename(&mut self, name: u8) {
        if self.name != name {
            self.name = name;
            self.tell("edited", self.now);
        }
    }

    /// How many living tokens `change` ends and how many it revives.
    pub(super) fn affected(&self, change: impl Fn(&mut Self)) -> (u64, u64) {
        let mut changed = self.clone();
        change(&mut changed);
        let mut count = (0, 0);
        for coin in 0..self.coins.len() {
            if matches!(self.coins[coin].place, Place::Current | Place::Old | Place::New) {
                count.0 += u64::from(!self.refused_by_age(coin) && changed.refused_by_age(coin));
                count.1 += u64::from(self.refused_by_age(coin) && !changed.refused_by_age(coin));
            }
        }
        count
    }

    pub(super) fn change_duration(&mut self, duration: Duration, confirm: Option<(u64, u64)>) -> Said {
        let count = self.affected(|ledger| ledger.duration = duration);
        if count != (0, 0) && confirm != Some(count) {
            return Said::Affects(count.0, count.1);
        }
        if self.duration != duration {
            self.duration = duration;
            self.changed = self.now;
            self.tell("edited", self.now);
            self.pass(self.now);
            self.changed = 0;
        }
        Said::Done
    }

    /// The minute's look: the old token has been quiet for `observed` (rule 5).
    pub(super) fn look(&mut self, observed: Millis) {
        let Some(wanted) = self.overlap.and_then(|overlap| overlap.conditions.quiet) else { return };
        let used = self.at(Place::New).is_some_and(|new| self.coins[new].first_used.is_some());
        if used && observed >= wanted {
            self.end_old(Place::Replaced, self.now);
        }
    }

    /// Rule 15: what ended `remember` ago is forgotten.
    pub(super) fn forget(&mut self, remember: Millis) {
        let (now, coins) = (self.now, &mut self.coins);
        self.endings.retain(|ended| {
            let gone = coins[*ended].left + remember <= now;
            if gone {
                coins[*ended].place = Place::Forgotten;
            }
            !gone
        });
    }
}
