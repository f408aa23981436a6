//! Who may go where, as pure functions: text goes in, [`Rules`] come out, and [`Rules::decide`] says of a request whether it
//! may go on, and why.
//!
//! There is no socket, no file, no clock and no log in here. Files are handed in as text, and a [`Loader`] is given a function
//! for those that they name.
//!
//! * [`Rules::decide`]: on the name, before it is looked up.
//! * [`Rules::decide_address`]: on each address, when it is dialled.
//! * [`Decision::denial`]: what to tell of a denial, in the status line, a header and a body.
//! * [`Rules::check`], [`Rules::explain`], [`Rules::learn`]: for whoever writes the file.
//!
//! ```
//! use sluicegate_rules::{Host, Request, Rules, Surroundings, Who};
//!
//! let rules = Rules::read("egress.toml", r#"allow = [".github.com", "pypi.org"]"#)?;
//!
//! let host = Host::read("API.github.com").unwrap();
//! let request = Request::connect(host, 443);
//! assert!(rules.decide(Who::NOBODY, &request).passes());
//! // Then the name is looked up, and each address is judged before it is dialled.
//! let private = rules.decide_address(Who::NOBODY, &request, "10.0.0.1".parse().unwrap(), Surroundings::default());
//! assert!(!private.passes());
//!
//! let request = Request::connect(Host::read("evil.example").unwrap(), 443);
//! let denial = rules.decide(Who::NOBODY, &request).denial().unwrap();
//! assert_eq!(denial.phrase, "sluicegate: no rule allows evil.example:443 (egress.toml:1)");
//! # Ok::<(), sluicegate_rules::Problems>(())
//! ```

// The modules, from top to bottom: each uses only those above it.
mod source;

pub mod keys;

mod host;

mod carried;

mod guard;

mod entry;

mod paths;

mod users;

mod file;

mod tables;

mod request;

mod rules;

mod decision;

mod decide;

mod denial;

mod explain;

mod check;

mod load;

mod learn;

pub mod docs;

#[cfg(feature = "schema")]
pub mod schema;

pub use carried::carried;
pub use check::Report;
pub use decide::Surroundings;
pub use decision::{Decision, Reason, Verdict};
pub use denial::{Denial, LONGEST_PHRASE, Missing};
pub use explain::{Explanation, Meant};
pub use file::{Given, Value};
pub use guard::Class;
pub use host::{BadHost, Host};
pub use learn::{CannotWrite, Learnt, Seen};
pub use load::Loader;
pub use request::{Ask, BadAsk, Request, Who};
pub use rules::{Mode, Rules};
pub use source::{Place, Problem, Problems, Severity};
pub use users::{PasswordHash, Scheme, TokenHash, User};
