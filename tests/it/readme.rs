//! The documentation, run: every shell command that a page shows, in the order of the page, by a shell of its own.
//!
//! Promises: an answer that is shown is the answer that came. `…` stands for any text, a line of `…` for any lines, an
//! object for one with at least these fields. What a page leaves running ends with its test.
//! Deliberately does not: run what is not marked as `sh`.

mod links;
mod page;
mod shell;

use page::{Block, Page};
use shell::Shell;

/// What a reader of the reference has before he begins: a gateway with the key `ci` on a store in `relevo-data`.
const SERVED: &str = "relevo serve --config served.toml";

#[test]
fn the_readme_does_what_it_says() {
    let mut shell = Shell::new();
    shell.run_page(&Page::read("README.md"));
}

#[test]
fn the_guide_to_renewal_does_what_it_says() {
    let mut shell = Shell::serving();
    shell.run(SERVED);
    shell.run_page(&Page::read("docs/renewal.md"));
}

#[test]
fn every_command_line_of_the_reference_succeeds() {
    let mut shell = Shell::serving();
    shell.run(SERVED);
    let page = Page::read("docs/cli.md");
    let lines: Vec<_> = page.blocks.iter().flat_map(|block| block.script.lines()).collect();
    assert!(lines.len() >= 7, "{lines:?}");
    for line in lines {
        shell.run("relevo keys create ci");
        shell.run(line);
        shell.run("relevo keys delete ci --yes");
    }
}

#[test]
fn every_call_of_the_admin_reference_is_answered_with_its_status() {
    let mut shell = Shell::serving();
    shell.run(SERVED);
    let page = Page::read("docs/admin-api.md");
    let (first, calls) = page.blocks.split_first().expect("blocks");
    shell.run(&first.script);
    assert!(calls.len() >= 12, "{}", calls.len());
    for call in calls {
        prepare(&mut shell, &call.script);
        let said = shell.run(&telling_status(&call.script));
        let status = said.lines().last().unwrap_or_default();
        assert_eq!(status, &call.after[..3], "{}\nwas answered\n{said}", call.script);
    }
}

/// Makes the key `ci` as a call of the admin API expects it.
fn prepare(shell: &mut Shell, call: &str) {
    let is_creation = call.contains("POST") && call.trim_end().ends_with("/v1/keys");
    shell.run("relevo keys delete ci --yes || true");
    if !is_creation {
        shell.run("relevo keys create ci");
    }
    if ["/renewal", "/delete-old", "/undo"].iter().any(|path| call.trim_end().ends_with(path)) {
        shell.run("relevo renew ci");
    }
}

/// The call, its answer followed by a line with its status.
fn telling_status(call: &str) -> String {
    call.replacen("curl ", "curl -w '\\n%{http_code}\\n' ", 1)
}

#[test]
fn the_configuration_that_comes_along_is_checked_as_the_guide_says() {
    let mut shell = Shell::new();
    let page = Page::read("docs/configuration.md");
    assert_eq!(page.blocks.len(), 1);
    for Block { script, .. } in &page.blocks {
        let said = shell.run(script);
        assert!(said.starts_with("ok\n"), "{said}");
    }
}
