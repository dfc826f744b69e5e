//! `tcp`: a connection that is accepted.

use super::{Context, Outcome, is_ours};
use std::net::SocketAddr;
use tokio::net::TcpStream;

pub(super) async fn watch(context: Context, address: SocketAddr) {
    let timeout = context.check.timeout;
    let mut cadence = context.cadence();
    loop {
        let outcome = match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => judge(&stream, address),
            Ok(Err(error)) if is_ours(&error) => Outcome::not_run(format!("cannot connect to {address}: {error}")),
            Ok(Err(error)) => Outcome::failed(format!("{address}: {error}")),
            Err(_) => Outcome::timed_out(format!("{address} does not answer")),
        };
        cadence.ended(outcome).await;
    }
}

/// ⚠ Where nobody listens, at a port that this host may give to a connection of its own, a connection can meet itself: TCP takes two
/// that open at the same time for one, and both ends here are the same. The kernel chooses among some 28,000 ports, so a check of a
/// service that is down for hours would pass once, and for as long as it is open keep the service from its port.
fn judge(stream: &TcpStream, address: SocketAddr) -> Outcome {
    match (stream.local_addr(), stream.peer_addr()) {
        (Ok(local), Ok(peer)) if local == peer => {
            Outcome::failed(format!("{address}: nobody listens, the connection met itself"))
        }
        _ => Outcome::passed(format!("{address} accepts")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::RunResult;
    use socket2::{Domain, Socket, Type};

    #[tokio::test]
    async fn a_connection_that_meets_itself_is_nobodys_answer() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = socket.local_addr().unwrap();
        socket.connect(&address).unwrap();
        socket.set_nonblocking(true).unwrap();
        let own = TcpStream::from_std(socket.into()).unwrap();
        assert_eq!(judge(&own, address.as_socket().unwrap()).result, RunResult::Failed);

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let other = TcpStream::connect(address).await.unwrap();
        assert_eq!(judge(&other, address).result, RunResult::Passed);
    }
}
