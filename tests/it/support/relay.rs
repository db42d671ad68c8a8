//! Bytes in clear on one side, TLS on the other: so that what is sent byte by byte can be sent over TLS too.
//!
//! Promises: every piece becomes a record of its own; an end on one side becomes an end on the other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;

use super::pairs::{Pair, trusting};

/// Lets a client speak in clear to a server that speaks TLS. Its connections end when it is dropped.
struct Relay {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Where a client connects that sends byte by byte: to a gateway in clear, or to somebody who says it over TLS.
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    _relay: Option<Relay>,
}

impl Door {
    /// To this listener, in clear.
    pub(crate) fn clear(address: SocketAddr) -> Self {
        Self { address, _relay: None }
    }

    /// The one in clear, and the other to a listener that shows `pair`, for this protocol.
    pub(crate) fn both(clear: SocketAddr, secure: SocketAddr, pair: &Pair, protocol: &str) -> [Self; 2] {
        let relay = Relay::to(secure, trusting(&[pair], &[protocol]));
        [Self::clear(clear), Self { address: relay.address, _relay: Some(relay) }]
    }
}

impl Relay {
    /// To the server at `server`, as `localhost`, with what `handshake` offers.
    fn to(server: SocketAddr, handshake: Arc<ClientConfig>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("bound");
        listener.set_nonblocking(true).expect("set");
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let serving = async {
                tokio::select! {
                    () = accept(listener, server, handshake) => {}
                    _ = stopped => {}
                }
            };
            runtime.block_on(serving);
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().map(JoinHandle::join);
    }
}

async fn accept(listener: std::net::TcpListener, server: SocketAddr, handshake: Arc<ClientConfig>) {
    let listener = TcpListener::from_std(listener).expect("a listener");
    let connector = TlsConnector::from(handshake);
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(relay(client, server, connector.clone()));
    }
}

async fn relay(mut client: TcpStream, server: SocketAddr, connector: TlsConnector) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").expect("a name");
    let mut secure = connector.connect(name, stream).await?;
    copy_bidirectional(&mut client, &mut secure).await.map(|_| ())
}
