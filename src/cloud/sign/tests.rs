//! What the vectors in `tests/signing` do not show.

use super::*;

#[test]
fn timestamps_are_strict_both_ways() {
    assert_eq!(timestamp(1_791_374_400), "2026-10-07T12:00:00Z");
    assert_eq!(parse_timestamp("2026-10-07T12:00:00Z"), Ok(1_791_374_400));
    for bad in ["", "2026-10-07T12:00:00+00:00", "2026-10-07T12:00:00.5Z", "2026-10-07 12:00:00Z", "x"] {
        assert_eq!(parse_timestamp(bad), Err(SignError::Timestamp(bad.to_owned())), "{bad}");
    }
}

#[test]
fn encoding_is_undone_and_never_doubled() {
    let text = "a b/ü%2F~._-+测";
    assert_eq!(encode(text), "a%20b%2F%C3%BC%252F~._-%2B%E6%B5%8B");
    assert_eq!(decode(&encode(text)), text.as_bytes());
    assert_eq!(decode("%4"), b"%4");
    assert_eq!(decode("%zz%41"), b"%zzA");
    assert_eq!(canonical_uri(""), "/");
    assert_eq!(canonical_uri("v1/a/"), "/v1/a/");
}

#[test]
fn what_was_signed_verifies_and_what_was_changed_does_not() {
    let secret = Secret::from("sk".to_owned());
    let signed = SignedHeaders::listed(&["X-Bce-Date", "host"]);
    let headers = [("host", "127.0.0.1:80"), ("x-bce-date", "2026-10-07T12:00:00Z"), ("accept", "*/*")];
    let query = [("attach", None), ("clientToken", Some("a b+c"))];
    let to_sign = ToSign { method: "PUT", path: "/v1/havip/ü x", query: &query, headers: &headers, signed: &signed };
    let header = to_sign.authorization("ak", &secret, "2026-10-07T12:00:00Z", EXPIRATION_SECONDS);
    let parsed = Authorization::parse(&header).expect("parses");
    assert_eq!((parsed.access_key_id.as_str(), parsed.unix_seconds), ("ak", 1_791_374_400));
    assert_eq!(parsed.signed, signed);

    let received = Received {
        method: "PUT",
        raw_path: "/v1/havip/%c3%bc%20x",
        raw_query: "clientToken=a%20b+c&attach",
        headers: &headers,
    };
    assert_eq!(received.verify(&parsed, &secret), Ok(()));
    let other_query = Received { raw_query: "clientToken=a%20b+c&detach", ..received.clone() };
    assert!(matches!(other_query.verify(&parsed, &secret), Err(SignError::Mismatch { .. })));
    let other_secret = Secret::from("sk2".to_owned());
    assert!(matches!(received.verify(&parsed, &other_secret), Err(SignError::Mismatch { .. })));
    let no_date = Received { headers: &headers[..1], ..received };
    assert_eq!(no_date.verify(&parsed, &secret), Err(SignError::HeaderMissing("x-bce-date".to_owned())));
}

#[test]
fn malformed_authorizations_are_named() {
    for bad in ["", "bce-auth-v2/a/2026-10-07T12:00:00Z/1800//s", "bce-auth-v1/a/2026-10-07T12:00:00Z/1800/s"] {
        assert_eq!(Authorization::parse(bad), Err(SignError::Malformed(bad.to_owned())));
    }
    let bad = Authorization::parse("bce-auth-v1/a/2026-10-07T12:00:00Z/-1//s");
    assert_eq!(bad, Err(SignError::Expiration("-1".to_owned())));
    let bad = Authorization::parse("bce-auth-v1/a/today/1//s");
    assert_eq!(bad, Err(SignError::Timestamp("today".to_owned())));
}
