//! The rules of election.md §1, a case each.
