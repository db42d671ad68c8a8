//! Much at once: a large download, also to somebody who stops reading (case 20), a large upload and a busy tunnel leave the
//! gateway's memory as it was.

use std::cell::Cell;
use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::support::gateway::wait_until;
use crate::support::process::Process;
use crate::support::{DEADLINE, in_short_or_soak};

/// What everything is made of, over and over.
const PATTERN: usize = 251;
/// As much as is written at once; a multiple of the pattern.
const PIECE: usize = PATTERN * 256;
/// What the gateway may take for one transfer, whatever its size, in KiB.
const MOST_KIB: usize = 16 * 1024;
/// What may be on its way to somebody who does not read, in bytes: above all what the kernel holds for four sockets.
const MOST_ON_ITS_WAY: usize = 24 * 1024 * 1024;

/// How many pieces the backend has given in all.
static GIVEN: AtomicUsize = AtomicUsize::new(0);

fn piece() -> Vec<u8> {
    (0..PIECE).map(|place| u8::try_from(place % PATTERN).expect("small")).collect()
}

/// Writes `pieces` of them.
fn write_all(stream: &mut TcpStream, pieces: usize) {
    let piece = piece();
    (0..pieces).for_each(|_| stream.write_all(&piece).expect("written"));
}

/// Reads just as many.
fn read_all(stream: &mut TcpStream, pieces: usize) {
    let (piece, mut read) = (piece(), vec![0; PIECE]);
    for _ in 0..pieces {
        stream.read_exact(&mut read).expect("read");
        assert!(read == piece, "other bytes came");
    }
}

/// The head of a message, read byte by byte so that nothing behind it is.
fn head(stream: &mut TcpStream) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.extend(byte);
    }
    String::from_utf8(head).ok()
}

fn connected(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(DEADLINE)).expect("set");
    stream.set_write_timeout(Some(DEADLINE)).expect("set");
    stream
}

/// A backend that gives to GET as many pieces as the target says, takes as many from POST, and sends back what comes
/// through a tunnel.
fn serve(mut stream: TcpStream) {
    while let Some(head) = head(&mut stream) {
        let pieces = head.split(['/', ' ']).nth(2).and_then(|count| count.parse().ok()).expect("a number");
        if head.contains("upgrade: lines/1\r\n") {
            let switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: lines/1\r\n\r\n";
            stream.write_all(switched).expect("written");
            let mut other = stream.try_clone().expect("cloned");
            // It ends when the client does.
            return drop(std::io::copy(&mut stream, &mut other));
        }
        if head.starts_with("GET ") {
            let length = pieces * PIECE;
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all(answer.as_bytes()).expect("written");
            let piece = piece();
            for _ in 0..pieces {
                stream.write_all(&piece).expect("written");
                GIVEN.fetch_add(1, Ordering::Relaxed);
            }
        } else {
            read_all(&mut stream, pieces);
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").expect("written");
        }
    }
}

/// Passes so many pieces through the gateway.
type Way = fn(SocketAddr, usize);

fn download(gateway: SocketAddr, pieces: usize) {
    read_all(&mut downloading(gateway, pieces), pieces);
}

