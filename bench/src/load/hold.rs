//! Clients that are only there: idle ones, ones that do not read, ones that leave.

use std::io::Write;
use std::time::Duration;

use tokio::time::sleep;

use super::Plan;
use super::requests::check;
use crate::origin::now;
use crate::wire::{Outcome, Wire};

/// How long a `/think` may go unnoticed until it counts as never.
const NEVER: Duration = Duration::from_secs(3);

/// Connections that have each made one request. Says so, and stays until it is ended.
pub async fn idle(plan: Plan) -> Outcome<()> {
    let request = plan.request("GET", &format!("bytes/{}", plan.size), "");
    let mut wires = Vec::new();
    for _ in 0..plan.connections {
        let mut wire = Wire::open(plan.proxy).await?;
        wire.send(&request).await?;
        let (head, size) = wire.response().await?;
        check(size, plan.size)?;
        if head.closes {
            return Err("the proxy does not keep the connection".into());
        }
        // Only the socket is needed further.
        wires.push(wire.into_stream());
    }
    ready_and_wait(plan).await
}

/// Connections that ask for a body and read nothing of it. Says so, and stays until it is ended.
pub async fn slow(plan: Plan) -> Outcome<()> {
    let request = plan.request("GET", &format!("bytes/{}", plan.size), "");
    let mut wires = Vec::new();
    for _ in 0..plan.connections {
        let mut wire = Wire::open(plan.proxy).await?;
        wire.send(&request).await?;
        wires.push(wire.into_stream());
    }
    ready_and_wait(plan).await
}

async fn ready_and_wait(plan: Plan) -> Outcome<()> {
    println!("{{\"units\": {}}}", plan.connections);
    std::io::stdout().flush()?;
    sleep(Duration::from_secs_f64(plan.seconds)).await;
    Ok(())
}

/// Clients that leave while the origin thinks; prints when the origin saw it, in milliseconds, or null for never.
/// `behind` bytes of further requests are sent with each.
pub async fn gone(plan: Plan, behind: usize) -> Outcome<()> {
    let mut all = Vec::new();
    for n in 0..plan.count.min(1000) {
        let id = format!("{}-{n}", now());
        let mut request = plan.request("GET", &format!("think/{id}"), "");
        let next = plan.request("GET", "bytes/1", "");
        request.extend(next.repeat(behind.div_ceil(next.len())));
        let mut wire = Wire::open(plan.proxy).await?;
        wire.send(&request).await?;
        sleep(Duration::from_millis(100)).await;
        let left = now();
        drop(wire);
        all.push(seen(plan, &id, left).await?);
        if all.iter().filter(|time| *time == "null").count() > 1 {
            // It never tells, and waiting for each would only take long.
            break;
        }
    }
    println!("{{\"units\": {}, \"ms\": [{}]}}", all.len(), all.join(", "));
    Ok(())
}

async fn seen(plan: Plan, id: &str, left: u64) -> Outcome<String> {
    let request = plan.inner_request("GET", &format!("seen/{id}"), "");
    let mut wire = Wire::open(plan.origin).await?;
    loop {
        wire.send(&request).await?;
        let when: u64 = wire.text().await?.parse()?;
        if when > 0 {
            return Ok(format!("{:.3}", when.saturating_sub(left) as f64 / 1e6));
        }
        if now() > left + NEVER.as_nanos() as u64 {
            return Ok("null".into());
        }
        sleep(Duration::from_millis(10)).await;
    }
}
