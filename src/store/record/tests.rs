//! Records there and back, and every byte of them flipped.
//!
//! Promises: the bytes of each version are pinned. Deliberately does not: open a store.

use ipnet::IpNet;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::domain::audit::{KeyFacts, SettingsFacts};
use crate::domain::{
    Action, Actor, Digest, EndReason, Ended, EventDraft, EventId, Facts, Hint, KeyId, KeyName, Label, Lifetime, Limits,
    OnExpiry, OnUnused, Origin, Plan, Prefix, Quota, Rate, Realm, Remark, Renewal, Revision, Role, Span, Status,
    Timestamp, Token, TokenId, Tokens, Version, Window,
};

fn instant() -> impl Strategy<Value = Timestamp> {
    (0_u64..4_000_000_000_000).prop_map(Timestamp::from_millis)
}

fn lifetime() -> impl Strategy<Value = Lifetime> {
    prop_oneof![Just(Lifetime::Never), (1..Span::LONGEST.as_millis()).prop_map(|ms| Lifetime::For(Span::millis(ms)))]
}

fn remark() -> impl Strategy<Value = Remark> {
    "[ -~äß订]{0,60}".prop_map(|text| text.parse().expect("legal"))
}

fn token() -> impl Strategy<Value = Token> {
    let hint = option::of(
        "[!-~]{4}".prop_map(|text| Hint::from_bytes(text.as_bytes().try_into().expect("four")).expect("visible")),
    );
    let origin = prop_oneof![Just(Origin::Created), Just(Origin::Renewed)];
    (any::<u128>(), any::<[u8; 32]>(), hint, any::<bool>(), instant(), option::of(instant()), origin).prop_map(
        |(id, digest, hint, weak, created_at, first_used_at, origin)| Token {
            id: TokenId::from_bits(id),
            digest: Digest::from_bytes(digest),
            hint,
            weak,
            created_at,
            first_used_at,
            origin,
        },
    )
}

fn plan() -> impl Strategy<Value = Plan> {
    let span = |from: u64| (from..Span::LONGEST.as_millis()).prop_map(Span::millis);
    let unused = prop_oneof![Just(OnUnused::Hold), Just(OnUnused::Delete)];
    (option::of((span(1), option::of(unused))), option::of(span(60_000))).prop_map(|(after, when_quiet)| {
        let (after, on_unused) = after.map_or((None, None), |(after, on_unused)| (Some(after), on_unused));
        Plan::new(after, when_quiet, on_unused).expect("legal")
    })
}

fn tokens() -> impl Strategy<Value = Tokens> {
    let renewal = (instant(), "[a-z]{1,12}", plan(), any::<bool>()).prop_map(|(opened_at, name, plan, held)| Renewal {
        opened_at,
        opened_by: Actor::named(name),
        plan,
        held,
    });
    let two = (token(), token(), renewal)
        .prop_filter("two tokens differ", |(old, new, _)| old.digest != new.digest)
        .prop_map(|(old, new, renewal)| Tokens::Renewing { old, new, renewal });
    prop_oneof![token().prop_map(|current| Tokens::Single { current }), two]
}

fn ended() -> impl Strategy<Value = Ended> {
    let reason = prop_oneof![Just(EndReason::Superseded), Just(EndReason::Expired)];
    (any::<u128>(), any::<[u8; 32]>(), instant(), reason).prop_map(|(id, digest, ended_at, reason)| Ended {
        id: TokenId::from_bits(id),
        digest: Digest::from_bytes(digest),
        ended_at,
        reason,
    })
}

fn network() -> impl Strategy<Value = IpNet> {
    (any::<std::net::IpAddr>(), 0_u8..=32).prop_map(|(address, length)| IpNet::new(address, length).expect("legal"))
}

fn name() -> impl Strategy<Value = KeyName> {
    "[a-zA-Z0-9äÖ订]{1,100}".prop_map(|text| text.parse().expect("legal"))
}

