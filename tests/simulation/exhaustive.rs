//! Small cases, all of them.
