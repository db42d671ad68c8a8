//! The pages of administrators: the flow of keys, and what is shown and done by whom.

use serde_json::{Value, json};

use super::super::support::gateway::TestGateway;
use super::super::support::request::request;
use super::access::{ask, form, page, session_of};
use super::{Browser, ENGLISH, Manner, gateway, open_menu, shown_token, sign_in};

/// What the admin port answers to this token.
fn status(gateway: &TestGateway, token: &str, path: &str) -> u16 {
    gateway.admin_raw(&request("GET", path).token(token)).status
}

/// A new administrator's token.
fn appoint(gateway: &TestGateway, body: &Value) -> String {
    let made = gateway.admin("POST", "/v1/admins", Some(body));
    assert_eq!(made.status, 201, "{}", made.json);
    made.json["token"].as_str().expect("a token").to_owned()
}

#[test]
fn an_administrator_is_created_and_renewed_in_portuguese() {
    let gateway = gateway();
    let manner = Manner { language: "pt", ..ENGLISH };
    Browser::run(gateway.admin_address(), manner, async |browser| {
        sign_in(browser, &gateway).await;
        browser.click(".nav a[href='/console/admins']").await;
        browser.wait_for_text(".nav", "Chaves").await;
        browser.press("Criar administrador").await;
        browser.fill("#name", "root").await;
        browser.fill("#limited-to", "pedidos:ler").await;
        browser.click("[name='may-keys:read']").await;
        browser.click("[name='may-keys:renew']").await;
        browser.press("Criar administrador").await;
        browser.wait_for_text("#name-hint", "Outro administrador tem esse nome").await;
        browser.fill("#name", "ana").await;
        browser.press("Criar administrador").await;
        let first = shown_token(browser).await;
        assert!(first.starts_with("rlva_"), "{first}");
        browser.press("Copiar").await;
        browser.wait_for_text("[data-when-copied]", "Copiado").await;
        assert_eq!(status(&gateway, &first, "/v1/keys"), 200);
        let made = gateway.admin("GET", "/v1/admins/ana", None).json;
        assert_eq!(
            (&made["permissions"], &made["limited_to_role"]),
            (&json!(["keys:read", "keys:renew"]), &json!("pedidos:ler"))
        );
        browser.wait_for_text(".lead", "entrar como este administrador").await;
        browser.press("Finalizar").await;
        browser.wait_for_text("[aria-labelledby=about-title]", "pedidos:ler").await;

        browser.press("Renovar token").await;
        let second = shown_token(browser).await;
        browser.press("Copiar").await;
        browser.wait_for_text("[data-when-copied]", "Copiado").await;
        browser.press("Finalizar").await;
        browser.wait_for_text(".note.good", "O plano").await;
        assert_eq!((status(&gateway, &first, "/v1/keys"), status(&gateway, &second, "/v1/keys")), (200, 200));
        browser.go("/console/admins").await;
        browser.wait_for_text(".note.pending", "1 administrador tem").await;
        browser.press("ana").await;
        browser.press("Excluir token antigo").await;
        browser.wait_for_text(".callers", "/v1/keys").await;
        browser.press("Excluir").await;
        browser.wait_for_text(".note.good", "O token antigo foi exclu").await;
        assert_eq!((status(&gateway, &first, "/v1/keys"), status(&gateway, &second, "/v1/keys")), (401, 200));

        assert_eq!(browser.faults().await, Vec::<String>::new());
    });
}

#[test]
fn an_administrator_is_edited_switched_and_deleted_and_the_last_one_stays() {
    let gateway = gateway();
    let body = json!({"name": "ana", "permissions": ["keys:read", "keys:renew"]});
    let token = appoint(&gateway, &body);
    let id = |name: &str| {
        let shown = gateway.admin("GET", &format!("/v1/admins/{name}"), None).json;
        shown["id"].as_str().expect("an id").to_owned()
    };
    let (ana, root) = (id("ana"), id("root"));
    let manner = Manner { language: "pt", ..ENGLISH };
    Browser::run(gateway.admin_address(), manner, async |browser| {
        sign_in(browser, &gateway).await;
        browser.go(&format!("/console/admins/{ana}")).await;
        browser.press("Editar").await;
        browser.click("[name='may-keys:renew']").await;
        browser.fill("#owner", "Log\u{ed}stica").await;
        browser.press("Salvar").await;
        browser.wait_for_text(".lines", "Permiss\u{f5}es keys:read, keys:renew").await;
        browser.go(&format!("/console/admins/{ana}/switch")).await;
        browser.press("Desativar").await;
        browser.wait_for_text(".note.good", "inativo").await;
        assert_eq!(status(&gateway, &token, "/v1/keys"), 401);
        browser.go(&format!("/console/admins/{ana}/delete")).await;
        browser.click("[name=understood]").await;
        browser.press("Excluir").await;
        browser.wait_for_text(".note.good", "O administrador foi exclu").await;
        assert_eq!(gateway.admin("GET", "/v1/admins/ana", None).status, 404);
        // The last one stays.
        browser.go(&format!("/console/admins/{root}/switch")).await;
        browser.press("Desativar").await;
        browser.wait_for_text("main h1", "Ningu\u{e9}m mais").await;
        assert_eq!(gateway.admin("GET", "/v1/admins/root", None).json["status"], "active");
        assert_eq!(browser.faults().await, Vec::<String>::new());
    });
}

