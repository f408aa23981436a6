//! Limits in one expression.

use std::borrow::Cow;
use std::time::Duration;

use sluicegate_http1::HeadLimits;

use super::{ClientFin, Limits, Names, SocketBuffers};

/// For each field a method of its name.
macro_rules! setters {
    ($($field:ident: $of:ty),+ $(,)?) => {
        /// Setters, one for each field, to be chained; a deadline or size that may be absent takes its value or `None`. Nothing is
        /// checked before [`Limits::check`].
        ///
        /// ```
        /// use std::time::Duration;
        /// use sluicegate::{Limits, Proxy};
        ///
        /// let limits = Limits::default().max_connections(500_usize).idle_timeout(Duration::from_secs(20)).body_timeout(None);
        /// let proxy = Proxy::builder().limits(limits).build()?;
        /// # Ok::<(), sluicegate::LimitError>(())
        /// ```
        impl Limits {
            $(
                #[doc = concat!("These, with another [`", stringify!($field), "`](field@Limits::", stringify!($field), ").")]
                #[must_use]
                pub fn $field(self, $field: impl Into<$of>) -> Self {
                    Self { $field: $field.into(), ..self }
                }
            )+
        }

        #[cfg(test)]
        mod tests {
            use super::*;

            /// Does not compile while a field has none.
            #[test]
            fn every_field_has_its_setter() {
                let Limits { $($field: _),+ } = Limits::default();
                let one = Limits::default().max_connections(7_usize).body_timeout(None);
                assert_eq!((one.max_connections, one.body_timeout), (7, None));
                assert_eq!(one.idle_timeout, Limits::default().idle_timeout);
            }
        }
    };
}

setters! {
    client_buffer: usize,
    origin_buffer: usize,
    head: HeadLimits,
    response_head: HeadLimits,
    max_memory: Option<usize>,
    memory_timeout: Duration,
    splice_memory: usize,
    max_unsent: Option<u32>,
    sockets: SocketBuffers,
    names: Names,
    tcp_keepalive: Option<Duration>,
    tcp_user_timeout: Option<Duration>,
    max_connections: usize,
    max_connections_per_client: Option<usize>,
    max_idle_origins: usize,
    upgrades: Vec<String>,
    client_fin: ClientFin,
    head_timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
    origin_idle_timeout: Duration,
    policy_timeout: Option<Duration>,
    connect_timeout: Option<Duration>,
    response_timeout: Option<Duration>,
    body_timeout: Option<Duration>,
    tunnel_idle_timeout: Option<Duration>,
    half_closed_timeout: Option<Duration>,
    linger_timeout: Duration,
    linger_bytes: u64,
    abort_timeout: Option<Duration>,
    setting_name: fn(&'static str) -> Cow<'static, str>,
}
