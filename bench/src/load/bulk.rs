//! Bytes: whole bodies one after the other; the units are MiB.

use super::requests::check;
use super::{Plan, at_once};
use crate::wire::{Outcome, Wire};

const MIB: u64 = 1 << 20;

/// Which way the bytes of a tunnel go.
#[derive(Clone, Copy)]
pub enum Way {
    Down,
    Up,
    Both,
}

impl Way {
    pub fn of(word: &str) -> Outcome<Self> {
        match word {
            "down" => Ok(Self::Down),
            "up" => Ok(Self::Up),
            "both" => Ok(Self::Both),
            _ => Err(format!("a tunnel goes down, up or both, not `{word}`").into()),
        }
    }
}

pub async fn download(plan: Plan, chunked: bool) -> Outcome<()> {
    let path = format!("{}/{}", if chunked { "chunked" } else { "bytes" }, plan.size);
    let request: &[u8] = plan.request("GET", &path, "").leak();
    at_once(plan, move |mut turns| async move {
        let (mut wire, mut units) = (Wire::open(plan.proxy).await?, 0);
        while turns.next() {
            wire.send(request).await?;
            let (head, size) = wire.response().await?;
            check(size, plan.size)?;
            units += plan.size / MIB;
            if head.closes || plan.fresh {
                wire = Wire::open(plan.proxy).await?;
            }
        }
        Ok(units)
    })
    .await
}

pub async fn upload(plan: Plan, chunked: bool) -> Outcome<()> {
    let length = format!("Content-Length: {}\r\n", plan.size);
    let request: &[u8] =
        plan.request("POST", "sink", if chunked { "Transfer-Encoding: chunked\r\n" } else { &length }).leak();
    at_once(plan, move |mut turns| async move {
        let (mut wire, mut units) = (Wire::open(plan.proxy).await?, 0);
        while turns.next() {
            wire.send(request).await?;
            wire.send_body(plan.size, chunked).await?;
            let (head, size) = wire.response().await?;
            check(size, 2)?;
            units += plan.size / MIB;
            if head.closes || plan.fresh {
                wire = Wire::open(plan.proxy).await?;
            }
        }
        Ok(units)
    })
    .await
}

/// The bytes of both ways count.
pub async fn tunnel(plan: Plan, way: Way) -> Outcome<()> {
    let length = format!("Content-Length: {}\r\n", plan.size);
    let request: &[u8] = match way {
        Way::Down => plan.inner_request("GET", &format!("bytes/{}", plan.size), ""),
        Way::Up => plan.inner_request("POST", "sink", &length),
        Way::Both => plan.inner_request("POST", &format!("both/{}", plan.size), &length),
    }
    .leak();
    at_once(plan, move |mut turns| async move {
        let (mut wire, mut units) = (plan.tunnel().await?, 0);
        while turns.next() {
            wire.send(request).await?;
            units += plan.size / MIB;
            match way {
                Way::Down => check(wire.response().await?.1, plan.size)?,
                Way::Up => {
                    wire.send_body(plan.size, false).await?;
                    check(wire.response().await?.1, 2)?;
                }
                Way::Both => {
                    wire.head().await?.ok_or("the tunnel was closed")?;
                    wire.exchange_bodies(plan.size).await?;
                    units += plan.size / MIB;
                }
            }
        }
        Ok(units)
    })
    .await
}
