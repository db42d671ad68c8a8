//! A real Chromium without a window, driven through `chromedriver` as a person would.
//!
//! Promises: an own profile each; it is gone when its test ends, however that ends; every wait has a deadline; what the
//! browser complained about and whom it talked to is told.
//! Deliberately does not: use a library for `WebDriver`: the one there is turns on features of `serde_json` in the product
//! under test.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long a page may take, with two cores for every test.
const PATIENCE: Duration = Duration::from_secs(40);

/// How the browser is set up.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    /// What it asks for in `Accept-Language`.
    pub(crate) language: &'static str,
    /// Whether pages may run JavaScript.
    pub(crate) scripts: Scripts,
}

/// Whether pages may run JavaScript.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scripts {
    On,
    Off,
}

/// Whether the browser reaches anybody.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    There,
    Lost,
}

/// A browser in front of one gateway's admin port.
pub(crate) struct Browser {
    client: reqwest::Client,
    /// The session's address at the driver.
    session: String,
    base: String,
    _service: Service,
    _profile: TempDir,
}

/// An element of the page.
pub(crate) struct Element(String);

/// The name under which `WebDriver` tells an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A `chromedriver`, ended when it is dropped.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Browser {
    /// Does `work` in a browser in front of `admin`.
    pub(crate) fn run(admin: SocketAddr, manner: Manner, work: impl AsyncFnOnce(&Browser)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(Self::run_within(admin, manner, work));
    }

    async fn run_within(admin: SocketAddr, manner: Manner, work: impl AsyncFnOnce(&Browser)) {
        let browser = Self::open(admin, manner).await;
        let ended = AssertUnwindSafe(work(&browser)).catch_unwind().await;
        if ended.is_err() {
            let text =
                browser.try_script("return location + '\\n' + document.body.innerText").await.unwrap_or_default();
            eprintln!("the browser was at {}", text.as_str().unwrap_or("nowhere"));
        }
        browser.command(reqwest::Method::DELETE, "", None).await.expect("the browser ends");
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    }

    async fn open(admin: SocketAddr, manner: Manner) -> Self {
        let (service, port) = start();
        let profile = tempfile::tempdir().expect("a folder");
        let arguments = [
            "--headless".to_owned(),
            "--no-sandbox".into(),
            "--disable-gpu".into(),
            "--disable-quic".into(),
            "--disable-dev-shm-usage".into(),
            "--no-first-run".into(),
            "--disable-background-networking".into(),
            "--disable-component-update".into(),
            "--disable-sync".into(),
            "--disable-extensions".into(),
            "--window-size=1280,900".into(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let scripts = match manner.scripts {
            Scripts::On => 1,
            Scripts::Off => 2,
        };
        let preferences = json!({
            "intl.accept_languages": manner.language,
            "profile.managed_default_content_settings.javascript": scripts,
        });
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments, "prefs": preferences},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        });
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let session = format!("http://127.0.0.1:{port}/session");
        let mut browser =
            Self { client, session, base: format!("http://{admin}"), _service: service, _profile: profile };
        let asked = json!({"capabilities": {"alwaysMatch": capabilities}});
        let made = browser.command(reqwest::Method::POST, "", Some(asked)).await.expect("a browser");
        browser.session = format!("{}/{}", browser.session, made["sessionId"].as_str().expect("a session"));
        browser
    }

    /// A command of `WebDriver` (W3C), and what it answers.
    async fn command(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Result<Value, String> {
        let mut request = self.client.request(method, format!("{}{path}", self.session));
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let reply = request.send().await.map_err(|error| error.to_string())?;
        let ok = reply.status().is_success();
        let text = reply.text().await.map_err(|error| error.to_string())?;
        let mut reply: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        if ok { Ok(reply["value"].take()) } else { Err(reply["value"]["message"].to_string()) }
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value, String> {
        self.command(reqwest::Method::POST, path, Some(body)).await
    }

    /// A command of the debugger.
    pub(crate) async fn debug(&self, command: &str, parameters: Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        self.post("/goog/cdp/execute", body).await.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Opens a tab and goes there; the answer is where it was before.
    pub(crate) async fn open_tab(&self) -> Value {
        let before = self.command(reqwest::Method::GET, "/window", None).await.expect("a window");
        let tab = self.post("/window/new", json!({"type": "tab"})).await.expect("a tab");
        self.post("/window", json!({"handle": tab["handle"]})).await.expect("there");
        before
    }

    /// Closes the tab and goes to another.
    pub(crate) async fn close_tab(&self, to: Value) {
        self.command(reqwest::Method::DELETE, "/window", None).await.expect("closed");
        self.post("/window", json!({ "handle": to })).await.expect("there");
    }

    /// As the browser's own button does.
    pub(crate) async fn back(&self) {
        self.post("/back", json!({})).await.expect("back");
    }

    /// The page as it is now.
    pub(crate) async fn source(&self) -> String {
        self.script("return document.documentElement.outerHTML").await.as_str().expect("a page").to_owned()
    }

    /// Goes to this path.
    pub(crate) async fn go(&self, path: &str) {
        self.post("/url", json!({"url": format!("{}{path}", self.base)})).await.expect("a page");
    }

    /// The path and query where it is.
    pub(crate) async fn place(&self) -> String {
        let url = self.command(reqwest::Method::GET, "/url", None).await.expect("an address");
        let url = url.as_str().expect("an address");
        url.strip_prefix(&self.base).unwrap_or(url).to_owned()
    }

    /// The element, when it is there.
    #[track_caller]
    pub(crate) fn see<'b>(&'b self, css: &'b str) -> impl Future<Output = Element> + 'b {
        let caller = std::panic::Location::caller();
        async move {
            let deadline = Instant::now() + PATIENCE;
            loop {
                if let Some(element) = self.find("css selector", css).await.into_iter().next() {
                    return element;
                }
                assert!(Instant::now() < deadline, "{css} did not appear ({caller})");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// Whether the element is there now.
    pub(crate) async fn has(&self, css: &str) -> bool {
        !self.find("css selector", css).await.is_empty()
    }

    /// The element's text.
    pub(crate) async fn text(&self, css: &str) -> String {
        {
            let element = self.see(css).await;
            self.text_of(&element).await.expect("a text")
        }
    }

    /// Waits until the element's text holds `wanted`.
    pub(crate) async fn wait_for_text(&self, css: &str, wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = match self.find("css selector", css).await.first() {
                Some(element) => self.text_of(element).await.unwrap_or_default(),
                None => String::new(),
            };
            if text.contains(wanted) {
                return;
            }
            assert!(Instant::now() < deadline, "{css} never said {wanted:?}, but {text:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Clicks the element.
    pub(crate) async fn click(&self, css: &str) {
        let element = self.see(css).await;
        self.click_on(&element).await.unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    /// Clicks the element, whatever comes of it.
    pub(crate) async fn try_click(&self, css: &str) -> Result<(), String> {
        let element = self.see(css).await;
        self.click_on(&element).await
    }

    /// Clicks the button or link that is called this.
    pub(crate) async fn press(&self, label: &str) {
        let path = format!("//main//*[(self::a or self::button) and normalize-space()='{label}']");
        let deadline = Instant::now() + PATIENCE;
        loop {
            for found in self.find("xpath", &path).await {
                let displayed =
                    self.command(reqwest::Method::GET, &format!("/element/{}/displayed", found.0), None).await;
                if displayed.is_ok_and(|displayed| displayed == true) {
                    return self.click_on(&found).await.unwrap_or_else(|error| panic!("{label}: {error}"));
                }
            }
            assert!(Instant::now() < deadline, "nothing is called {label:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Puts this into the field.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        let field = self.see(css).await;
        self.post(&format!("/element/{}/clear", field.0), json!({})).await.expect("cleared");
        self.post(&format!("/element/{}/value", field.0), json!({ "text": text })).await.expect("typed");
    }

    /// Presses these keys one after another, wherever the focus is.
    pub(crate) async fn keys(&self, keys: &str) {
        let strokes = keys.chars().flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key})));
        let actions = json!([{"type": "key", "id": "keyboard", "actions": strokes.collect::<Vec<_>>()}]);
        self.post("/actions", json!({ "actions": actions })).await.expect("pressed");
    }

    /// Presses the second key while the first is held down.
    pub(crate) async fn chord(&self, [held, key]: [&str; 2]) {
        let strokes = [("keyDown", held), ("keyDown", key), ("keyUp", key), ("keyUp", held)];
        let strokes = strokes.map(|(kind, value)| json!({"type": kind, "value": value}));
        let actions = json!([{"type": "key", "id": "keyboard", "actions": strokes}]);
        self.post("/actions", json!({ "actions": actions })).await.expect("pressed");
    }

    /// Cuts the network off, or brings it back.
    pub(crate) async fn network(&self, network: Network) {
        self.debug("Network.enable", json!({})).await;
        let conditions = json!({"offline": network == Network::Lost, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
        self.debug("Network.emulateNetworkConditions", conditions).await;
    }

    /// A property of the element, as text.
    pub(crate) async fn property(&self, css: &str, name: &str) -> String {
        let element = self.see(css).await;
        let value = self.command(reqwest::Method::GET, &format!("/element/{}/property/{name}", element.0), None).await;
        match value.expect("a property") {
            Value::Null => String::new(),
            Value::String(text) => text,
            value @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => value.to_string(),
        }
    }

    /// What the script answers.
    pub(crate) async fn script(&self, script: &str) -> Value {
        self.try_script(script).await.expect("run")
    }

    /// What the script hands to its last argument, some time.
    pub(crate) async fn script_later(&self, script: &str) -> Value {
        self.post("/execute/async", json!({"script": script, "args": []})).await.expect("run")
    }

    async fn try_script(&self, script: &str) -> Result<Value, String> {
        self.post("/execute/sync", json!({"script": script, "args": []})).await
    }

    async fn find(&self, using: &str, value: &str) -> Vec<Element> {
        let found = self.post("/elements", json!({"using": using, "value": value})).await.unwrap_or_default();
        let elements = found.as_array().map(Vec::as_slice).unwrap_or_default();
        elements.iter().filter_map(|found| found[ELEMENT].as_str()).map(|id| Element(id.to_owned())).collect()
    }

    async fn text_of(&self, element: &Element) -> Result<String, String> {
        let text = self.command(reqwest::Method::GET, &format!("/element/{}/text", element.0), None).await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    async fn click_on(&self, element: &Element) -> Result<(), String> {
        self.post(&format!("/element/{}/click", element.0), json!({})).await.map(drop)
    }

    /// Everything that is wrong with what the browser said and did so far: its complaints, and requests to others.
    pub(crate) async fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for entry in self.log("browser").await {
            let text = entry["message"].as_str().unwrap_or_default();
            // A refusal's status is one of the things that pages answer.
            if !text.contains("the server responded with a status of 4") {
                faults.push(text.to_owned());
            }
        }
        for entry in self.log("performance").await {
            let message: Value =
                serde_json::from_str(entry["message"].as_str().unwrap_or_default()).unwrap_or_default();
            let url = message["message"]["params"]["request"]["url"].as_str().unwrap_or_default();
            let own = url.is_empty()
                || url.starts_with(&self.base)
                || url.starts_with("chrome:")
                || url.starts_with("data:")
                || url == "about:blank";
            if message["message"]["method"] == "Network.requestWillBeSent" && !own {
                faults.push(format!("a request to {url}"));
            }
        }
        faults
    }

    async fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.post("/se/log", json!({ "type": kind })).await.expect("a log");
        entries.as_array().expect("a list").clone()
    }
}

/// A `chromedriver`, and its port.
fn start() -> (Service, u16) {
    let mut command = Command::new("chromedriver");
    command
        .args(["--port=0", "--allowed-ips=127.0.0.1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().expect("chromedriver: packaging/install-test-tools installs it");
    let stdout = child.stdout.take().expect("piped");
    let service = Service(child);
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    let port = lines.find_map(|line| line.split_once("successfully on port ").map(|(_, port)| port.to_owned()));
    let port = port.and_then(|port| port.trim_end_matches('.').parse().ok()).expect("chromedriver listens");
    std::thread::spawn(move || lines.for_each(drop)); // so that it never waits for a reader
    (service, port)
}
