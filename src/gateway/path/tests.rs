use proptest::prelude::*;

use super::*;

const STRICT: PathPolicy = PathPolicy { semicolons: false };
const LENIENT: PathPolicy = PathPolicy { semicolons: true };

fn read(policy: PathPolicy, path: &str) -> Result<String, BadPath> {
    policy.normalise(path).map(|path| path.as_str().to_owned())
}

/// Spellings that some server resolves to `/admin`, and what becomes of each.
const SPELLINGS: &[(&str, Result<&str, BadPath>)] = {
    use BadPath::*;
    &[
        ("/admin", Ok("/admin")),
        ("/%61dmin", Ok("/admin")),
        ("/%61%64%6d%69%6e", Ok("/admin")),
        ("/%61%64%6D%69%6E", Ok("/admin")),
        ("/admi%6e", Ok("/admin")),
        ("/admin/", Ok("/admin/")),
        ("//admin", Err(EmptySegment)),
        ("///admin", Err(EmptySegment)),
        ("/admin//", Err(EmptySegment)),
        ("/a//admin", Err(EmptySegment)),
        ("/./admin", Err(DotSegment)),
        ("/admin/.", Err(DotSegment)),
        ("/admin/./", Err(DotSegment)),
        ("/admin/..", Err(DotSegment)),
        ("/a/../admin", Err(DotSegment)),
        ("/../admin", Err(DotSegment)),
        ("/..", Err(DotSegment)),
        ("/.", Err(DotSegment)),
        ("/%2e/admin", Err(DotSegment)),
        ("/%2E/admin", Err(DotSegment)),
        ("/a/%2e%2e/admin", Err(DotSegment)),
        ("/a/%2E%2E/admin", Err(DotSegment)),
        ("/a/.%2e/admin", Err(DotSegment)),
        ("/a/%2e./admin", Err(DotSegment)),
        ("/%2e%2e/", Err(DotSegment)),
        ("/a/%2E%2E%2fadmin", Err(DotSegment)),
        ("/a/..%2fadmin", Err(DotSegment)),
        ("/a/..%2Fadmin", Err(DotSegment)),
        ("/a%2f../admin", Err(DotSegment)),
        ("/a%2f..%2fadmin", Err(DotSegment)),
        ("/a%2F.%2Fadmin", Err(DotSegment)),
        ("/a%2f%2e%2e%2fadmin", Err(DotSegment)),
        ("/a/..;/admin", Err(Semicolon)),
        ("/a/..;x=1/admin", Err(Semicolon)),
        ("/a/.;/admin", Err(Semicolon)),
        ("/;/admin", Err(Semicolon)),
        ("/admin;x", Err(Semicolon)),
        ("/admin;jsessionid=1", Err(Semicolon)),
        ("/admin%3bx", Err(Semicolon)),
        ("/admin%3Bx", Err(Semicolon)),
        ("/a/..%3b/admin", Err(Semicolon)),
        ("/a/%2e%2e;/admin", Err(Semicolon)),
        ("\\admin", Err(NotAbsolute)),
        ("/\\admin", Err(Backslash)),
        ("/a\\..\\admin", Err(Backslash)),
        ("/a/..\\admin", Err(Backslash)),
        ("/%5cadmin", Err(Backslash)),
        ("/a%5C..%5Cadmin", Err(Backslash)),
        ("/a/..%5cadmin", Err(Backslash)),
        ("/admin%00", Err(Control)),
        ("/admin%00.html", Err(Control)),
        ("/%00/admin", Err(Control)),
        ("/admin%09", Err(Control)),
        ("/admin%0a", Err(Control)),
        ("/admin%0d%0aX: y", Err(Control)),
        ("/admin%1f", Err(Control)),
        ("/admin%7f", Err(Control)),
        ("/admin%C2%85", Err(Control)),
        ("/admin\t", Err(Control)),
        ("/admin ", Err(Control)),
        ("/\u{7f}admin", Err(Control)),
        ("/admin?x", Err(Control)),
        ("/admin#x", Err(Control)),
        ("/%c0%ae%c0%ae/admin", Err(Escape)),
        ("/a/..%c0%afadmin", Err(Escape)),
        ("/%e0%80%af", Err(Escape)),
        ("/%f0%80%80%af", Err(Escape)),
        ("/%c1%9cadmin", Err(Escape)),
        ("/%ed%a0%80", Err(Escape)),
        ("/%fe%ff", Err(Escape)),
        ("/%c3admin", Err(Escape)),
        ("/%80admin", Err(Escape)),
        ("/%u0061dmin", Err(Escape)),
        ("/%u002e%u002e/admin", Err(Escape)),
        ("/%admin", Err(Escape)),
        ("/%6", Err(Escape)),
        ("/admin%", Err(Escape)),
        ("/%%36%31dmin", Err(Escape)),
        ("/%+1dmin", Err(Escape)),
        ("/\u{ff41}dmin", Err(NotAscii)),
        ("/\u{2025}/admin", Err(NotAscii)),
        ("/a\u{ff0f}admin", Err(NotAscii)),
        ("", Err(NotAbsolute)),
        ("*", Err(NotAbsolute)),
        ("admin", Err(NotAbsolute)),
        ("./admin", Err(NotAbsolute)),
        ("http://a/admin", Err(NotAbsolute)),
        ("%2fadmin", Err(NotAbsolute)),
        // Legal paths of their own, which pass as they are and are matched as they are.
        ("/ADMIN", Ok("/ADMIN")),
        ("/%41DMIN", Ok("/ADMIN")),
        ("/admin.", Ok("/admin.")),
        ("/admin%20", Ok("/admin%20")),
        ("/...", Ok("/...")),
        ("/..a", Ok("/..a")),
        ("/.well-known/x", Ok("/.well-known/x")),
        ("/%252e%252e/admin", Ok("/%252e%252e/admin")),
        ("/%2561dmin", Ok("/%2561dmin")),
        ("/admin%3fx", Ok("/admin%3Fx")),
        ("/admin%23x", Ok("/admin%23x")),
        ("/%ef%bd%81dmin", Ok("/%EF%BD%81dmin")),
        ("/caf%c3%a9/%F0%9F%92%a9", Ok("/caf%C3%A9/%F0%9F%92%A9")),
        // For the route to judge.
        ("/a%2fadmin", Ok("/a%2Fadmin")),
        ("/%2Fadmin", Ok("/%2Fadmin")),
    ]
};

