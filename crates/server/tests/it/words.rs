//! What the connect page says of the fields of every connector.

use tramontane_connector::Bases;

#[test]
fn every_field_of_every_form_is_translated() {
    let mut seen = 0;
    for connector in tramontane_connectors::all(&Bases::default()).unwrap() {
        let descriptor = connector.descriptor();
        for field in descriptor.fields {
            for text in [field.label, field.help] {
                let missing = tramontane_api::untranslated_field(text);
                assert!(missing.is_empty(), "{}: {text:?} in {missing:?}", descriptor.name);
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "{seen} texts");
    assert_eq!(tramontane_api::untranslated_field("Never heard of").len(), 6);
}
