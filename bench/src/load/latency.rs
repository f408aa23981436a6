//! Requests at a fixed rate, whatever the answers take: blocking threads, because their sleep is finer than a
//! runtime's timer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use super::Plan;
use crate::wire::Outcome;

/// Prints the number of requests and percentiles of their time, in microseconds.
pub fn run(plan: Plan) -> Outcome<()> {
    let began = Instant::now() + Duration::from_millis(20);
    let request: &'static [u8] = plan.request("GET", &format!("bytes/{}", plan.size), "").leak();
    let threads: Vec<_> = (0..plan.connections).map(|n| thread::spawn(move || one(plan, request, began, n))).collect();
    let mut times = Vec::new();
    for thread in threads {
        times.extend(thread.join().map_err(|_| "a thread of the load failed")??);
    }
    times.sort_unstable();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).map_or(0.0, |time| time.as_secs_f64() * 1e6);
    println!(
        "{{\"units\": {}, \"seconds\": {:.6}, \"p50_us\": {:.1}, \"p99_us\": {:.1}}}",
        times.len(),
        began.elapsed().as_secs_f64(),
        at(0.5),
        at(0.99),
    );
    Ok(())
}

fn one(plan: Plan, request: &[u8], began: Instant, n: usize) -> Outcome<Vec<Duration>> {
    let mut stream = TcpStream::connect(plan.proxy)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut room = vec![0; 16 << 10];
    let mut times = Vec::new();
    let until = began + Duration::from_secs_f64(plan.seconds);
    for turn in 0.. {
        let due = began + Duration::from_secs_f64((turn * plan.connections + n) as f64 / plan.rate);
        if due >= until {
            break;
        }
        let in_time = Instant::now() < due;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // Waking late is ours; a request that had to wait for the answer before it is the proxy's.
        let start = if in_time { Instant::now() } else { due };
        stream.write_all(request)?;
        read_response(&mut stream, &mut room, plan.size as usize)?;
        times.push(start.elapsed());
    }
    Ok(times)
}

fn read_response(stream: &mut TcpStream, room: &mut [u8], size: usize) -> Outcome<()> {
    let mut filled = 0;
    loop {
        match stream.read(&mut room[filled..])? {
            0 => return Err("the connection was closed instead of a response".into()),
            n => filled += n,
        }
        if let Some(end) = room[..filled].windows(4).position(|four| four == b"\r\n\r\n") {
            if !room.starts_with(b"HTTP/1.1 200") {
                return Err("the answer was not 200".into());
            }
            if filled >= end + 4 + size {
                return Ok(());
            }
        }
    }
}
