//! What stands around every page: language, theme, who is signed in, where one is.

use super::super::session::Administrator;
use super::assets;
use super::words::{Language, Words};
use crate::domain::Permission;

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
    /// The message `key`.
    pub(super) fn t(&self, key: &str) -> String {
        self.words.t(key)
    }

    /// Whether whoever is signed in has the permission.
    pub(super) fn may(&self, permission: &str) -> bool {
        let wanted = Permission::ALL.into_iter().find(|known| known.as_str() == permission);
        wanted.is_some_and(|wanted| self.who.as_ref().is_some_and(|who| who.may(&[wanted])))
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
