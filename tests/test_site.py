"""The site's search answers on pages opened from the disk, and pages say where they are edited."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CONFIG = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def test_search_works_from_files(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="mkdocs-material is not installed")
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("chromium is not installed")
    config = yaml.safe_load(CONFIG)
    # The pages of the site take a minute; two with its theme, scripts and plug-ins for searching tell the same.
    kept = {key: config[key] for key in ("site_name", "edit_uri", "use_directory_urls", "theme", "extra", "extra_css")}
    kept["plugins"] = [one for one in config["plugins"] if isinstance(one, str)]
    docs = tmp_path / "docs"
    docs.mkdir()
    for name in ("extra.css", "iframe-worker.js"):
        shutil.copy(ROOT / "docs" / name, docs)
    (docs / "index.md").write_text("# Start\n\nNothing to see.\n", encoding="utf-8")
    (docs / "other.md").write_text("# Other\n\nThe quick xylophone.\n", encoding="utf-8")
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(kept), encoding="utf-8")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    subprocess.run([sys.executable, "-m", "mkdocs", "build", "--quiet"], cwd=tmp_path, env=environment, check=True)
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom"]
    address = f"file://{tmp_path}/site/index.html?q=xylophone"
    done = subprocess.run([*command, address], capture_output=True, text=True, timeout=120, check=True)
    assert re.search(r"md-search-result__meta[^<]*>\s*1 matching document", done.stdout)
    assert "https://github.com/rscovlm/rscovlm/edit/main/docs/index.md" in done.stdout
    assert not re.search(r'(?:src|href)="https?://(?!github\.com/rscovlm|squidfunk)', done.stdout), (
        "nothing comes from elsewhere"
    )
