//! The real binary, as its user starts it.

#[cfg(test)]
mod egress;
#[cfg(test)]
mod flags;
#[cfg(test)]
mod kit;
#[cfg(test)]
mod listening;
#[cfg(test)]
mod logins;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod origin;
#[cfg(test)]
mod overflow;
#[cfg(test)]
mod resolve;
mod reverse;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod stop;
#[cfg(test)]
mod table;
