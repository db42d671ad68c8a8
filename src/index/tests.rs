//! The index's promises: what was applied is what is found, and nothing else.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::*;
use crate::domain::{
    Actor, EndReason, Ended, Lifetime, OnUnused, Origin, Plan, Renewal, Slot, Span, Status, Token, TokenId, Verdict,
};

const BIRTH: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn digest(number: u8) -> Digest {
    Digest::of(&[number])
}

fn token(number: u8) -> Token {
    Token::of_digest(digest(number), TokenId::from_bits(number.into()), BIRTH, Origin::Created)
}

fn key(tokens: Tokens) -> ApiKey {
    let plain = ApiKey::plain(KeyId::from_bits(7), "ci", token(1));
    ApiKey { roles: roles(&["orders:read", "a"]), tokens, ..plain }
}

fn roles(names: &[&str]) -> BTreeSet<Role> {
    names.iter().map(|name| name.parse().expect("legal")).collect()
}

fn single(number: u8) -> ApiKey {
    key(Tokens::Single { current: token(number) })
}

fn renewing(old: u8, new: u8, plan: Plan) -> ApiKey {
    let renewal = Renewal { opened_at: BIRTH, opened_by: Actor::named("root"), plan, held: false };
    key(Tokens::Renewing { old: token(old), new: token(new), renewal })
}

fn verdict(index: &Index, number: u8, now: Timestamp) -> Option<Verdict> {
    index.find(&digest(number)).map(|pass| pass.judge(now, &Settings::default()))
}

#[test]
fn a_pass_is_as_small_as_ten_million_of_them_must_be() {
    assert_eq!(size_of::<Pass>(), 112);
    assert_eq!(size_of::<Held>(), 8);
}

#[test]
fn what_was_applied_is_what_is_found() {
    let (index, mut writer) = Index::with_capacity(0);
    assert!(index.is_empty() && !index.is_loaded());
    writer.replace(None, &single(1));
    writer.loaded();
    assert!(index.is_loaded());
    let pass = index.find(&digest(1)).expect("known");
    assert_eq!((pass.key(), pass.token()), (KeyId::from_bits(7), TokenId::from_bits(1)));
    assert_eq!(pass.name(), "ci");
    assert!(pass.is_active() && pass.roles().contains(&"a".parse().expect("legal")));
    assert_eq!(pass.due_at(), None);
    assert!(index.find(&digest(2)).is_none());
}

#[test]
fn a_change_replaces_the_pass_and_drops_digests_that_the_key_has_no_more() {
    let (index, mut writer) = Index::with_capacity(0);
    let (before, mut after) = (renewing(1, 2, Plan::LATER), single(2));
    after.status = Status::Inactive;
    writer.replace(None, &before);
    assert_eq!(verdict(&index, 1, BIRTH), Some(Ok(Slot::Old)));
    assert_eq!(verdict(&index, 2, BIRTH), Some(Ok(Slot::New)));
    writer.replace(Some(&before), &after);
    assert_eq!(verdict(&index, 1, BIRTH), None);
    assert_eq!(verdict(&index, 2, BIRTH), Some(Ok(Slot::Current)));
    assert!(index.find(&digest(2)).is_some_and(|pass| !pass.is_active()));
    assert_eq!(index.len(), 1);
    writer.remove(&after);
    assert!(index.is_empty());
}

#[test]
fn ended_tokens_are_told_from_unknown_ones() {
    let (index, mut writer) = Index::with_capacity(0);
    let mut key = single(3);
    let ended = |number, reason| Ended { id: TokenId::from_bits(9), digest: digest(number), ended_at: BIRTH, reason };
    key.ended = vec![ended(1, EndReason::Superseded), ended(2, EndReason::Expired)];
    writer.replace(None, &key);
    assert_eq!(verdict(&index, 1, BIRTH), Some(Err(EndReason::Superseded)));
    assert_eq!(verdict(&index, 2, BIRTH), Some(Err(EndReason::Expired)));
    let pass = index.find(&digest(1)).expect("remembered");
    assert!(!pass.note_use(BIRTH), "nobody is told of a use of an ended token");
}

