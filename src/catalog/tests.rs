//! The catalogue's promises: by id, by name, newest first, whatever comes in whatever order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::{Digest, KeyName, Origin, Remark, Timestamp, Token, TokenId};

const REALM: Realm = Realm::Gateway;

fn id(number: u128) -> KeyId {
    KeyId::from_bits(number)
}

fn key(number: u128, name: &str) -> ApiKey {
    let at = Timestamp::from_millis(1);
    let digest = Digest::of(&number.to_be_bytes());
    ApiKey::plain(id(number), name, Token::of_digest(digest, TokenId::from_bits(number), at, Origin::Created))
}

fn named(catalog: &Catalog, name: &str) -> Option<u128> {
    let name: KeyName = name.parse().expect("a legal name");
    catalog.find(REALM, &KeyRef::Name(name)).map(|key| key.id.as_bits())
}

/// The ids from newest to oldest, at most `most`.
fn listed(catalog: &Catalog, before: Option<u128>, most: usize) -> Vec<u128> {
    let mut ids = Vec::new();
    catalog.newest_first(REALM, before.map(id), &mut |key| {
        ids.push(key.id.as_bits());
        if ids.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    ids
}

#[test]
fn a_key_is_found_by_id_and_by_its_name_in_any_case() {
    let catalog = Catalog::default();
    assert_eq!(catalog.put(REALM, &key(1, "Straße")), None);
    assert_eq!(catalog.find(REALM, &KeyRef::Id(id(1))), Some(key(1, "Straße")));
    assert_eq!(named(&catalog, "STRASSE"), Some(1));
    assert_eq!(named(&catalog, "strass"), None);
    assert_eq!(catalog.find(REALM, &KeyRef::Id(id(2))), None);
}

#[test]
fn a_renamed_key_is_found_under_its_new_name_only() {
    let catalog = Catalog::default();
    catalog.put(REALM, &key(1, "before"));
    assert_eq!(catalog.put(REALM, &key(1, "after")), Some(key(1, "before")));
    assert_eq!((named(&catalog, "before"), named(&catalog, "after")), (None, Some(1)));
    assert_eq!(catalog.len(REALM), 1);
    catalog.put(REALM, &key(1, "AFTER")); // the same name, spelled otherwise
    assert_eq!(named(&catalog, "after"), Some(1));
    assert_eq!(catalog.remove(REALM, id(1)), Some(key(1, "AFTER")));
    assert_eq!(named(&catalog, "after"), None);
}

#[test]
fn a_name_passes_from_one_key_to_another_whichever_is_told_first() {
    let catalog = Catalog::default();
    catalog.put(REALM, &key(1, "ci"));
    catalog.put(REALM, &key(2, "ci")); // told before the first has let go of it
    catalog.put(REALM, &key(1, "old-ci"));
    assert_eq!((named(&catalog, "ci"), named(&catalog, "old-ci")), (Some(2), Some(1)));
    catalog.remove(REALM, id(1));
    assert_eq!((named(&catalog, "ci"), named(&catalog, "old-ci")), (Some(2), None));
}

#[test]
fn realms_do_not_see_each_other() {
    let catalog = Catalog::default();
    catalog.put(Realm::Admin, &key(1, "root"));
    assert_eq!(named(&catalog, "root"), None);
    assert!(catalog.is_empty(REALM) && !catalog.is_empty(Realm::Admin));
    assert_eq!(catalog.remove(REALM, id(1)), None);
    assert_eq!(catalog.len(Realm::Admin), 1);
}

#[test]
fn a_list_goes_on_over_slices_and_shelves_without_a_gap_or_a_repetition() {
    let catalog = Catalog::default();
    let count = 3 * SLICE as u128 + 7;
    for number in 1..=count {
        catalog.put(REALM, &key(number, &format!("key {number}")));
    }
    let newest_first: Vec<_> = (1..=count).rev().collect();
    assert_eq!(listed(&catalog, None, usize::MAX), newest_first);
    assert_eq!(listed(&catalog, Some(300), usize::MAX), (1..300).rev().collect::<Vec<_>>());
    assert_eq!(listed(&catalog, Some(1), usize::MAX), [0; 0]);
    assert_eq!(listed(&catalog, None, 2), newest_first[..2]);
    let mut ids = catalog.ids(REALM);
    ids.sort_unstable();
    assert_eq!(ids, (1..=count).map(id).collect::<Vec<_>>());
}

#[test]
fn a_visitor_may_change_the_catalogue_under_the_list() {
    let catalog = Catalog::default();
    for number in 1..=2 * SLICE as u128 {
        catalog.put(REALM, &key(number, &format!("key {number}")));
    }
    let mut seen = 0;
    catalog.newest_first(REALM, None, &mut |key| {
        seen += 1;
        catalog.remove(REALM, key.id);
        ControlFlow::Continue(())
    });
    assert_eq!(seen, 2 * SLICE);
    assert!(catalog.is_empty(REALM));
}

#[test]
fn a_record_longer_than_a_shelf_leaves_room_for_those_before_and_after_it() {
    let catalog = Catalog::default();
    let mut long = key(5, "long");
    let remark: Remark = "x".repeat(200).parse().expect("legal");
    long.labels = (0..100).map(|at| (format!("l{at}").parse().expect("legal"), remark.clone())).collect();
    for put in [&long, &key(4, "before"), &key(6, "after")] {
        catalog.put(REALM, put);
    }
    assert_eq!(listed(&catalog, None, usize::MAX), [6, 5, 4]);
    assert_eq!(catalog.find(REALM, &KeyRef::Id(id(5))), Some(long));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Puts and removals in any order, records from short to longer than a shelf: the catalogue is a plain map.
    #[test]
    fn it_holds_what_was_put_and_not_removed(
        steps in prop::collection::vec((0..40_u128, 0..5_usize, any::<bool>()), 1..150),
    ) {
        let (catalog, mut model) = (Catalog::default(), BTreeMap::new());
        for (number, size, put) in steps {
            // Spread over the numbers, so that some come between others.
            let number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) & 0xffff;
            if put {
                let mut put = key(number, &format!("key {number} {size}"));
                let remark: Remark = "x".repeat(200).parse().expect("legal");
                for label in 0..size * 20 {
                    put.labels.insert(format!("l{label}").parse().expect("legal"), remark.clone());
                }
                prop_assert_eq!(catalog.put(REALM, &put), model.insert(number, put));
            } else {
                prop_assert_eq!(catalog.remove(REALM, id(number)), model.remove(&number));
            }
        }
        prop_assert_eq!(catalog.len(REALM), model.len());
        prop_assert_eq!(listed(&catalog, None, usize::MAX), model.keys().rev().copied().collect::<Vec<_>>());
        for (number, known) in &model {
            prop_assert_eq!(named(&catalog, known.name.as_str()), Some(*number));
            let found = catalog.find(REALM, &KeyRef::Id(id(*number)));
            prop_assert_eq!(found.as_ref(), Some(known));
        }
    }
}
