//! What is written, against itself: links lead somewhere, words are the project's, and the Chinese pages say what the
//! English ones say.

mod chinese;
mod links;
mod page;
mod words;
