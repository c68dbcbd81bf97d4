//! Documents native to Google: what they can be exported to, and how an export looks.
//!
//! Source: "Export MIME types for Google Workspace documents" of the Drive API.

use bytes::Bytes;

/// A kind of document.
pub(super) struct Kind {
    pub(super) mime: &'static str,
    pub(super) formats: &'static [&'static str],
}

const WORD: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
const EXCEL: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const POINT: &str = "application/vnd.openxmlformats-officedocument.presentationml.presentation";

/// Every kind that can be exported.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        mime: "application/vnd.google-apps.document",
        formats: &[
            WORD,
            "application/vnd.oasis.opendocument.text",
            "application/rtf",
            "application/pdf",
            "text/plain",
            "text/html",
            "text/markdown",
            "application/epub+zip",
        ],
    },
    Kind {
        mime: "application/vnd.google-apps.spreadsheet",
        formats: &[
            EXCEL,
            "application/x-vnd.oasis.opendocument.spreadsheet",
            "application/pdf",
            "text/csv",
            "text/tab-separated-values",
        ],
    },
    Kind {
        mime: "application/vnd.google-apps.presentation",
        formats: &[
            POINT,
            "application/vnd.oasis.opendocument.presentation",
            "application/pdf",
            "text/plain",
            "image/jpeg",
            "image/png",
            "image/svg+xml",
        ],
    },
    Kind {
        mime: "application/vnd.google-apps.drawing",
        formats: &["application/pdf", "image/jpeg", "image/png", "image/svg+xml"],
    },
    Kind {
        mime: "application/vnd.google-apps.script",
        formats: &["application/vnd.google-apps.script+json"],
    },
];

/// The kind of document with this media type; `None` for everything else.
pub(super) fn kind(mime: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.mime == mime)
}

/// The largest export, in bytes: 10 MB.
pub(super) const MAX_EXPORT: usize = 10 << 20;

/// What a document with this text looks like in another format: the words are there, in the least that
/// programs of that format open.
pub(super) fn export(text: &str, format: &str) -> Bytes {
    let plain = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    match format {
        "text/html" => format!("<html><body><p>{plain}</p></body></html>").into(),
        "image/svg+xml" => {
            format!("<svg xmlns=\"http://www.w3.org/2000/svg\"><text y=\"20\">{plain}</text></svg>")
                .into()
        }
        "application/pdf" => pdf(text),
        "image/png" => Bytes::from_static(PNG),
        WORD => zip(&[
            ("[Content_Types].xml", CONTENT_TYPES),
            (
                "word/document.xml",
                &format!(
                    "<w:document xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\"><w:body><w:p><w:r><w:t>{plain}</w:t></w:r></w:p></w:body></w:document>"
                ),
            ),
        ]),
        _ if format.starts_with("application/vnd.") || format.ends_with("+zip") => {
            zip(&[("content.xml", &plain)])
        }
        _ => Bytes::copy_from_slice(text.as_bytes()),
    }
}

const CONTENT_TYPES: &str = "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"><Default Extension=\"xml\" ContentType=\"application/xml\"/><Override PartName=\"/word/document.xml\" ContentType=\"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml\"/></Types>";

/// One grey pixel.
const PNG: &[u8] = &[
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0,
    0, 0, 58, 126, 155, 85, 0, 0, 0, 10, 73, 68, 65, 84, 120, 156, 99, 104, 0, 0, 0, 130, 0, 129,
    119, 205, 114, 182, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130,
];

fn pdf(text: &str) -> Bytes {
    let shown: String = text.chars().filter(|one| !matches!(one, '(' | ')' | '\\')).collect();
    let stream = format!("BT /F1 12 Tf 72 720 Td ({shown}) Tj ET");
    format!(
        "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R>>endobj\n4 0 obj<</Length {}>>stream\n{stream}\nendstream endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n",
        stream.len()
    )
    .into()
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

/// A ZIP of files that are stored as they are.
fn zip(files: &[(&str, &str)]) -> Bytes {
    let mut out = Vec::new();
    let mut index = Vec::new();
    for (name, text) in files {
        let size = u32::try_from(text.len()).unwrap_or(0);
        let at = u32::try_from(out.len()).unwrap_or(0);
        let long = u16::try_from(name.len()).unwrap_or(0);
        let mut common = Vec::new();
        common.extend([10, 0, 0, 8, 0, 0, 0, 0, 0x21, 0]);
        common.extend(crc32(text.as_bytes()).to_le_bytes());
        common.extend(size.to_le_bytes());
        common.extend(size.to_le_bytes());
        common.extend(long.to_le_bytes());
        common.extend([0, 0]);
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(name.as_bytes());
        out.extend(text.as_bytes());
        index.extend(b"PK\x01\x02\x0a\x00");
        index.extend(&common);
        index.extend([0; 10]);
        index.extend(at.to_le_bytes());
        index.extend(name.as_bytes());
    }
    let count = u16::try_from(files.len()).unwrap_or(0).to_le_bytes();
    let at = u32::try_from(out.len()).unwrap_or(0);
    let size = u32::try_from(index.len()).unwrap_or(0);
    out.extend(index);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count);
    out.extend(count);
    out.extend(size.to_le_bytes());
    out.extend(at.to_le_bytes());
    out.extend([0, 0]);
    out.into()
}
