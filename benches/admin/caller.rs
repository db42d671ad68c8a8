//! One administrator on one connection that is kept: a request, its answer to the end, the next.
//!
//! Deliberately does not: read chunked answers. The admin port's lists have a length.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

/// The connection, and the token that is shown on it.
pub(crate) struct Caller {
    stream: BufReader<TcpStream>,
    token: String,
}

impl Caller {
    /// Connects to the admin port at `address`.
    pub(crate) fn connect(address: SocketAddr, token: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), token: token.to_owned() })
    }

    /// A GET of `path`.
    pub(crate) fn get(&mut self, path: &str) -> io::Result<Vec<u8>> {
        self.call("GET", path, None)
    }

    /// A POST of `body` to `path`.
    pub(crate) fn post(&mut self, path: &str, body: Option<&Value>) -> io::Result<Vec<u8>> {
        self.call("POST", path, body)
    }

    fn call(&mut self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Vec<u8>> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.token,
            body.len()
        );
        self.stream.get_mut().write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        self.read()
    }

    /// The body of the next answer, which must be a success.
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.clone();
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        if status.contains(" 20") {
            Ok(body)
        } else {
            Err(io::Error::other(format!("{status}{}", String::from_utf8_lossy(&body))))
        }
    }
}
