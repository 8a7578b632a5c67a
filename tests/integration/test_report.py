"""report.html of a run: well-formed, complete, and without a need for the network."""
import html
import html.parser
import json
import re
import shutil
import subprocess

import pytest

VOID = {"meta", "link", "br", "hr", "img", "input", "col"}


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.text, self.links, self.tags = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("href", "src", "action", "data", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("href", "src")]

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.parametrize("config", ["adult", "breast_cancer", "digits"])
def test_the_page(runs, config):
    source = (runs[config] / "report.html").read_text()
    page = Page(source)
    text = " ".join(" ".join(page.text).split())
    assert page.open == [] or page.open == ["html"]
    manifest = json.loads((runs[config] / "manifest.json").read_text())
    for name in ("accuracy", "log_loss") if config == "digits" else ("accuracy", "log_loss", "roc_auc", "pr_auc", "brier", "ece", "f1"):
        value = manifest["metrics"]["model"][name]["value"]
        assert f"{value:.4f}" in text or f"{value:.3f}" in text or f"{100 * value:.1f}" in text, name
    for contestant in ("majority class", "logistic regression"):
        assert contestant in text
    matrix = re.search(r'<table class="confusion">.*?</table>', source, re.S)[0]
    for name in manifest["class_names"]:
        assert len(re.findall(f"<th[^>]*>{re.escape(html.escape(name))}</th>", matrix)) == 2, name  # a row and a column
    assert manifest["lineage"]["split_id"] in source and manifest["lineage"]["source_version"] in source
    assert "viewport" in source and "script" not in page.tags and "svg" in page.tags
    for link in page.links:
        assert not re.match(r"[a-z]+:|//", link), link
        assert link.startswith("#") or (runs[config] / link).exists(), link
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/)", source)


def browser():
    return next((path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), None)


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_fits_its_window(runs, tmp_path, width):
    """Laid out by a real browser: nothing makes the page wider than the window."""
    if not browser():
        pytest.skip("no chromium on this machine")
    source = (runs["digits"] / "report.html").read_text()
    copy = tmp_path / "report.html"
    frame = f'<iframe id="f" style="width:{width}px;height:900px;border:0" src="report.html"></iframe>'
    copy.write_text(source)
    (tmp_path / "frame.html").write_text(
        f"<!doctype html><body>{frame}<p id=out></p><script>f.onload = () => {{ const d = f.contentDocument.documentElement; "
        "out.textContent = 'measured ' + d.scrollWidth + ' ' + d.clientWidth }</script>")
    done = subprocess.run([browser(), "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--virtual-time-budget=4000",
                           f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1000", "--dump-dom", f"file://{tmp_path}/frame.html"],
                          capture_output=True, text=True, timeout=60)
    found = re.search(r"measured (\d+) (\d+)", done.stdout)
    assert found, done.stdout[-300:] + done.stderr[-300:]
    assert width - 20 <= int(found[2]) <= width  # a scroll bar takes some
    assert int(found[1]) <= int(found[2])
