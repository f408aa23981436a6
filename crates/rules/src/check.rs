//! Whether files do what was meant: their tests, entries that can never matter, and all that is in force.

use std::fmt;

use crate::decision::Verdict;
use crate::entry::{List, Scope, Subject};
use crate::guard::Class;
use crate::request::Who;
use crate::rules::{Mode, Rules};
use crate::source::Problem;

/// What files say, spelled out. `Display` is what `check` prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// One line for each thing in force.
    pub in_force: Vec<String>,
    /// Entries that can never decide anything, and what else is doubtful.
    pub doubts: Vec<Problem>,
    /// How many tests were passed.
    pub tests: usize,
}

impl Rules {
    /// Looks at them as a whole. Tests were run when they were loaded.
    pub fn check(&self) -> Report {
        let mut doubts = self.warnings().to_vec();
        doubts.extend(self.shadowed());
        doubts.extend(self.idle());
        Report { in_force: self.in_force(), doubts, tests: self.tests.len() }
    }

    /// Entries that another makes needless.
    fn shadowed(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        for (number, listed) in (0..).zip(&self.entries) {
            if listed.list == List::Private {
                continue;
            }
            let mut other = None;
            let mut look = |item: &crate::tables::Item| {
                if item.entry != number && other.is_none() && self.hides(item.entry, number) {
                    other = Some(item.entry);
                }
            };
            match &listed.entry.subject {
                // What is below it: an entry for that means the name itself or not.
                Subject::Name(name, Scope::Below) => self.names.visit(&format!("_.{name}"), look),
                Subject::Name(name, _) => self.names.visit(name, look),
                Subject::Range(net) => self.ranges.visit(net.addr(), |_, items| items.iter().for_each(&mut look)),
            }
            let Some(by) = other.and_then(|other: u32| self.listed(other)) else { continue };
            let place = self.sources.place(by.span);
            let text = self.sources.text(by.span);
            let message = if by.list == listed.list {
                format!("it adds nothing: {text} at {place} means it too")
            } else {
                format!("it can never match: {text} at {place} denies all of it")
            };
            found.push(self.sources.warning(listed.span, message));
        }
        found
    }

    /// Whether the entry `by` decides whenever `entry` would.
    fn hides(&self, by: u32, entry: u32) -> bool {
        let (Some(by), Some(this)) = (self.listed(by), self.listed(entry)) else { return false };
        let (Some(outer), Some(inner)) = (self.rule(by.rule), self.rule(this.rule)) else { return false };
        let same_rule = by.rule == this.rule;
        let includes = by.entry.includes(&this.entry);
        // Of ranges the longest prefix decides, so only an equal one hides another.
        let is_equal = by.entry.subject == this.entry.subject;
        if !includes || (matches!(this.entry.subject, Subject::Range(_)) && !is_equal) {
            return false;
        }
        match (by.list, this.list) {
            (List::Deny, List::Allow) => outer.is_for_all(),
            (a, b) if a != b || !(same_rule || outer.is_for_all()) => false,
            // Of two that say the same, the later one is told.
            _ if this.entry.includes(&by.entry) && (same_rule || inner.is_for_all()) => by.span < this.span,
            _ => true,
        }
    }

    /// Users, exceptions and rules without effect.
    fn idle(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        for (who, user) in self.users() {
            let named = self.rules.iter().filter_map(|rule| rule.who.as_ref());
            if who.0.is_some_and(|number| !named.into_iter().any(|set| set.contains(number))) {
                found.push(self.sources.warning(user.span, format!("no rule is for `{}` in particular", user.name())));
            }
        }
        for listed in self.entries.iter().filter(|listed| listed.list == List::Private) {
            let Subject::Range(net) = &listed.entry.subject else { continue };
            let nothing = Class::of(net.network()).is_none() && Class::of(net.broadcast()).is_none();
            if nothing && self.guards(net.network(), 0, false).is_none() {
                found.push(self.sources.warning(listed.span, "it opens nothing: this range is not guarded"));
            }
        }
        for rule in self.rules.iter().filter(|rule| rule.methods.is_some() || rule.paths.is_some()) {
            let connect = rule.methods.iter().flatten().any(|method| **method == *b"CONNECT");
            if rule.allow.is_some() && !connect {
                let message = "methods and paths are seen in http:// only: this rule allows no tunnel, so no https://";
                found.push(self.sources.warning(rule.span, message));
            }
        }
        found
    }

    fn in_force(&self) -> Vec<String> {
        let mode = match self.mode {
            Mode::Open => "mode open: the rules decide nothing",
            Mode::Report => "mode report: all passes, and what would be denied is logged",
            Mode::Enforce => "mode enforce: what is denied is refused",
        };
        let default = if self.has_allow {
            "default deny: an `allow` stands in the files"
        } else {
            "default allow: there is no `allow`"
        };
        let mut lines = vec![mode.to_owned(), default.to_owned()];
        for listed in &self.entries {
            let what = match listed.list {
                List::Allow => "allow",
                List::Deny => "deny",
                List::Private => "private",
            };
            lines.push(format!(
                "{what} {}{} ({})",
                listed.entry,
                self.conditions(listed.rule),
                self.short_place(listed.span)
            ));
        }
        lines
    }

    /// ` for ci, GET, HEAD, /repos/*, by registries`.
    fn conditions(&self, number: u32) -> String {
        let Some(rule) = self.rule(number).filter(|_| number > 0) else { return String::new() };
        let who = rule.who.as_ref().map(|set| {
            let names: Vec<_> = set.iter().filter_map(|user| self.name_of(Who(Some(user)))).collect();
            format!(" for {}", names.join(", "))
        });
        let methods = rule.methods.as_ref().map(|list| {
            let names: Vec<_> = list.iter().map(|method| String::from_utf8_lossy(method)).collect();
            format!(" with {}", names.join(", "))
        });
        let paths = rule.paths.as_ref().map(|list| {
            let texts: Vec<_> = list.iter().map(ToString::to_string).collect();
            format!(" at {}", texts.join(", "))
        });
        let name = rule.name.as_ref().map(|name| format!(" by {name}"));
        [who, methods, paths, name].into_iter().flatten().collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.in_force {
            writeln!(f, "{line}")?;
        }
        match self.tests {
            0 => writeln!(f, "no tests")?,
            1 => writeln!(f, "1 test passed")?,
            n => writeln!(f, "{n} tests passed")?,
        }
        for doubt in &self.doubts {
            writeln!(f, "\n{}", doubt.long().trim_end())?;
        }
        Ok(())
    }
}

/// Runs the tests; those that fail are told as errors of the files.
pub(crate) fn run(rules: &mut Rules) {
    let mut failed = Vec::new();
    for test in &rules.tests {
        let said = rules.explain_under(Mode::Enforce, test.who, &test.ask, &[]);
        if (said.verdict == Verdict::Allowed) == test.allow {
            continue;
        }
        let what = if test.allow { "must be allowed, and is denied" } else { "must be denied, and is allowed" };
        let problem = rules.sources.error(test.span, format!("{} {what}", test.ask));
        failed.push(problem.help(said.because()));
    }
    for problem in failed {
        rules.sources.tell(problem);
    }
}
