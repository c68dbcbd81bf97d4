"""A browser for the end-to-end tests: Debian's Chromium, and the npm packages that drive it."""

import os
import shutil
import subprocess
from pathlib import Path

from house import ROOT

PACKAGES = ["playwright-core@1.56.1", "axe-core@4.11.0"]


def install(*packages):
    """Installs packages of Debian."""
    subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *packages], check=True,
                   stdout=subprocess.DEVNULL, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})


def node_modules():
    """Installs the pinned packages once, beside the test servers' state."""
    state = Path(os.environ.get("TRAMONTANE_UPSTREAMS") or ROOT / ".upstreams")
    folder = state / "node" / "connect-page"
    done = folder / ".installed"
    if not shutil.which("npm"):
        install("nodejs", "npm")
    if not done.exists() or done.read_text() != " ".join(PACKAGES):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "package.json").write_text("{}")
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent", *PACKAGES], cwd=folder, check=True)
        done.write_text(" ".join(PACKAGES))
    return folder


def chromium():
    """Debian's Chromium, installed when it is missing."""
    found = shutil.which("chromium")
    if not found:
        install("chromium", "fonts-noto-cjk")
        found = shutil.which("chromium")
    return found
