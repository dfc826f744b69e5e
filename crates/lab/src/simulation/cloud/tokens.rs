//! Client tokens: the same token brings the same result, for 24 h since it was last seen.
//!
//! Source: the idempotency section of Baidu's general API conventions
//! (<https://cloud.baidu.com/doc/FusionDB/s/njwvz5q61>), assumed to hold for HAVIPs.

use super::request::{ErrorReply, Reply, Request};
use havipd_core::model::time::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a token counts after it was last seen.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Longest token, ASCII characters.
pub const TOKEN_MAX: usize = 64;

/// Tokens remembered; beyond it the one not seen for longest is forgotten.
const TOKENS_MAX: usize = 10_000;

#[derive(Debug, Clone)]
struct Seen {
    request: Request,
    result: Result<Reply, ErrorReply>,
    at: Instant,
}

/// The tokens seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Tokens {
    seen: BTreeMap<String, Seen>,
}

impl Tokens {
    /// What `token` brings without acting again, if it was seen before.
    pub(super) fn replay(&mut self, now: Instant, token: &str, request: &Request) -> Option<Result<Reply, ErrorReply>> {
        let seen = self.seen.get_mut(token).filter(|s| now.since(s.at) < TOKEN_LIFETIME)?;
        if seen.request != *request {
            let text = "the client token was used for another request";
            return Some(Err(ErrorReply::new(403, "IdempotentParameterMismatch", text)));
        }
        seen.at = now;
        Some(seen.result.clone())
    }

    /// Remembers how the first call with `token` ended.
    pub(super) fn remember(
        &mut self,
        now: Instant,
        token: &str,
        request: &Request,
        result: &Result<Reply, ErrorReply>,
    ) {
        if self.seen.len() >= TOKENS_MAX
            && !self.seen.contains_key(token)
            && let Some(oldest) = self.seen.iter().min_by_key(|(_, s)| s.at).map(|(t, _)| t.clone())
        {
            self.seen.remove(&oldest);
        }
        let seen = Seen { request: request.clone(), result: result.clone(), at: now };
        self.seen.insert(token.to_owned(), seen);
    }
}
