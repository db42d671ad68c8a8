//! Crowds at the ports of the operator: who has no token cannot shut out who has one, nor the probes.

use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::support::client::RawClient;
use crate::support::gateway::TestGateway;
use crate::support::request::{Request, request};
use crate::support::trial::echo;

/// More than the ports have places.
const CROWD: usize = 400;

fn answer(address: SocketAddr, request: &Request) -> u16 {
    let mut client = RawClient::connect(address);
    client.send(&request.bytes());
    client.read_response().status
}

/// A connection whose receive buffer is as small as there are.
fn narrow(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(1).expect("set");
    socket.connect(&address.into()).expect("connected");
    socket.into()
}

#[test]
fn probes_are_answered_while_a_crowd_of_idle_connections_comes_back_whenever_it_is_sent_away() {
    let backend = echo();
    let gateway = TestGateway::in_front_of(&backend).settings("[probes]\nlisten = \"127.0.0.1:0\"").start();
    let address = gateway.probes_address().expect("probes");
    let mut crowd: Vec<_> = (0..CROWD).map(|_| RawClient::connect(address)).collect();
    for round in 0..5 {
        assert_eq!(answer(address, &request("GET", "/livez")), 200, "round {round}");
        for idle in crowd.iter_mut().filter_map(|idle| idle.is_closing().then_some(idle)) {
            *idle = RawClient::connect(address);
        }
    }
}

#[test]
fn an_administrator_is_answered_while_a_crowd_asks_for_much_and_takes_nothing() {
    let backend = echo();
    let gateway = TestGateway::in_front_of(&backend).start();
    let address = gateway.admin_address();
    let mut client = RawClient::connect(address);
    client.send(&gateway.call("GET", "/docs").bytes());
    let page = client.read_response().text();
    let large = page.split('"').find(|part| part.ends_with("swagger-ui-bundle.js")).expect("the largest file");
    let twelve = request("GET", large).bytes().repeat(12);
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let mut greedy = narrow(address);
        std::io::Write::write_all(&mut greedy, &twelve).expect("sent");
        crowd.push(greedy);
    }
    for path in ["/livez", "/v1/keys", "/console/"] {
        assert!(answer(address, &gateway.call("GET", path)) < 400, "{path}");
    }
    drop(crowd);
}
