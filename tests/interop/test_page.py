"""The built-in page in headless Chromium: it draws what the server does, obeys its own policy, and takes names for text.

Run with: pytest tests/interop/test_page.py
"""
import json
import re
import time
import urllib.request

import pytest
from browser import PROGRAM, Browser
from test_serving import Server, save_mlp

pytestmark = pytest.mark.skipif(not PROGRAM, reason="no chromium on this machine")
HOSTILE = "<img src=x onerror=document.title='owned'>"
BODY = json.dumps({"inputs": [{"name": "x", "shape": [2, 4], "datatype": "FP32", "data": [[1, 2, 3, 4], [5, 6, 7, 8]]}]}).encode()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("repository")
    save_mlp(root / "mlp/1/model.onnx", 1)
    (root / HOSTILE / "1").mkdir(parents=True)
    server = Server(root, "--model-control", "explicit", "--load-model", "*")
    yield server
    assert server.stop() == 0


def row(name):
    return f"[...document.querySelectorAll('#rows tr')].find(row => row.querySelector('th').firstChild.textContent === {json.dumps(name)})"


def test_it_needs_nothing_from_outside(server, browser):
    request = urllib.request.Request(server.url + "/", headers={"Accept": "text/html,*/*"})
    with urllib.request.urlopen(request) as answer:
        policy, source = answer.headers["Content-Security-Policy"], answer.read().decode()
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", source) and "@import" not in source and "innerHTML" not in source
    assert "mlp" in server.get("/") and "<html" not in server.get("/"), "not a browser: plain text"
    browser.open(server.url + "/")
    browser.wait(row("mlp"))
    assert browser.problems() == []
    assert all(url.startswith((server.url, "data:")) for url in browser.requests()), browser.requests()


def test_the_policy_stops_foreign_script(server, browser):
    browser.open(server.url + "/")
    browser.wait(row("mlp"))
    browser.run("document.body.append(Object.assign(document.createElement('script'), {textContent: 'document.title = \"owned\"'}))")
    browser.run("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title = \\'owned\\'\">')")
    time.sleep(0.3)
    assert browser.run("document.title") == "Tandem" and any("Content Security Policy" in text for text in browser.problems())


def test_names_are_text(server, browser):
    browser.open(server.url + "/")
    browser.wait(row(HOSTILE))
    assert "not a model name" in browser.run(f"{row(HOSTILE)}.textContent")
    assert browser.run("document.querySelectorAll('img').length") == 0 and browser.run("document.title") == "Tandem"
    assert HOSTILE in browser.run("document.getElementById('state').textContent")  # why it is not ready


def test_it_moves_with_the_load(server, browser):
    browser.open(server.url + "/")
    browser.wait(row("mlp"))
    end = time.monotonic() + 20
    shown = []
    while len(shown) < 3 and time.monotonic() < end:
        for _ in range(20):
            assert server.post("/v2/models/mlp/infer", BODY)[0] == 200
        shown = browser.run("[...document.querySelectorAll('#rates path, #latencies path, #batches rect')]"
                            ".map(mark => mark.className.baseVal).filter((name, i, all) => all.indexOf(name) === i && name !== 'area')")
    assert set(shown) == {"first", "second", "column"}
    assert browser.run("document.querySelector('#batches rect + text').textContent") == "2", "every batch had two rows"
    assert "p99" in browser.run("document.getElementById('latency').textContent")
    assert float(browser.run(f"{row('mlp')}.cells[2].textContent")) > 1
    assert re.search(r"\d", browser.run("document.getElementById('latencies').getAttribute('aria-label')"))


def test_percentiles_agree_with_what_was_counted(server, browser):
    """A histogram made here from known latencies, put through the page's own arithmetic."""
    browser.open(server.url + "/")
    browser.wait(row("mlp"))
    assert browser.run("percentile([[10, 50], [20, 49], [1000, 1]], .5)") == 10
    assert browser.run("percentile([[10, 50], [20, 49], [1000, 1]], .99)") == 20
    assert browser.run("percentile([[10, 50], [20, 49], [1000, 1]], 1)") == 1000 and browser.run("percentile([], .5)") is None
    model = '{requests: %d, failures: 0, queued: 1, batches: [[1, %d]], latency_ns: [[5, %d]]}'
    grown = browser.run(f"change({model % (9, 9, 9)}, {model % (4, 4, 4)})")
    assert grown == {"requests": 5, "failures": 0, "queued": 1, "batches": [[1, 5]], "latency": [[5, 5]]}
    assert browser.run(f"change({model % (2, 2, 2)}, {model % (4, 4, 4)}).requests") == 2, "loaded anew: counted from nothing"


