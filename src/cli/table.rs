//! Keys as people read them: the list, and one key with its tokens.
//!
//! Promises: one row per key, both tokens during a renewal, a mark where an old token awaits deletion.
//! Deliberately does not: print.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use serde_json::Value;

use super::shapes::{Key, Renewal, Token, TokenCaller};
use super::text::{ago, day, left, minute, plain};
use crate::domain::{Limits, Span, Timestamp};

/// Within this time a token's end is told beside its date.
const SOON: Span = Span::days(14);
/// To this many characters a column is narrowed at most.
const NARROWEST: u16 = 18;

/// The list of keys.
pub(super) fn keys(keys: &[Key], now: Timestamp) -> String {
    let mut table = bare();
    let is_of_administrators = keys.iter().any(|key| key.permissions.is_some());
    let may = if is_of_administrators { "PERMISSIONS" } else { "ROLES" };
    table.set_header(["NAME", "TOKEN ENDS", may, "CREATED", "LAST USED", "STATUS"]);
    for key in keys {
        table.add_row([
            plain(&key.name).into_owned(),
            each(key, |token| ends(key, token, now)),
            listed(key.permissions.as_ref().unwrap_or(&key.roles)),
            day(key.created_at),
            each(key, |token| used(token, now)),
            status(key),
        ]);
    }
    finished(table, &[0, 2])
}

/// A key's tokens.
pub(super) fn tokens(key: &Key, now: Timestamp) -> String {
    let mut table = bare();
    table.set_header(["TOKEN", "HINT", "CREATED", "ENDS", "LAST USED", "LAST HOUR / DAY", "ID"]);
    for token in &key.tokens {
        table.add_row([
            plain(&token.state).into_owned(),
            hint(token),
            minute(token.created_at),
            ends(key, token, now),
            used(token, now),
            lately(token),
            plain(&token.id).into_owned(),
        ]);
    }
    finished(table, &[])
}

fn limited(limits: &Limits) -> String {
    let Limits { rate, quota, concurrent } = limits;
    let rate = rate.map(|rate| rate.to_string());
    let quota = quota.map(|quota| quota.to_string());
    let all: Vec<_> = [rate, quota, concurrent.map(|most| format!("{most} at once"))].into_iter().flatten().collect();
    if all.is_empty() { "none at all".into() } else { all.join(", ") }
}

/// Who uses a token.
pub(super) fn callers(callers: &[TokenCaller], now: Timestamp) -> String {
    let mut table = bare();
    table.set_header(["ADDRESS", "USER AGENT", "ROUTE", "LAST USED", "REQUESTS"]);
    for caller in callers {
        let last = caller.last_used_at;
        table.add_row([
            plain(&caller.address).into_owned(),
            plain(caller.user_agent.as_deref().unwrap_or("-")).into_owned(),
            plain(&caller.route).into_owned(),
            format!("{} ({})", minute(last), ago(last, now)),
            caller.requests.to_string(),
        ]);
    }
    finished(table, &[1, 2])
}

/// One key, line by line, its tokens, and who uses them.
pub(super) fn key(key: &Key, now: Timestamp) -> String {
    let mut lines = vec![
        ("name", plain(&key.name).into_owned()),
        ("id", plain(&key.id).into_owned()),
        ("status", status(key)),
        key.permissions.as_ref().map_or_else(|| ("roles", listed(&key.roles)), |may| ("permissions", listed(may))),
        ("token duration", key.duration.as_deref().map_or("the setting's".into(), |own| plain(own).into_owned())),
        ("created", minute(key.created_at)),
    ];
    let remarks = [("owner", &key.owner), ("note", &key.note)];
    lines.extend(remarks.into_iter().filter_map(|(name, text)| Some((name, plain(text.as_deref()?).into_owned()))));
    let limit = key.limited_to_role.as_deref();
    lines.extend(limit.map(|role| ("limited to role", plain(role).into_owned())));
    if !key.labels.is_empty() {
        let labels = key.labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        lines.push(("labels", listed(&labels)));
    }
    if !key.allowed_addresses.is_empty() {
        lines.push(("allowed from", listed(&key.allowed_addresses)));
    }
    lines.extend(key.limits.map(|limits| ("limits", limited(&limits))));
    lines.extend(key.self_service.then(|| ("self-service", "it may see and renew itself".into())));
    if let Some(renewal) = &key.renewal {
        lines.push(("renewal", opened(renewal)));
        lines.push(("old token", plan(renewal, now)));
        lines.extend(renewal.adoption.map(|share| ("adoption", adoption(share))));
    }
    let lines: Vec<_> = lines.iter().map(|(name, value)| format!("{name:<15} {}", value.replace('\n', "; "))).collect();
    let mut parts = vec![lines.join("\n"), tokens(key, now)];
    let renewal = key.renewal.iter();
    let used = renewal.flat_map(|open| [("OLD", &open.old_token_callers), ("NEW", &open.new_token_callers)]);
    for (token, callers) in used.filter(|(_, callers)| !callers.is_empty()) {
        parts.push(format!("WHO USES THE {token} TOKEN\n{}", self::callers(callers, now)));
    }
    parts.join("\n\n")
}