#[test]
fn whoever_may_less_finds_no_buttons_and_forced_posts_are_refused() {
    let gateway = gateway();
    let clerk = appoint(&gateway, &json!({"name": "clerk", "permissions": ["admins:write", "keys:read"]}));
    appoint(&gateway, &json!({"name": "reader", "permissions": ["keys:read"]}));
    let reader = appoint(&gateway, &json!({"name": "reader two", "permissions": ["keys:read"]}));
    let key = gateway.create_key("ci").done();
    let id = |name: &str| {
        let shown = gateway.admin("GET", &format!("/v1/admins/{name}"), None).json;
        shown["id"].as_str().expect("an id").to_owned()
    };
    let (root, other) = (id("root"), id("reader"));
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        browser.go("/console/sign-in").await;
        browser.fill("#token", &clerk).await;
        browser.click("main form button").await;
        browser.see(".account-name").await;
        browser.go(&format!("/console/admins/{root}")).await;
        browser.wait_for_text("h1", "root").await;
        for absent in [".head .button", ".head .menu", "main form"] {
            assert!(!browser.has(absent).await, "{absent} is there");
        }
        browser.go(&format!("/console/admins/{other}")).await;
        assert!(browser.has(".head .button.primary").await, "of whoever may no more than himself it is there");
        browser.go("/console/admins/new").await;
        assert!(browser.has("[name='may-keys:read']").await && !browser.has("[name='may-keys:write']").await);
        browser.go("/console/keys").await;
        assert!(!browser.has(".head .button").await, "no key can be generated");
        open_menu(browser).await;
        assert!(!browser.has(".cell-menu form").await);
        assert_eq!(browser.faults().await, Vec::<String>::new());
    });
    let before = gateway.admin("GET", "/v1/admins/root", None).json["version"].clone();
    let cookie = session_of(&gateway, &clerk);
    let post = |cookie: &str, path: &str, fields: &str| {
        ask(&gateway, &form(&gateway, path, fields).header("Cookie", cookie)).status
    };
    for (path, fields) in [
        (format!("/console/admins/{root}/renew"), ""),
        (format!("/console/admins/{root}/switch"), "to=inactive"),
        (format!("/console/admins/{root}/delete"), "understood=on"),
        (format!("/console/admins/{root}/edit"), "name=root&may-keys:read=on&duration=never"),
        (format!("/console/keys/{}/renew", key.id), ""),
        (format!("/console/keys/{}/delete", key.id), "understood=on"),
    ] {
        assert_eq!(post(&cookie, &path, fields), 403, "{path}");
    }
    // What he lacks himself is not even looked at.
    assert_eq!(post(&cookie, "/console/admins/new", "name=tool&may-keys:write=on&duration=never"), 200);
    assert_eq!(gateway.admin("GET", "/v1/admins/tool", None).json["permissions"], json!([]));
    assert_eq!(gateway.admin("GET", "/v1/admins/root", None).json["version"], before);
    assert_eq!(gateway.admin("GET", "/v1/keys/ci", None).json["renewal"], Value::Null);

    let cookie = session_of(&gateway, &reader);
    let shown = page(&gateway, "/console/keys", &cookie);
    assert!(shown.status == 200 && !shown.text().contains("/console/admins"), "no way leads there");
    assert_eq!(page(&gateway, "/console/admins", &cookie).status, 403);
    assert_eq!(post(&cookie, &format!("/console/admins/{other}/renew"), ""), 403);
}

#[test]
fn the_overview_shows_the_requests_of_every_key_to_nobody_who_is_limited_to_a_role() {
    let gateway = gateway();
    let permissions = json!(["keys:read", "metrics:read"]);
    let free = appoint(&gateway, &json!({"name": "ben", "permissions": permissions}));
    let limited = appoint(&gateway, &json!({"name": "ana", "permissions": permissions, "limited_to_role": "a"}));
    let has_charts = |token: &str| {
        let overview = page(&gateway, "/console/", &session_of(&gateway, token));
        assert_eq!(overview.status, 200, "{}", overview.text());
        overview.text().contains("class=\"card chart\"")
    };
    for (token, sees_them) in [(&free, true), (&limited, false)] {
        assert_eq!(status(&gateway, token, "/metrics") == 200, sees_them);
        assert_eq!(has_charts(token), sees_them);
    }
}
