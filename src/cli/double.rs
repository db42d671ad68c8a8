//! For tests: a gateway that answers from a script, over a real socket, and remembers what it was asked.
//!
//! Promises: one scripted answer per request, in order; a request beyond the script loses its connection.
//! Deliberately does not: behave. What it answers is written from the page of interfaces.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::client::{AdminUrl, Client};
use super::session::{Reader, Session, Subject};
use super::terminal::tests::Paper;
use super::terminal::{Ask, Person, Terminal};
use super::trust::Trust;
use crate::clock::Clock;
use crate::domain::{Secret, Timestamp};

/// The token of the tests' administrator.
pub(super) const ROOT: &str = "rlva_0123456789012345678901234567890123456789";

/// What the script says to one request.
pub(super) enum Answer {
    /// This status and this document.
    Says(u16, Value),
    /// This status and this text, which is none of ours.
    Foreign(u16, &'static str),
    /// Nothing: the connection is closed.
    Nothing,
}

/// A refusal as on the page.
pub(super) fn refusal(status: u16, code: &str, detail: &str) -> Answer {
    let kind = format!("urn:relevo:problem:{code}");
    Answer::Says(status, json!({"type": kind, "title": code, "status": status, "detail": detail, "code": code}))
}

/// A request as it came.
pub(super) struct Asked {
    /// Its method and target.
    pub(super) line: String,
    /// Its header.
    pub(super) headers: HeaderMap,
    /// Its body; null if it has none.
    pub(super) body: Value,
    /// What was on stdout when it came.
    pub(super) printed: String,
}

/// A scripted gateway, and both streams of the command that talks to it.
#[derive(Clone)]
pub(super) struct Double {
    script: Rc<RefCell<VecDeque<Answer>>>,
    asked: Rc<RefCell<Vec<Asked>>>,
    /// The command's stdout.
    pub(super) out: Paper,
    /// The command's stderr.
    pub(super) err: Paper,
    /// Where it listens.
    pub(super) url: String,
}

impl Double {
    /// Starts a gateway with this script; to be called within [`locally`].
    pub(super) async fn saying(script: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let script = Rc::new(RefCell::new(script.into_iter().collect()));
        let (out, err) = (Paper::default(), Paper::default());
        let double = Self { script, asked: Rc::default(), out, err, url };
        tokio::task::spawn_local(double.clone().accept(listener));
        double
    }

    /// A session with it, for a reader, where nobody can be asked.
    pub(super) fn session(&self, reader: Reader) -> Session {
        let terminal = Terminal::new(Box::new(self.out.clone()), Box::new(self.err.clone()), Person::Absent);
        let client =
            Client::new(AdminUrl::parse(&self.url).expect("legal"), root(), &Trust::default()).expect("a client");
        let clock = Clock::manual(Timestamp::from_millis(1_795_461_120_000)); // 2026-11-23T19:12:00Z
        Session { client, terminal, reader, clock, program: "relevo", subject: Subject::Key }
    }

    /// A session with it, for a person who answers like this.
    pub(super) fn asked_by(&self, ask: Ask) -> Session {
        let (out, err) = (Box::new(self.out.clone()), Box::new(self.err.clone()));
        let terminal = Terminal::new(out, err, Person::Present(ask));
        Session { terminal, ..self.session(Reader::Person) }
    }

    /// What it was asked, as method and target.
    pub(super) fn lines(&self) -> Vec<String> {
        self.asked.borrow().iter().map(|asked| asked.line.clone()).collect()
    }

    /// Looks at one of the requests.
    pub(super) fn with<T>(&self, at: usize, look: impl FnOnce(&Asked) -> T) -> T {
        look(&self.asked.borrow()[at])
    }

    async fn accept(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let double = self.clone();
            tokio::task::spawn_local(async move {
                let service = service_fn(|request| double.reply(request));
                drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
            });
        }
    }

    async fn reply(&self, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
        if request.uri().path() == "/livez" && request.method() == Method::GET {
            assert!(!request.headers().contains_key(header::AUTHORIZATION));
            return Ok(Response::new(Full::from("ok")));
        }
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).expect("JSON") };
        let line = format!("{} {}", head.method, head.uri);
        self.asked.borrow_mut().push(Asked { line, headers: head.headers, body, printed: self.out.text() });
        let (status, text) = match self.script.borrow_mut().pop_front() {
            Some(Answer::Says(status, Value::Null)) => (status, String::new()),
            Some(Answer::Says(status, document)) => (status, document.to_string()),
            Some(Answer::Foreign(status, text)) => (status, text.to_owned()),
            Some(Answer::Nothing) | None => return Err(io::ErrorKind::ConnectionReset.into()),
        };
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        Ok(response)
    }
}

/// The token of the tests' administrator.
pub(super) fn root() -> Secret {
    Secret::import(ROOT.to_owned()).expect("legal")
}

/// Runs a test and the gateway it starts on this thread.
pub(super) fn locally<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let deadline = std::time::Duration::from_mins(1);
    let within = async { tokio::time::timeout(deadline, test).await };
    tokio::task::LocalSet::new().block_on(&runtime, within).expect("the test ends in time");
}
