//! The walk through the tables of one file.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Draft, Given, RuleDraft, TestDraft, Text, UserDraft, Value, unknown, wrong_kind};
use crate::keys::{self, Key, Table, Takes};
use crate::source::{Sources, Span};

pub(super) struct Reader<'s> {
    pub(super) sources: &'s mut Sources,
    pub(super) file: u32,
    pub(super) settings: &'s [&'s str],
}

type Item<'a> = Spanned<DeValue<'a>>;

impl Reader<'_> {
    pub(super) fn file(&mut self, draft: &mut Draft) {
        let whole = Span { file: self.file, start: 0, end: u32::MAX };
        let text = self.sources.text(whole).to_owned();
        let (table, errors) = DeTable::parse_recoverable(&text);
        for error in errors {
            let span = self.span(error.span().unwrap_or_default());
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            let problem = self.sources.error(span, message);
            self.sources.tell(problem);
            draft.is_broken = true;
        }
        for (name, item) in table.get_ref() {
            self.top(draft, name, item);
        }
    }

    fn top(&mut self, draft: &mut Draft, name: &Spanned<std::borrow::Cow<'_, str>>, item: &Item<'_>) {
        let at = self.span(name.span());
        let Some(key) = keys::find(Table::Top, name.get_ref()) else {
            return self.setting(draft, name.get_ref(), at, item);
        };
        match key.name {
            "allow" => self.join(key, item, at, &mut draft.top.allow),
            "deny" => self.join(key, item, at, &mut draft.top.deny),
            "clients" => {
                let list = self.strings(key, item);
                draft.clients.get_or_insert_default().extend(list);
            }
            "private" => draft.private.extend(self.strings(key, item)),
            "nat64" => draft.nat64.extend(self.strings(key, item)),
            "mode" => self.once(key, item, Self::word, &mut draft.mode),
            "allow_suffix" => self.once(key, item, Self::switch, &mut draft.top.allow_suffix),
            "users" => self.users(draft, key, item),
            "rule" => {
                for table in self.tables(key, item) {
                    let rule = self.rule(table);
                    draft.rules.push(rule);
                }
            }
            "test" => {
                for table in self.tables(key, item) {
                    let test = self.test(table);
                    draft.tests.push(test);
                }
            }
            _ => {}
        }
    }

    fn users(&mut self, draft: &mut Draft, key: &Key, item: &Item<'_>) {
        match item.get_ref() {
            DeValue::Table(users) => {
                for (name, item) in users {
                    if let Some(user) = self.user(name, item) {
                        draft.users.push(user);
                    }
                }
            }
            DeValue::String(text) if text.starts_with('@') => {
                draft.user_files.push((text.to_string(), self.span(item.span())));
            }
            _ => self.wrong(key, item),
        }
    }

    fn user(&mut self, name: &Spanned<std::borrow::Cow<'_, str>>, item: &Item<'_>) -> Option<UserDraft> {
        let mut user = UserDraft { name: (name.get_ref().to_string(), self.span(name.span())), ..UserDraft::default() };
        let DeValue::Table(table) = item.get_ref() else {
            let problem = self
                .sources
                .error(self.span(item.span()), "a user is a table with `token`, `password` or `from`")
                .help("for example: { from = [\"10.9.0.0/16\"] }");
            self.sources.tell(problem);
            return None;
        };
        for (key, item) in self.known(Table::User, table) {
            match key.name {
                "token" => user.token = self.text(key, item),
                "password" => user.password = self.text(key, item),
                "from" => user.from = Some((self.strings(key, item), self.span(item.span()))),
                _ => {}
            }
        }
        Some(user)
    }

    fn rule(&mut self, table: &Spanned<DeValue<'_>>) -> RuleDraft {
        let mut rule = RuleDraft { span: self.span(table.span()), ..RuleDraft::default() };
        let DeValue::Table(fields) = table.get_ref() else { return rule };
        for (key, item) in self.known(Table::Rule, fields) {
            let span = self.span(item.span());
            match key.name {
                "name" => rule.name = self.text(key, item),
                "who" => rule.who = Some((self.strings(key, item), span)),
                "allow" => self.join(key, item, span, &mut rule.allow),
                "deny" => self.join(key, item, span, &mut rule.deny),
                "methods" => rule.methods = Some((self.strings(key, item), span)),
                "paths" => rule.paths = Some((self.strings(key, item), span)),
                "allow_suffix" => rule.allow_suffix = self.switch(key, item),
                _ => {}
            }
        }
        rule
    }

    fn test(&mut self, table: &Spanned<DeValue<'_>>) -> TestDraft {
        let mut test = TestDraft::default();
        let DeValue::Table(fields) = table.get_ref() else { return test };
        for (key, item) in self.known(Table::Test, fields) {
            match key.name {
                "as" => test.user = self.text(key, item),
                "allow" => test.allow = self.strings(key, item),
                "deny" => test.deny = self.strings(key, item),
                _ => {}
            }
        }
        test
    }

    /// A key that is not ours.
    fn setting(&mut self, draft: &mut Draft, name: &str, at: Span, item: &Item<'_>) {
        if !self.settings.contains(&name) {
            let problem = unknown(self.sources, Table::Top, name, at, self.settings);
            return self.sources.tell(problem);
        }
        let span = self.span(item.span());
        if let Some(before) = draft.settings.iter().find(|before| before.name == name) {
            let before = before.key;
            return self.twice(name, at, before);
        }
        if let Some(value) = self.value(name, item) {
            draft.settings.push(Given { name: name.to_owned(), value, key: at, span });
        }
    }

    fn value(&mut self, name: &str, item: &Item<'_>) -> Option<Value> {
        let value = match item.get_ref() {
            DeValue::String(text) => Some(Value::Text(text.to_string())),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok().map(Value::Number),
            DeValue::Boolean(switch) => Some(Value::Switch(*switch)),
            DeValue::Array(list) => {
                let texts = list.iter().map(|item| item.get_ref().as_str().map(str::to_owned));
                texts.collect::<Option<_>>().map(Value::List)
            }
            _ => None,
        };
        if value.is_none() {
            let what = kind(item);
            let message =
                format!("`{name}` takes a string, a whole number, true or false, or a list of strings; this is {what}");
            let problem = self.sources.error(self.span(item.span()), message);
            self.sources.tell(problem);
        }
        value
    }

    /// The fields of a table whose keys are known; the others are told.
    fn known<'t, 'i>(&mut self, table: Table, fields: &'t DeTable<'i>) -> Vec<(&'static Key, &'t Item<'i>)> {
        let mut found = Vec::new();
        for (name, item) in fields {
            if let Some(key) = keys::find(table, name.get_ref()) {
                found.push((key, item));
            } else {
                let problem = unknown(self.sources, table, name.get_ref(), self.span(name.span()), &[]);
                self.sources.tell(problem);
            }
        }
        found
    }

    /// A list that may stand in several files.
    fn join(&mut self, key: &Key, item: &Item<'_>, at: Span, list: &mut Option<(Vec<Text>, Span)>) {
        let strings = self.strings(key, item);
        list.get_or_insert_with(|| (Vec::new(), at)).0.extend(strings);
    }

    /// A value that may stand in one file only.
    fn once<T>(
        &mut self,
        key: &Key,
        item: &Item<'_>,
        read: impl Fn(&mut Self, &Key, &Item<'_>) -> Option<(T, Span)>,
        slot: &mut Option<(T, Span)>,
    ) {
        if let Some((_, before)) = slot {
            let before = *before;
            return self.twice(key.name, self.span(item.span()), before);
        }
        *slot = read(self, key, item);
    }

    fn twice(&mut self, name: &str, at: Span, before: Span) {
        let place = self.sources.place(before);
        let problem = self
            .sources
            .error(at, format!("`{name}` is set at {place} already"))
            .help("a setting may stand in one of the files only; remove one of them");
        self.sources.tell(problem);
    }

    fn strings(&mut self, key: &Key, item: &Item<'_>) -> Vec<Text> {
        let DeValue::Array(list) = item.get_ref() else {
            let span = self.span(item.span());
            let mut problem = wrong_kind(self.sources, key, kind(item), span);
            if item.get_ref().is_str() {
                problem = problem.meant(&format!("[{}]", self.sources.text(span)));
            }
            self.sources.tell(problem);
            return Vec::new();
        };
        let mut found = Vec::with_capacity(list.len());
        for item in list {
            match item.get_ref() {
                DeValue::String(text) => found.push((text.to_string(), self.span(item.span()))),
                _ => self.wrong(key, item),
            }
        }
        found
    }

    fn text(&mut self, key: &Key, item: &Item<'_>) -> Option<Text> {
        match item.get_ref() {
            DeValue::String(text) => Some((text.to_string(), self.span(item.span()))),
            _ => {
                self.wrong(key, item);
                None
            }
        }
    }

    fn word(&mut self, key: &Key, item: &Item<'_>) -> Option<Text> {
        let (text, span) = self.text(key, item)?;
        let Takes::OneOf(words) = key.takes else { return Some((text, span)) };
        if words.contains(&text.as_str()) {
            return Some((text, span));
        }
        let mut problem = self.sources.error(span, format!("`{}` is {}", key.name, key.takes.describe()));
        if let Some(near) = keys::nearest(&text, words.iter().copied()) {
            problem = problem.meant(&format!("\"{near}\""));
        }
        self.sources.tell(problem);
        None
    }

    fn switch(&mut self, key: &Key, item: &Item<'_>) -> Option<(bool, Span)> {
        if let DeValue::Boolean(switch) = item.get_ref() {
            return Some((*switch, self.span(item.span())));
        }
        self.wrong(key, item);
        None
    }

    fn tables<'t, 'i>(&mut self, key: &Key, item: &'t Item<'i>) -> Vec<&'t Item<'i>> {
        match item.get_ref() {
            DeValue::Array(list) if list.iter().all(|item| item.get_ref().is_table()) => list.iter().collect(),
            DeValue::Table(_) => {
                let problem = self
                    .sources
                    .error(
                        self.span(item.span()),
                        format!("there may be more than one `{}`, so it has two brackets", key.name),
                    )
                    .help(format!("write [[{}]]", key.name));
                self.sources.tell(problem);
                Vec::new()
            }
            _ => {
                self.wrong(key, item);
                Vec::new()
            }
        }
    }

    fn wrong(&mut self, key: &Key, item: &Item<'_>) {
        let problem = wrong_kind(self.sources, key, kind(item), self.span(item.span()));
        self.sources.tell(problem);
    }

    fn span(&self, range: Range<usize>) -> Span {
        let bound = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Span { file: self.file, start: bound(range.start), end: bound(range.end) }
    }
}

/// What a value is, as the end of "this is …".
fn kind(item: &Item<'_>) -> &'static str {
    match item.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
