//! Listening sockets: one per worker on the same address, and one alone for the admin plane.
//!
//! Promises: an address is shared with no other process but by inheritance; accepting survives every error.
//! Deliberately does not: remove a socket from the file system at the end; the next process may have it already.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use listenfd::ListenFd;
use socket2::{Domain, Protocol, SockRef, Socket as RawSocket, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tracing::warn;

use crate::config::ListenAddress;

use super::shortage::Shortage;
use super::stream::Stream;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 4_096;
/// How long accepting pauses when the system is out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// That of all listeners: descriptors are the process's.
static SHORTAGE: Shortage = Shortage::new();

/// One socket bound to `address`, listening, shared with nobody. `all` are the addresses at which this process listens, as
/// far as they are known: any address of IPv6 (`[::]`) serves IPv4 too, but where any of IPv4 is among them at its port.
pub fn bind(address: SocketAddr, all: &[SocketAddr]) -> io::Result<StdListener> {
    let socket = socket(address, all)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// `count` sockets bound to `address`, all listening, between which the system spreads connections; `all` as for [`bind`].
///
/// Two processes could share a port so without noticing: the first of them is bound without sharing, and shares from then on
/// with those of this process. It also chooses the port where `address` leaves it open.
pub fn bind_shared(address: SocketAddr, count: usize, all: &[SocketAddr]) -> io::Result<Vec<StdListener>> {
    let first = bind(address, all)?;
    let address = first.local_addr()?;
    SockRef::from(&first).set_reuse_port(true)?;
    let bind_one = |_| {
        let socket = socket(address, all)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    std::iter::once(Ok(first)).chain((1..count).map(bind_one)).collect()
}

fn socket(address: SocketAddr, all: &[SocketAddr]) -> io::Result<RawSocket> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?; // a restart need not wait for connections that are closing
    socket.set_nonblocking(true)?;
    let other = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
    if address.is_ipv6() && address.port() != 0 && all.contains(&other) {
        socket.set_only_v6(true)?; // else the two would be in each other's way
    } else if address.is_ipv6() {
        socket.set_only_v6(false).ok(); // where the system allows it, one address serves both families
    }
    Ok(socket)
}

/// Where a socket really listens: the port that the system chose, the socket that was inherited.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Bound {
    /// An address and port.
    Tcp(SocketAddr),
    /// A path in the file system; empty where the socket has none.
    Unix(PathBuf),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A listening socket of the data plane, before a runtime has it.
#[derive(Debug)]
pub enum Socket {
    /// Of TCP.
    Tcp(StdListener),
    /// In the file system.
    Unix(StdUnixListener),
}

impl Socket {
    /// Where it listens.
    pub fn bound(&self) -> io::Result<Bound> {
        match self {
            Self::Tcp(socket) => socket.local_addr().map(Bound::Tcp),
            Self::Unix(socket) => {
                let address = socket.local_addr()?;
                Ok(Bound::Unix(address.as_pathname().map(Path::to_owned).unwrap_or_default()))
            }
        }
    }

    /// The same socket `count` times: its connections go to whoever accepts first.
    fn shared(self, count: usize) -> io::Result<Vec<Self>> {
        let copy = |_| match &self {
            Self::Tcp(socket) => socket.try_clone().map(Self::Tcp),
            Self::Unix(socket) => socket.try_clone().map(Self::Unix),
        };
        (0..count).map(copy).collect()
    }
}

/// The sockets that this process inherits, by name (`sd_listen_fds`).
pub struct Inherited {
    sockets: ListenFd,
    names: Vec<String>,
}

impl Inherited {
    /// Those that the environment tells of. Called once: what is taken is taken.
    pub fn from_environment() -> Self {
        let sockets = ListenFd::from_env();
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        Self { sockets, names: names.split(':').map(str::to_owned).collect() }
    }

    /// Every socket of this name.
    fn take(&mut self, name: &str) -> io::Result<Vec<Socket>> {
        let mut taken = Vec::new();
        for place in 0..self.sockets.len() {
            if self.names.get(place).is_none_or(|own| own != name) {
                continue;
            }
            let socket = match self.sockets.take_tcp_listener(place) {
                Ok(socket) => socket.map(Socket::Tcp),
                Err(_) => self.sockets.take_unix_listener(place)?.map(Socket::Unix),
            };
            taken.extend(socket);
        }
        let none = || io::Error::new(io::ErrorKind::NotFound, "no socket of this name is inherited");
        if taken.is_empty() { Err(none()) } else { Ok(taken) }
    }
}

/// `count` sockets for each place where `address` listens: an inherited name may stand for several. `all` as for [`bind`].
pub fn open(
    address: &ListenAddress,
    count: usize,
    all: &[SocketAddr],
    inherited: Option<&mut Inherited>,
) -> io::Result<Vec<Vec<Socket>>> {
    match address {
        ListenAddress::Tcp(address) => {
            Ok(vec![bind_shared(*address, count, all)?.into_iter().map(Socket::Tcp).collect()])
        }
        ListenAddress::Unix(path) => Ok(vec![bind_unix(path)?.shared(count)?]),
        ListenAddress::Inherited(name) => {
            let taken = inherited.ok_or(io::ErrorKind::NotFound)?.take(name)?;
            taken.into_iter().map(|socket| socket.shared(count)).collect()
        }
    }
}

/// A socket at `path`. One that a process left behind is replaced; one on which somebody listens is not.
fn bind_unix(path: &Path) -> io::Result<Socket> {
    if path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket()) {
        match StdUnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
            Ok(_) | Err(_) => return Err(io::ErrorKind::AddrInUse.into()),
        }
    }
    StdUnixListener::bind(path).map(Socket::Unix)
}