/// The new token's share of late.
fn adoption(share: f64) -> String {
    format!("{:.0} % of the last hour's requests came with the new token", share * 100.0)
}

/// When a renewal was opened, and by whom.
fn opened(renewal: &Renewal) -> String {
    let by = if renewal.opened_by.is_empty() { String::new() } else { format!(" by {}", plain(&renewal.opened_by)) };
    format!("opened {}{by}", minute(renewal.opened_at))
}

/// What becomes of the old token.
pub(super) fn plan(renewal: &Renewal, now: Timestamp) -> String {
    if renewal.held {
        return "held: its time is over and the new token was not used by then; delete it by hand".to_owned();
    }
    let mut conditions = Vec::new();
    if let Some(due) = renewal.due_at {
        conditions.push(format!("ends {} ({}) if the new one is used by then", minute(due), left(due, now)));
    }
    if renewal.delete_old.get("on_unused").and_then(Value::as_str) == Some("delete") {
        conditions.clear();
        conditions.extend(renewal.due_at.map(|due| format!("ends {} ({})", minute(due), left(due, now))));
    }
    if let Some(quiet) = renewal.delete_old.get("when_quiet").and_then(Value::as_str) {
        conditions.push(format!("ends once it has not been used for {}", plain(quiet)));
    }
    if conditions.is_empty() {
        return "stays until it is deleted by hand".to_owned();
    }
    conditions.join("; or ")
}

/// A table without lines.
fn bare() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

/// The table's text; where the terminal is narrow, only the columns `yielding` are broken.
fn finished(mut table: Table, yielding: &[usize]) -> String {
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        column.set_constraint(if yielding.contains(&at) {
            ColumnConstraint::LowerBoundary(Width::Fixed(NARROWEST))
        } else {
            ColumnConstraint::ContentWidth
        });
    }
    table.trim_fmt()
}

/// What is to be said of each token, a line each.
fn each(key: &Key, say: impl Fn(&Token) -> String) -> String {
    let named = |token: &Token| match key.tokens.len() {
        0 | 1 => say(token),
        2.. => format!("{}: {}", plain(&token.state), say(token)),
    };
    key.tokens.iter().map(named).collect::<Vec<_>>().join("\n")
}

/// When a token ends.
fn ends(key: &Key, token: &Token, now: Timestamp) -> String {
    let Some(end) = token.expires_at else {
        return "never".to_owned();
    };
    let own = key.duration.as_deref().map(|own| format!(" ({})", plain(own))).unwrap_or_default();
    match () {
        () if token.outdated => format!("{} outdated", day(end)),
        () if now >= end => format!("{} ended", day(end)),
        () if end.since(now) <= SOON => format!("{} {}", day(end), left(end, now)),
        () => format!("{}{own}", day(end)),
    }
}

/// When a token was last used.
fn used(token: &Token, now: Timestamp) -> String {
    token.usage.last().map_or("never".into(), |last| format!("{} ({})", minute(last), ago(last, now)))
}

/// How often a token was used in the last hour and day.
fn lately(token: &Token) -> String {
    let count = |count: Option<u64>| count.map_or("-".into(), |count| count.to_string());
    format!("{} / {}", count(token.usage.requests_1h), count(token.usage.requests_24h))
}

/// The end of a token by which its owner can recognise it.
pub(super) fn hint(token: &Token) -> String {
    token.hint.as_deref().map_or("-".into(), |hint| format!("…{}", plain(hint)))
}

fn listed(words: &[String]) -> String {
    if words.is_empty() {
        return "-".to_owned();
    }
    words.iter().map(|word| plain(word)).collect::<Vec<_>>().join(", ")
}

