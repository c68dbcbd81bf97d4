//! How an application makes the connect page its own: name, logo, colours.

use tramontane_accounts::Application;
use url::Url;

/// The setting of an application that holds its colours.
pub(crate) const THEME: &str = "connect_theme";
/// The colours that can be set: of buttons and marks, and of the ground, in light and in dark.
pub(crate) const COLOURS: [&str; 4] = ["accent", "accent_dark", "ground", "ground_dark"];

/// One colour, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Colour([u8; 3]);

impl Colour {
    /// Reads `#rrggbb` or `#rgb`.
    #[must_use]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.trim().strip_prefix('#')?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let long: String = match digits.len() {
            6 => digits.to_owned(),
            3 => digits.chars().flat_map(|one| [one, one]).collect(),
            _ => return None,
        };
        let number = u32::from_str_radix(&long, 16).ok()?;
        let [_, red, green, blue] = number.to_be_bytes();
        Some(Self([red, green, blue]))
    }

    /// `#rrggbb`.
    #[must_use]
    pub(crate) fn css(self) -> String {
        let [red, green, blue] = self.0;
        format!("#{red:02x}{green:02x}{blue:02x}")
    }

    /// Relative luminance (WCAG 2.2).
    fn luminance(self) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = self.0;
        0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
    }

    /// The contrast with another colour, 1 to 21 (WCAG 2.2).
    #[must_use]
    pub(crate) fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    /// White or black to read on this: one of them always has a contrast of 4.5.
    #[must_use]
    pub(crate) fn ink(self) -> Self {
        let (white, black) = (Self([255; 3]), Self([0; 3]));
        if self.contrast(white) >= 4.5 { white } else { black }
    }
}

/// What is shown of an application.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    /// Its name.
    pub(crate) name: String,
    /// Its logo.
    pub(crate) logo: Option<String>,
    /// The origin that the logo comes from, for the page's policy.
    pub(crate) logo_origin: Option<String>,
    /// Custom properties for the page's style.
    pub(crate) style: String,
}

impl Look {
    /// The look of an application.
    #[must_use]
    pub(crate) fn of(application: &Application) -> Self {
        let logo = application.logo_url.as_deref().and_then(|text| Url::parse(text).ok());
        let logo = logo.filter(|url| matches!(url.scheme(), "http" | "https"));
        let theme = application.settings.get(THEME);
        let colour = |name: &str| {
            let text = theme.and_then(|theme| theme.get(name));
            text.and_then(serde_json::Value::as_str).and_then(Colour::parse)
        };
        let block = |accent: Option<Colour>, ground: Option<Colour>| {
            let mut css = String::new();
            if let Some(accent) = accent {
                css += &format!("--accent:{};--on-accent:{};", accent.css(), accent.ink().css());
            }
            if let Some(ground) = ground {
                let ink = ground.ink().css();
                css += &format!("--ground:{};--on-ground:{ink};", ground.css());
            }
            css
        };
        let light = block(colour("accent"), colour("ground"));
        let dark = block(colour("accent_dark").or(colour("accent")), colour("ground_dark"));
        let style = match (light.is_empty(), dark.is_empty()) {
            (true, true) => String::new(),
            _ => format!(":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"),
        };
        Self {
            name: application.name.clone(),
            logo_origin: logo.as_ref().map(|url| url.origin().ascii_serialization()),
            logo: logo.map(String::from),
            style,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn colours_are_hexadecimal_and_nothing_else() {
        assert_eq!(Colour::parse("#0b5FC4").unwrap().css(), "#0b5fc4");
        assert_eq!(Colour::parse("#abc").unwrap().css(), "#aabbcc");
        for bad in ["", "red", "#12", "#12345g", "#1234567", "#fff;}body{", "url(x)"] {
            assert_eq!(Colour::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn text_can_be_read_on_every_colour(red: u8, green: u8, blue: u8) {
            let colour = Colour([red, green, blue]);
            prop_assert!(colour.contrast(colour.ink()) >= 4.5, "{}", colour.css());
        }
    }
}
