//! Gap: a preview picture, made from the file's content within limits.

use std::io::Cursor;
use std::sync::OnceLock;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use tokio::sync::Semaphore;
use tramontane_connector::storage::{ReadOptions, ThumbnailSize};
use tramontane_connector::{Body, Cx, EntryKind, EntryRef, Error, Kind, Result, Storage};
use tramontane_model::NativeId;

use crate::filled::Filled;

/// So many pictures are made at once in this process.
const AT_ONCE: usize = 2;
/// The longest side that is made, in pixels.
const LONGEST_SIDE: u32 = 2_048;
/// The most memory for a picture that is recoded, in bytes, and its longest side, in pixels. Services
/// give previews of 1,024 pixels; some give the next larger one that they have.
const RECODED_BYTES: u64 = 128 << 20;
const RECODED_SIDE: u32 = 4_096;
/// Formats that are read.
const FORMATS: [ImageFormat; 5] =
    [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP, ImageFormat::Bmp];

/// Reads the file, decodes and scales it: JPEG, or PNG when it has transparency. `NotFound` when the
/// file is no picture that is read here.
pub(crate) async fn thumbnail(
    storage: &Filled,
    cx: &Cx,
    file: &NativeId,
    size: ThumbnailSize,
) -> Result<Body> {
    static TURNS: OnceLock<Semaphore> = OnceLock::new();
    let of = EntryRef { kind: EntryKind::File, id: file.clone() };
    let entry = storage.get(cx, &of).await?;
    let limit = storage.ceilings().thumbnail_bytes;
    if !entry.downloadable || entry.size.is_some_and(|size| size > limit) {
        return Err(none("is too large for a preview, or cannot be read"));
    }
    let turn = TURNS.get_or_init(|| Semaphore::new(AT_ONCE)).acquire().await;
    let _turn = turn.map_err(|_| Error::internal("Previews are shut down."))?;
    let content = storage.read(cx, file, &ReadOptions::default()).await?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let bytes = content.body.checked().collect(most).await?;
    let (pixels, side) = (storage.ceilings().thumbnail_pixels, size.0.clamp(1, LONGEST_SIDE));
    let made = tokio::task::spawn_blocking(move || render(&bytes, pixels, side)).await;
    let (bytes, media_type) = made.map_err(|_| none("cannot be decoded"))??;
    Ok(Body::from_bytes(bytes).with_media_type(Some(media_type.to_owned())))
}

/// A picture in the format that is wanted, `image/jpeg` or `image/png`: as it is, when it is that
/// already.
///
/// # Errors
/// `NotFound` when it cannot be decoded.
pub fn recoded(picture: &bytes::Bytes, media_type: &str) -> Result<bytes::Bytes> {
    let wanted = if media_type == "image/png" { ImageFormat::Png } else { ImageFormat::Jpeg };
    if image::guess_format(picture).is_ok_and(|own| own == wanted) {
        return Ok(picture.clone());
    }
    let undecodable = |error: image::ImageError| none("cannot be decoded").because(error);
    let reader = ImageReader::new(Cursor::new(picture)).with_guessed_format();
    let mut reader = reader.map_err(|error| none("cannot be decoded").because(error))?;
    if !reader.format().is_some_and(|format| FORMATS.contains(&format)) {
        return Err(none("is no picture of a kind that is read here"));
    }
    // A few bytes can claim to be a picture of any size.
    let mut limits = Limits::default();
    limits.max_alloc = Some(RECODED_BYTES);
    limits.max_image_width = Some(RECODED_SIDE);
    limits.max_image_height = Some(RECODED_SIDE);
    reader.limits(limits);
    let decoded = reader.decode().map_err(undecodable)?;
    let decoded = match wanted {
        ImageFormat::Png => decoded,
        _ => on_white(&decoded),
    };
    let mut out = Cursor::new(Vec::new());
    decoded.write_to(&mut out, wanted).map_err(undecodable)?;
    Ok(out.into_inner().into())
}

/// JPEG has no transparency; what shows through is white, as on a page.
fn on_white(picture: &DynamicImage) -> DynamicImage {
    let mut page = image::RgbaImage::from_pixel(
        picture.width(),
        picture.height(),
        image::Rgba([255, 255, 255, 255]),
    );
    image::imageops::overlay(&mut page, &picture.to_rgba8(), 0, 0);
    DynamicImage::from(DynamicImage::from(page).into_rgb8())
}

fn none(why: &str) -> Error {
    Error::not_found(format!("There is no preview: the file {why}."))
}

pub(crate) fn render(bytes: &[u8], pixels: u64, side: u32) -> Result<(Vec<u8>, &'static str)> {
    let undecodable = |error: image::ImageError| none("cannot be decoded").because(error);
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let mut reader = reader.map_err(|error| none("cannot be decoded").because(error))?;
    if !reader.format().is_some_and(|format| FORMATS.contains(&format)) {
        return Err(none("is no picture of a kind that is read here"));
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(pixels.saturating_mul(8));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(undecodable)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > pixels {
        return Err(none("has too many pixels"));
    }
    let turned = decoder.orientation().map_err(undecodable)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(undecodable)?;
    if picture.width() > side || picture.height() > side {
        picture = picture.thumbnail(side, side);
    }
    picture.apply_orientation(turned);
    let mut out = Cursor::new(Vec::new());
    let transparent = picture.color().has_alpha();
    let (picture, format, media_type) = if transparent {
        (DynamicImage::from(picture.into_rgba8()), ImageFormat::Png, "image/png")
    } else {
        (DynamicImage::from(picture.into_rgb8()), ImageFormat::Jpeg, "image/jpeg")
    };
    picture.write_to(&mut out, format).map_err(|error| {
        Error::new(Kind::Internal, "The preview cannot be written.").because(error)
    })?;
    Ok((out.into_inner(), media_type))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        DynamicImage::new_rgb8(width, height).write_to(&mut out, ImageFormat::Png).unwrap();
        out.into_inner()
    }

    #[test]
    fn pictures_are_scaled_to_the_longest_side() {
        let (made, media_type) = render(&png(400, 100), 1_000_000, 64).unwrap();
        assert_eq!(media_type, "image/jpeg");
        let made = image::load_from_memory(&made).unwrap();
        assert_eq!((made.width(), made.height()), (64, 16));
    }

    #[test]
    fn what_is_no_picture_or_too_large_has_no_preview() {
        assert!(render(b"not a picture", 1_000_000, 64).unwrap_err().is_not_found());
        assert!(render(b"", 1_000_000, 64).unwrap_err().is_not_found());
        assert!(render(&png(400, 100), 100, 64).unwrap_err().is_not_found());
        let broken = png(400, 100);
        let cut = broken.get(..broken.len() / 2).unwrap();
        assert!(render(cut, 1_000_000, 64).unwrap_err().is_not_found());
    }
}
