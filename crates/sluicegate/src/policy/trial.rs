//! Requests and records for tests of policies, without a proxy and its sockets.

use sluicegate_http1::{Malformed, Received, RequestHead, Target, framing, target};

use super::{Policy, Request, Verdict};
use crate::limits::Limits;
use crate::message::edits::{Edits, Room};
use crate::record::{Client, Extensions, Members, Record};

/// A request that no client has sent, for tests of policies: made by [`Request::test`].
///
/// ```
/// use sluicegate::{Client, Policy, Record, Request, Response, Route, Verdict};
///
/// struct Tag;
///
/// impl Policy for Tag {
///     async fn admit(&self, request: &mut Request<'_>, client: &Client) -> Verdict {
///         match request.set("X-Client", client.address.ip().to_string()) {
///             Ok(()) => Verdict::Forward(Route::target()),
///             Err(error) => error.into(),
///         }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut trial = Request::test("GET http://example.com/ HTTP/1.1\r\nHost: example.com")?;
/// assert!(matches!(trial.admit(&Tag).await, Verdict::Forward(route) if route.is_target()));
/// assert_eq!(trial.look(|request| request.field("X-Client").map(<[u8]>::to_vec)), Some(b"127.0.0.1".to_vec()));
/// trial.record(|record| {
///     record.status = 200;
///     Tag.ended(record);
/// });
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Trial {
    head: RequestHead,
    client: Client,
    edits: Edits,
    extensions: Extensions,
    members: Members,
}

impl Request<'_> {
    /// A request with this head, for tests of policies: a request line and fields, with CRLF between them, as a client would send
    /// it. The default [`Limits`] bound it.
    ///
    /// # Errors
    /// The rule that it breaks; then a proxy would refuse it, and ask no policy.
    pub fn test(head: &str) -> Result<Trial, Malformed> {
        let text = format!("{}\r\n\r\n", head.trim_end_matches("\r\n"));
        let mut head = RequestHead::new();
        match head.receive(text.as_bytes(), &Limits::default().head)? {
            Received::Complete(all) if all == text.len() => {}
            // It ended before, or has not ended: nothing but a head is one.
            _ => return Err(Malformed::HeadSyntax),
        }
        let asked = target::parse(head.method(), head.target())?;
        target::host_field(&head, &asked)?;
        framing::request(&head)?;
        let (edits, extensions, members) = (Edits::new(), Extensions::new(), Members::new());
        Ok(Trial { head, client: Client::in_process(), edits, extensions, members })
    }
}

impl Trial {
    /// By this client, instead of [`Client::in_process`].
    #[must_use]
    pub fn from(self, client: Client) -> Self {
        Self { client, ..self }
    }

    /// Asks `policy`, as a proxy would. Nobody is watched meanwhile, and nothing has a deadline; dropping the future is what
    /// happens when a client goes.
    pub async fn admit(&mut self, policy: &impl Policy) -> Verdict {
        let Self { head, client, edits, extensions, members } = self;
        let target = target_of(head);
        let room = room_of(head);
        let mut request = Request { head, target: &target, edits, room, extensions, asked: members };
        policy.admit(&mut request, client).await
    }

    /// Shows the request with its changes, and lets it be changed.
    pub fn look<T>(&mut self, look: impl FnOnce(&mut Request<'_>) -> T) -> T {
        let Self { head, edits, extensions, members, .. } = self;
        let target = target_of(head);
        let room = room_of(head);
        look(&mut Request { head, target: &target, edits, room, extensions, asked: members })
    }

    /// What a proxy would tell of it, to be completed and handed to a policy: a [`Record`] of an exchange that is complete, with status 0, no
    /// bytes, and no time. A tuple passes it on to those of its members that [`Trial::admit`] has asked.
    pub fn record<T>(&self, tell: impl FnOnce(&mut Record<'_>) -> T) -> T {
        let Self { head, client, extensions, members, .. } = self;
        tell(&mut Record::of(client, head, extensions, members))
    }
}

impl Record<'_> {
    /// A record for tests of policies: of an empty request by [`Client::in_process`], of which nobody was asked, to be completed
    /// and handed to [`Policy::refused`]. That of an exchange is made by [`Trial::record`].
    pub fn test<T>(tell: impl FnOnce(&mut Record<'_>) -> T) -> T {
        let (client, head) = (Client::in_process(), RequestHead::new());
        tell(&mut Record::of(&client, &head, &Extensions::new(), &Members::new()))
    }
}

/// It has been read before.
fn target_of(head: &RequestHead) -> Target<'_> {
    target::parse(head.method(), head.target()).unwrap_or(Target::Asterisk)
}

fn room_of(head: &RequestHead) -> Room {
    let limits = Limits::default().head;
    Room { bytes: limits.bytes, fields: limits.fields, taken: (head.bytes().len(), head.field_count()) }
}
