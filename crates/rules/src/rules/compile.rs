//! Strings to what they mean, lists to sets. Every mistake is told, not only the first.

mod people;

use std::collections::HashMap;

use ipnet::{IpNet, Ipv6Net};

use super::{Include, Listed, Mode, Rule, Rules, UserSet};
use crate::carried;
use crate::entry::{Entry, List, Mistake, Scope, Subject, address_range};
use crate::file::{Draft, RuleDraft, Text};
use crate::paths::PathPattern;
use crate::request::{BadAsk, check_method};
use crate::source::{Problem, Problems, Sources, Span};
use crate::tables::{Item, Names, Ranges};
use crate::users;

impl Rules {
    /// Puts drafts together; tests are not run.
    pub(crate) fn compile(draft: Draft, sources: Sources, include: Option<&mut Include<'_>>) -> Result<Self, Problems> {
        let mut work = Work { sources, include, known: HashMap::new() };
        let users = work.users(draft.users, draft.user_files);
        let has_list = |rule: &RuleDraft| (rule.allow.is_some(), rule.allow.is_some() || rule.deny.is_some());
        let (has_allow, has_any) = std::iter::once(&draft.top)
            .chain(&draft.rules)
            .map(has_list)
            .fold((false, false), |(allow, any), (one, two)| (allow | one, any | two));
        let mode = work.mode(draft.mode, has_any);
        let clients = draft.clients.map(|list| work.each(list, address_range));
        let nat64 = work.each(draft.nat64, nat64);
        let tests = work.tests(draft.tests);
        let mut rules = Rules {
            sources: Sources::default(),
            rules: Vec::new(),
            users,
            entries: Vec::new(),
            names: Names::default(),
            ranges: Ranges::default(),
            private: Ranges::default(),
            nat64,
            clients,
            mode,
            has_allow,
            settings: draft.settings,
            tests,
        };
        let insist = draft.top.allow_suffix.is_some_and(|(insist, _)| insist);
        work.entries(&mut rules, 0, List::Private, draft.private, true);
        work.rule(&mut rules, draft.top, insist);
        let mut named: HashMap<String, Span> = HashMap::new();
        for rule in draft.rules {
            work.check_rule(&rule, &mut named);
            work.rule(&mut rules, rule, insist);
        }
        work.sources.verdict()?;
        rules.sources = work.sources;
        Ok(rules)
    }
}

struct Work<'w, 'l> {
    sources: Sources,
    include: Option<&'w mut Include<'l>>,
    /// Users by name.
    known: HashMap<String, u32>,
}

impl Work<'_, '_> {
    fn mode(&mut self, mode: Option<Text>, has_any: bool) -> Mode {
        let Some((word, span)) = mode else {
            return if has_any { Mode::Enforce } else { Mode::Open };
        };
        let doubt = match (word.as_str(), has_any) {
            ("open", true) => "the rules decide nothing while the mode is open",
            ("enforce" | "report", false) => "there is no `allow` and no `deny`, so every name passes",
            _ => "",
        };
        if !doubt.is_empty() {
            self.sources.tell(self.sources.warning(span, doubt));
        }
        match word.as_str() {
            "open" => Mode::Open,
            "report" => Mode::Report,
            _ => Mode::Enforce,
        }
    }

    fn rule(&mut self, rules: &mut Rules, draft: RuleDraft, insist: bool) {
        let number = u32::try_from(rules.rules.len()).unwrap_or(u32::MAX);
        let insist = insist || draft.allow_suffix.is_some_and(|(insist, _)| insist);
        let who = draft.who.map(|(names, _)| {
            let mut set = UserSet::default();
            for (name, span) in names {
                if let Some(user) = self.user(&name, span) {
                    set.insert(user);
                }
            }
            set
        });
        let methods = draft.methods.map(|(list, _)| {
            self.each(list, |text| check_method(text).map(|()| text.as_bytes().into()).map_err(from_ask))
        });
        let paths = draft.paths.map(|(list, _)| self.each(list, PathPattern::parse));
        let allow = draft.allow.as_ref().map(|(_, span)| *span);
        let can_log_in = |user: u32| {
            rules.users.get(user as usize).is_some_and(|user| user.token.is_some() || user.password.is_some())
        };
        let has_logins = who.as_ref().is_some_and(|who: &UserSet| who.iter().any(can_log_in));
        rules.rules.push(Rule {
            has_logins,
            span: draft.span,
            name: draft.name.map(|(name, _)| name.into()),
            who,
            methods,
            paths,
            allow,
        });
        if let Some((list, _)) = draft.allow {
            self.entries(rules, number, List::Allow, list, insist);
        }
        if let Some((list, _)) = draft.deny {
            self.entries(rules, number, List::Deny, list, insist);
        }
    }

