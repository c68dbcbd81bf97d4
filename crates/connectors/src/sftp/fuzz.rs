//! Fuzz targets: keys of SSH, and ids of files.

use tramontane_fuzz::fuzz;
use tramontane_model::NativeId;

use super::{link, path};

fuzz!(
    host_keys,
    [
        "SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8",
        "files.example.com ssh-ed25519 \
         AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ",
        "|1|a|b ecdsa-sha2-nistp256 AAAAE2VjZHNh",
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ==",
    ],
    |data| {
        if let Ok(known) = link::fingerprint(&String::from_utf8_lossy(data)) {
            assert!(known.starts_with("SHA256:"));
            assert_eq!(link::fingerprint(&known).unwrap(), known);
        }
    }
);

fuzz!(
    private_keys,
    [
        "-----BEGIN OPENSSH PRIVATE KEY-----\n\
         b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n\
         QyNTUxOQAAACCzPq7zfqLffKoBDe/eo04kH2XxtSmk9D7RQyf1xUqrYgAAAJgAIAxdACAM\n\
         XQAAAAtzc2gtZWQyNTUxOQAAACCzPq7zfqLffKoBDe/eo04kH2XxtSmk9D7RQyf1xUqrYg\n\
         AAAEC2BsIi0QwW2uFscKTUUXNHLsYX4FxlaSDSblbAj7WR7bM+rvN+ot98qgEN796jTiQf\n\
         ZfG1KaT0PtFDJ/XFSqtiAAAAEHVzZXJAZXhhbXBsZS5jb20BAgMEBQ==\n\
         -----END OPENSSH PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----\n",
        "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\n-----END PRIVATE KEY-----\n",
    ],
    |data| drop(link::read_key(&String::from_utf8_lossy(data), None))
);

fuzz!(paths, ["/", "/a/b", "/a/../b", "//", "/a/", "a"], |data| {
    let id = NativeId::new(String::from_utf8_lossy(data).into_owned());
    if let Ok(place) = path::SftpPath::read(&id) {
        assert_eq!(place.id(), id);
        let there = place.at("/home/ann");
        assert!(there.starts_with("/home/ann") && !there.split('/').any(|part| part == ".."));
    }
});
