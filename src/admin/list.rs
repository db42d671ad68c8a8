//! `GET /v1/keys` and `GET /v1/admins`: keys, or administrators, filtered and in pages.
//!
//! Promises: keys are shown and filtered as they are now, what has fallen due settled; a page is read away from the
//! thread that answers calls; memory is bounded by the page, not by the number of keys.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde::Serialize;

use super::Admin;
use super::call::Call;
use super::filter::Filter;
use super::problem::Problem;
use super::query::Query;
use super::sorted::Sorted;
use super::view::{AdministratorView, KeyView, Sight};
use crate::catalog::Catalog;
use crate::domain::{ApiKey, Authority, Invalid, KeyId, Permission, Realm, Renewal, Timestamp, Tokens, transition};

/// `GET /v1/keys`
pub async fn list(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    admin.list(Realm::Gateway, call).await
}

impl Admin {
    pub(super) async fn list(&self, realm: Realm, call: Call) -> Result<Response, Problem> {
        let mut call = call.permit(&[Permission::to_read(realm)])?;
        let sight = self.sight();
        let query = &mut call.query;
        let whose = (realm, &call.caller.authority);
        let sorted = Sorted::take(query, whose, sight.now);
        let wanted = sorted.map_or_else(|| Listing::Paged(Wanted::take(query, whose, sight.now)), Listing::Sorted);
        call.plain().await?.without_fields()?;
        let catalog = self.catalog.clone();
        let page = tokio::task::spawn_blocking(move || {
            let (keys, next, total) = match wanted {
                Listing::Paged(wanted) => {
                    let (keys, next) = wanted.page(&catalog, &sight);
                    (keys, next, None)
                }
                Listing::Sorted(sorted) => {
                    let (keys, total) = sorted.page(&catalog, &sight);
                    (keys, None, Some(total))
                }
            };
            let rows = Rows::of(realm, &keys, &sight);
            serde_json::to_vec(&Page { rows, next_cursor: next.map(|cursor| cursor.to_string()), total })
        });
        let page = page.await.ok().and_then(Result::ok).ok_or_else(Problem::internal)?;
        Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], page).into_response())
    }
}

