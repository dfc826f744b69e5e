//! `tcp`: a connection that is accepted.

use super::{Context, Outcome, is_ours};
use std::net::SocketAddr;
use tokio::net::TcpStream;

pub(super) async fn watch(context: Context, address: SocketAddr) {
    let timeout = context.check.timeout;
    let mut cadence = context.cadence();
    loop {
        let outcome = match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
            Ok(Ok(_)) => Outcome::passed(format!("{address} accepts")),
            Ok(Err(error)) if is_ours(&error) => Outcome::not_run(format!("cannot connect to {address}: {error}")),
            Ok(Err(error)) => Outcome::failed(format!("{address}: {error}")),
            Err(_) => Outcome::timed_out(format!("{address} does not answer")),
        };
        cadence.ended(outcome).await;
    }
}
