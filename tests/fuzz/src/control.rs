//! The control socket: a line is a request with one meaning, or refused in words.

use havipd::control::protocol::{Request, Response, line};

/// One input.
///
/// # Panics
/// When a request or a reply changes on its way out and back in.
pub fn run(data: &[u8]) {
    match Request::parse(data) {
        Ok(request) => {
            let sent = line(&request).expect("a request is JSON");
            assert_eq!(sent.iter().filter(|b| **b == b'\n').count(), 1, "a request is one line: {request:?}");
            let again = Request::parse(&sent).expect("our own request is understood");
            assert_eq!(again, request);
        }
        Err(error) => assert!(!error.to_string().is_empty(), "refused without a word"),
    }
    if let Ok(response) = Response::parse(data) {
        let sent = line(&response).expect("a reply is JSON");
        assert_eq!(sent.iter().filter(|b| **b == b'\n').count(), 1, "a reply is one line: {response:?}");
        let again = Response::parse(&sent).expect("our own reply is understood");
        assert_eq!((again.code, &again.message), (response.code, &response.message));
        // Fractions may lose their last digit on the way; what has none is kept.
        let fraction = sent.iter().any(|b| matches!(b, b'.' | b'e' | b'E'));
        assert!(fraction || again.data == response.data, "{response:?} became {again:?}");
    }
}