fn downloading(gateway: SocketAddr, pieces: usize) -> TcpStream {
    let mut stream = connected(gateway);
    stream.write_all(format!("GET /{pieces} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).expect("written");
    assert!(head(&mut stream).expect("a head").starts_with("HTTP/1.1 200 "));
    stream
}

/// Down to somebody who stops in the middle: the backend is held back until he goes on.
fn halting_download(gateway: SocketAddr, pieces: usize) {
    let before = GIVEN.load(Ordering::Relaxed);
    let mut stream = downloading(gateway, pieces);
    read_all(&mut stream, pieces / 2);
    let given = Cell::new(before);
    wait_until("the backend gives nothing more", || {
        thread::park_timeout(Duration::from_millis(100));
        let now = GIVEN.load(Ordering::Relaxed);
        given.replace(now) == now
    });
    let ahead = (given.get() - before).saturating_sub(pieces / 2) * PIECE;
    assert!(ahead < MOST_ON_ITS_WAY, "{ahead} bytes were taken that nobody reads");
    read_all(&mut stream, pieces - pieces / 2);
}

fn upload(gateway: SocketAddr, pieces: usize) {
    let mut stream = connected(gateway);
    let length = pieces * PIECE;
    let asked = format!("POST /{pieces} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(asked.as_bytes()).expect("written");
    write_all(&mut stream, pieces);
    assert!(head(&mut stream).expect("a head").starts_with("HTTP/1.1 204 "));
}

fn tunnel(gateway: SocketAddr, pieces: usize) {
    let mut stream = connected(gateway);
    let asked = format!("GET /{pieces} HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: lines/1\r\n\r\n");
    stream.write_all(asked.as_bytes()).expect("written");
    assert!(head(&mut stream).expect("a head").starts_with("HTTP/1.1 101 "));
    let mut other = stream.try_clone().expect("cloned");
    let writing = thread::spawn(move || write_all(&mut other, pieces));
    read_all(&mut stream, pieces);
    writing.join().expect("written");
}

/// Up, and then down, each on a stream of HTTP/2.
fn both_over_http2(gateway: SocketAddr, pieces: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(gateway).await.expect("connected");
        stream.set_nodelay(true).expect("set");
        let shaken = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.expect("a connection");
        tokio::spawn(connection);
        let request = |method, sent| {
            let piece = Bytes::from(piece());
            let frames = (0..sent).map(move |_| Ok::<_, Infallible>(Frame::data(piece.clone())));
            let body = StreamBody::new(futures_util::stream::iter(frames));
            let request = http::Request::builder().method(method).uri(format!("http://a/{pieces}"));
            request.header("content-length", sent * PIECE).body(body).expect("a request")
        };
        let answer = sender.send_request(request("POST", pieces)).await.expect("an answer");
        assert_eq!(answer.status(), 204);
        let answer = sender.send_request(request("GET", 0)).await.expect("an answer");
        let (mut body, mut length) = (answer.into_body(), 0);
        let expected = [piece(), piece()].concat();
        while let Some(frame) = body.frame().await {
            let data = frame.expect("whole").into_data().expect("data");
            assert!(data == expected[length % PATTERN..][..data.len()], "other bytes came");
            length += data.len();
        }
        assert_eq!(length, pieces * PIECE);
    });
}

/// The most memory that the process had resident during `work`, in KiB.
fn most_during(process: &Process, work: impl FnOnce()) -> usize {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut most = 0;
            while !is_over.load(Ordering::Relaxed) {
                most = most.max(process.memory_kib());
                thread::park_timeout(Duration::from_millis(5));
            }
            most
        });
        work();
        is_over.store(true, Ordering::Relaxed);
        watching.join().expect("watched")
    })
}

#[test]
fn much_passes_up_down_and_through_a_tunnel_and_memory_stays_flat() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let backend = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(|| serve(stream));
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let configuration = format!(
        "[gateway]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [store]\npath = \"relevo.redb\"\n[log]\naccess = false\n\
         [[upstreams]]\nname = \"backend\"\nendpoints = [\"http://{backend}\"]\n\
         [[routes]]\npath = \"/\"\nauth = \"none\"\nupstream = \"backend\"\nbody_limit = \"unlimited\"\nupgrade = [\"lines/1\"]\n"
    );
    let process = Process::serve(folder.path(), &configuration);
    let ways: [(&str, Way); 5] = [
        ("down", download),
        ("down, with a halt", halting_download),
        ("up", upload),
        ("a tunnel", tunnel),
        ("HTTP/2", both_over_http2),
    ];
    let pieces = in_short_or_soak(64, 1_024) * 1_024 * 1_024 / PIECE;
    for (way, pass) in ways {
        pass(process.gateway, 16);
        let before = process.memory_kib();
        let begun = std::time::Instant::now();
        let most = most_during(&process, || pass(process.gateway, pieces));
        eprintln!(
            "{way}: {} MiB passed in {:?}, {before} KiB before, {most} KiB at most",
            pieces * PIECE / 1_024 / 1_024,
            begun.elapsed()
        );
        assert!(most < before + MOST_KIB, "{way}: {before} KiB before, {most} KiB at most");
    }
}
