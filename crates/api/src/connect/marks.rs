//! The marks of services: drawn by us, one shape on one colour, so that they can be told apart.

/// Shapes on a 24 by 24 grid, stroked in white.
const MARKS: &[(&str, &str, &str)] = &[
    (
        "box",
        "#1f5fd0",
        "<path d=\"M12 3.5 19.5 7.5v9L12 20.5 4.5 16.5v-9z\"/><path d=\"M4.5 7.5 12 11.5l7.5-4M12 11.5v9\"/>",
    ),
    (
        "dropbox",
        "#0a56d6",
        "<path d=\"M12 8.5 7.5 5.5 3 8.5l4.5 3zM12 8.5l4.5-3L21 8.5l-4.5 3zM12 14.5l-4.5-3-4.5 3 4.5 3zM12 14.5l4.5-3 4.5 3-4.5 3z\"/>",
    ),
    (
        "gdrive",
        "#1b7f4b",
        "<path d=\"M9 4h6l6 10.5-3 5H6l-3-5z\"/><path d=\"M9 4l6 10.5h6M15 4 6 19.5M3 14.5h12\"/>",
    ),
    (
        "google_drive",
        "#1b7f4b",
        "<path d=\"M9 4h6l6 10.5-3 5H6l-3-5z\"/><path d=\"M9 4l6 10.5h6M15 4 6 19.5M3 14.5h12\"/>",
    ),
    (
        "local",
        "#4b5b6b",
        "<path d=\"M3.5 6.5a1.5 1.5 0 0 1 1.5-1.5h4l2 2.5h8a1.5 1.5 0 0 1 1.5 1.5v8.5a1.5 1.5 0 0 1-1.5 1.5H5a1.5 1.5 0 0 1-1.5-1.5z\"/>",
    ),
    (
        "onedrive",
        "#0f6cbd",
        "<path d=\"M7 18.5a4 4 0 0 1-.6-7.95A5.5 5.5 0 0 1 17 9.6a4.5 4.5 0 0 1 .2 8.9z\"/>",
    ),
    (
        "onedrivebiz",
        "#0b5394",
        "<path d=\"M7 19a4 4 0 0 1-.6-7.95A5.5 5.5 0 0 1 17 10.1a4.5 4.5 0 0 1 .2 8.9z\"/><path d=\"M9.5 15.5h5M12 13v5\"/>",
    ),
    (
        "s3",
        "#b3541e",
        "<ellipse cx=\"12\" cy=\"6\" rx=\"7.5\" ry=\"2.5\"/><path d=\"M4.5 6l2 12.2c.2 1.3 2.6 2.3 5.5 2.3s5.3-1 5.5-2.3L19.5 6\"/>",
    ),
    (
        "s3_compatible",
        "#8a5a00",
        "<ellipse cx=\"12\" cy=\"6\" rx=\"7.5\" ry=\"2.5\"/><path d=\"M4.5 6l2 12.2c.2 1.3 2.6 2.3 5.5 2.3s5.3-1 5.5-2.3L19.5 6M8.5 12.5h7\"/>",
    ),
    (
        "sftp",
        "#5b3fa8",
        "<rect x=\"3.5\" y=\"5\" width=\"17\" height=\"14\" rx=\"2\"/><path d=\"M7 9.5l2.5 2.5L7 14.5M12 15h5\"/>",
    ),
    (
        "sharepoint",
        "#0b7272",
        "<circle cx=\"10\" cy=\"8.5\" r=\"5\"/><circle cx=\"16\" cy=\"14\" r=\"4\"/><circle cx=\"9.5\" cy=\"17.5\" r=\"3\"/>",
    ),
    (
        "webdav",
        "#7a3e9d",
        "<circle cx=\"12\" cy=\"12\" r=\"8.5\"/><path d=\"M3.5 12h17M12 3.5c5 5.5 5 11.5 0 17M12 3.5c-5 5.5-5 11.5 0 17\"/>",
    ),
];

/// The mark of a service, as an SVG document. A service without one has its first letters.
#[must_use]
pub(crate) fn svg(name: &str, friendly: &str) -> String {
    let drawn = MARKS.iter().find(|(own, ..)| *own == name);
    let (colour, shape) = match drawn {
        Some((_, colour, shape)) => (
            (*colour).to_owned(),
            format!(
                "<g transform=\"translate(14 14) scale(1.5)\" fill=\"none\" stroke=\"#fff\" \
             stroke-width=\"1.5\" stroke-linejoin=\"round\" stroke-linecap=\"round\">{shape}</g>"
            ),
        ),
        None => {
            let letters = friendly.chars().filter(char::is_ascii_alphanumeric).take(2);
            let letters: String = letters.collect();
            // The colour is the name's own, so that services can be told apart.
            let hue = name.bytes().fold(0u32, |sum, byte| (sum * 31 + u32::from(byte)) % 360);
            (
                format!("hsl({hue},55%,36%)"),
                format!(
                    "<text x=\"32\" y=\"41\" font-family=\"system-ui,sans-serif\" font-size=\"26\" \
                 font-weight=\"600\" fill=\"#fff\" text-anchor=\"middle\">{letters}</text>"
                ),
            )
        }
    };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 64 64\">\
         <rect width=\"64\" height=\"64\" rx=\"15\" fill=\"{colour}\"/>{shape}</svg>"
    )
}
