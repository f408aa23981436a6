//! What the rules say, for whoever writes them: nothing is sent, and no name is looked up.

use std::net::IpAddr;

use sluicegate_rules::{Ask, Rules, Verdict, Who};

/// What would be decided about `request`, and whether it would pass.
///
/// # Errors
/// What is wrong with the question.
pub(super) fn explain(
    rules: &Rules,
    user: Option<&str>,
    from: Option<IpAddr>,
    request: &[String],
) -> Result<(String, bool), String> {
    let who = match (user, from) {
        (Some(name), _) => rules.who(name).ok_or_else(|| format!("--as {name}: there is no such user in the files"))?,
        (None, Some(address)) => rules.who_at(address),
        (None, None) => Who::NOBODY,
    };
    let text = request.join(" ");
    let ask =
        Ask::parse(&text).map_err(|bad| format!("{text}: {bad}; write it as https://pypi.org/ or db.test:5432"))?;
    let explanation = rules.explain(who, &ask, &[]);
    Ok((explanation.to_string(), explanation.verdict != Verdict::Denied))
}
