"""The page as a person sees it, in headless Chromium; and what it says, without one."""

import html
import html.parser
import json
import re

import pytest

from tests.easim import Easim
from tests.system import browser as browsers
from tests.system import lookup
from tests.system.conftest import WEIGHTS
from tests.system.daemon import UNDER_TSAN, Daemon, eventually
from tests.system.test_http import ask

# The colours of page.css, light and dark.
UP, UP_DARK = (0x1A, 0x7F, 0x4B), (0x4C, 0xC3, 0x8A)
EJECTED, EJECTED_DARK = (0xC4, 0x30, 0x2B), (0xFF, 0x7B, 0x72)
WARN, DRAINING, PAPER, PAPER_DARK = (
    (0x9A, 0x67, 0), (0x2F, 0x6F, 0xB0), (0xFB, 0xFB, 0xFA), (0x11, 0x13, 0x15))
VOID = {"meta", "link", "input"}

pytestmark = pytest.mark.xdist_group("page")  # one Chromium for all of them


@pytest.fixture(scope="module")
def browser():
    if UNDER_TSAN:
        pytest.skip("how the page looks has no threads: TSan has the tests that read its text")
    if not browsers.PROGRAM:
        pytest.skip("chromium is not installed (package chromium)")
    with browsers.Browser() as running:
        yield running


@pytest.fixture
def tab(browser):
    """The browser as a desktop window. What it complains of at the end is a failure."""
    browser.go("about:blank")  # a page of the last test asks for a daemon that is gone
    browser.window(1000, 700)
    browser.complaints.clear()
    yield browser
    assert browser.complaints == []


def words(daemon, path="/"):
    """The page's text, as a reader of it has it who knows no tags."""
    _status, _headers, body = ask(daemon, "GET", path)
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", body.decode())).split())


def url(daemon, path="/"):
    return "http://%s:%d%s" % (*daemon.http, path)


class Nesting(html.parser.HTMLParser):
    """Every tag is closed, in order."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """<path .../> of SVG."""

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("path", ["/", "/?q=svc_b", "/?q=nothing", "/service/svc_a", "/service/none"])
def test_a_document_of_its_own(running, path):
    status, headers, body = ask(running, "GET", path)
    text = body.decode()
    assert status == (404 if path.endswith("none") else 200)
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert "unsafe" not in headers["Content-Security-Policy"]
    nesting = Nesting()
    nesting.feed(text)
    assert nesting.open == []
    assert not re.search(r"""(src|href|action)=["']?(https?:|//)""", text), "from outside"
    assert not re.search(r"<[^>]* (style|on[a-z]+)=", text), "the policy would refuse it"


def test_what_was_typed_comes_back_as_text(running):
    body = ask(running, "GET", "/?q=%3Cscript%3Ealert(1)%3C/script%3E%22%27")[2].decode()
    assert "<script>alert" not in body
    assert body.count("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;") == 2


@pytest.fixture(scope="module")
def trouble():
    """One for all who look at it: it takes a second until one of each state is there."""
    with Easim({"svc_a": WEIGHTS, "svc_b": [1]}) as easim, Daemon() as daemon:
        daemon.source(endpoint=easim.endpoint, services="svc_a,svc_b")
        daemon.start()
        daemon.wait_instances("svc_a", 4)
        daemon.wait_instances("svc_b", 1)
        easim.set_weight("svc_a", 1, 0)
        easim.unlist("svc_a", 3)
        easim.kill("svc_a", 2)
        easim.fault("status", service="svc_b", status=500)

        def is_seen():
            lookup.ask(daemon, "svc-a.eas.internal")
            service, other = daemon.service("svc_a"), daemon.service("svc_b")
            return other["stale"] and service["counts"] == {
                "up": 1, "drained": 1, "ejected": 1, "tombstones": 1}

        eventually(is_seen, what="one of each state")
        yield daemon
        assert daemon.stop() == 0, daemon.log()


def test_every_state_has_a_word(trouble):
    text = words(trouble)
    for word in ("2 of 2 services need a look", "1 ejected", "1 up", "1 draining", "1 tombstone",
                 "stale", "answered 500", "connect refused", "failed", "queries_udp"):
        assert word in text, text


def test_every_state_is_seen_with_a_word_and_a_colour(trouble, tab):
    tab.go(url(trouble))
    text = tab.text()
    for word in ("2 of 2 services need a look", "1 ejected", "1 up", "1 draining", "1 tombstone"):
        assert word in text, text
    found = tab.colours()
    for colour in (UP, EJECTED, DRAINING, WARN):
        assert found[colour] > 20, colour
    assert found.most_common(1)[0][0] in (PAPER, (255, 255, 255))


