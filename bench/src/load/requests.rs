//! Requests: how many a proxy can do.

use super::{Plan, at_once};
use crate::wire::{Outcome, Wire};

/// One request after the other on kept connections.
pub async fn small(plan: Plan) -> Outcome<()> {
    let request: &[u8] = plan.request("GET", &format!("bytes/{}", plan.size), "").leak();
    at_once(plan, move |mut turns| async move {
        let (mut wire, mut units) = (Wire::open(plan.proxy).await?, 0);
        while turns.next() {
            wire.send(request).await?;
            expect_small(&mut wire, plan.size).await?;
            units += 1;
        }
        Ok(units)
    })
    .await
}

/// Each request on a connection of its own, which the client closes.
pub async fn conn(plan: Plan) -> Outcome<()> {
    let request: &[u8] = plan.request("GET", &format!("bytes/{}", plan.size), "").leak();
    at_once(plan, move |mut turns| async move {
        let mut units = 0;
        while turns.next() {
            let mut wire = Wire::open(plan.proxy).await?;
            wire.send(request).await?;
            let (_, size) = wire.response().await?;
            check(size, plan.size)?;
            units += 1;
        }
        Ok(units)
    })
    .await
}

/// Several requests in one write, then their responses.
pub async fn pipeline(plan: Plan) -> Outcome<()> {
    let one = plan.request("GET", &format!("bytes/{}", plan.size), "");
    let all: &[u8] = one.repeat(plan.depth).leak();
    at_once(plan, move |mut turns| async move {
        let (mut wire, mut units) = (Wire::open(plan.proxy).await?, 0);
        while turns.next() {
            wire.send(all).await?;
            for _ in 0..plan.depth {
                expect_small(&mut wire, plan.size).await?;
            }
            units += plan.depth as u64;
        }
        Ok(units)
    })
    .await
}

/// A tunnel, one small exchange through it, and its end.
pub async fn connect(plan: Plan) -> Outcome<()> {
    let request: &[u8] = plan.inner_request("GET", "bytes/1", "").leak();
    at_once(plan, move |mut turns| async move {
        let mut units = 0;
        while turns.next() {
            let mut wire = plan.tunnel().await?;
            wire.send(request).await?;
            let (_, size) = wire.response().await?;
            check(size, 1)?;
            units += 1;
        }
        Ok(units)
    })
    .await
}

async fn expect_small(wire: &mut Wire, size: u64) -> Outcome<()> {
    let (head, got) = wire.response().await?;
    if head.closes {
        return Err("the proxy does not keep the connection".into());
    }
    check(got, size)
}

pub fn check(got: u64, wanted: u64) -> Outcome<()> {
    if got == wanted { Ok(()) } else { Err(format!("a body had {got} bytes instead of {wanted}").into()) }
}
