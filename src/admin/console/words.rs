//! The console's words in three languages.
//!
//! Promises: every message exists in every language with the same variables (a test compares the files); numbers and
//! plurals follow the language.

use std::borrow::Cow;
use std::collections::HashMap;

use fluent_templates::fluent_bundle::FluentValue;
use fluent_templates::{LanguageIdentifier, Loader, langid, static_loader};

static_loader! {
    static MESSAGES = {
        locales: "./src/admin/console/locales",
        fallback_language: "en",
        // Names are isolated one by one, where they come from outside.
        customise: |bundle| bundle.set_use_isolating(false),
    };
}

/// A language of the console.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Language {
    /// English.
    #[default]
    En,
    /// Spanish.
    Es,
    /// Portuguese.
    Pt,
}

static EN: LanguageIdentifier = langid!("en");
static ES: LanguageIdentifier = langid!("es");
static PT: LanguageIdentifier = langid!("pt");

impl Language {
    /// Every language, as the switch shows them.
    pub(super) const ALL: [Self; 3] = [Self::En, Self::Es, Self::Pt];

    /// Its tag (RFC 5646).
    pub(super) const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Es => "es",
            Self::Pt => "pt",
        }
    }

    /// Its name in itself.
    pub(super) const fn own_name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::Es => "Espa\u{f1}ol",
            Self::Pt => "Portugu\u{ea}s",
        }
    }

    /// The language with this tag, whatever its region.
    pub(super) fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.trim().split(['-', '_']).next().unwrap_or_default();
        Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(primary))
    }

    /// The one of `Accept-Language` that is liked best (RFC 9110 §12.5.4), of equals the first.
    pub(super) fn liked(field: &str) -> Self {
        let mut best: Option<(Self, f32)> = None;
        for range in field.split(',') {
            let (tag, quality) = range.split_once(';').unwrap_or((range, "q=1"));
            let quality: f32 = quality.trim().strip_prefix("q=").and_then(|q| q.parse().ok()).unwrap_or(0.0);
            let better = quality > best.map_or(0.0, |(_, best)| best);
            if let Some(language) = Self::of_tag(tag).filter(|_| better) {
                best = Some((language, quality));
            }
        }
        best.map_or(Self::En, |(language, _)| language)
    }

    fn id(self) -> &'static LanguageIdentifier {
        match self {
            Self::En => &EN,
            Self::Es => &ES,
            Self::Pt => &PT,
        }
    }
}

/// The words of one language.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Words(pub(super) Language);

impl Words {
    /// The message `key`.
    pub(super) fn t(self, key: &str) -> String {
        self.look_up(key, None)
    }

    /// The message `key` about `name`, which comes from outside: it is set apart, so that text of another direction
    /// does not disturb what stands around it.
    pub(super) fn about(self, key: &str, name: &str) -> String {
        self.with(key, "name", &format!("\u{2068}{name}\u{2069}"))
    }

    /// The message `key` with `value` in place of its variable `variable`.
    pub(super) fn with(self, key: &str, variable: &'static str, value: &str) -> String {
        self.look_up(key, Some(HashMap::from([(Cow::Borrowed(variable), FluentValue::from(value.to_owned()))])))
    }

    /// The message `key` about so many.
    pub(super) fn count(self, key: &str, count: impl TryInto<u64>) -> String {
        let count = count.try_into().unwrap_or(u64::MAX);
        let arguments = HashMap::from([
            (Cow::Borrowed("count"), FluentValue::from(count)),
            (Cow::Borrowed("n"), FluentValue::from(self.number(count))),
        ]);
        self.look_up(key, Some(arguments))
    }

    /// The message `key` with several variables.
    pub(super) fn fill(self, key: &str, values: &[(&'static str, &str)]) -> String {
        let arguments =
            values.iter().map(|(name, value)| (Cow::Borrowed(*name), FluentValue::from((*value).to_owned())));
        self.look_up(key, Some(arguments.collect()))
    }

    /// The message `key`, if there is one.
    pub(super) fn known(self, key: &str) -> Option<String> {
        MESSAGES.try_lookup(self.0.id(), key)
    }

    /// Whether there is a message `key`, whatever its variables.
    pub(super) fn knows(self, key: &str) -> bool {
        let any = ["name", "count", "n"].map(|name| (Cow::Borrowed(name), FluentValue::from(1)));
        MESSAGES.try_lookup_with_args(self.0.id(), key, &HashMap::from(any)).is_some()
    }

    /// A number, its thousands set apart as the language does.
    pub(super) fn number(self, number: impl TryInto<u64>) -> String {
        let digits = number.try_into().unwrap_or(u64::MAX).to_string();
        let (mark, fewest) = match self.0 {
            Language::En => (',', 4),
            Language::Es => ('.', 5), // four digits stand together in Spanish
            Language::Pt => ('.', 4),
        };
        if digits.len() < fewest {
            return digits;
        }
        let mut text = String::with_capacity(digits.len() * 4 / 3);
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at) % 3 == 0 {
                text.push(mark);
            }
            text.push(digit);
        }
        text
    }

