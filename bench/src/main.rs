//! The load, the origin and the blind relay of the benchmarks. `run.py` starts them; each runs on one thread.
//!
//! ```text
//! sluicegate-bench origin --listen 127.0.0.1:8000
//! sluicegate-bench relay  --listen 127.0.0.1:3128 --to 127.0.0.1:8000 [--splice]
//! sluicegate-bench load small --proxy 127.0.0.1:3128 --origin 127.0.0.1:8000 --seconds 2
//! ```

mod chunks;
mod flags;
mod load;
mod origin;
mod relay;
mod wire;

use std::future::Future;
use std::process::ExitCode;

use flags::Flags;
use wire::Outcome;

fn main() -> ExitCode {
    let outcome = Flags::read().and_then(|flags| match flags.word(0) {
        "origin" => on_one_thread(origin::serve(flags.address("listen")?)),
        "relay" => on_one_thread(relay::serve(flags.address("listen")?, flags.address("to")?, flags.is_set("splice"))),
        "load" => load::run(&flags),
        other => Err(format!("`{other}` is none of origin, relay, load").into()),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// One thread, so that one processor is all that it can take from the proxy.
fn on_one_thread<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