    /// What is wrong with a rule as a whole.
    fn check_rule(&mut self, rule: &RuleDraft, named: &mut HashMap<String, Span>) {
        let empty =
            |list: &Option<(Vec<Text>, Span)>| list.as_ref().filter(|(list, _)| list.is_empty()).map(|(_, span)| *span);
        if let Some((name, span)) = &rule.name {
            if let Err(mistake) = users::rule_name(name) {
                self.mistake(*span, mistake);
            }
            if let Some(before) = named.insert(name.clone(), *span) {
                let place = self.sources.place(before);
                self.sources.tell(
                    self.sources
                        .error(*span, format!("the rule at {place} is called `{name}` too"))
                        .help("denials and the log tell rules by their names; give each its own"),
                );
            }
        }
        if rule.allow.is_none() && rule.deny.is_none() {
            let problem =
                self.sources.error(rule.span, "the rule has neither `allow` nor `deny`, so it decides nothing");
            self.sources.tell(problem.help("write allow = [\"host\"] in it, or remove it"));
        }
        for (list, what) in [(&rule.who, "nobody"), (&rule.methods, "no request"), (&rule.paths, "no request")] {
            if let Some(span) = empty(list) {
                let problem = self.sources.error(span, format!("with an empty list the rule is for {what}"));
                self.sources.tell(problem.help("remove the key if it is to be for all"));
            }
        }
        let connect = rule.methods.iter().flat_map(|(list, _)| list).find(|(method, _)| method == "CONNECT");
        if let (Some((_, span)), Some(_)) = (connect, &rule.paths) {
            let problem = self.sources.error(*span, "CONNECT has no path, so a rule with `paths` never fits it");
            self.sources.tell(problem.help("write a rule of its own for tunnels"));
        }
    }

    /// The entries of a list and of the files that it names.
    fn entries(&mut self, rules: &mut Rules, rule: u32, list: List, texts: Vec<Text>, insist: bool) {
        let first = rules.entries.len();
        for (text, span) in texts {
            if let Some(path) = text.strip_prefix('@') {
                for (text, span) in self.file(path, span) {
                    self.entry(rules, rule, list, &text, span, insist);
                }
            } else {
                self.entry(rules, rule, list, &text, span, insist);
            }
        }
        if list == List::Deny {
            self.warn_of_apex(rules, first);
        }
    }

    fn entry(&mut self, rules: &mut Rules, rule: u32, list: List, text: &str, span: Span, insist: bool) {
        let entry = match Entry::parse(text, list, insist) {
            Ok(entry) => entry,
            Err(mistake) => return self.mistake(span, mistake),
        };
        let number = u32::try_from(rules.entries.len()).unwrap_or(u32::MAX);
        let item = |scope| Item { rule, entry: number, list, ports: entry.ports, scope };
        match &entry.subject {
            Subject::Name(name, scope) => rules.names.insert(name, item(*scope)),
            Subject::Range(net) if list == List::Private => rules.private.insert(*net, item(Scope::Exact)),
            Subject::Range(net) => rules.ranges.insert(*net, item(Scope::Exact)),
        }
        rules.entries.push(Listed { rule, list, entry, span });
    }

