//! gRPC between a client and a service by tonic: every kind of call, refusals, deadlines, and tokens that end.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::json;
use tokio::runtime::Runtime;
use tonic::{Code, Status};

use crate::support::desk::{Caller, Desk};
use crate::support::gateway::TestGateway;

/// One second until a stream is judged again, and the rest for a machine that is busy.
const SOON: Duration = Duration::from_secs(4);

const ROUTES: &str = "
[[routes]]
path = \"/desk\"
upstream = \"backend\"
body_limit = \"1MiB\"
[[routes]]
path = \"/reader\"
upstream = \"backend\"
roles = [\"reader\"]
[[routes]]
path = \"/nobody\"
upstream = \"nobody\"
";

fn start(desk: &Desk) -> (TestGateway, Runtime) {
    let upstreams = format!(
        "[[upstreams]]\nname = \"backend\"\nendpoints = [\"h2c://{}\"]\n\
         [[upstreams]]\nname = \"nobody\"\nendpoints = [\"h2c://127.0.0.1:1\"]\n",
        desk.address()
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    (TestGateway::with_upstreams(&upstreams).routes(ROUTES).start(), runtime.expect("a runtime"))
}

/// What the service says when it fails.
fn is_its_refusal(status: &Status) {
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "not today: 100%"));
    assert_eq!(status.metadata().get("x-why").expect("metadata"), "closed");
}

#[test]
fn every_kind_of_call_passes_with_its_metadata_and_its_trailers() {
    let desk = Desk::open();
    let (gateway, runtime) = start(&desk);
    let holder = gateway.create_key("ci").done();
    runtime.block_on(async {
        let mut caller = Caller::connect(gateway.address(), &holder.token).await;
        let answer = caller.upper(caller.request("hello".to_owned())).await.expect("an answer");
        assert_eq!(
            (&**answer.get_ref(), answer.metadata().get("x-desk").expect("metadata")),
            ("HELLO", &"open".parse().expect("a value"))
        );
        assert!(answer.metadata().contains_key("x-request-id"));
        is_its_refusal(&caller.upper(caller.request("fail".to_owned())).await.expect_err("a refusal"));

        assert_eq!(caller.join(&["a", "b", "c"]).await.expect("an answer").into_inner(), "a b c");
        assert_eq!(caller.join(&[]).await.expect("an answer").into_inner(), "");

        let mut numbers = caller.count(100).await.expect("an answer").into_inner();
        for number in 1..=100 {
            assert_eq!(numbers.message().await.expect("no end").expect("a number"), number.to_string());
        }
        is_its_refusal(&numbers.message().await.expect_err("a refusal after the messages"));

        let (say, said) = tokio::sync::mpsc::unbounded_channel::<String>();
        let said = futures_util::stream::unfold(said, |mut said| async { said.recv().await.map(|text| (text, said)) });
        let mut heard = caller.echo(said).await.expect("an answer").into_inner();
        for text in ["one", &"x".repeat(300_000), "three"] {
            say.send(text.to_owned()).expect("somebody listens"); // each only after the answer to the one before
            assert_eq!(heard.message().await.expect("no end").expect("an echo"), text);
        }
        drop(say);
        assert_eq!(heard.message().await.expect("a good end"), None);
    });
    for (path, headers) in desk.calls() {
        assert_eq!(
            (&headers["x-relevo-key-name"], &headers["te"]),
            (&"ci".parse().expect("a value"), &"trailers".parse().expect("a value")),
            "{path}"
        );
        assert!(!headers.contains_key("authorization"));
    }
}