def test_dark(trouble, tab):
    tab.window(1000, 700, dark=True)
    tab.go(url(trouble))
    found = tab.colours()
    for colour in (UP_DARK, EJECTED_DARK, PAPER_DARK):
        assert found[colour] > 20, colour
    assert sum(count for colour, count in found.items() if min(colour) > 240) < 2000


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("path", ["/", "/service/svc_a"])
def test_nothing_overflows(trouble, tab, width, path):
    tab.window(width, 800)
    tab.go(url(trouble, path))
    assert tab.ask("document.documentElement.scrollWidth") <= width
    # What has a box of its own to scroll in may be wider than that box; nothing else.
    assert tab.ask("""[...document.querySelectorAll("main *")].filter((e) => !e.closest(".scroll")
        && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML)""") == []


@pytest.mark.parametrize("path", ["/", "/service/svc_a"])
def test_on_a_phone(trouble, tab, path):
    """All that is shown of an instance is in sight, and its address is not in pieces."""
    tab.window(390, 800)
    tab.go(url(trouble, path))
    assert tab.ask("""[...document.querySelectorAll(".scroll")].filter((e) =>
        e.scrollWidth > e.clientWidth).map((e) => e.outerHTML)""") == []
    assert "refused" in tab.text()
    line = tab.ask("""Math.max(...[...document.querySelectorAll("td.addr")].map((e) =>
        e.getClientRects()[0].height / parseFloat(getComputedStyle(e).lineHeight)))""")
    assert 0 < line < 2.5


def test_it_refreshes_itself(running, easim, tab):
    tab.go(url(running))
    tab.ask("document.getElementById('counters').open = true; scrollTo(0, 150)")
    where = tab.ask("scrollY")
    assert "5 up" not in tab.text()
    easim.add_instance("svc_a")
    tab.wait("document.body.innerText.includes('5 up')")
    assert tab.ask("document.getElementById('counters').open") is True
    assert tab.ask("scrollY") == where


def test_it_says_when_the_daemon_is_gone(running, tab):
    tab.go(url(running))
    assert tab.ask("document.getElementById('live').className") == ""
    running.kill()
    tab.wait("document.getElementById('live').innerText.includes('does not answer')")
    assert "svc_a" in tab.text(), "what was known stays"
    tab.ask("1")
    tab.complaints[:] = [c for c in tab.complaints if "ERR_CONNECTION_REFUSED" not in c]


def test_search_while_typing(running, tab):
    tab.go(url(running))
    tab.ask("""(() => { const box = document.getElementById("search"); box.focus();
        box.value = "svc_b"; box.dispatchEvent(new Event("input")); })()""")
    tab.wait("document.body.innerText.includes('1 of 2 services match')")
    assert "svc_a" not in tab.text()
    assert tab.ask("location.search") == "?q=svc_b"
    assert tab.ask("document.activeElement.value") == "svc_b"


def test_without_scripts(running, tab):
    tab.scripts(False)
    try:
        tab.go(url(running, "/?q=svc_a"))
        assert "1 of 2 services match svc_a" in tab.text()
        assert tab.ask("document.querySelector('meta[http-equiv=refresh]').content") == "5"
        assert tab.ask("document.getElementById('live').innerText") == ""
    finally:
        tab.scripts(True)


def write_list(path, count):
    """A list of that many instances, 10.0.0.1 and so on."""
    items = ({"app": "x", "ip": f"10.0.{i // 50}.{i % 50 + 1}", "port": 80, "weight": 1}
             for i in range(count))
    path.write_text(json.dumps({"endpoints": {"items": list(items)}}))


def test_a_thousand_services():
    """Paged and searched by the daemon: what the browser gets stays small."""
    names = [f"svc_{i:04}" for i in range(1000)]
    with Daemon() as daemon:
        directory = daemon.directory / "lists"
        directory.mkdir()
        write_list(directory / "long", 100)
        write_list(directory / "short", 1)
        for number, name in enumerate(names):
            # Those of the first page and the one that is looked at. All of them would be an image
            # that takes seconds to build under TSan, and the next one waits for 20 times as long.
            length = "long" if number < 50 or number == 500 else "short"
            (directory / name).hardlink_to(directory / length)
        daemon.set("source many", type="file", path=f"{directory}/{{service}}",
                   services=",".join(names))
        daemon.start()
        eventually(lambda: daemon.get("/readyz")[0] == 200, what="a thousand lists")
        status, _headers, body = ask(daemon, "GET", "/")
        assert (status, body.count(b"/service/svc_")) == (200, 50)
        assert b"All services are well" in body
        assert len(body) < 200_000
        last = words(daemon, "/?page=20")
        assert "svc_0999" in last and "page 20 of 20" in last
        assert "10 of 1000 services match" in words(daemon, "/?q=_099")
        assert "1 of 100 instances match" in words(daemon, "/service/svc_0500?q=10.0.1.7")
        assert daemon.stop() == 0