/// Whether the key is active, and whether somebody still has to do something.
fn status(key: &Key) -> String {
    let status = plain(&key.status);
    match &key.renewal {
        None => status.into_owned(),
        Some(renewal) if renewal.held => format!("{status}\npending deletion: old token (held)"),
        Some(_) => format!("{status}\npending deletion: old token"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_461_120_000); // 2026-11-23T19:12:00Z

    /// A key during a renewal, as on the page.
    pub(in crate::cli) fn renewing() -> Value {
        json!({
            "id": "key_01890a5d7c7a7000800000000000000a", "name": "ci", "roles": ["orders:read"], "status": "active",
            "owner": null, "note": null, "labels": {}, "allowed_addresses": [], "limits": null,
            "created_at": "2026-08-27T19:12:00.000Z", "duration": null, "version": 3,
            "tokens": [
                {"id": "tok_01890a5d7c7a7000800000000000000b", "state": "old", "hint": "a1B2",
                 "created_at": "2026-08-27T19:12:00.000Z", "expires_at": "2026-11-25T19:12:00.000Z", "outdated": false,
                 "usage": {"first_used_at": "2026-08-28T00:00:00.000Z", "last_used_at": "2026-11-23T16:12:00.000Z",
                           "requests_1h": 12, "requests_24h": 340}},
                {"id": "tok_01890a5d7c7a7000800000000000000c", "state": "new", "hint": "Zz09",
                 "created_at": "2026-11-23T19:00:00.000Z", "expires_at": "2027-02-21T19:00:00.000Z", "outdated": false,
                 "usage": {"first_used_at": null, "last_used_at": null, "requests_1h": 0, "requests_24h": 0}}
            ],
            "renewal": {"opened_at": "2026-11-23T19:00:00.000Z", "opened_by": "root", "delete_old": "later",
                        "due_at": null, "quiet_since": null, "held": false, "old_token_callers": [],
                        "new_token_callers": []}
        })
    }

    fn read(value: Value) -> Key {
        serde_json::from_value(value).expect("a key")
    }

    #[test]
    fn a_renewing_key_shows_both_tokens_and_its_mark() {
        let table = keys(&[read(renewing())], NOW);
        let lines: Vec<_> = table.lines().collect();
        assert!(lines[0].contains("NAME") && lines[0].contains("LAST USED"), "{table}");
        assert!(lines[1].contains("ci") && lines[1].contains("old: 2026-11-25 2 days left"), "{table}");
        assert!(lines[1].contains("2026-11-23 16:12 UTC (3 hours ago)"), "{table}");
        assert!(lines[2].contains("new: 2027-02-21") && lines[2].contains("new: never"), "{table}");
        assert!(table.contains("pending deletion: old token"), "{table}");
    }

    #[test]
    fn long_and_odd_names_keep_the_columns_apart() {
        let mut long = renewing();
        long["name"] = json!("長".repeat(120));
        long["tokens"] = json!([]);
        let mut odd = renewing();
        odd["name"] = json!("a\u{1b}[2Jb | c\u{202e}");
        odd["renewal"] = json!(null);
        let table = keys(&[read(long), read(odd)], NOW);
        assert!(table.contains("a\\u{1b}[2Jb | c\\u{202e}"), "{table}");
        assert!(!table.contains('\u{1b}') && !table.contains('\u{202e}'), "{table}");
        assert_eq!(table.matches('長').count(), 120, "{table}");
    }

    #[test]
    fn a_key_of_an_older_or_newer_gateway_is_shown_all_the_same() {
        let key = read(json!({
            "id": "key_1", "name": "x", "status": "inactive", "created_at": "2026-11-23T19:12:00Z", "version": 1,
            "tokens": [{"id": "tok_1", "state": "current", "created_at": "2026-11-23T19:12:00Z"}], "invented": [1]
        }));
        let text = super::key(&key, NOW);
        assert!(text.contains("inactive") && text.contains("current") && text.contains("never"), "{text}");
    }

    #[test]
    fn the_plan_is_told_in_words() {
        let mut key = renewing();
        let told = |key: &Value| plan(&read(key.clone()).renewal.expect("renewal"), NOW);
        assert_eq!(told(&key), "stays until it is deleted by hand");
        key["renewal"]["delete_old"] = json!({"after": "7d", "when_quiet": "24h", "on_unused": "hold"});
        key["renewal"]["due_at"] = json!("2026-11-30T19:00:00.000Z");
        assert_eq!(
            told(&key),
            "ends 2026-11-30 19:00 UTC (6 days left) if the new one is used by then; or ends once it has not been used for 24h"
        );
        key["renewal"]["delete_old"] = json!({"after": "7d", "on_unused": "delete"});
        assert_eq!(told(&key), "ends 2026-11-30 19:00 UTC (6 days left)");
        key["renewal"]["held"] = json!(true);
        assert!(told(&key).starts_with("held"));
    }
}
