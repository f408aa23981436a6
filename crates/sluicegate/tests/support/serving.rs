//! A proxy with a policy of the test's own, in a thread and a runtime of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use sluicegate::{Builder, Policy, Proxy};
use tokio::sync::oneshot;

use super::wire::{Message, Wire};

/// Dropping it ends the runtime, with whatever runs.
pub struct Serving<P> {
    pub address: SocketAddr,
    pub proxy: Proxy<P>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl<P: Policy> Serving<P> {
    pub fn start(builder: Builder<P>) -> Self {
        let proxy = builder.build().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let one = proxy.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let stopped = async { drop(stopped.await) };
                one.serve(listener).until(stopped).await.unwrap();
            });
        });
        Self { address, proxy, stop: Some(stop), thread: Some(thread) }
    }

    pub fn with(policy: P) -> Self {
        Self::start(Proxy::builder().policy(policy))
    }

    pub fn client(&self) -> Wire {
        Wire::new(TcpStream::connect(self.address).unwrap())
    }

    /// One request on a connection of its own.
    pub fn ask(&self, request: impl AsRef<[u8]>) -> Message {
        let mut client = self.client();
        client.send(request.as_ref());
        let method = request.as_ref().split(|b| *b == b' ').next().unwrap();
        client.response(std::str::from_utf8(method).unwrap())
    }

    /// Ends the runtime, and waits for that.
    pub fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl<P> Drop for Serving<P> {
    fn drop(&mut self) {
        drop(self.stop.take());
    }
}