#[derive(Serialize)]
struct Page<'a> {
    #[serde(flatten)]
    rows: Rows<'a>,
    next_cursor: Option<String>,
    /// How many keys there are on all pages; told where the order was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<usize>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Rows<'a> {
    Keys(Vec<KeyView<'a>>),
    Admins(Vec<AdministratorView<'a>>),
}

impl<'a> Rows<'a> {
    fn of(realm: Realm, keys: &'a [ApiKey], sight: &Sight) -> Self {
        match realm {
            Realm::Gateway => Self::Keys(keys.iter().map(|key| KeyView::of(key, sight)).collect()),
            Realm::Admin => Self::Admins(keys.iter().map(|key| AdministratorView::of(key, sight)).collect()),
        }
    }
}

/// In which order a list comes.
enum Listing {
    /// In one of its own, page after page by a cursor.
    Paged(Wanted),
    /// In the one that was asked for.
    Sorted(Sorted),
}

/// Which keys are wanted, in which order, from where on, and how many.
struct Wanted {
    filter: Filter,
    limit: usize,
    cursor: Option<Cursor>,
}

impl Wanted {
    /// Takes what is wanted out of the parameters; what is wrong stays noted there.
    fn take(query: &mut Query, whose: (Realm, &Authority), now: Timestamp) -> Self {
        let filter = Filter::take(query, whose, now);
        let cursor = query.take::<Cursor>("cursor");
        let fits = |cursor: &Cursor| match cursor {
            Cursor::Newest(_) => !filter.is_of_renewals(),
            Cursor::Renewing(_) => filter.is_of_renewals(),
        };
        if cursor.as_ref().is_some_and(|cursor| !fits(cursor)) {
            query.mistake("cursor", "belongs to another list");
        }
        Self { filter, limit: query.take_limit(), cursor }
    }

    /// The page, and where the next one begins if there is one.
    fn page(&self, catalog: &Catalog, sight: &Sight) -> (Vec<ApiKey>, Option<Cursor>) {
        if self.filter.is_of_renewals() { self.renewals(catalog, sight) } else { self.newest(catalog, sight) }
    }

    fn newest(&self, catalog: &Catalog, sight: &Sight) -> (Vec<ApiKey>, Option<Cursor>) {
        let before = match self.cursor {
            Some(Cursor::Newest(id)) => Some(id),
            Some(Cursor::Renewing(_)) | None => None,
        };
        let mut keys = Vec::new();
        let mut is_more = false;
        catalog.newest_first(self.filter.realm(), before, &mut |key| {
            let key = settled(key, sight);
            if !self.filter.lets_through(&key, sight) {
                return ControlFlow::Continue(());
            }
            if keys.len() == self.limit {
                is_more = true;
                return ControlFlow::Break(());
            }
            keys.push(key);
            ControlFlow::Continue(())
        });
        let next = keys.last().filter(|_| is_more).map(|key| Cursor::Newest(key.id));
        (keys, next)
    }

    /// Looks at every key, as no order of the catalogue is this one, and keeps the first `limit` and one.
    fn renewals(&self, catalog: &Catalog, sight: &Sight) -> (Vec<ApiKey>, Option<Cursor>) {
        let after = match self.cursor {
            Some(Cursor::Renewing(rank)) => Some(rank),
            Some(Cursor::Newest(_)) | None => None,
        };
        let mut first = BTreeMap::new();
        catalog.newest_first(self.filter.realm(), None, &mut |key| {
            let key = settled(key, sight);
            let rank = Rank::of(&key).filter(|rank| after.is_none_or(|after| *rank > after));
            if let Some(rank) = rank.filter(|_| self.filter.lets_through(&key, sight)) {
                first.insert(rank, key);
                if first.len() > self.limit + 1 {
                    first.pop_last();
                }
            }
            ControlFlow::Continue(())
        });
        let is_more = first.len() > self.limit;
        if is_more {
            first.pop_last();
        }
        let next = first.keys().next_back().filter(|_| is_more).map(|rank| Cursor::Renewing(*rank));
        (first.into_values().collect(), next)
    }
}

/// The key as it is now.
pub(super) fn settled(key: ApiKey, sight: &Sight) -> ApiKey {
    match key.tokens {
        Tokens::Single { .. } => key,
        Tokens::Renewing { .. } => transition::settle(&key, sight.now, &sight.settings).key,
    }
}

/// A renewal's place among renewals: held, then due soonest, then oldest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Rank {
    urgency: Urgency,
    opened_at: Timestamp,
    id: KeyId,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Urgency {
    Held,
    Due(Timestamp),
    Open,
}

impl Rank {
    fn of(key: &ApiKey) -> Option<Self> {
        let Renewal { opened_at, held, .. } = *key.tokens.renewal()?;
        let due_at = key.tokens.renewal().and_then(Renewal::due_at);
        let urgency = if held { Urgency::Held } else { due_at.map_or(Urgency::Open, Urgency::Due) };
        Some(Self { urgency, opened_at, id: key.id })
    }
}

/// After which key the next page begins. Opaque to callers: `n-<id>`, or `h-`, `d<due>-`, `o-` with `<opened>-<id>`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cursor {
    Newest(KeyId),
    Renewing(Rank),
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (head, opened_at, id) = match self {
            Self::Newest(id) => return write!(f, "n-{:032x}", id.as_bits()),
            Self::Renewing(Rank { urgency: Urgency::Held, opened_at, id }) => (Cow::Borrowed("h"), opened_at, id),
            Self::Renewing(Rank { urgency: Urgency::Due(due), opened_at, id }) => {
                (Cow::Owned(format!("d{}", due.as_millis())), opened_at, id)
            }
            Self::Renewing(Rank { urgency: Urgency::Open, opened_at, id }) => (Cow::Borrowed("o"), opened_at, id),
        };
        write!(f, "{head}-{}-{:032x}", opened_at.as_millis(), id.as_bits())
    }
}

impl FromStr for Cursor {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        read_cursor(text).ok_or_else(|| Invalid::new("is not the next_cursor of an earlier answer"))
    }
}

fn read_cursor(text: &str) -> Option<Cursor> {
    let id = |text: &str| u128::from_str_radix(text, 16).ok().map(KeyId::from_bits);
    let millis = |text: &str| text.parse().ok().map(Timestamp::from_millis);
    let (head, rest) = text.split_once('-')?;
    if head == "n" {
        return id(rest).map(Cursor::Newest);
    }
    let (opened_at, rest) = rest.split_once('-')?;
    let urgency = match head.split_at_checked(1)? {
        ("h", "") => Urgency::Held,
        ("o", "") => Urgency::Open,
        ("d", due) => Urgency::Due(millis(due)?),
        _ => return None,
    };
    Some(Cursor::Renewing(Rank { urgency, opened_at: millis(opened_at)?, id: id(rest)? }))
}
