//! What the connect page says, in every language that it speaks: one struct, so that a string that is
//! missing in one does not compile. `{app}`, `{service}` and the like are filled in by [`fill`].

mod de;
mod en;
mod es;
mod fields;
mod fr;
mod ja;
mod zh_hant;

pub(crate) use fields::of_field;
pub use fields::untranslated_field;

/// The languages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Lang {
    /// English.
    #[default]
    En,
    /// German.
    De,
    /// French.
    Fr,
    /// Spanish.
    Es,
    /// Japanese.
    Ja,
    /// Chinese in traditional characters.
    ZhHant,
}

impl Lang {
    /// All, in the order of the switch.
    pub(crate) const ALL: [Self; 6] =
        [Self::En, Self::De, Self::Fr, Self::Es, Self::Ja, Self::ZhHant];

    /// The tag (BCP 47).
    #[must_use]
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
            Self::Fr => "fr",
            Self::Es => "es",
            Self::Ja => "ja",
            Self::ZhHant => "zh-Hant",
        }
    }

    /// The language's own name.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::De => "Deutsch",
            Self::Fr => "Français",
            Self::Es => "Español",
            Self::Ja => "日本語",
            Self::ZhHant => "繁體中文",
        }
    }

    /// What the page says in it.
    #[must_use]
    pub(crate) fn words(self) -> &'static Words {
        match self {
            Self::En => &en::WORDS,
            Self::De => &de::WORDS,
            Self::Fr => &fr::WORDS,
            Self::Es => &es::WORDS,
            Self::Ja => &ja::WORDS,
            Self::ZhHant => &zh_hant::WORDS,
        }
    }

    /// The language of a tag. All of Chinese is taken for the one that there is.
    #[must_use]
    pub(crate) fn of_tag(tag: &str) -> Option<Self> {
        let main = tag.trim().split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
        match main.as_str() {
            "en" => Some(Self::En),
            "de" => Some(Self::De),
            "fr" => Some(Self::Fr),
            "es" => Some(Self::Es),
            "ja" => Some(Self::Ja),
            "zh" => Some(Self::ZhHant),
            _ => None,
        }
    }

    /// The one that an `Accept-Language` header likes best (RFC 9110, section 12.5.4).
    #[must_use]
    pub(crate) fn accepted(header: &str) -> Option<Self> {
        let mut best: Option<(Self, u32)> = None;
        for part in header.split(',').take(50) {
            let mut pieces = part.split(';');
            let Some(lang) = Self::of_tag(pieces.next().unwrap_or_default()) else { continue };
            let weight = pieces.find_map(|piece| piece.trim().strip_prefix("q="));
            let weight = weight.map_or(Some(1.0), |text| text.parse::<f32>().ok());
            let weight = weight.filter(|weight| (0.0..=1.0).contains(weight)).unwrap_or(0.0);
            let weight = (weight * 1_000.0) as u32;
            if weight > 0 && best.is_none_or(|(_, most)| weight > most) {
                best = Some((lang, weight));
            }
        }
        best.map(|(lang, _)| lang)
    }
}

macro_rules! words {
    ($($name:ident,)*) => {
        /// Every string of the pages.
        pub(crate) struct Words { $(pub(crate) $name: &'static str,)* }

        #[cfg(test)]
        impl Words {
            fn all(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

words! {
    choose_title, choose_text, choose_again_title, search, none_found, found_some, organisation,
    no_choice_title, no_choice_text,
    form_title, form_text, again_title, again_text, optional, connect, checking, show, hide,
    back, cancel, private,
    trouble_title, credential, unreachable, certificate, guarded, forbidden, elsewhere, timeout,
    busy, check_form, other_identity, denied, service_failed, not_set_up, our_fault, details,
    tries_title, tries_text,
    required, bad_url, bad_number, bad_line, too_long, look_here,
    done_title, done_text, done_again, close, closing, copy_token_title, copy_code_title, copy_text,
    copy, copied,
    untrusted_title, untrusted_text, cancelled_title, cancelled_text, failed_title,
    lost_title, lost_text, bad_request_title, bad_request_text, developer_note,
    language, skip,
}

/// Puts values where their names stand in braces.
#[must_use]
pub(crate) fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(text.len() + 32);
    let mut rest = text;
    // One pass, so that a value is never read for names again.
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let named = after.split_once('}').and_then(|(name, tail)| {
            let value = values.iter().find(|(own, _)| *own == name)?;
            Some((value.1, tail))
        });
        match named {
            Some((value, tail)) => {
                out.push_str(value);
                rest = tail;
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn names(text: &str) -> BTreeSet<&str> {
        let parts = text.split('{').skip(1);
        parts.filter_map(|part| part.split_once('}').map(|(name, _)| name)).collect()
    }

    #[test]
    fn every_string_is_there_in_every_language_with_the_same_names() {
        let english = Lang::En.words().all();
        for lang in Lang::ALL {
            for ((name, text), (_, original)) in lang.words().all().into_iter().zip(&english) {
                assert!(!text.trim().is_empty(), "{} {name}", lang.tag());
                assert_eq!(names(text), names(original), "{} {name}", lang.tag());
            }
        }
    }

    #[test]
    fn no_language_is_a_copy_of_another() {
        let english = Lang::En.words().all();
        for lang in Lang::ALL.into_iter().skip(1) {
            let same = lang.words().all().into_iter().zip(&english);
            let same: Vec<_> = same.filter(|(own, other)| own.1 == other.1).collect();
            // A few words are the same in two languages.
            assert!(same.len() <= 3, "{}: {same:?}", lang.tag());
        }
    }

    #[test]
    fn the_language_is_the_one_that_the_browser_likes_best() {
        assert_eq!(Lang::accepted("de-AT,de;q=0.9,en;q=0.8"), Some(Lang::De));
        assert_eq!(Lang::accepted("nl, fr;q=0.5, en;q=0.7"), Some(Lang::En));
        assert_eq!(Lang::accepted("zh-TW"), Some(Lang::ZhHant));
        assert_eq!(Lang::accepted("ja;q=0"), None);
        assert_eq!(Lang::accepted("*"), None);
        assert_eq!(Lang::accepted(";;,q=,es;q=x"), None);
        assert_eq!(Lang::accepted("EN_us"), Some(Lang::En));
    }

    #[test]
    fn values_are_put_in_once() {
        let text = fill("{app} {no} {app}{", &[("app", "{service}"), ("service", "x")]);
        assert_eq!(text, "{service} {no} {service}{");
    }
}
