//! What HTTP/2 lets through and HTTP/1.1 would not, settled before anything else looks at a request.
//!
//! Promises: afterwards a request of HTTP/2 has one `Host`, one `Cookie`, a path that begins with `/`, and values that
//! HTTP/1.1 would read as they are; CONNECT for a WebSocket (RFC 8441) is the GET that it is in HTTP/1.1.
//! Deliberately does not: judge the host or the path; that is done alike for both.

use http::header::{CONNECTION, COOKIE, HOST, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Version};
use hyper::ext::Protocol;

use super::refusal::Refusal;

/// Makes of `request` what HTTP/1.1 would have carried, or says why it cannot be. `most` is how many header lines it may
/// have: the engine bounds only their size (and a line can be one byte on the wire, RFC 7541 §6.1).
pub(super) fn settle<B>(request: &mut Request<B>, most: usize) -> Result<(), Refusal> {
    if request.version() != Version::HTTP_2 {
        return Ok(());
    }
    if request.headers().len() > most {
        return Err(Refusal::BadRequest("There are more headers than are allowed"));
    }
    // RFC 9113 §8.2.1
    let padded = |value: &HeaderValue| value.as_bytes().trim_ascii().len() != value.len();
    if request.headers().values().any(padded) {
        return Err(Refusal::BadRequest("A header begins or ends with a space"));
    }
    // RFC 9113 §8.3.1; `*` is for OPTIONS, which is not forwarded in that form
    if !request.uri().path_and_query().is_some_and(|target| target.as_str().starts_with('/')) {
        return Err(Refusal::BadRequest("The path does not begin with /"));
    }
    // The authority counts as the Host; a Host besides must be the same, and is compared where hosts are judged.
    if let Some(authority) = request.uri().authority()
        && !request.headers().contains_key(HOST)
    {
        let host = HeaderValue::from_str(authority.as_str());
        let host = host.map_err(|_| Refusal::BadRequest("The authority is malformed"))?;
        request.headers_mut().insert(HOST, host);
    }
    join_cookies(request.headers_mut());
    if is_for_websocket(request) {
        *request.method_mut() = Method::GET;
        // Nobody else can have said so: in HTTP/2 both are malformed (RFC 9113 §8.2.2).
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        request.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    Ok(())
}

/// RFC 8441 §4
fn is_for_websocket<B>(request: &Request<B>) -> bool {
    let protocol = request.extensions().get::<Protocol>();
    request.method() == Method::CONNECT && protocol.is_some_and(|protocol| protocol.as_str() == "websocket")
}

/// A cookie may come in crumbs; HTTP/1.1 knows one line only (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else { return };
    let mut joined = [first, b"; ", second].concat();
    for crumb in crumbs {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb);
    }
    if let Ok(cookie) = HeaderValue::from_maybe_shared(bytes::Bytes::from(joined)) {
        headers.insert(COOKIE, cookie); // legal values joined are legal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(uri: &str, headers: &[(&str, &str)]) -> Result<Request<()>, Refusal> {
        let mut request = Request::builder().version(Version::HTTP_2).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).expect("a request");
        settle(&mut request, 4).map(|()| request)
    }

    #[test]
    fn the_authority_is_the_host_and_crumbs_are_one_cookie() {
        let crumbs = [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")];
        let request = settled("https://a.example:8443/x?y", &crumbs).expect("legal");
        assert_eq!(request.headers()[HOST], "a.example:8443");
        assert_eq!(request.headers().get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
    }

    #[test]
    fn connect_for_a_websocket_is_a_get_that_asks_for_it_and_no_other_connect_is() {
        for (protocol, method) in
            [(Some("websocket"), Method::GET), (Some("bytes"), Method::CONNECT), (None, Method::CONNECT)]
        {
            let mut request = Request::builder().version(Version::HTTP_2).method(Method::CONNECT).uri("https://a/x");
            if let Some(protocol) = protocol {
                request = request.extension(Protocol::from_static(protocol));
            }
            let mut request = request.body(()).expect("a request");
            settle(&mut request, 4).expect("legal");
            assert_eq!(request.method(), method);
            assert_eq!(request.headers().contains_key(UPGRADE), method == Method::GET);
        }
    }

    #[test]
    fn what_http1_would_read_otherwise_is_refused() {
        let many = [("a", "1"), ("b", "1"), ("c", "1"), ("d", "1"), ("e", "1")];
        assert!(settled("https://a/", &many).is_err());
        assert!(settled("https://a/", &many[..4]).is_ok());
        for value in [" a", "a ", "\ta", "a\t", " "] {
            assert!(settled("https://a/", &[("x", value)]).is_err(), "{value:?}");
        }
        for uri in ["https://a?x", "*"] {
            assert!(settled(uri, &[]).is_err(), "{uri}");
        }
    }
}
