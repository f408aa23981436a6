//! The flags of sizes.

use super::{Size, SizeOrOff, limits, units};

/// Bytes held, and what a head may measure. The defaults are those of [`sluicegate::Limits`].
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Sizes")]
pub(crate) struct Sizes {
    /// Read at most this much from a client ahead of its origin
    #[arg(long, value_name = "SIZE", default_value_t = Size::of(limits().client_buffer))]
    pub(crate) client_buffer: Size,

    /// Read at most this much from an origin ahead of its client
    #[arg(long, value_name = "SIZE", default_value_t = Size::of(limits().origin_buffer))]
    pub(crate) origin_buffer: Size,

    /// Answer 431 or 414 to a request whose line and fields are larger than this
    #[arg(long, value_name = "SIZE", default_value_t = Size::of(limits().head.bytes))]
    pub(crate) max_head: Size,

    /// Answer 431 to a request with more fields than this
    #[arg(long, value_name = "N", default_value_t = limits().head.fields, value_parser = units::count)]
    pub(crate) max_fields: usize,

    /// Answer 502 when the status line and fields of a response are larger than this
    #[arg(long, value_name = "SIZE", default_value_t = Size::of(limits().response_head.bytes))]
    pub(crate) max_response_head: Size,

    /// Answer 502 when a response has more fields than this
    #[arg(long, value_name = "N", default_value_t = limits().response_head.fields, value_parser = units::count)]
    pub(crate) max_response_fields: usize,

    /// Hold at most this much for all connections together [default: no limit but --max-connections]
    ///
    /// Each connection that is not idle reserves its whole bound (see --explain-memory). A request that finds too little
    /// left waits for --memory-timeout, and is then answered with 503.
    #[arg(long, alias = "memory-total", value_name = "SIZE")]
    pub(crate) max_memory: Option<Size>,

    /// Hold at most this much in pipes of the kernel, all together; 0: use none
    ///
    /// Long bodies that move fast go through pipes of 256 KiB and are not copied (splice, Linux). The pipes are part of
    /// --max-memory, and at most a quarter of it. Each takes two descriptors.
    #[arg(long, alias = "bulk-total", value_name = "SIZE", default_value_t = Size::of(limits().splice_memory))]
    pub(crate) splice_memory: Size,

    /// Print what a connection, and all together, hold at most with these settings, and exit
    #[arg(long)]
    pub(crate) explain_memory: bool,

    /// Read at most this much from a client that goes on sending after its last response
    #[arg(long, value_name = "SIZE", default_value_t = Size(limits().linger_bytes))]
    pub(crate) linger_bytes: Size,

    /// Let the kernel queue at most this much unsent data for a peer; off: no limit
    ///
    /// TCP_NOTSENT_LOWAT (Linux). It bounds what the kernel holds for a peer that reads slowly, beyond what has been sent
    /// and is not yet acknowledged.
    #[arg(long, alias = "unsent", value_name = "SIZE", default_value_t = SizeOrOff(limits().max_unsent))]
    pub(crate) max_unsent: SizeOrOff,

    /// Set the kernel's send buffer of client connections, 4KiB to 1GiB [default: left to the kernel]
    ///
    /// SO_SNDBUF. With N bytes, at most N are on their way to the client at once: a download gets no
    /// more than N per round trip.
    #[arg(long, value_name = "SIZE", value_parser = units::socket_buffer)]
    pub(crate) client_send_buffer: Option<usize>,

    /// Set the kernel's receive buffer of client connections, 4KiB to 1GiB [default: left to the kernel]
    ///
    /// SO_RCVBUF. A buffer of N bytes caps an upload at N per round trip: 256KiB at 100 ms are
    /// 2.6 MB/s.
    #[arg(long, value_name = "SIZE", value_parser = units::socket_buffer)]
    pub(crate) client_receive_buffer: Option<usize>,

    /// Set the kernel's send buffer of origin connections, 4KiB to 1GiB [default: left to the kernel]
    ///
    /// SO_SNDBUF. With N bytes, at most N are on their way to the origin at once: an upload gets no
    /// more than N per round trip.
    #[arg(long, value_name = "SIZE", value_parser = units::socket_buffer)]
    pub(crate) origin_send_buffer: Option<usize>,

    /// Set the kernel's receive buffer of origin connections, 4KiB to 1GiB [default: 128 KiB for near origins, else left to the kernel]
    ///
    /// SO_RCVBUF. What a slow client leaves unread waits here. A buffer of N bytes caps a download
    /// at N per round trip: 256KiB at 100 ms are 2.6 MB/s. Left to itself, the kernel grows it with
    /// the connection's speed. Near is an origin on this machine, or one that accepts within a millisecond.
    #[arg(long, value_name = "SIZE", value_parser = units::socket_buffer)]
    pub(crate) origin_receive_buffer: Option<usize>,
}