#[test]
fn a_keys_own_duration_and_addresses_are_kept_with_its_pass() {
    let (index, mut writer) = Index::with_capacity(0);
    let mut key = single(1);
    key.duration = Some(Lifetime::For(Span::hours(1)));
    key.allowed_addresses = vec!["10.0.0.0/8".parse().expect("legal")];
    writer.replace(None, &key);
    let end = BIRTH.plus(Span::hours(1));
    assert_eq!(verdict(&index, 1, end.minus(Span::millis(1))), Some(Ok(Slot::Current)));
    assert_eq!(verdict(&index, 1, end), Some(Err(EndReason::Expired)));
    let pass = index.find(&digest(1)).expect("known");
    let allowed = |address: &str| pass.is_allowed_from(address.parse::<IpAddr>().expect("legal"));
    assert!(allowed("10.1.2.3") && allowed("::ffff:10.1.2.3"));
    assert!(!allowed("11.1.2.3") && !allowed("::1"));
}

#[test]
fn a_tokens_duration_counts_from_its_creation_whether_or_not_its_id_tells_it() {
    let (index, mut writer) = Index::with_capacity(0);
    let end = BIRTH.plus(Span::days(90));
    let mut told = single(2);
    told.tokens.each_mut().for_each(|token| token.id = TokenId::new(BIRTH, [7; 10]));
    for key in [single(1), told] {
        writer.replace(None, &key);
        let number = if key.tokens.each().any(|token| token.digest == digest(1)) { 1 } else { 2 };
        assert_eq!(index.find(&digest(number)).expect("known").rare.is_some(), number == 1);
        assert_eq!(verdict(&index, number, end.minus(Span::millis(1))), Some(Ok(Slot::Current)));
        assert_eq!(verdict(&index, number, end), Some(Err(EndReason::Expired)));
    }
}

#[test]
fn a_use_of_the_new_token_arms_the_deadline_and_survives_a_change_of_the_key() {
    let (index, mut writer) = Index::with_capacity(0);
    let plan = Plan::new(Some(Span::hours(1)), None, None).expect("legal");
    let before = renewing(1, 2, plan);
    writer.replace(None, &before);
    let due = BIRTH.plus(Span::hours(1));
    assert_eq!(index.find(&digest(1)).and_then(|pass| pass.due_at()), Some(due));
    assert_eq!(verdict(&index, 1, due), Some(Ok(Slot::Old)), "not armed");

    assert!(index.find(&digest(1)).expect("old").note_use(BIRTH));
    assert_eq!(verdict(&index, 1, due), Some(Ok(Slot::Old)), "a use of the old token arms nothing");
    assert!(index.find(&digest(2)).expect("new").note_use(BIRTH.plus(Span::minutes(5))));
    assert_eq!(verdict(&index, 1, due), Some(Err(EndReason::Superseded)));

    let mut after = before.clone();
    after.name = "renamed".parse().expect("legal"); // told before the first use was durable
    writer.replace(Some(&before), &after);
    assert_eq!(verdict(&index, 1, due), Some(Err(EndReason::Superseded)));
    assert_eq!(index.find(&digest(1)).and_then(|pass| pass.new_first_used()), Some(BIRTH.plus(Span::minutes(5))));
}

#[test]
fn a_use_of_one_renewals_new_token_arms_no_other_renewal() {
    let (index, mut writer) = Index::with_capacity(0);
    let plan = Plan::new(Some(Span::hours(1)), None, Some(OnUnused::Hold)).expect("legal");
    let (first, second) = (renewing(1, 2, plan), renewing(2, 3, plan));
    writer.replace(None, &first);
    index.find(&digest(2)).expect("new").note_use(BIRTH);
    writer.replace(Some(&first), &second);
    assert_eq!(verdict(&index, 2, BIRTH.plus(Span::hours(1))), Some(Ok(Slot::Old)));
}

