//! Messages on their way: whom they are from, what is changed in them before they are passed on, and answers of our own.

pub(crate) mod whom;

pub(crate) mod edits;

pub(crate) mod forward;

pub(crate) mod body;

pub(crate) mod response;

pub(crate) mod answer;
