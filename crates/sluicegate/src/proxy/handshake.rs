//! What becomes of a client's connection before it is served: TLS, the PROXY protocol, a library user's own.

use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::Proxy;
use crate::flow::{Entered, Flow, IdleAlarm, Phase, TICK};
use crate::policy::Policy;
use crate::record::{Client, Fault};
use crate::serve::story;
use crate::transport::IntoTransport;

/// So many run at once for each listener of a worker: what a TLS library holds for one, some 20 KB, is in no bound of ours.
const AT_ONCE: usize = 256;

/// A handshake that runs for longer than this ends when another one waits for its turn. A round trip or two, or a packet
/// that was lost once.
const CALM: Duration = Duration::from_secs(1);

/// What is done with whoever comes to a listener that has a handshake.
pub(super) type Welcome<P> = Arc<dyn Fn(&Proxy<P>, Newcomer) + Send + Sync>;

/// Somebody who has been accepted, and of whom nothing has been read.
pub(super) struct Newcomer {
    pub(super) stream: TcpStream,
    pub(super) who: Client,
    /// Among the connections; `None` for who comes last, at a stop.
    pub(super) place: Option<OwnedSemaphorePermit>,
}

/// Serves whoever comes over what `shake` makes of the connection, each in a task of its own.
pub(super) fn welcome<P, F, R, S>(shake: F) -> Welcome<P>
where
    P: Policy,
    F: Fn(TcpStream, Client) -> R + Send + Sync + 'static,
    R: Future<Output = io::Result<(S, Client)>> + Send + 'static,
    S: IntoTransport + Send + 'static,
{
    let turns = Turns { free: Semaphore::new(AT_ONCE), wanted: Notify::new() };
    let hall = Arc::new((shake, turns));
    Arc::new(move |proxy, newcomer| {
        // Registered before its task runs, or nobody would turn the clock for it.
        let flow = proxy.register(newcomer.who.address);
        let (proxy, hall) = (proxy.clone(), Arc::clone(&hall));
        tokio::spawn(async move {
            let Newcomer { stream, who, place } = newcomer;
            let came = Came(who.clone());
            // Boxed: who is served is not to remember how it came in.
            let shaking = async { Box::pin(hall.1.run(&flow, &proxy, || hall.0(stream, who))).await };
            match AssertUnwindSafe(shaking).catch_unwind().await {
                Ok(Ok((stream, who))) => proxy.admit(stream, who, flow, place).await,
                Ok(Err(fault)) => proxy.give_up(&came.0, &fault),
                Err(_) => proxy.worker.count_panic(&came.0),
            }
        });
    })
}

/// A client as it came. Whoever waits for its end learns of it, also where a handshake has put another one in its place.
struct Came(Client);

impl Drop for Came {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl<P: Policy> Proxy<P> {
    /// Serves `who`, now that it is known, if it may be here.
    async fn admit(&self, stream: impl IntoTransport, who: Client, flow: Entered, place: Option<OwnedSemaphorePermit>) {
        let stream = match stream.into_transport(self.worker.limits()) {
            Ok(stream) => stream,
            Err(error) => return self.give_up(&who, &Fault::Handshake(error.to_string())),
        };
        if self.is_welcome(&stream, &who) {
            // Its address may be another one now; and it is registered all the time, or a stop would not wait for it.
            let served = self.enter(stream, who, place);
            drop(flow);
            served.await;
        }
    }

    fn give_up(&self, who: &Client, fault: &Fault) {
        story::turned_away(&self.worker, who, Some(fault), 0);
        who.leave();
    }
}

/// Whose turn it is.
struct Turns {
    free: Semaphore,
    /// Somebody waits for a turn.
    wanted: Notify,
}

impl Turns {
    /// Runs a handshake to its end: in its turn, within `head_timeout` in all, and not so long that others have to wait for it.
    async fn run<P: Policy, T, R: Future<Output = io::Result<T>>>(
        &self,
        flow: &Flow,
        proxy: &Proxy<P>,
        shake: impl FnOnce() -> R,
    ) -> Result<T, Fault> {
        flow.wait(Phase::Handshake, proxy.limits().head_timeout);
        let shaking = async {
            let _turn = self.turn().await;
            tokio::select! { biased;
                done = shake() => done.map_err(|error| Fault::Handshake(error.to_string())),
                () = self.is_too_long() => Err(Fault::RequestTimeout),
            }
        };
        tokio::select! { biased;
            done = shaking => done,
            alarm = flow.head_alarm() => Err(match alarm {
                IdleAlarm::Overdue | IdleAlarm::Leave => Fault::RequestTimeout,
                IdleAlarm::Stopped => Fault::Handshake("the proxy has stopped".to_owned()),
            }),
        }
    }

    /// A turn, once there is one; meanwhile, each tick, the handshake that has run for longest ends.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(turn) = self.free.try_acquire() {
            return Some(turn);
        }
        let mut turn = pin!(self.free.acquire());
        loop {
            self.wanted.notify_one();
            if let Ok(turn) = tokio::time::timeout(TICK, &mut turn).await {
                return turn.ok();
            }
        }
    }

    /// Resolves when somebody waits for the turn of one that has run for long. Who has waited here for longest is told first.
    async fn is_too_long(&self) {
        tokio::time::sleep(CALM).await;
        self.wanted.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    /// As many as there are turns never end, and nobody else has one.
    #[tokio::test]
    async fn who_takes_long_gives_its_turn_to_who_waits() {
        let turns = Turns { free: Semaphore::new(2), wanted: Notify::new() };
        let proxy = Proxy::new();
        let slow = async |flow: Entered| turns.run(&flow, &proxy, pending::<io::Result<()>>).await;
        let enter = || proxy.register("127.0.0.1:1".parse().unwrap());
        let (mut first, mut second) = (pin!(slow(enter())), pin!(slow(enter())));
        let (third, last) = (enter(), enter());
        tokio::select! { biased;
            _ = &mut first => panic!("it has given up without need"),
            _ = &mut second => panic!("it has given up without need"),
            () = tokio::time::sleep(2 * CALM) => {}
        }
        let quick = turns.run(&third, &proxy, || async { Ok("through") });
        tokio::select! { biased;
            _ = &mut second => panic!("it was not its turn to go"),
            (gone, done) = async { tokio::join!(&mut first, quick) } => {
                assert_eq!((gone, done), (Err(Fault::RequestTimeout), Ok("through")));
            }
        }
        // There is a turn again: who is slow keeps its own.
        let quick = turns.run(&last, &proxy, || async { Ok("through") });
        tokio::select! { biased;
            done = quick => assert_eq!(done, Ok("through")),
            _ = &mut second => panic!("it has given up without need"),
        }
    }
}
