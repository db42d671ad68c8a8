//! The console in a real browser, with the data plane beside it: what the page says is what requests meet.

mod access;
mod admins;
mod adoption;
mod flow;
mod gallery;
mod history;
mod keyboard;
mod leaving;
mod life;
mod look;
mod many;
mod plain;

use super::support::backend::Backend;
use super::support::browser::{Browser, Manner, Scripts};
use super::support::gateway::{Holder, TestGateway};

const ENGLISH: Manner = Manner { language: "en", scripts: Scripts::On };

/// A gateway before a backend, and a console.
struct Site {
    gateway: TestGateway,
    _backend: Backend,
}

impl std::ops::Deref for Site {
    type Target = TestGateway;

    fn deref(&self) -> &TestGateway {
        &self.gateway
    }
}

fn gateway() -> Site {
    let backend = Backend::answering("hello");
    Site { gateway: TestGateway::in_front_of(&backend).start(), _backend: backend }
}

/// Signs in with the first administrator's token.
async fn sign_in(browser: &Browser, gateway: &TestGateway) {
    browser.go("/console/").await;
    browser.fill("#token", gateway.root_token()).await;
    browser.click("main form button").await;
    browser.see(".account-name").await;
    browser.go("/console/keys").await;
}

/// Opens the row menu of the list's only key.
async fn open_menu(browser: &Browser) {
    browser.click(".cell-menu summary").await;
}

/// The token that the page shows.
async fn shown_token(browser: &Browser) -> String {
    browser.property("#secret", "value").await
}

/// What the data plane answers to both tokens.
fn both(gateway: &TestGateway, old: &Holder, new: &str) -> (u16, u16) {
    let new = Holder { token: new.to_owned(), ..old.clone() };
    (gateway.status_with(old), gateway.status_with(&new))
}
