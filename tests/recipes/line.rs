//! A client that asks over TCP through the HAVIP.

use crate::fabric::HAVIPS;
use crate::namespace::Namespace;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a connection, and each part of an answer, may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the HAVIP answers on that port, as far as it comes in one piece.
pub(crate) fn ask(client: &Namespace, port: u16, request: &str) -> Result<String, String> {
    client.inside(|| {
        let said = |e: std::io::Error| format!("the HAVIP's port {port}: {e}");
        let mut stream =
            TcpStream::connect_timeout(&SocketAddr::from((HAVIPS[0].address(), port)), PATIENCE).map_err(said)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(said)?;
        stream.write_all(request.as_bytes()).map_err(said)?;
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer).map_err(said)?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    })
}
