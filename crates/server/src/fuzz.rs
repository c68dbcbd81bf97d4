//! Fuzz targets: the configuration file.

use tramontane_fuzz::fuzz;

use crate::config::read_text;

fuzz!(
    configuration_files,
    [
        "listen = \"127.0.0.1:8080\"\ndata_dir = \"/var/lib/tramontane\"\n",
        "allow_addresses = [\"10.0.0.0/8\", \"files.local:443\"]\nmetrics = true\n",
        "drain_seconds = 30 # seconds\n[table]\nx = 1979-05-27T07:32:00Z\n",
        "public_url = '''x'''\n",
    ],
    |data| drop(read_text(&String::from_utf8_lossy(data), "file"))
);
