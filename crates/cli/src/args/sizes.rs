//! The flags of sizes.

use super::{Size, limits, units};

/// Bytes held, and what a head may measure. The defaults are those of [`sluicegate::Limits`].
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Sizes")]
pub(crate) struct Sizes {
    /// What is taken from a client before the origin takes it
    #[arg(long, value_name = "SIZE", default_value_t = Size::of(limits().client_buffer))]
    pub(crate) client_buffer: Size,

    /// What is taken from an origin before the client takes it
    #[arg(long, value_name = "SIZE", default_value_t = Size::of(limits().origin_buffer))]
    pub(crate) origin_buffer: Size,

    /// A request's line and fields; more gets 431, or 414
    #[arg(long, value_name = "SIZE", default_value_t = Size::of(limits().head.bytes))]
    pub(crate) max_head: Size,

    /// Fields of a request; more gets 431
    #[arg(long, value_name = "N", default_value_t = limits().head.fields, value_parser = units::count)]
    pub(crate) max_fields: usize,

    /// A response's status line and fields; more is answered with 502
    #[arg(long, value_name = "SIZE", default_value_t = Size::of(limits().response_head.bytes))]
    pub(crate) max_response_head: Size,

    /// Fields of a response; more is answered with 502
    #[arg(long, value_name = "N", default_value_t = limits().response_head.fields, value_parser = units::count)]
    pub(crate) max_response_fields: usize,

    /// What all connections together may hold [default: no limit but --max-connections]
    ///
    /// Each connection that is not idle sets its whole bound aside (see --explain-memory). What
    /// finds too little left waits for --memory-wait and is then answered with 503.
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory_total: Option<Size>,

    /// Say what a connection holds at most with these sizes, and end
    #[arg(long)]
    pub(crate) explain_memory: bool,

    /// How much a client that goes on sending after its last response is still read
    #[arg(long, value_name = "SIZE", default_value_t = Size(limits().linger_bytes))]
    pub(crate) linger_bytes: Size,
}
