//! HTTP requests as typed calls.

use crate::simulation::cloud::{ErrorReply, MAX_KEYS, Request};
use havipd::cloud::sign;
use havipd_core::model::cloud::BindRequest;
use havipd_core::model::plain::quote;

/// The call that an API request makes.
///
/// # Errors
/// The service's answer to what it does not know.
pub(super) fn parse(method: &str, raw_path: &str, raw_query: &str, body: &[u8]) -> Result<Request, ErrorReply> {
    let path = decode(raw_path);
    let query = parameters(raw_query);
    let value = |name: &str| query.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()).filter(|v| !v.is_empty());
    let max_keys = || match value("maxKeys") {
        Some(text) => text.parse().map_err(|_| bad(&format!("maxKeys {} is not a number", quote(&text)))),
        None => Ok(MAX_KEYS),
    };
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match (method, segments.as_slice()) {
        ("GET", ["v1", "havip"]) => {
            Ok(Request::List { vpc: value("vpcId"), marker: value("marker"), max_keys: max_keys()? })
        }
        ("GET", ["v1", "havip", id]) => Ok(Request::Detail { havip: (*id).to_owned() }),
        ("PUT", ["v1", "havip", id]) => {
            let havip = (*id).to_owned();
            match (query.iter().any(|(k, _)| k == "attach"), query.iter().any(|(k, _)| k == "detach")) {
                (true, false) => Ok(Request::Attach { havip, body: bind_request(body)? }),
                (false, true) => Ok(Request::Detach { havip, body: bind_request(body)? }),
                _ => Err(bad("one of attach and detach is needed")),
            }
        }
        ("GET", ["v1", "eni"]) => {
            let vpc = value("vpcId").ok_or_else(|| bad("vpcId is needed"))?;
            Ok(Request::Enis { vpc, instance: value("instanceId") })
        }
        ("GET", ["v1", "eni", id]) => Ok(Request::Interface { id: (*id).to_owned() }),
        ("GET", ["v2", "eni", id]) => Ok(Request::InstanceEnis { instance: (*id).to_owned() }),
        ("GET", ["v2", "instance"]) => {
            Ok(Request::Instances { vpc: value("vpcId"), marker: value("marker"), max_keys: max_keys()? })
        }
        ("GET", ["v2", "instance", id]) => Ok(Request::Instance { id: (*id).to_owned() }),
        _ => Err(ErrorReply::new(400, "InvalidURI", &format!("{method} {path} is not served here"))),
    }
}

/// The client token of a write.
pub(super) fn client_token(raw_query: &str) -> Option<String> {
    parameters(raw_query).into_iter().find(|(k, _)| k == "clientToken").map(|(_, v)| v)
}

/// The key of a metadata request, whatever version it names; `None` for any other path.
pub(super) fn metadata_key(raw_path: &str) -> Option<String> {
    let path = decode(raw_path);
    let (_version, rest) = path.strip_prefix('/')?.split_once('/')?;
    let key = rest.strip_prefix("meta-data").filter(|k| k.is_empty() || k.starts_with('/'))?;
    Some(key.trim_matches('/').to_owned())
}

fn bad(message: &str) -> ErrorReply {
    ErrorReply::new(400, "InvalidHTTPRequest", message)
}

fn bind_request(body: &[u8]) -> Result<BindRequest, ErrorReply> {
    let value: serde_json::Value =
        serde_json::from_slice(body).map_err(|e| ErrorReply::new(400, "MalformedJSON", &e.to_string()))?;
    serde_json::from_value(value).map_err(|e| ErrorReply::new(400, "InappropriateJSON", &e.to_string()))
}

/// Decoded parameters of a query; one without value has an empty one.
pub(super) fn parameters(raw_query: &str) -> Vec<(String, String)> {
    let parts = raw_query.split('&').filter(|p| !p.is_empty());
    parts.map(|p| p.split_once('=').unwrap_or((p, ""))).map(|(k, v)| (decode(k), decode(v))).collect()
}

/// Undoes percent-encoding; what is not UTF-8 afterwards shows as the replacement character.
fn decode(text: &str) -> String {
    String::from_utf8_lossy(&sign::decode(text)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attach_is_told_with_and_without_equals_sign() {
        let body = br#"{"instanceIds":["i-a"],"instanceType":"SERVER","haVipId":"ignored"}"#;
        let with = parse("PUT", "/v1/havip/havip%2D1", "attach=&clientToken=t%20x", body);
        let without = parse("PUT", "/v1/havip/havip-1", "clientToken=t%20x&attach", body);
        assert!(matches!(&with, Ok(Request::Attach { havip, .. }) if havip == "havip-1"), "{with:?}");
        assert_eq!(with, without);
        assert_eq!(client_token("attach&clientToken=t%20x").as_deref(), Some("t x"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let code = |method: &str, path: &str, query: &str, body: &[u8]| {
            parse(method, path, query, body).expect_err("is refused").code
        };
        assert_eq!(code("PUT", "/v1/havip/havip-1", "attach", b"{"), "MalformedJSON");
        assert_eq!(code("PUT", "/v1/havip/havip-1", "attach", b"{\"instanceIds\":\"i-a\"}"), "InappropriateJSON");
        assert_eq!(code("PUT", "/v1/havip/havip-1", "attach&detach", b"{}"), "InvalidHTTPRequest");
        assert_eq!(code("GET", "/v1/eni", "", b""), "InvalidHTTPRequest");
        assert_eq!(code("DELETE", "/v1/nothing", "", b""), "InvalidURI");
    }

    #[test]
    fn metadata_keys_of_every_version() {
        for version in ["1.0", "2009-04-04", "latest"] {
            let path = format!("/{version}/meta-data/network/interfaces/macs/");
            assert_eq!(metadata_key(&path).as_deref(), Some("network/interfaces/macs"));
        }
        assert_eq!(metadata_key("/v1/havip"), None);
        assert_eq!(metadata_key("/1.0/meta-database"), None);
    }
}
