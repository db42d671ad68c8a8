//! Doors that are no port of their own: sockets in the file system, sockets that are inherited.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;

use relevo::clock::Clock;
use relevo::config::Config;
use relevo::serve::Relevo;

use crate::support::DEADLINE;
use crate::support::backend::Backend;
use crate::support::client::RawClient;
use crate::support::gateway::TestGateway;
use crate::support::process::Process;
use crate::support::request::request;

#[test]
fn a_listener_in_the_file_system_serves_both_protocols_and_counts_as_this_machine() {
    let backend = Backend::answering("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("relevo.sock");
    let settings = format!("[[gateway.listeners]]\naddress = \"unix:{}\"\n", path.display());
    let gateway = TestGateway::in_front_of(&backend).settings(&settings).start();
    let holder = gateway.create_key("ci").with("allowed_addresses", vec!["127.0.0.0/8"].into()).done();
    let mut stream = UnixStream::connect(&path).expect("connected");
    stream.set_read_timeout(Some(DEADLINE)).expect("set");
    for _ in 0..2 {
        stream.write_all(&request("GET", "/").token(&holder.token).bytes()).expect("sent");
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).expect("an answer");
        assert!(buffer[..length].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer[..length]));
    }
    assert_eq!(backend.wait_for(2)[0].all("x-forwarded-for"), ["127.0.0.1"]);
    let mut stream = UnixStream::connect(&path).expect("connected");
    stream.set_read_timeout(Some(DEADLINE)).expect("set");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").expect("sent");
    let mut head = [0; 9];
    stream.read_exact(&mut head).expect("settings");
    assert_eq!(head[3], 4, "the first frame is SETTINGS");
}

#[test]
fn one_port_of_any_address_of_both_families_is_two_listeners() {
    let folder = tempfile::tempdir().expect("a folder");
    // The port may be taken between the look and the start.
    let start = |_| {
        let port = TcpListener::bind("[::]:0").expect("bound").local_addr().expect("an address").port();
        let text = format!(
            "[gateway]\nlisten = [\"0.0.0.0:{port}\"]\nworkers = 2\n[[gateway.listeners]]\naddress = \"[::]:{port}\"\n\
             [admin]\nlisten = \"127.0.0.1:0\"\n[store]\npath = '{}'\n[drain]\ndelay = \"0s\"\n[log]\naccess = false\n",
            folder.path().join("relevo.redb").display()
        );
        let config = Config::parse(&text, "test", []).expect("legal");
        match Relevo::start(config, Clock::system(), None) {
            Err(error) if error.is_for_an_address() => None,
            started => Some((port, started.expect("started"))),
        }
    };
    let (port, running) = (0..10).find_map(start).expect("both families at one port");
    for address in [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), SocketAddr::from((Ipv6Addr::LOCALHOST, port))] {
        let mut client = RawClient::connect(address);
        client.send(&request("GET", "/").bytes());
        assert_eq!(client.read_response().status, 421, "{address}");
    }
    running.shutdown();
}

#[test]
fn an_inherited_socket_is_served_and_outlives_the_process() {
    let backend = Backend::answering("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let socket = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = socket.local_addr().expect("an address");
    let configuration = format!(
        "[gateway]\nlisten = [\"fd:door\"]\nworkers = 2\n[admin]\nlisten = \"127.0.0.1:0\"\n[store]\npath = \"relevo.redb\"\n\
         [drain]\ndelay = \"0s\"\n[[upstreams]]\nname = \"backend\"\nendpoints = [\"http://{}\"]\n\
         [[routes]]\npath = \"/\"\nauth = \"none\"\nupstream = \"backend\"\n",
        backend.address()
    );
    for _ in 0..2 {
        // A client that comes while nobody serves waits in the queue of the socket.
        let mut early = RawClient::connect(address);
        early.send(&request("GET", "/early").bytes());
        let inherited = socket.try_clone().expect("cloned");
        let process = Process::serve_inheriting(folder.path(), &configuration, inherited);
        assert_eq!(process.gateway, address);
        assert_eq!(early.read_response().status, 200);
        for _ in 0..4 {
            let mut client = RawClient::connect(address);
            client.send(&request("GET", "/").bytes());
            assert_eq!(client.read_response().text(), "hello");
        }
        assert_eq!(process.terminate(DEADLINE).code(), Some(0));
    }
    assert_eq!(backend.requests().len(), 10);
}

#[test]
fn a_socket_that_is_not_inherited_is_told() {
    let text = "[gateway]\nlisten = [\"fd:door\"]\n[store]\npath = \"/nowhere/relevo.redb\"\n";
    let config = relevo::config::Config::parse(text, "test", []).expect("legal");
    let error = relevo::serve::Relevo::start(config, relevo::clock::Clock::system(), None).err().expect("no socket");
    assert_eq!(error.to_string(), "gateway.listen: fd:door cannot be listened on: no socket of this name is inherited");
    assert_eq!(error.exit_code(), 2);
}