#[test]
fn a_first_use_is_told_once_unless_the_telling_is_taken_back() {
    let (index, mut writer) = Index::with_capacity(0);
    writer.replace(None, &single(1));
    let pass = index.find(&digest(1)).expect("known");
    assert!(pass.note_use(BIRTH) && !pass.note_use(BIRTH));
    pass.first_use_untold();
    assert!(pass.note_use(BIRTH));
    let mut used = single(1);
    used.tokens.each_mut().for_each(|token| token.first_used_at = Some(BIRTH));
    writer.replace(Some(&single(1)), &used);
    assert!(!index.find(&digest(1)).expect("known").note_use(BIRTH));
}

#[test]
fn keys_with_the_same_roles_share_them_and_roles_of_nobody_are_forgotten() {
    let (index, mut writer) = Index::with_capacity(0);
    let mut others = single(2);
    others.id = KeyId::from_bits(8);
    writer.replace(None, &single(1));
    writer.replace(None, &others);
    let of = |number| Arc::clone(&index.find(&digest(number)).expect("known").roles);
    assert!(Arc::ptr_eq(&of(1), &of(2)));
    assert_eq!(writer.role_sets.len(), 1);

    let mut changed = single(1);
    changed.roles = roles(&["b"]);
    writer.replace(Some(&single(1)), &changed);
    assert_eq!(writer.role_sets.len(), 2);
    writer.remove(&changed);
    writer.loaded();
    assert_eq!(writer.role_sets.len(), 1);
}

#[test]
fn no_look_up_misses_a_token_while_its_pass_is_replaced() {
    let (index, mut writer) = Index::with_capacity(0);
    let (one, two) = (single(1), renewing(1, 2, Plan::LATER));
    writer.replace(None, &one);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| (0..200_000).all(|_| index.find(&digest(1)).is_some()));
        while !reader.is_finished() {
            writer.replace(Some(&one), &two);
            writer.replace(Some(&two), &one);
        }
        assert!(reader.join().expect("the reader ends"));
    });
}

#[test]
fn an_identity_is_percent_encoded_and_its_roles_are_in_order() {
    let identity = Identity::of(KeyId::from_bits(0x7b), "Zoë & co", &roles(&["b", "a"]));
    assert_eq!(identity.key_id, "key_0000000000000000000000000000007b");
    assert_eq!(identity.key_name, "Zo%C3%AB%20%26%20co");
    assert_eq!(identity.roles, "a,b");
    let longest = "ä".repeat(120);
    let many: BTreeSet<Role> = (0..Role::MOST).map(|at| format!("{at:064}").parse().expect("legal")).collect();
    let identity = Identity::of(KeyId::from_bits(u128::MAX), &longest, &many);
    assert_eq!(identity.key_name.len(), 120 * 6);
    assert_eq!(identity.roles.len(), Role::MOST * 65 - 1);
}

#[test]
fn a_digest_passes_from_one_key_to_another_whichever_is_told_first() {
    let (index, mut writer) = Index::with_capacity(0);
    let ended = Ended { id: TokenId::from_bits(9), digest: digest(9), ended_at: BIRTH, reason: EndReason::Superseded };
    let remembering = |ended| ApiKey { id: KeyId::from_bits(1), ended, ..single(1) };
    let (before, after) = (remembering(vec![ended]), remembering(Vec::new()));
    writer.replace(None, &before);
    let heir = ApiKey { id: KeyId::from_bits(2), ..single(9) };
    writer.replace(None, &heir); // told before the first has let go of it
    writer.replace(Some(&before), &after);
    assert_eq!(verdict(&index, 9, BIRTH), Some(Ok(Slot::Current)));
    writer.remove(&before);
    assert_eq!((verdict(&index, 1, BIRTH), verdict(&index, 9, BIRTH)), (None, Some(Ok(Slot::Current))));
}
