//! Users, and the tests that speak for them.

use super::{Work, from_ask};
use crate::entry::address_range;
use crate::file::{TestDraft, Text, UserDraft};
use crate::keys;
use crate::request::{Ask, Who};
use crate::rules::Test;
use crate::source::Span;
use crate::users::{self, User};

impl Work<'_, '_> {
    pub(super) fn users(&mut self, drafts: Vec<UserDraft>, files: Vec<Text>) -> Vec<User> {
        let mut list = Vec::new();
        for draft in drafts {
            self.add_user(draft, &mut list);
        }
        for (path, span) in files {
            for (line, span) in self.file(path.trim_start_matches('@'), span) {
                self.sources.hide(span);
                let Some((name, hash)) = line.split_once(':') else {
                    let problem = self.sources.error(span, "a line of a file of users is NAME:HASH");
                    self.sources.tell(problem);
                    continue;
                };
                let password = Some((hash.to_owned(), span));
                self.add_user(UserDraft { name: (name.to_owned(), span), password, ..UserDraft::default() }, &mut list);
            }
        }
        list
    }

    fn add_user(&mut self, draft: UserDraft, list: &mut Vec<User>) {
        let (name, span) = draft.name;
        if let Err(mistake) = users::user_name(&name) {
            return self.mistake(span, mistake);
        }
        if draft.token.is_none()
            && draft.password.is_none()
            && draft.from.as_ref().is_none_or(|(from, _)| from.is_empty())
        {
            let problem = self.sources.error(span, format!("nothing proves that somebody is `{name}`"));
            return self.sources.tell(problem.help("give it a `token`, a `password` or `from`"));
        }
        let token = draft.token.and_then(|(text, span)| self.or_tell(users::token(&text), span));
        let password = draft.password.and_then(|(text, span)| self.or_tell(users::password(&text), span));
        let from = draft.from.map(|(from, _)| self.each(from, address_range)).unwrap_or_default();
        let number = u32::try_from(list.len()).unwrap_or(u32::MAX);
        if self.known.insert(name.clone(), number).is_some() {
            let before =
                list.iter().find(|user| *user.name == *name).map(|user| self.sources.place(user.span).to_string());
            let message = format!("`{name}` stands at {} already", before.unwrap_or_default());
            let problem = self.sources.error(span, message).help("remove one of them");
            return self.sources.tell(problem);
        }
        list.push(User { name: name.into(), token, password, from, span });
    }

    pub(super) fn user(&mut self, name: &str, span: Span) -> Option<u32> {
        if let Some(number) = self.known.get(name) {
            return Some(*number);
        }
        let mut problem = self.sources.error(span, format!("there is no user `{}`", name.escape_debug()));
        problem = match keys::nearest(name, self.known.keys().map(String::as_str)) {
            Some(near) => problem.meant(&format!("\"{near}\"")),
            None => problem.help("users stand in [users], each with what proves it"),
        };
        self.sources.tell(problem);
        None
    }

    pub(super) fn tests(&mut self, drafts: Vec<TestDraft>) -> Vec<Test> {
        let mut tests = Vec::new();
        for draft in drafts {
            let who = match draft.user {
                None => Who::NOBODY,
                Some((name, span)) => match self.user(&name, span) {
                    None => continue,
                    number => Who(number),
                },
            };
            for (texts, allow) in [(draft.allow, true), (draft.deny, false)] {
                for (text, span) in texts {
                    if let Some(ask) = self.or_tell(Ask::parse(&text).map_err(from_ask), span) {
                        tests.push(Test { who, ask, allow, span });
                    }
                }
            }
        }
        tests
    }
}