fn limits() -> impl Strategy<Value = Limits> {
    let rate = (100..=1_000_000_u64, 1..=86_400_u64, option::of(1..=30_000_u64))
        .prop_map(|(requests, seconds, burst)| Rate::new(requests, Span::seconds(seconds), burst).expect("legal"));
    let quota = (1..=Quota::MOST, 0..3_usize)
        .prop_map(|(requests, window)| Quota::new(requests, Window::ALL[window]).expect("legal"));
    (option::of(rate), option::of(quota), option::of(any::<std::num::NonZeroU32>()))
        .prop_map(|(rate, quota, concurrent)| Limits { rate, quota, concurrent })
}

prop_compose! {
    fn api_key()(
        id in any::<u128>(),
        name in name(),
        roles in btree_set("[a-z][a-z0-9:._-]{0,63}".prop_map(|text| text.parse::<Role>().expect("legal")), 0..5),
        active in any::<bool>(),
        (owner, note) in (option::of(remark()), option::of(remark())),
        labels in btree_map("[a-z]{1,9}".prop_map(|text| text.parse::<Label>().expect("legal")), remark(), 0..4),
        allowed_addresses in vec(network(), 0..4),
        (limits, self_service) in (option::of(limits()), any::<bool>()),
        limited_to_role in option::of("[a-z][a-z0-9:._-]{0,63}".prop_map(|text| text.parse::<Role>().expect("legal"))),
        created_at in instant(),
        duration in option::of(lifetime()),
        version in any::<u64>(),
        tokens in tokens(),
        ended in vec(ended(), 0..=Ended::MOST),
    ) -> ApiKey {
        let status = if active { Status::Active } else { Status::Inactive };
        let (id, version) = (KeyId::from_bits(id), Version(version));
        ApiKey { id, name, roles, limited_to_role, status, owner, note, labels, allowed_addresses, limits, self_service, created_at, duration, version, tokens, ended }
    }
}

fn settings() -> impl Strategy<Value = Settings> {
    let on_expiry = prop_oneof![Just(OnExpiry::Refuse), Just(OnExpiry::Warn)];
    let prefixes = vec("[a-z][a-z0-9]{1,15}".prop_map(|text| text.parse::<Prefix>().expect("legal")), 0..4);
    (lifetime(), on_expiry, prefixes).prop_map(|(duration, on_expiry, prefixes)| Settings {
        duration,
        on_expiry,
        prefixes,
    })
}

fn event() -> impl Strategy<Value = Event> {
    let facts = prop_oneof![
        api_key().prop_map(|key| Facts::Key(Box::new(KeyFacts::of(&key)))),
        settings().prop_map(|settings| Facts::Settings(SettingsFacts::of(&settings))),
    ];
    let action = (0..Action::ALL.len()).prop_map(|at| Action::ALL[at]);
    let address = option::of(any::<std::net::IpAddr>());
    (any::<u128>(), instant(), "[ -~]{1,20}", address, action, any::<u64>(), option::of(facts)).prop_map(
        |(id, at, actor, address, action, revision, after)| {
            let (id, actor, key) = (EventId::from_bits(id), Actor::named(actor), Some(KeyId::from_bits(id)));
            EventDraft { id, at, written_at: at, actor, address, action, key, before: after.clone(), after }
                .at_revision(Realm::Gateway, Revision(revision), RecordHash::of(b"the one before"))
        },
    )
}