    /// `deny = ["*.x"]` leaves x itself open, which few mean.
    fn warn_of_apex(&mut self, rules: &Rules, first: usize) {
        for listed in rules.entries.iter().skip(first) {
            let Subject::Name(name, Scope::Below) = &listed.entry.subject else { continue };
            let apex = Entry { subject: Subject::Name(name.clone(), Scope::Exact), ports: listed.entry.ports };
            let mut denied = name.is_empty();
            rules.names.visit(name, |item| {
                let same = item.list == List::Deny && (item.rule == listed.rule || item.rule == 0);
                denied |= same && item.ports.include(apex.ports);
            });
            if !denied {
                let text = self.sources.text(listed.span).replace("*.", ".");
                let problem =
                    self.sources.warning(listed.span, format!("{name} itself is not denied by it")).meant(&text);
                self.sources.tell(problem);
            }
        }
    }

    /// The lines of a file, without comments and empty ones.
    fn file(&mut self, path: &str, span: Span) -> Vec<Text> {
        let from = self.sources.name(span.file).to_owned();
        let read = match &mut self.include {
            Some(include) => include(&from, path),
            None => Err("files cannot be named here".to_owned()),
        };
        match read {
            Ok(text) => lines(&mut self.sources, path, &text),
            Err(why) => {
                let problem = self.sources.error(span, format!("cannot read {}: {why}", path.escape_debug()));
                self.sources.tell(problem);
                Vec::new()
            }
        }
    }

    fn each<T>(&mut self, list: Vec<Text>, read: impl Fn(&str) -> Result<T, Mistake>) -> Vec<T> {
        list.into_iter().filter_map(|(text, span)| self.or_tell(read(&text), span)).collect()
    }

    fn or_tell<T>(&mut self, result: Result<T, Mistake>, span: Span) -> Option<T> {
        result.map_err(|mistake| self.mistake(span, mistake)).ok()
    }

    fn mistake(&mut self, span: Span, mistake: Mistake) {
        let problem: Problem = self.sources.error(span, mistake.why);
        // In TOML it stands in quotes, in a file of entries it does not.
        let written = self.sources.text(span);
        let quote = written.chars().next().filter(|c| *c == '"' || *c == '\'').map(String::from).unwrap_or_default();
        let problem = match mistake.meant {
            Some(meant) => problem.meant(&format!("{quote}{meant}{quote}")),
            None => problem,
        };
        self.sources.tell(match mistake.help {
            Some(help) => problem.help(help),
            None => problem,
        });
    }
}

fn from_ask(bad: BadAsk) -> Mistake {
    let mistake = Mistake::new(bad.to_string());
    match bad.meant {
        Some(meant) => mistake.meant(&meant),
        None => mistake,
    }
}

fn nat64(text: &str) -> Result<Ipv6Net, Mistake> {
    let lengths = "a NAT64 prefix is an IPv6 range of 32, 40, 48, 56, 64 or 96 bits, as \"2001:db8:64::/96\"";
    match address_range(text)? {
        IpNet::V6(net) if carried::LENGTHS.contains(&net.prefix_len()) => Ok(net),
        _ => Err(Mistake::new(lengths)),
    }
}

/// Each line of a file of entries: `#` begins a comment at the front or after a blank.
fn lines(sources: &mut Sources, name: &str, text: &str) -> Vec<Text> {
    let file = sources.add(name, text);
    let mut found = Vec::new();
    let mut start = 0_usize;
    for line in text.split_inclusive('\n') {
        let end = line
            .char_indices()
            .find(|(at, c)| {
                *c == '#' && line.get(..*at).is_some_and(|front| front.trim_end() != front || front.is_empty())
            })
            .map_or(line.len(), |(at, _)| at);
        let entry = line.get(..end).unwrap_or_default();
        let clean = entry.trim();
        if !clean.is_empty() {
            let blank = entry.len().saturating_sub(entry.trim_start().len());
            let from = start.saturating_add(blank);
            let bound = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            let span = Span { file, start: bound(from), end: bound(from.saturating_add(clean.len())) };
            found.push((clean.to_owned(), span));
        }
        start = start.saturating_add(line.len());
    }
    found
}
