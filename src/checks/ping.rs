//! `ping`: so many of the targets answer an ICMP echo, by sockets that need no privilege (`net.ipv4.ping_group_range`).

use super::{Context, Outcome, is_ours};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

const ECHO_4: u8 = 8;
const ECHO_REPLY_4: u8 = 0;
const ECHO_6: u8 = 128;
const ECHO_REPLY_6: u8 = 129;

pub(super) async fn watch(context: Context, targets: Vec<IpAddr>, quorum: usize) {
    let timeout = context.check.timeout;
    let mut number = 0u16;
    let mut cadence = context.cadence();
    loop {
        number = number.wrapping_add(1);
        let mut asked = JoinSet::new();
        for (i, target) in targets.iter().copied().enumerate() {
            asked.spawn(async move { (i, echo(target, number, timeout).await) });
        }
        let mut answers: Vec<io::Result<bool>> = targets.iter().map(|_| Ok(false)).collect();
        for (i, answer) in asked.join_all().await {
            answers[i] = answer;
        }
        cadence.ended(judge(&targets, quorum, &answers)).await;
    }
}

/// Whether a target answered in time.
async fn echo(target: IpAddr, number: u16, timeout: Duration) -> io::Result<bool> {
    let (domain, protocol, ask, reply) = match target {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, ECHO_4, ECHO_REPLY_4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, ECHO_6, ECHO_REPLY_6),
    };
    let socket = Socket::new(domain, Type::DGRAM.nonblocking(), Some(protocol))?;
    // For the runtime an echo socket is one of datagrams like any other.
    let socket = UdpSocket::from_std(std::net::UdpSocket::from(socket))?;
    // Only what comes from the target is received; the kernel fills in checksum and identifier.
    socket.connect(SocketAddr::new(target, 0)).await?;
    let [high, low] = number.to_be_bytes();
    let exchange = async {
        socket.send(&[ask, 0, 0, 0, 0, 0, high, low]).await?;
        let mut answer = [0; 64];
        loop {
            let length = socket.recv(&mut answer).await?;
            if length >= 8 && answer[0] == reply && answer[6..8] == [high, low] {
                return Ok(true);
            }
        }
    };
    tokio::time::timeout(timeout, exchange).await.unwrap_or(Ok(false))
}

fn judge(targets: &[IpAddr], quorum: usize, answers: &[io::Result<bool>]) -> Outcome {
    let answered = answers.iter().filter(|a| matches!(a, Ok(true))).count();
    let text = format!("{answered} of {} targets answer, {quorum} must", targets.len());
    let unable = answers.iter().filter_map(|a| a.as_ref().err()).find(|e| is_ours(e));
    let silent: Vec<String> =
        targets.iter().zip(answers).filter(|(_, a)| !matches!(a, Ok(true))).map(|(t, _)| t.to_string()).collect();
    match unable {
        _ if answered >= quorum => Outcome::passed(text),
        Some(error) => Outcome::not_run(format!(
            "no echo can be sent: {error}; net.ipv4.ping_group_range must have the group that havipd runs as"
        )),
        None => Outcome::failed(format!("{text}; silent: {}", silent.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quorum_of_targets_is_enough() {
        let targets = ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
        let denied = || Err(io::Error::from_raw_os_error(libc::EACCES));
        let reading = |quorum, answers: [io::Result<bool>; 2]| judge(&targets, quorum, &answers).result;
        use crate::checks::status::RunResult::{Failed, NotRun, Passed};
        assert_eq!(reading(1, [Ok(true), Ok(false)]), Passed);
        assert_eq!(reading(2, [Ok(true), Ok(false)]), Failed);
        assert_eq!(reading(1, [denied(), denied()]), NotRun, "no ICMP permitted says nothing of the targets");
        assert_eq!(reading(1, [Err(io::Error::from_raw_os_error(libc::EHOSTUNREACH)), Ok(false)]), Failed);
    }
}
