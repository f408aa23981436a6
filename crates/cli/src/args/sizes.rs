//! The flags of sizes.

use super::{Size, SizeOrOff, limits, units};

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

    /// What may be in pipes of the kernel, all together; 0 for none
    ///
    /// Long bodies that move fast go through pipes of 256 KiB and are not copied (splice, Linux).
    /// Part of --memory-total, and at most a quarter of it. Each takes two descriptors.
    #[arg(long, value_name = "SIZE", default_value_t = Size::of(limits().bulk_total))]
    pub(crate) bulk_total: Size,

    /// Say what a connection holds at most with these sizes, and what all hold, and end
    #[arg(long)]
    pub(crate) explain_memory: bool,

    /// How much a client that goes on sending after its last response is still read
    #[arg(long, value_name = "SIZE", default_value_t = Size(limits().linger_bytes))]
    pub(crate) linger_bytes: Size,

    /// What the kernel takes for a peer beyond what is on its way, or off
    ///
    /// Bounds what the kernel's send queue holds for a peer that reads slowly, beyond what has
    /// been sent and is not yet acknowledged (TCP_NOTSENT_LOWAT; Linux).
    #[arg(long, value_name = "SIZE", default_value_t = SizeOrOff(limits().unsent))]
    pub(crate) unsent: SizeOrOff,

    /// The kernel's send buffer of client connections [default: left to the kernel]
    ///
    /// SO_SNDBUF. Of N bytes at most N are on their way to the client at once: a download gets no
    /// more than N per round trip.
    #[arg(long, value_name = "SIZE", value_parser = units::socket_buffer)]
    pub(crate) client_send_buffer: Option<usize>,

    /// The kernel's receive buffer of client connections [default: left to the kernel]
    ///
    /// SO_RCVBUF. A buffer of N bytes caps an upload at N per round trip: 256KiB at 100 ms are
    /// 2.6 MB/s.
    #[arg(long, value_name = "SIZE", value_parser = units::socket_buffer)]
    pub(crate) client_receive_buffer: Option<usize>,

    /// The kernel's send buffer of origin connections [default: left to the kernel]
    ///
    /// SO_SNDBUF. Of N bytes at most N are on their way to the origin at once: an upload gets no
    /// more than N per round trip.
    #[arg(long, value_name = "SIZE", value_parser = units::socket_buffer)]
    pub(crate) origin_send_buffer: Option<usize>,

    /// The kernel's receive buffer of origin connections [default: 128 KiB for near origins, else left to the kernel]
    ///
    /// SO_RCVBUF. What a slow client leaves unread waits here. A buffer of N bytes caps a download
    /// at N per round trip: 256KiB at 100 ms are 2.6 MB/s. Left to itself, the kernel grows it with
    /// the connection's speed. Near is an origin on this machine, or one that accepts within a millisecond.
    #[arg(long, value_name = "SIZE", value_parser = units::socket_buffer)]
    pub(crate) origin_receive_buffer: Option<usize>,
}
