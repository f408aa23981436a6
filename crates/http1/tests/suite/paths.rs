//! Paths that a prefix is looked for in (RFC 3986 §3.3, §7.3).

use proptest::prelude::*;
use sluicegate_http1::Malformed;
use sluicegate_http1::path::Path;

const REFUSED: &[(&str, Malformed)] = &{
    use Malformed::*;
    [
        ("/%", PathEncoding),
        ("/%2", PathEncoding),
        ("/a%2gb", PathEncoding),
        ("/%zz", PathEncoding),
        ("/%%32e", PathEncoding),
        ("/%u002e%u002e/x", PathEncoding),
        ("/%U0061dmin", PathEncoding),
        ("/..", DotSegments),
        ("/../a", DotSegments),
        ("/a/..", DotSegments),
        ("/a/../b", DotSegments),
        ("/.", DotSegments),
        ("/a/./b", DotSegments),
        ("/%2e%2E/a", DotSegments),
        ("/.%2e", DotSegments),
        ("/..;/b", DotSegments),
        ("/..;x=y/b", DotSegments),
        ("/.;/b", DotSegments),
        ("/;/../b", DotSegments),
        ("/%2e%2e%3bx/b", DotSegments),
        ("/..%20/x", DotSegments),
        ("/%20../x", DotSegments),
        ("/..%3f", DotSegments),
        ("/%2e.%23", DotSegments),
        ("/a%3f/../../b", DotSegments),
        ("/a%23/%2e%2e/b", DotSegments),
        ("/a%3f;/..;/b", DotSegments),
        ("/a%3fx%23y/.", DotSegments),
        ("/a/..%2fb", AmbiguousPath),
        ("/a%2Fb", AmbiguousPath),
        ("/%2fadmin", AmbiguousPath),
        ("/a\\..\\b", AmbiguousPath),
        ("/a\\b", AmbiguousPath),
        ("/..%5cb", AmbiguousPath),
        ("/a%5C..", AmbiguousPath),
        ("/a/..%00/x", AmbiguousPath),
        ("/a%00.html", AmbiguousPath),
        ("/.%09./x", AmbiguousPath),
        ("/ad%0Amin", AmbiguousPath),
        ("/ad%0d%0amin", AmbiguousPath),
        ("/%7f", AmbiguousPath),
        ("/%252e%252E/x", AmbiguousPath),
        ("/%25252e/x", AmbiguousPath),
        ("/%252fadmin", AmbiguousPath),
        ("/%255cadmin", AmbiguousPath),
        ("/%2500", AmbiguousPath),
        ("/%2561dmin", AmbiguousPath),
        ("/%253b", AmbiguousPath),
        ("/%25u002e", AmbiguousPath),
        ("/%25c0%25ae", AmbiguousPath),
        ("/%25%32%65", AmbiguousPath),
        ("/%c0%AE%c0%ae/x", AmbiguousPath),
        ("/%c1%9c", AmbiguousPath),
        ("/%c0%2e", AmbiguousPath),
        ("/%e0%80%ae", AmbiguousPath),
        ("/%f0%80%80%ae", AmbiguousPath),
        ("/%f8%80%80%80%ae", AmbiguousPath),
        ("/%fc%80%80%80%80%ae", AmbiguousPath),
    ]
};

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    for &(path, why) in REFUSED {
        assert_eq!(Path::parse(path.as_bytes(), false).unwrap_err(), why, "{path}");
    }
}

#[test]
fn all_else_is_a_path() {
    for path in [
        "/",
        "/a",
        "/...",
        "/..a",
        "/a..",
        "/a.b/c",
        "/%2ea",
        "/a;..",
        "//",
        "/.%2e%2e",
        "/a%20..",
        "/a.%20b",
        "/%25",
        "/100%25/x",
        "/100%25z",
        "/a%2520b",
        "/a%253Ab",
        "/caf%c3%a9",
        "/caf%e9",
        "/m%fcnchen",
        "/%E2%82%AC",
        "/a;b=c/d;e",
        "/a//b",
        "/a:b@c",
        "/{x}|^",
        "/a%3fb",
        "/a%23b",
        "/%e0%a0%80",
        "/%f0%9f%90%98",
        "",
    ] {
        assert!(Path::parse(path.as_bytes(), false).is_ok(), "{path}");
    }
    assert!(Path::parse(b"/a%2fb/..", true).is_err() && Path::parse(b"/a%2f..%2Fb", true).is_err());
    assert!(Path::parse(b"/group%2Fproject", true).is_ok());
}

#[test]
fn a_prefix_is_found_as_an_origin_would_find_it() {
    for (path, prefix, rest) in [
        ("/admin", "/admin", Some("")),
        ("/admin/", "/admin", Some("/")),
        ("/admin/x%20y", "/admin", Some("/x%20y")),
        ("/%61dmi%6E/x", "/admin", Some("/x")),
        ("//admin/x", "/admin", Some("/x")),
        ("///a//b//c", "/a/b", Some("//c")),
        ("/a/b", "/a/b", Some("")),
        ("/a", "/a/b", None),
        ("/", "/admin", None),
        ("/administrator", "/admin", None),
        ("/ADMIN", "/admin", None),
        ("/%41dmin", "/admin", None),
        ("/admin;x", "/admin", None),
        ("/%7Euser/x", "/~user", Some("/x")),
        ("//x//y", "", Some("//x//y")),
        ("", "", Some("")),
    ] {
        let read = Path::parse(path.as_bytes(), false).unwrap();
        assert_eq!(read.strip_prefix(prefix), rest.map(str::as_bytes), "{path}");
    }
}

#[test]
fn who_goes_further_is_seen() {
    for path in
        ["/admin;x/y", "/;x/admin", "/admin%3bx", "/admin%3fx", "/admin%23/x", "/%20admin/x", "/admin%20/x", "/admin"]
    {
        assert!(Path::parse(path.as_bytes(), false).unwrap().may_be_under("/admin"), "{path}");
    }
    assert!(Path::parse(b"/%2fadmin/x", true).unwrap().may_be_under("/admin"));
    for path in ["/adminx", "/x/admin", "/ad;min", "/x%3f/admin", "/"] {
        assert!(!Path::parse(path.as_bytes(), false).unwrap().may_be_under("/admin"), "{path}");
    }
}

proptest! {
    /// What begins so for the origin begins so for who goes furthest, and is not lost on the way.
    #[test]
    fn a_prefix_that_is_there_may_be_there(path in "(/|a|b|%61|%2e|;|\\.|%2f|%25|%3f|%20){0,12}", slashes: bool) {
        let path = format!("/{path}");
        if let Ok(read) = Path::parse(path.as_bytes(), slashes) {
            for prefix in ["", "/a", "/a/b", "/ab"] {
                if let Some(rest) = read.strip_prefix(prefix) {
                    prop_assert!(read.may_be_under(prefix), "{} {}", path, prefix);
                    prop_assert!(path.as_bytes().ends_with(rest) && matches!(rest.first(), None | Some(b'/')));
                }
            }
        }
    }
}