    fn look_up(self, key: &str, arguments: Option<HashMap<Cow<'static, str>, FluentValue<'_>>>) -> String {
        let found = match arguments {
            Some(arguments) => MESSAGES.try_lookup_with_args(self.0.id(), key, &arguments),
            None => MESSAGES.try_lookup(self.0.id(), key),
        };
        // What a test would find: see `tests/it/console`.
        found.unwrap_or_else(|| format!("\u{27e6}{key}\u{27e7}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// Every message's variables.
    fn messages(text: &str) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut messages: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut current = "";
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some((id, _)) = line.split_once('=').filter(|_| line.starts_with(|c: char| c.is_ascii_lowercase())) {
                current = id.trim();
                assert!(messages.insert(current, BTreeSet::new()).is_none(), "{current} is there twice");
            }
            for piece in line.split('$').skip(1) {
                let end = piece.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(piece.len());
                messages.entry(current).or_default().insert(&piece[..end]);
            }
        }
        messages
    }

    const FILES: [(&str, &str); 3] = [
        ("en", include_str!("locales/en/console.ftl")),
        ("es", include_str!("locales/es/console.ftl")),
        ("pt", include_str!("locales/pt/console.ftl")),
    ];

    #[test]
    fn every_message_is_in_every_language_with_the_same_variables() {
        let english = messages(FILES[0].1);
        for (language, text) in FILES {
            let told = messages(text);
            for (id, variables) in &english {
                assert_eq!(told.get(id), Some(variables), "{language}: {id}");
            }
            for id in told.keys() {
                assert!(english.contains_key(id), "{language}: {id} is not in English");
            }
        }
    }

    #[test]
    fn every_message_has_words_and_can_be_looked_up() {
        for language in Language::ALL {
            for (id, variables) in messages(FILES[0].1) {
                let arguments: HashMap<_, _> =
                    variables.iter().map(|name| (Cow::Owned((*name).to_owned()), FluentValue::from(2))).collect();
                let found = MESSAGES.try_lookup_with_args(language.id(), id, &arguments);
                assert!(found.is_some_and(|text| !text.trim().is_empty()), "{language:?}: {id}");
            }
        }
    }

    #[test]
    fn the_words_of_the_rules_are_the_words_of_the_console() {
        for (key, en, es, pt) in [
            ("renew-token", "Renew token", "Renovar token", "Renovar token"),
            ("copy", "Copy", "Copiar", "Copiar"),
            ("delete-old-token", "Delete old token", "Eliminar token antiguo", "Excluir token antigo"),
            ("plan-later", "Later", "Despu\u{e9}s", "Depois"),
            ("plan-now", "Now", "Ahora", "Agora"),
            ("plan-after", "After\u{2026}", "Despu\u{e9}s de\u{2026}", "Depois de\u{2026}"),
            ("plan-quiet", "When quiet for\u{2026}", "Sin uso durante\u{2026}", "Sem uso durante\u{2026}"),
            ("complete", "Complete", "Finalizar", "Finalizar"),
            ("delete", "Delete", "Eliminar", "Excluir"),
            ("undo-renewal", "Undo renewal", "Deshacer renovaci\u{f3}n", "Desfazer renova\u{e7}\u{e3}o"),
            ("undo", "Undo", "Deshacer", "Desfazer"),
            ("token-duration", "Token duration", "Duraci\u{f3}n del token", "Dura\u{e7}\u{e3}o do token"),
            (
                "pending-deletion",
                "Pending deletion: old token",
                "Eliminaci\u{f3}n pendiente: token antiguo",
                "Exclus\u{e3}o pendente: token antigo",
            ),
            ("outdated", "Outdated", "Obsoleto", "Obsoleto"),
            ("generate-key", "Generate key", "Generar clave", "Gerar chave"),
            (
                "key-identification",
                "Key identification",
                "Identificaci\u{f3}n de la clave",
                "Identifica\u{e7}\u{e3}o da chave",
            ),
            ("active", "Active", "Activa", "Ativa"),
            ("inactive", "Inactive", "Inactiva", "Inativa"),
        ] {
            assert_eq!([Language::En, Language::Es, Language::Pt].map(|language| Words(language).t(key)), [en, es, pt]);
        }
    }

    #[test]
    fn numbers_and_plurals_follow_the_language() {
        let [en, es, pt] = Language::ALL.map(Words);
        assert_eq!([en, es, pt].map(|words| words.number(10_000_u64)), ["10,000", "10.000", "10.000"]);
        assert_eq!([en, es, pt].map(|words| words.number(1_234_u64)), ["1,234", "1234", "1.234"]);
        assert_eq!(en.number(999_u64), "999");
        assert_eq!([en, es, pt].map(|w| w.count("days", 1_u64)), ["1 day", "1 d\u{ed}a", "1 dia"]);
        assert_eq!([en, es, pt].map(|w| w.count("days", 2_000_u64)), ["2,000 days", "2000 d\u{ed}as", "2.000 dias"]);
    }

    #[test]
    fn the_browser_is_asked_for_its_language() {
        for (field, language) in [
            ("pt-BR,pt;q=0.9,en;q=0.8", Language::Pt),
            ("fr, es-419;q=0.7, en;q=0.3", Language::Es),
            ("de, fr;q=0.5", Language::En),
            ("en;q=0, es;q=0.1", Language::Es),
            ("", Language::En),
            ("es;q=x, pt", Language::Pt),
        ] {
            assert_eq!(Language::liked(field), language, "{field}");
        }
    }
}
