//! `relevo completions` and `relevo man`: the command line described for shells and readers.
//!
//! Promises: made of the arguments themselves, so that they cannot differ from them.
//! Deliberately does not: install anything.

use clap::CommandFactory;

use super::arguments::Arguments;
use super::failure::Failure;

/// Completions for a shell.
pub(super) fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "relevo", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The manual page of the program, or of the command named by `words`.
pub(super) fn man(words: &[String]) -> Result<String, Failure> {
    let mut command = Arguments::command();
    command.build();
    for word in words {
        let found = command.find_subcommand(word).cloned();
        command = found.ok_or_else(|| Failure::Usage(format!("there is no command {word:?}")))?;
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use clap_complete::Shell;

    use super::*;

    #[test]
    fn every_shell_has_completions() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
            assert!(completions(shell).contains("delete-old"), "{shell}");
        }
    }

    #[test]
    fn the_program_and_each_command_have_a_page() {
        assert!(man(&[]).expect("a page").contains("relevo"));
        let page = man(&["keys".to_owned(), "create".to_owned()]).expect("a page");
        assert!(page.contains("duration"), "{page}");
        assert_eq!(man(&["rotate".to_owned()]).expect_err("no such command").code(), 2);
    }
}