/// A connection, and from where it comes; `None`: from this machine, through the file system.
pub type Accepted = (Stream, Option<SocketAddr>);

/// A listening socket in a worker's runtime.
pub enum Listener {
    /// Of TCP.
    Tcp(TcpListener),
    /// In the file system.
    Unix(UnixListener),
}

impl Listener {
    /// Hands `socket` to the runtime of this thread.
    pub fn new(socket: Socket) -> io::Result<Self> {
        match socket {
            Socket::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                TcpListener::from_std(socket).map(Self::Tcp)
            }
            Socket::Unix(socket) => {
                socket.set_nonblocking(true)?;
                UnixListener::from_std(socket).map(Self::Unix)
            }
        }
    }

    /// The next connection. Errors of a single connection are passed over; a lack of descriptors is waited out.
    pub async fn accept(&self) -> Accepted {
        loop {
            let accepted = match self {
                Self::Tcp(listener) => listener.accept().await.map(|(stream, from)| of_tcp(stream, from)),
                Self::Unix(listener) => listener.accept().await.map(|(stream, _)| (Stream::Unix(stream), None)),
            };
            match accepted {
                Ok(accepted) => return accepted,
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if SHORTAGE.begins(Instant::now()) {
                        warn!(%error, "no connection can be accepted; trying again until it can");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Every connection that waits in the queue now; then the listener closes, which resets what comes later. The system
    /// itself is asked: a runtime answers "none" where it has not looked yet, or where a task has had its share of a turn.
    pub fn into_queued(self) -> io::Result<impl Iterator<Item = Accepted>> {
        let socket = match self {
            Self::Tcp(listener) => Socket::Tcp(listener.into_std()?),
            Self::Unix(listener) => Socket::Unix(listener.into_std()?),
        };
        Ok(std::iter::from_fn(move || {
            loop {
                match accept_now(&socket) {
                    Ok(accepted) => return Some(accepted),
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                    Err(error) => {
                        warn!(%error, "what waits in the queue cannot be accepted");
                        return None;
                    }
                }
            }
        }))
    }
}

/// The connection that waits longest; an error of [`io::ErrorKind::WouldBlock`] if none does.
fn accept_now(socket: &Socket) -> io::Result<Accepted> {
    match socket {
        Socket::Tcp(socket) => {
            let (stream, from) = socket.accept()?;
            stream.set_nonblocking(true)?;
            Ok(of_tcp(TcpStream::from_std(stream)?, from))
        }
        Socket::Unix(socket) => {
            let (stream, _) = socket.accept()?;
            stream.set_nonblocking(true)?;
            Ok((Stream::Unix(UnixStream::from_std(stream)?), None))
        }
    }
}

fn of_tcp(stream: TcpStream, from: SocketAddr) -> Accepted {
    stream.set_nodelay(true).ok(); // best effort: only latency is at stake
    (Stream::Tcp(stream), Some(from))
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: &str = "127.0.0.1:0";

    #[test]
    fn workers_share_one_address_and_a_second_process_is_told_that_it_is_taken() {
        let shared = bind_shared(ANY.parse().expect("address"), 3, &[]).expect("bind");
        let address = shared[0].local_addr().expect("address");
        assert!(shared.iter().all(|listener| listener.local_addr().expect("address") == address));
        let error = bind_shared(address, 1, &[]).expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn connections_are_spread_over_all_workers() {
        let shared = bind_shared(ANY.parse().expect("address"), 3, &[]).expect("bind");
        let address = shared[0].local_addr().expect("address");
        let clients: Vec<_> = (0..100).map(|_| std::net::TcpStream::connect(address).expect("connected")).collect();
        let taken = |listener: &StdListener| std::iter::from_fn(|| listener.accept().ok()).count();
        let counts: Vec<_> = shared.iter().map(taken).collect();
        assert_eq!(counts.iter().sum::<usize>(), clients.len());
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    }

    #[test]
    fn of_several_processes_that_begin_at_once_one_has_the_address() {
        for _ in 0..1_000 {
            let address = bind(ANY.parse().expect("address"), &[]).expect("bind").local_addr().expect("address");
            let (begin, end) = (std::sync::Barrier::new(8), std::sync::Barrier::new(8));
            let race = || {
                begin.wait();
                let bound = bind_shared(address, 2, &[]);
                end.wait();
                usize::from(bound.is_ok())
            };
            let winners = std::thread::scope(|scope| {
                let all = [(); 8].map(|()| scope.spawn(race));
                all.map(|racer| racer.join().expect("no panic")).iter().sum::<usize>()
            });
            assert!(winners <= 1, "{winners} have {address}");
        }
    }

    #[test]
    fn any_address_of_both_families_may_have_one_port_and_a_second_process_is_told_of_either() {
        // What the system chooses for one family may be taken in the other.
        let pair = || {
            let first = bind("0.0.0.0:0".parse().expect("address"), &[]).expect("bind");
            let v4 = first.local_addr().expect("address");
            drop(first);
            [v4, SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, v4.port()))]
        };
        for order in [[0, 1], [1, 0]] {
            let bound = (0..20).find_map(|_| {
                let all = pair();
                let bound = order.map(|place| bind_shared(all[place], 2, &all).ok());
                bound.iter().all(Option::is_some).then_some((all, bound))
            });
            let (all, bound) = bound.expect("both are free of each other");
            for address in all {
                assert!(bind(address, &[]).is_err() && bind_shared(address, 2, &all).is_err(), "{address} is shared");
            }
            drop(bound);
        }
    }

    #[test]
    fn a_path_is_taken_while_somebody_listens_and_replaced_once_nobody_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("relevo.sock");
        let first = bind_unix(&path).expect("bound");
        assert_eq!(bind_unix(&path).expect_err("taken").kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert_eq!(bind_unix(&path).expect("left behind").bound().expect("bound"), Bound::Unix(path.clone()));
        std::fs::remove_file(&path).expect("a socket");
        std::fs::write(&path, "no socket").expect("written");
        assert!(bind_unix(&path).is_err());
        assert!(path.exists(), "what is no socket stays");
    }
}
