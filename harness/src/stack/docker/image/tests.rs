//! References, hashes and sources, without an engine.

use super::*;

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

#[test]
fn a_reference_is_what_the_stack_file_says() {
    let image = Image { name: text("prom/prometheus"), tag: text("v3.5.0"), ..Image::default() };
    assert_eq!(image.reference().as_deref(), Some("prom/prometheus:v3.5.0"));
    assert_eq!(Image { tag: None, ..image }.reference().as_deref(), Some("prom/prometheus:latest"));
    assert_eq!(Image::default().reference(), None);
}

#[test]
fn a_hash_tells_where_one_part_ends() {
    let hash = |parts: &[&str]| digest_of(parts.iter().map(|part| part.as_bytes()));
    assert_eq!(hash(&["a", "b"]).len(), 16);
    assert_eq!(hash(&["a", "b"]), hash(&["a", "b"]));
    assert_ne!(hash(&["ab", ""]), hash(&["a", "b"]));
}

#[test]
fn a_report_says_where_an_image_comes_from_and_whether_it_is_pinned() {
    let mut resolved = Resolved {
        reference: "prom/prometheus:v3.5.0".to_owned(),
        entrypoint: None,
        origin: Origin::Registry,
        version: "v3.5.0".to_owned(),
        size: 1,
        digest: None,
        pinned: false,
    };
    assert_eq!(resolved.source(), "image prom/prometheus:v3.5.0 (unpinned)");
    resolved.pinned = true;
    assert_eq!(resolved.source(), "image prom/prometheus:v3.5.0");
    resolved.origin = Origin::Debian(vec!["prometheus 2.53.3".to_owned(), "libc6 2.41".to_owned()]);
    resolved.pinned = false;
    assert_eq!(resolved.source(), "image made here from Debian package prometheus 2.53.3 (unpinned)");
}