#[test]
fn a_refusal_of_the_gateway_is_a_status_that_the_client_reads() {
    let desk = Desk::open();
    let (gateway, runtime) = start(&desk);
    let holder = gateway.create_key("ci").done();
    let limits = json!({"rate": {"requests": 1, "per": "1h", "burst": 1}});
    let limited = gateway.create_key("limited").with("limits", limits).done();
    runtime.block_on(async {
        let mut caller = Caller::connect(gateway.address(), &holder.token).await;
        let mut refused = async |path, message: String| {
            let request = caller.request(message);
            caller.unary(path, request).await.expect_err("a refusal").code()
        };
        assert_eq!(refused("/reader/Upper", String::new()).await, Code::PermissionDenied);
        assert_eq!(refused("/elsewhere", String::new()).await, Code::Unimplemented);
        assert_eq!(refused("/nobody/Upper", String::new()).await, Code::Unavailable);
        assert_eq!(refused("/desk/Upper", "x".repeat(2_000_000)).await, Code::ResourceExhausted);
        let mut caller = Caller::connect(gateway.address(), "rlv_nonsense").await;
        let status = caller.upper(caller.request(String::new())).await.expect_err("a refusal");
        assert_eq!(status.code(), Code::Unauthenticated);
        assert!(!status.message().is_empty());
        assert_eq!(caller.count(3).await.expect_err("a refusal").code(), Code::Unauthenticated);
        let mut caller = Caller::connect(gateway.address(), &limited.token).await;
        assert_eq!(caller.join(&["a"]).await.expect("an answer").into_inner(), "a");
        assert_eq!(caller.join(&["a"]).await.expect_err("a refusal").code(), Code::Unavailable);
    });
    let called: Vec<_> = desk.calls().into_iter().map(|(path, _)| path).filter(|path| path != "/desk/Upper").collect();
    assert_eq!(called, ["/desk/Join"], "nothing that was refused came through");
}

#[test]
fn a_call_ends_at_its_deadline() {
    let desk = Desk::open();
    let (gateway, runtime) = start(&desk);
    let holder = gateway.create_key("ci").done();
    runtime.block_on(async {
        let mut caller = Caller::connect(gateway.address(), &holder.token).await;
        let mut request = caller.request("wait".to_owned());
        request.set_timeout(Duration::from_millis(300));
        let begun = Instant::now();
        // The client keeps the time as well, and says so in its own words where it comes first.
        let code = caller.upper(request).await.expect_err("an end").code();
        assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&code), "{code}");
        assert!(begun.elapsed() < SOON);
    });
    assert_eq!(desk.calls()[0].1["grpc-timeout"], "300000u");
}

#[test]
fn a_call_in_progress_ends_with_its_token_as_unauthenticated() {
    let desk = Desk::open();
    let (gateway, runtime) = start(&desk);
    let (holder, steady) = (gateway.create_key("ci").done(), gateway.create_key("steady").done());
    runtime.block_on(async {
        let mut caller = Caller::connect(gateway.address(), &holder.token).await;
        let mut other = Caller::connect(gateway.address(), &steady.token).await;
        let first = || futures_util::stream::iter(["hello".to_owned()]).chain(futures_util::stream::pending());
        let mut calls = [
            caller.count(1_000).await.expect("an answer").into_inner(),
            caller.echo(first()).await.expect("an answer").into_inner(),
        ];
        let mut kept = other.echo(first()).await.expect("an answer").into_inner();
        for call in &mut calls {
            assert!(call.message().await.expect("no end").is_some());
        }
        assert!(kept.message().await.expect("no end").is_some());
        let begun = Instant::now();
        tokio::task::block_in_place(|| {
            assert_eq!(gateway.admin("DELETE", &format!("/v1/keys/{}", holder.id), None).status, 204);
        });
        for call in &mut calls {
            let ended = loop {
                match call.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("a good end"),
                    Err(status) => break status.code(),
                }
            };
            assert_eq!(ended, Code::Unauthenticated);
        }
        assert!(begun.elapsed() < SOON);
        let nothing = tokio::time::timeout(Duration::from_millis(10), kept.message()).await;
        assert!(nothing.is_err(), "another key's call goes on");
        let status = caller.upper(caller.request(String::new())).await.expect_err("a refusal");
        assert_eq!(status.code(), Code::Unauthenticated);
    });
    let line = "relevo_streams_ended_total{route=\"/desk\",refusal=\"credential_invalid\"} 2\n";
    assert!(gateway.metrics().contains(line));
}
