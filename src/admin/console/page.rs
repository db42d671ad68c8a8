//! What stands around every page: language, theme, who is signed in, where one is.

use std::borrow::Cow;

use super::super::session::Administrator;
use super::assets;
use super::words::{Language, Words};
use crate::domain::{Permission, Realm};

/// Light, dark, or as the system says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Theme {
    /// As the system says.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// Every theme, as the switch shows them.
    pub(super) const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    /// Its name in cookies, forms and style sheets.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The theme with this name.
    pub(super) fn of(name: &str) -> Self {
        Self::ALL.into_iter().find(|theme| theme.as_str() == name).unwrap_or_default()
    }
}

/// The frame of a page.
#[derive(Clone)]
pub(super) struct Page {
    pub(super) words: Words,
    pub(super) theme: Theme,
    /// Whoever is signed in.
    pub(super) who: Option<Administrator>,
    /// The page's own path and query: where a change of language or theme comes back to.
    pub(super) here: String,
}

impl Page {
    /// The message `key`; among administrators the one about them, if there is one.
    pub(super) fn t(&self, key: &str) -> String {
        self.words.t(&self.own(key))
    }

    /// The same, if there is one.
    pub(super) fn known(&self, key: &str) -> Option<String> {
        self.words.known(&self.own(key))
    }

    /// The same about `name`, which comes from outside.
    pub(super) fn about(&self, key: &str, name: &str) -> String {
        self.words.about(&self.own(key), name)
    }

    /// The same about so many.
    pub(super) fn count(&self, key: &str, count: usize) -> String {
        self.words.count(&self.own(key), count)
    }

    fn own<'k>(&self, key: &'k str) -> Cow<'k, str> {
        let of_administrators = (self.realm() == Realm::Admin).then(|| format!("admins-{key}"));
        let known = of_administrators.filter(|key| self.words.knows(key));
        known.map_or(Cow::Borrowed(key), Cow::Owned)
    }

    /// Whose pages these are: those of keys, or of administrators.
    pub(super) fn realm(&self) -> Realm {
        if self.is_in("/console/admins") { Realm::Admin } else { Realm::Gateway }
    }

    /// What these pages are called in addresses, and what the API calls what they show.
    pub(super) fn part(&self) -> &'static str {
        match self.realm() {
            Realm::Gateway => "keys",
            Realm::Admin => "admins",
        }
    }

    /// The page of the key or the administrator with whom something is being done on this one.
    pub(super) fn subject(&self) -> Option<&str> {
        let path = self.here.split('?').next()?;
        let (subject, _step) = path.rsplit_once('/')?;
        let id = subject.strip_prefix("/console/")?.strip_prefix(self.part())?.strip_prefix('/')?;
        (!id.is_empty() && !id.contains('/')).then_some(subject)
    }

    /// Whether whoever is signed in may generate what these pages show.
    pub(super) fn may_write(&self) -> bool {
        self.may(Permission::to_write(self.realm()).as_str())
    }

    /// Whether he may renew its tokens.
    pub(super) fn may_renew(&self) -> bool {
        self.may(Permission::to_renew(self.realm()).as_str())
    }

    /// Whether he may change somebody with these permissions: not who may do more than himself.
    pub(super) fn commands(&self, permissions: &[String]) -> bool {
        permissions.iter().all(|permission| self.may(permission))
    }

    /// Whether whoever is signed in has the permission.
    pub(super) fn may(&self, permission: &str) -> bool {
        let wanted = Permission::ALL.into_iter().find(|known| known.as_str() == permission);
        wanted.is_some_and(|wanted| self.who.as_ref().is_some_and(|who| who.may(&[wanted])))
    }

    /// Whether he may see how many requests were made, which are those of every key.
    pub(super) fn may_see_traffic(&self) -> bool {
        self.may(Permission::MetricsRead.as_str()) && self.who.as_ref().is_some_and(|who| who.authority.is_over_all())
    }

    /// Whether the page lies in this part of the console.
    pub(super) fn is_in(&self, part: &str) -> bool {
        let path = self.here.split('?').next().unwrap_or_default();
        path.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether the page is the overview.
    pub(super) fn is_front(&self) -> bool {
        self.here.split('?').next() == Some("/console/")
    }

    /// The name of whoever is signed in.
    pub(super) fn name(&self) -> &str {
        self.who.as_ref().map_or("", |who| who.name.as_str())
    }

    /// Where an asset is.
    pub(super) fn asset(name: &str) -> String {
        assets::address(name)
    }

    /// The languages, for the switch.
    pub(super) fn languages() -> [Language; 3] {
        Language::ALL
    }

    /// The themes, for the switch.
    pub(super) fn themes() -> [Theme; 3] {
        Theme::ALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_administrators_speak_of_administrators_in_every_language() {
        let english = include_str!("locales/en/console.ftl");
        let own = english.lines().filter_map(|line| line.strip_prefix("admins-")?.split(" =").next());
        let own: Vec<_> = own.collect();
        assert!(own.len() > 30, "{own:?}");
        for words in Language::ALL.map(Words) {
            let page = |here: &str| Page { words, theme: Theme::System, who: None, here: here.into() };
            for key in &own {
                assert!(words.knows(key), "{key} is of nobody else's pages");
                assert_eq!(page("/console/admins/x?y").own(key), format!("admins-{key}"));
                assert_eq!(page("/console/keys").own(key), *key);
            }
            assert_eq!(page("/console/admins").own("copy-title"), "copy-title");
            assert_eq!(page("/console/administrators").own("key"), "key");
        }
    }
    #[test]
    fn a_step_leads_back_to_the_key_that_it_is_about() {
        for (here, subject) in [
            ("/console/keys/key_1/delete-old?x=/", Some("/console/keys/key_1")),
            ("/console/admins/adm_1/undo", Some("/console/admins/adm_1")),
            ("/console/keys/key_1", None),
            ("/console/keys/new", None),
            ("/console/keys", None),
            ("/console/keys//edit", None),
            ("/console/settings/a/b", None),
            ("/console/", None),
        ] {
            let page = Page { words: Words(Language::ALL[0]), theme: Theme::System, who: None, here: here.into() };
            assert_eq!(page.subject(), subject, "{here}");
        }
    }
}
