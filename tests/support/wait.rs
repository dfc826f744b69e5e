//! Waiting for facts, for tests with real processes.

use havipd::clock;
use std::time::Duration;

/// Long enough for a machine that is busy with something else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until `fact` is there; gives up, and names it, after [`PATIENCE`].
#[expect(clippy::disallowed_methods, reason = "between two looks at a fact that cannot be waited for")]
pub(crate) fn wait_for<T>(what: &str, mut fact: impl FnMut() -> Option<T>) -> T {
    let deadline = clock::now() + PATIENCE;
    loop {
        if let Some(found) = fact() {
            return found;
        }
        assert!(clock::left(deadline).is_some(), "still not true: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