/// Every record that differs from `record` in one byte.
fn flipped(record: &[u8], flip: u8) -> impl Iterator<Item = Vec<u8>> {
    (0..record.len()).map(move |at| {
        let mut flipped = record.to_vec();
        flipped[at] ^= flip;
        flipped
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_key_comes_back_as_it_was_and_every_flipped_byte_is_noticed(key in api_key(), flip in 1..=u8::MAX) {
        let record = encode_key(&key);
        prop_assert_eq!(decode_key(&record), Ok(key));
        for (at, flipped) in flipped(&record, flip).enumerate() {
            prop_assert!(decode_key(&flipped).is_err(), "byte {}", at);
        }
    }

    #[test]
    fn settings_come_back_as_they_were_and_every_flipped_byte_is_noticed(settings in settings(), flip in 1..=u8::MAX) {
        let record = encode_settings(&settings);
        prop_assert_eq!(decode_settings(&record), Ok(settings));
        for flipped in flipped(&record, flip) {
            prop_assert!(decode_settings(&flipped).is_err());
        }
    }

    #[test]
    fn an_event_comes_back_as_it_was_and_every_flipped_byte_is_noticed(event in event(), flip in 1..=u8::MAX) {
        let record = encode_event(&event).expect("written");
        prop_assert_eq!(decode_event(&record), Ok(event));
        for flipped in flipped(&record, flip) {
            prop_assert!(decode_event(&flipped).is_err());
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in vec(any::<u8>(), 0..300)) {
        let framed = seal([vec![V1], bytes.clone()].concat());
        for bytes in [bytes, framed] {
            let _ = (decode_key(&bytes), decode_settings(&bytes), decode_event(&bytes));
        }
    }
}

fn plain_key() -> ApiKey {
    let now = Timestamp::from_millis(1_795_461_120_000);
    let token = Token {
        hint: Hint::from_bytes(*b"aB3x"),
        first_used_at: Some(now),
        ..Token::of_digest(Digest::of(b"x"), TokenId::from_bits(7), now, Origin::Created)
    };
    ApiKey::plain(KeyId::from_bits(1), "integrator", token)
}

#[test]
fn a_plain_key_takes_no_more_than_130_bytes() {
    let record = encode_key(&plain_key());
    assert!(record.len() <= 130, "{} bytes", record.len());
    assert_eq!(record.capacity(), record.len());
}

#[test]
fn version_1_of_a_key_has_not_changed() {
    // Fields in the order of `docs/store-format.md`; a change of one byte is another version.
    let record = [
        "01",                                                               // version of the format
        "00000000000000000000000000000001",                                 // id
        "0a696e7465677261746f72",                                           // name
        "00",                                                               // roles
        "01",                                                               // active
        "00",                                                               // owner
        "00",                                                               // note
        "00",                                                               // labels
        "00",                                                               // allowed addresses
        "8080cacea034",                                                     // created
        "00",                                                               // duration
        "01",                                                               // version of the key
        "00",                                                               // one token:
        "00000000000000000000000000000007",                                 // id
        "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881", // digest
        "0161423378",                                                       // hint
        "00",                                                               // weak
        "8080cacea034",                                                     // created
        "018080cacea034",                                                   // first used
        "00",                                                               // renewed
        "00",                                                               // ended tokens
        "3807e70a",                                                         // CRC-32
    ];
    assert_eq!(hex::encode(encode_key(&plain_key())), record.concat());
}

#[test]
fn a_version_of_the_future_is_named_and_not_guessed_at() {
    let mut record = encode_key(&plain_key());
    record.truncate(record.len() - CHECK_BYTES);
    record[0] = 5;
    let damage = decode_key(&seal(record)).expect_err("unknown");
    assert_eq!(damage.to_string(), "its format version is 5, and 4 is the newest that is known here");
}

#[test]
fn what_the_domain_does_not_allow_is_damage_though_the_checksum_is_right() {
    let body = |name: &str| {
        let mut record = key::KeyV1::from(&plain_key());
        record.rename(name);
        seal(postcard_of(V1, &record))
    };
    assert!(decode_key(&body("fine")).is_ok());
    let damage = decode_key(&body("a/b")).expect_err("illegal");
    assert_eq!(damage.to_string(), "its name holds '/'");
    let longer = [&encode_key(&plain_key())[..], &[0]].concat();
    assert!(decode_key(&longer).is_err());
    let trailing = seal([postcard_of(V1, &key::KeyV1::from(&plain_key())), vec![0]].concat());
    assert_eq!(decode_key(&trailing).expect_err("too long").to_string(), "1 bytes are left over after its last field");
}

#[test]
fn version_2_of_a_key_is_version_1_with_its_limits_behind() {
    let rate = Some("100/1s/200".parse().expect("legal"));
    let quota = Some("1000/month".parse().expect("legal"));
    let limited = ApiKey { limits: Some(Limits { rate, quota, concurrent: None }), ..plain_key() };
    let (plain, record) = (encode_key(&plain_key()), encode_key(&limited));
    let body = plain.len() - CHECK_BYTES;
    assert_eq!((record[0], &record[1..body]), (2, &plain[1..body]));
    assert_eq!(hex::encode(&record[body..record.len() - CHECK_BYTES]), "0164e807c80101e8070200");
    assert_eq!(decode_key(&record), Ok(limited));
    let none_at_all = ApiKey { limits: Some(Limits::default()), ..plain_key() };
    assert_eq!(decode_key(&encode_key(&none_at_all)), Ok(none_at_all));
}

#[test]
fn version_2_of_an_event_is_version_1_with_the_hash_of_the_one_before_behind() {
    let body = concat!(
        r#"{"id":"evt_00000000000000000000000000000001","revision":7,"at":"2026-11-23T19:12:00.000Z","actor":"root","#,
        r#""address":null,"action":"key.edited","key":null,"before":null,"after":null}"#
    );
    let old = seal([&[V1], body.as_bytes()].concat());
    assert!(decode_event(&old).expect_err("not chained").to_string().contains("before the chain"));
    let previous = RecordHash::of(b"the one before");
    let record = chain_event(&old, previous).expect("chained");
    let event = decode_event(&record).expect("read");
    assert_eq!((event.previous, event.written_at, event.revision), (previous, None, Revision(7)));
    assert_eq!(encode_event(&event).expect("written"), record, "what is read is written the same");
    let line = format!("{},\"previous\":\"{previous}\"}}", &body[..body.len() - 1]);
    assert_eq!(event_line(&record).expect("a line"), line.as_bytes());
    assert!(chain_event(&record, previous).is_err(), "twice");
    for wrong in ["", "{", "[]", "}"] {
        assert!(chain_event(&seal([&[V1], wrong.as_bytes()].concat()), previous).is_err(), "{wrong}");
    }
}

#[test]
fn version_3_of_a_key_is_version_2_with_the_role_that_limits_an_administrator_behind() {
    let role = Some("a".parse().expect("legal"));
    let limited = ApiKey { limited_to_role: role, ..plain_key() };
    let (plain, record) = (encode_key(&plain_key()), encode_key(&limited));
    let body = plain.len() - CHECK_BYTES;
    assert_eq!((record[0], &record[1..body]), (3, &plain[1..body]));
    // No rate, no quota, no bound at once; no limits of its own; the role.
    assert_eq!(hex::encode(&record[body..record.len() - CHECK_BYTES]), "000000000161");
    assert_eq!(decode_key(&record), Ok(limited.clone()));
    let both = ApiKey { limits: Some(Limits::default()), ..limited };
    assert_eq!(decode_key(&encode_key(&both)), Ok(both));
}

#[test]
fn version_4_of_a_key_is_version_1_with_all_that_it_may_have_besides_behind() {
    let own = ApiKey { self_service: true, ..plain_key() };
    let (plain, record) = (encode_key(&plain_key()), encode_key(&own));
    let body = plain.len() - CHECK_BYTES;
    assert_eq!((record[0], &record[1..body]), (4, &plain[1..body]));
    assert_eq!(hex::encode(&record[body..record.len() - CHECK_BYTES]), "000001");
    assert_eq!(decode_key(&record), Ok(own.clone()));
    let rate = Some("100/1s/200".parse().expect("legal"));
    let limited = ApiKey { limits: Some(Limits { rate, quota: None, concurrent: None }), ..own };
    let record = encode_key(&limited);
    assert_eq!(hex::encode(&record[body..record.len() - CHECK_BYTES]), "010164e807c80100000001");
    assert_eq!(decode_key(&record), Ok(limited));
}
