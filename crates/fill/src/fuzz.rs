//! Fuzz targets: pictures, of which previews are made.

use std::io::Cursor;
use std::sync::OnceLock;

use image::{DynamicImage, ImageFormat};
use tramontane_fuzz::{Mutants, fuzz};

use crate::thumbnail::{recoded, render};

/// One small picture of each format that is read.
fn pictures() -> &'static [Vec<u8>; 5] {
    static PICTURES: OnceLock<[Vec<u8>; 5]> = OnceLock::new();
    PICTURES.get_or_init(|| {
        let formats = [
            ImageFormat::Png,
            ImageFormat::Jpeg,
            ImageFormat::Gif,
            ImageFormat::WebP,
            ImageFormat::Bmp,
        ];
        formats.map(|format| {
            let mut out = Cursor::new(Vec::new());
            DynamicImage::new_rgb8(9, 5).write_to(&mut out, format).unwrap();
            out.into_inner()
        })
    })
}

fuzz!(previews, pictures().each_ref(), |data| {
    if let Ok((made, media_type)) = render(data, 10_000, 64) {
        let made = image::load_from_memory(&made).unwrap();
        assert!(made.width() <= 64 && made.height() <= 64, "{media_type}");
    }
});

fuzz!(recoded_pictures, pictures().each_ref(), |data| {
    let reader = image::ImageReader::new(Cursor::new(data)).with_guessed_format();
    let dimensions = reader.ok().and_then(|reader| reader.into_dimensions().ok());
    if dimensions.is_some_and(|(width, height)| width > 256 || height > 256) {
        // Large pictures are allowed, and take long to write without optimisation.
        return;
    }
    let picture = bytes::Bytes::copy_from_slice(data);
    for wanted in ["image/png", "image/jpeg"] {
        drop(recoded(&picture, wanted));
    }
});

#[test]
fn the_seeds_are_pictures() {
    for picture in pictures() {
        assert!(render(picture, 10_000, 64).is_ok());
    }
    let seeds: Vec<&[u8]> = pictures().iter().map(Vec::as_slice).collect();
    assert!(!Mutants::of(&seeds, "x").next().is_empty());
}
