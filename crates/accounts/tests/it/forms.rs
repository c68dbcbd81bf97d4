//! From given values to settings and credential.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tramontane_accounts::Error;
use tramontane_accounts::form::{self, By};
use tramontane_connector::{
    Category, Connector, Credential, Cx, Descriptor, Field, FieldKind, Identity, Settings,
};

static FIELDS: [Field; 7] = [
    Field::text("url", "Address", "Where the server is.").of(FieldKind::Url),
    Field::text("username", "User", "Who you are.").also(&["user", "token"]),
    Field::secret("password", "Password", "What proves it.").also(&["token_secret"]),
    Field::text("port", "Port", "Which port.").of(FieldKind::Number).or("22"),
    Field::text("passive", "Passive", "Which mode.").of(FieldKind::Boolean).optional(),
    Field::secret("private_key", "Key", "A private key.").of(FieldKind::SecretText).optional(),
    Field { operator_only: true, ..Field::text("root", "Folder", "Which folder.").optional() },
];

static DESCRIPTOR: Descriptor = Descriptor {
    name: "example",
    friendly_name: "Example",
    category: Category::FileStore,
    apis: &["storage"],
    fields: &FIELDS,
    documentation: "https://example.com",
};

struct Example;

#[async_trait]
impl Connector for Example {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn normalize(
        &self,
        settings: &mut Settings,
        _: &mut Credential,
    ) -> tramontane_connector::Result<()> {
        if let Some(url) = settings.get_mut("url").filter(|url| !url.ends_with('/')) {
            url.push('/');
        }
        Ok(())
    }

    async fn identify(&self, _: &Cx) -> tramontane_connector::Result<Identity> {
        Ok(Identity { id: "x".into(), display: "x".into() })
    }
}

fn given(members: &[(&str, &str)]) -> BTreeMap<String, Option<String>> {
    members.iter().map(|(name, value)| ((*name).into(), Some((*value).into()))).collect()
}

const WHOLE: [(&str, &str); 3] =
    [("url", "https://a.example.com"), ("username", "ana"), ("password", "pa55")];

fn with(more: &[(&str, &str)]) -> BTreeMap<String, Option<String>> {
    let mut all = given(&WHOLE);
    all.extend(given(more));
    all
}

#[test]
fn values_are_sorted_completed_and_normalized() {
    let all = with(&[("passive", "Yes"), ("private_key", "-----\nkey\n-----")]);
    let (settings, credential) = form::fill(&Example, &all, By::Application, true).unwrap();
    let expected = [
        ("passive", "true"),
        ("port", "22"),
        ("url", "https://a.example.com/"),
        ("username", "ana"),
    ];
    let settings: Vec<_> =
        settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(settings, expected);
    assert_eq!(credential.get("password"), Some("pa55"));
    assert_eq!(credential.get("private_key"), Some("-----\nkey\n-----"));
}

#[test]
fn aliases_stand_for_fields_and_a_fields_own_name_wins() {
    let aliased =
        given(&[("url", "https://a.example.com/"), ("token", "via alias"), ("token_secret", "s")]);
    let (settings, credential) = form::fill(&Example, &aliased, By::Application, true).unwrap();
    assert_eq!(settings.get("username").map(String::as_str), Some("via alias"));
    assert_eq!(credential.get("password"), Some("s"));
    let (settings, _) =
        form::fill(&Example, &with(&[("token", "late")]), By::Application, true).unwrap();
    assert_eq!(settings.get("username").map(String::as_str), Some("ana"));
}

#[test]
fn refusals_name_the_field_as_it_was_given() {
    for (more, field) in [
        (("port", "many"), "port"),
        (("passive", "perhaps"), "passive"),
        (("url", "ftp://x"), "url"),
        (("password", "two\nlines"), "password"),
        (("user", "nul\0"), "user"),
        (("root", "/etc"), "root"),
        (("colour", "blue"), "colour"),
        (("password", ""), "password"),
        (("url", ""), "url"),
    ] {
        let mut all = with(&[more]);
        if field == "user" {
            all.remove("username");
        }
        let refused = form::fill(&Example, &all, By::Application, true).unwrap_err();
        let Error::Invalid { field: named, .. } = &refused else { panic!("{refused:?}") };
        assert_eq!(named, field, "{refused}");
        assert!(!refused.to_string().contains("two"), "no secret is repeated");
    }
    form::fill(&Example, &with(&[("colour", "blue")]), By::Application, false).unwrap();
    form::fill(&Example, &with(&[("root", "/srv")]), By::Operator, true).unwrap();
}

#[test]
fn a_change_keeps_what_it_does_not_name() {
    let (mut settings, mut credential) =
        form::fill(&Example, &given(&WHOLE), By::Application, true).unwrap();
    let mut changes = given(&[("password", "new"), ("port", "2222")]);
    changes.insert("passive".into(), None);
    let sorted = form::sort(&Example, &changes, By::Application).unwrap();
    form::change(&Example, &sorted, &mut settings, &mut credential).unwrap();
    assert_eq!(credential.get("password"), Some("new"));
    assert_eq!(settings.get("port").map(String::as_str), Some("2222"));
    assert_eq!(settings.get("username").map(String::as_str), Some("ana"));
    let cleared = BTreeMap::from([("username".to_owned(), None)]);
    let sorted = form::sort(&Example, &cleared, By::Application).unwrap();
    let refused = form::change(&Example, &sorted, &mut settings, &mut credential).unwrap_err();
    assert!(matches!(refused, Error::Invalid { ref field, .. } if field == "username"));
}
