//! Listening sockets: one per worker on the same address, and one alone for the admin plane.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tracing::warn;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 4_096;
/// How long accepting pauses when the system is out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// One socket bound to `address`, listening, shared with nobody.
pub fn bind(address: SocketAddr) -> io::Result<StdListener> {
    let socket = socket(address)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// `count` sockets bound to `address`, all listening, between which the system spreads connections.
///
/// Two processes could share a port so without noticing: first one bind without sharing must succeed. That bind also
/// chooses the port where `address` leaves it open.
pub fn bind_shared(address: SocketAddr, count: usize) -> io::Result<Vec<StdListener>> {
    let address = bind(address)?.local_addr()?;
    let bind_one = |_| {
        let socket = socket(address)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    (0..count).map(bind_one).collect()
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?; // a restart need not wait for connections that are closing
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false).ok(); // where the system allows it, one address serves both families
    }
    Ok(socket)
}

/// The next connection. Errors of a single connection are passed over; a lack of descriptors is waited out.
pub async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                stream.set_nodelay(true).ok(); // best effort: only latency is at stake
                return (stream, peer);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                warn!(%error, "no connection can be accepted; pausing");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// Connects to `address` within `deadline`.
pub async fn connect(address: SocketAddr, deadline: Duration) -> io::Result<TcpStream> {
    let stream = tokio::time::timeout(deadline, TcpStream::connect(address))
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "connecting took too long"))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: &str = "127.0.0.1:0";

    #[test]
    fn workers_share_one_address_and_a_second_process_is_told_that_it_is_taken() {
        let shared = bind_shared(ANY.parse().expect("address"), 3).expect("bind");
        let address = shared[0].local_addr().expect("address");
        assert!(shared.iter().all(|listener| listener.local_addr().expect("address") == address));
        let error = bind_shared(address, 1).expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