def test_a_request_by_hand(server, browser):
    browser.open(server.url + "/")
    browser.wait("document.querySelector('#inputs textarea')")
    browser.run("document.querySelector('#inputs textarea').value = '1, 2, 3, 4'")
    browser.run("document.getElementById('trial').requestSubmit()")
    answer = browser.wait("document.querySelector('#answer pre') && document.getElementById('answer').textContent")
    expected = json.loads(server.post("/v2/models/mlp/infer", BODY)[1])["outputs"][0]["data"][:3]
    shown = [float(value) for value in browser.run("document.querySelector('#answer pre').textContent").split(",")]
    assert shown == pytest.approx(expected, rel=1e-4) and "batch of 1" in answer
    browser.run("document.querySelector('#inputs textarea').value = '1, 2'; document.getElementById('trial').requestSubmit()")
    assert "400" in browser.wait("document.querySelector('#answer .notice') && document.getElementById('answer').textContent")


def test_load_and_unload(server, browser):
    browser.open(server.url + "/")
    browser.wait(row("mlp"))
    button = f"{row('mlp')}.querySelector('.actions button:last-child')"
    assert browser.run(f"{button}.getAttribute('aria-label')") == "Unload mlp"
    browser.run(f"{button}.click()")
    assert server.post("/v2/models/mlp/infer", BODY)[0] == 200, "it asks once more"
    browser.run(f"{button}.click()")
    browser.wait(f"{row('mlp')}.textContent.includes('unloaded')")
    browser.run(f"{row('mlp')}.querySelector('.actions button').click()")
    browser.wait(f"{row('mlp')}.textContent.includes('ready')")
    browser.run(f"{row(HOSTILE)}.querySelector('.actions button').click()")
    browser.wait("document.getElementById('outcome').textContent.includes('not a model name')")
    assert server.post("/v2/models/mlp/infer", BODY)[0] == 200


def test_without_control_there_are_no_buttons(browser, tmp_path):
    save_mlp(tmp_path / "mlp/1/model.onnx", 1)
    server = Server(tmp_path)
    browser.open(server.url + "/")
    browser.wait(row("mlp"))
    assert browser.run("[...document.querySelectorAll('#rows button')].filter(button => button.offsetParent).length") == 0
    server.stop()
    browser.wait("!document.getElementById('notice').hidden")
    assert "does not answer" in browser.run("document.getElementById('notice').textContent")


def test_other_sites_may_not_control(server):
    for site, expected in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
        assert server.post("/v2/repository/models/mlp/load", b"", {"Sec-Fetch-Site": site})[0] == expected, site
    assert server.post("/v2/models/mlp/infer", BODY, {"Sec-Fetch-Site": "cross-site"})[0] == 200


@pytest.mark.parametrize("width,dark", [(390, False), (390, True), (1280, False), (1280, True)])
def test_it_fits_and_can_be_read(server, browser, width, dark, tmp_path):
    browser.open(server.url + "/", width=width, dark=dark, mobile=width < 500)
    browser.wait(row("mlp"))
    assert browser.run("document.documentElement.scrollWidth") <= width
    # Contrast of WCAG 2.1, AA: 4.5 for every text, against the colour that lies behind it.
    worst = browser.run("""(() => {
      const parse = text => text.match(/[\\d.]+/g).map(Number);
      const light = ([r, g, b]) => [r, g, b].map(c => (c /= 255) <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
                                            .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
      const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } };
      const ratio = (a, b) => (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
      return [...document.querySelectorAll('body *')].filter(e => e.offsetParent && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
          .map(e => [ratio(light(parse(getComputedStyle(e).color)), light(behind(e))), e.outerHTML.slice(0, 80)]).sort((a, b) => a[0] - b[0])[0]; })()""")
    assert worst[0] >= 4.5, worst
    if width < 500:
        small = browser.run("[...document.querySelectorAll('button')].filter(b => b.offsetParent && b.offsetHeight < 32).map(b => b.outerHTML)")
        assert small == []
    unnamed = browser.run("[...document.querySelectorAll('button, select, input, textarea')].filter(e => e.offsetParent && "
                          "!(e.textContent.trim() && e.tagName === 'BUTTON') && !e.labels?.length && !e.getAttribute('aria-label')).map(e => e.outerHTML)")
    assert unnamed == []
    browser.picture(tmp_path / "page.png")