#[test]
fn every_spelling_of_a_protected_path_is_either_its_one_spelling_or_refused() {
    assert!(SPELLINGS.len() >= 60);
    for (path, expected) in SPELLINGS {
        assert_eq!(read(STRICT, path), expected.map(str::to_owned), "{path:?}");
    }
}

#[test]
fn with_semicolons_allowed_what_stands_before_them_is_still_judged() {
    use BadPath::{Backslash, DotSegment, EmptySegment};
    let table: &[(&str, Result<&str, BadPath>)] = &[
        ("/admin;x", Ok("/admin;x")),
        ("/admin%3bx/y", Ok("/admin%3Bx/y")),
        ("/;x", Ok("/;x")),
        ("/a;../b", Ok("/a;../b")),
        ("/a/..;/admin", Err(DotSegment)),
        ("/a/..;x=1/admin", Err(DotSegment)),
        ("/a/..%3b/admin", Err(DotSegment)),
        ("/a/%2e%2e%3Bx/admin", Err(DotSegment)),
        ("/.;/admin", Err(DotSegment)),
        ("/..;", Err(DotSegment)),
        ("/a;x%2f..%2fadmin", Err(DotSegment)),
        ("/;/admin", Err(EmptySegment)),
        ("/;x/admin", Err(EmptySegment)),
        ("/a;\\", Err(Backslash)),
    ];
    for (path, expected) in table {
        assert_eq!(read(LENIENT, path), expected.map(str::to_owned), "{path:?}");
    }
}

#[test]
fn a_path_that_needs_no_change_is_borrowed() {
    for path in ["/", "/orders/1", "/.well-known/x", "/caf%C3%A9", "/a%2Fb", "/a..b"] {
        let normalised = STRICT.normalise(path).expect("legal");
        assert!(matches!(normalised.text, Cow::Borrowed(_)), "{path}");
    }
}

#[test]
fn routes_compare_decoded_text_up_to_semicolons() {
    let compared = |path: &str| {
        let path = LENIENT.normalise(path).expect("legal");
        String::from_utf8_lossy(&path.compared().collect::<Vec<_>>()).into_owned()
    };
    assert_eq!(compared("/a;x/b;y"), "/a/b");
    assert_eq!(compared("/a%3Bx%2fz/b"), "/a/b");
    assert_eq!(compared("/a%2Bb%25"), "/a+b%");
    assert_eq!(compared("/a%2fb"), "/a\0b");
    assert_eq!(compared("/caf%c3%a9"), "/café");
}

#[test]
fn a_query_passes_unless_a_request_line_could_not_hold_it() {
    for query in ["", "a=b&c=%00", "x=../..;//\\", "%zz"] {
        assert_eq!(judge_query(query), Ok(()), "{query}");
    }
    for query in ["a b", "a\tb", "a\r\nb", "\0", "\u{7f}", "é"] {
        assert!(judge_query(query).is_err(), "{query:?}");
    }
}

/// Paths made of the pieces that matter.
fn paths() -> impl Strategy<Value = String> {
    let pieces = vec![
        "/", "/", "/", ".", "..", "a", "admin", "A", "%61", "%2e", "%2E", "%2f", "%2F", "%5c", ";", "%3b", "%3B", "\\",
        "%", "%2", "%25", "%00", "%C3%A9", "%c0%ae", "é", "+", "%2b", "%20", " ", "?", "%3f", "-", "~", "%7e",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..10).prop_map(|pieces| format!("/{}", pieces.concat()))
}

fn decoded(path: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(path).collect()
}

proptest! {
    #[test]
    fn normalising_twice_changes_nothing(path in paths(), semicolons: bool) {
        let policy = PathPolicy { semicolons };
        if let Ok(once) = read(policy, &path) {
            prop_assert_eq!(read(policy, &once), Ok(once));
        }
    }

    #[test]
    fn normalising_changes_no_meaning(path in paths()) {
        if let Ok(once) = read(LENIENT, &path) {
            prop_assert_eq!(decoded(&once), decoded(&path));
        }
    }

    #[test]
    fn no_resolving_of_what_passes_leads_elsewhere(path in paths(), semicolons: bool) {
        if let Ok(once) = (PathPolicy { semicolons }).normalise(&path) {
            let decoded = decoded(once.as_str());
            let text = String::from_utf8(decoded).expect("UTF-8");
            for segment in text.split('/') {
                let name = segment.split(';').next().unwrap_or_default();
                prop_assert!(name != "." && name != "..", "{}", text);
            }
            prop_assert!(once.has_encoded_slash() || !text.contains("//"));
            prop_assert!(semicolons || !text.contains(';'));
            prop_assert!(!text.contains('\\') && !text.chars().any(char::is_control));
        }
    }

    #[test]
    fn no_text_panics(path in "\\PC*", semicolons: bool) {
        let _ = (PathPolicy { semicolons }).normalise(&path);
        let _ = (PathPolicy { semicolons }).normalise(&format!("/{path}"));
    }
}
