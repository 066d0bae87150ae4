#!/usr/bin/env python3
"""Looks at the status page of a real run in a headless Chromium, during and after it.

    Tests/page/check_page.py .build/release/pleach [OUT]

Starts `pleach run` on synthetic data (about half a minute), opens the page at 1280 and 360 pixels, light and dark, and
leaves screenshots in OUT (.build/page). Fails on errors and warnings of the console, on requests to anywhere but the page's
own server, on a page that is wider than its window, on controls without a name, and where a number on the page is not
the ledger's. A second, short run checks the token. Needs Debian's package chromium and nothing of Python's beyond it.
"""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from decimal import ROUND_HALF_UP, Decimal

from devtools import Browser

WIDTHS = [1280, 360]
PLAN = """\
name: page-check
seed: 7
model: {architecture: cnn, width: 16}
data: "synthetic:digits?partition=dirichlet:0.5&seed=7&limit=4000"
fleet: {workers: 3}
wire:
  up: {density: 0.05, values: int4}
  down: {density: 0.05, values: int4}
stages:
  - train: {rounds: 6, epochs: 2, batch: 64, learningRate: 0.05, schedule: cosine}
  - prune: {criterion: magnitude, sparsity: 0.8, steps: 2, roundsPerStep: 1, epochs: 2, learningRate: 0.02}
  - quantize: {calibration: percentile, percentile: 99.99, samples: 128}
export: {target: x86, opset: 17, measure: false}
"""
FAILURES = []


def check(holds, what):
    print(("ok      " if holds else "FAILED  ") + what, flush=True)
    if not holds:
        FAILURES.append(what)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def get(url, token=None):
    """Status code and body; (0, b'') where nobody listens."""
    request = urllib.request.Request(url, headers={"Authorization": "Bearer " + token} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def wait_until_served(process, url):
    deadline = time.monotonic() + 120
    while get(url + "/healthz")[0] != 200:
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the coordinator never served {url}; its status: {process.poll()}")
        time.sleep(0.05)


# What a person would read, as the page writes it.
SHOWN = """Object.fromEntries([...document.querySelectorAll("#figures dd")].map(e =>
    [e.dataset.key, {value: e.dataset.value, text: e.textContent}]))"""
# Names of everything that can have the focus, as far as the document gives them.
NAMELESS = """[...document.querySelectorAll("a[href], button, input, select, [tabindex='0']")].filter(e =>
    e.offsetParent && !(e.ariaLabel || e.labels?.length || e.textContent.trim() && e.role !== "slider"
    || document.getElementById(e.getAttribute("aria-labelledby"))?.textContent.trim())).map(e => e.outerHTML.slice(0, 120))"""
WIDTH = "[document.documentElement.scrollWidth, window.innerWidth]"


def check_looks(page, width, name):
    scroll, window = page.run(WIDTH)
    check(scroll <= window == width, f"{name}: no horizontal scroll ({scroll} of {window} px)")
    check(page.run(NAMELESS) == [], f"{name}: whatever takes the focus has a name")


def check_quiet(page, url, name):
    complaints = page.complaints()
    check(complaints == [], f"{name}: no console errors {complaints[:3] or ''}")
    foreign = [asked for asked in page.requests() if not asked.startswith((url + "/", "data:"))]
    check(foreign == [], f"{name}: no outside requests {foreign[:3] or ''}")


def check_keyboard(page):
    """The first stop skips to the run; arrow keys read a chart; a table stands behind it; the fleet is searched."""
    page.run("document.activeElement.blur()")
    page.press("Tab")
    check(page.run("document.activeElement.className") == "skip", "keyboard: the first stop skips to the run")
    outline = page.run("getComputedStyle(document.activeElement).outlineStyle")
    check(outline not in ("none", ""), f"keyboard: the focus is seen ({outline})")
    page.run("document.querySelector('#chart-loss .plot').focus()")
    page.press("Home")
    first = page.run("document.querySelector('#chart-loss .plot').getAttribute('aria-valuetext')")
    page.press("ArrowRight")
    second = page.run("document.querySelector('#chart-loss .plot').getAttribute('aria-valuetext')")
    check(first.startswith("Round 0") and second.startswith("Round 1"), f"keyboard: a chart reads '{first}', '{second}'")
    page.run("document.querySelector('#chart-loss summary').click()")
    page.wait_for("document.querySelector('#chart-loss table caption') !== null", what="the table behind a chart")
    page.run("document.querySelector('#chart-loss summary').click()")
    page.run("(s => { s.value = 'worker-2'; s.dispatchEvent(new Event('input')); })(document.getElementById('search'))")
    page.wait_for("document.getElementById('fleet').rows.length === 1", what="one worker found by its name")
    check(page.run("document.getElementById('fleet').textContent").startswith("worker-2"), "the fleet is searched by name")
    page.run("(s => { s.value = ''; s.dispatchEvent(new Event('input')); })(document.getElementById('search'))")


def during(browser, url, out):
    """Two pages while the run goes on; returns them."""
    pages = []
    for width in WIDTHS:
        page = browser.page(width, 900)
        page.open(url + "/")
        page.wait_for("document.getElementById('link').textContent === 'live'", what="live events")
        page.wait_for("document.querySelectorAll('#stages li').length === 3", what="the plan's stages")
        pages.append((width, page))
    wide = pages[0][1]
    # Each in one look: the next moment may be another round's.
    wide.wait_for("document.getElementById('waiting').textContent.startsWith('Waiting: ')", what="why it waits")
    wide.wait_for(
        "[...document.getElementById('missing').rows].some(row => row.textContent.includes(' ago'))",
        what="whom the round waits for, and its last sign of life")
    wide.wait_for("document.querySelectorAll('#chart-time .bar').length >= 2", what="two rounds")
    before = int(wide.run(SHOWN)["contributionsAccepted"]["value"])
    wide.wait_for(
        f"+document.querySelector('[data-key=contributionsAccepted]').dataset.value > {before}",
        what="a contribution that comes while it is open")
    check(True, "the page follows the run by itself")
    check(wide.run("document.getElementById('plan').textContent") == "page-check", "the plan's name")
    # What the coordinator says of itself at this moment: nothing goes back.
    live, said = wide.run(SHOWN), json.loads(get(url + "/status.json")[1])
    for key in ["roundsCompleted", "contributionsAccepted", "wireBytesUp", "wireBytesDown", "wireBytesFloat32"]:
        check(int(live[key]["value"]) <= said[key], f"during the run: {key} {live[key]['value']} of {said[key]}")
    for width, page in pages:
        check_looks(page, width, f"during the run, {width} px")
        page.screenshot(f"{out}/during-{width}.png")
    check_keyboard(wide)
    check(get(url + "/../../etc/passwd")[0] == 404 and get(url + "/runs/other")[0] == 404, "what is not there is 404")
    return pages


def rounded(number, digits):
    """As toFixed rounds: halves away from zero."""
    return str(Decimal(number).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))


def as_percent(share):
    return rounded(100 * share, 2) + " %"


def as_bytes(number):
    size, unit = Decimal(number), 0
    while size >= Decimal("999.5") and unit < 5:
        size, unit = size / 1000, unit + 1
    if unit == 0:
        return f"{number} B"
    digits = next(d for d, limit in [(2, "9.995"), (1, "99.95"), (0, "1000")] if size < Decimal(limit))
    return f"{rounded(size, digits)} {['B', 'KB', 'MB', 'GB', 'TB', 'PB'][unit]}"


def after(pages, out, pleach, state, url):
    ledger = json.loads(subprocess.check_output([pleach, "status", "--state", state, "--json"]))
    report = json.loads(pathlib.Path(state, "out/report.json").read_text())
    for width, page in pages:
        name = f"after the run, {width} px"
        page.wait_for("document.getElementById('link').textContent.includes('ended')", what="the end")
        shown = page.run(SHOWN)
        for key in [
            "roundsCompleted", "contributionsAccepted", "contributionsRefused", "wireBytesUp", "wireBytesDown",
            "wireBytesFloat32", "accuracy", "sparsity", "snapshot", "stage",
        ]:
            value = shown[key]["value"]
            wanted = ledger.get(key)
            if wanted is None or isinstance(wanted, str):
                same = value == (wanted or "")
            else:
                same = float(value or "nan") == float(wanted)
            check(same, f"{name}: {key} {value} is the ledger's {wanted}")
        for key, wanted in [
            ("accuracy", as_percent(report['accuracyAfter'])), ("sparsity", as_percent(report['sparsity'])),
            ("wireBytesUp", as_bytes(report["wireBytesUp"])), ("wireBytesDown", as_bytes(report["wireBytesDown"])),
            ("wireBytesFloat32", as_bytes(report["wireBytesFloat32"])),
            ("roundsCompleted", f"{report['rounds']} of {ledger['roundsPlanned']}"),
        ]:
            check(shown[key]["text"] == wanted, f"{name}: {key} reads '{shown[key]['text']}' for '{wanted}'")
        check(page.run("document.getElementById('state').textContent") == "finished", f"{name}: finished")
        check(page.run("document.getElementById('waiting').textContent") == "", f"{name}: nothing is waited for")
        bars = page.run("document.querySelectorAll('#chart-time .bar').length")
        check(bars == report["rounds"], f"{name}: {bars} bars for {report['rounds']} rounds")
        check_rounds(page, report, name)
        stages = page.run("[...document.querySelectorAll('#stages b')].map(e => e.textContent.split(' ')[1])")
        check(stages == [stage["kind"] for stage in report["stages"]], f"{name}: stages {stages}")
        layers = page.run("[...document.getElementById('layers').rows].map(r => [...r.cells].map(c => c.textContent))")
        check(len(layers) >= 3 and all(row[3] == "8" for row in layers), f"{name}: {len(layers)} layers of 8 bits")
        check_looks(page, width, name)
        page.full_screenshot(f"{out}/after-{width}.png", width)
        page.prefer(True)
        page.pause(0.3)
        page.screenshot(f"{out}/after-{width}-dark.png")
        check_quiet(page, url, f"{width} px")


def check_rounds(page, report, name):
    """The tables behind the charts, against the report's rounds."""
    page.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    page.wait_for("document.querySelectorAll('figure table').length === 5", what="the tables behind the charts")
    table = "[...document.querySelectorAll('#chart-bytes tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
    up = down = 0
    wanted = []
    for row in report["roundDetails"]:
        up, down = up + row["wireBytesUp"], down + row["wireBytesDown"]
        wanted.append([as_bytes(up), as_bytes(down)])
    check([row[1:3] for row in page.run(table)] == wanted, f"{name}: bytes so far of each round")
    accuracies = page.run(
        "[...document.querySelectorAll('#chart-accuracy tbody td')].map(c => c.textContent).filter(t => t !== '–')")
    ends = [as_percent(s['accuracyAfter']) for s in report["stages"] if s["accuracyAfter"] is not None]
    check(accuracies[-1:] == ends[-1:] and set(ends) <= set(accuracies), f"{name}: accuracies {accuracies} hold {ends}")
    page.run("document.querySelectorAll('details').forEach(d => d.open = false)")


def check_token(pleach, plan, folder, browser, out):
    """The same page on every address of this machine, with a token, and refused without."""
    port = free_port()
    refused = subprocess.run(
        [pleach, "coordinator", plan, "--state", folder + "/refused", "--http", f"0.0.0.0:{port}"],
        capture_output=True, text=True, env={k: v for k, v in os.environ.items() if k != "PLEACH_HTTP_TOKEN"})
    check(
        refused.returncode == 5 and "needs a token" in refused.stderr and refused.stderr.count("\n") == 1,
        f"without a token: {refused.returncode} {refused.stderr.strip()}")
    check(not os.path.exists(folder + "/refused"), "without a token nothing is made")
    token = folder + "/token"
    with open(os.open(token, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write("0123456789abcdef-check\n")
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [pleach, "coordinator", plan, "--bind", "tcp://127.0.0.1:*", "--state", folder + "/token-state", "--http",
         f"0.0.0.0:{port}", "--http-token", token], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_served(process, url)
        for path in ["/", "/status.json", "/metrics", "/events", "/nowhere"]:
            for brought in [None, "wrong-token-wrong-token"]:
                code, body = get(url + path, brought)
                check(code == 401 and b"page-check" not in body, f"{path} with {brought}: {code}, nothing leaked")
        check(get(url + "/metrics", "0123456789abcdef-check")[0] == 200, "metrics with the token")
        page = browser.page(1280, 900)
        page.open(url + "/")
        page.wait_for("!document.getElementById('entry').hidden", what="the question for the token")
        page.screenshot(f"{out}/token.png")
        for text in ["wrong-token-wrong-token", "0123456789abcdef-check"]:
            page.wait_for("document.activeElement.id === 'token'", what="the token's field")
            page.run(f"document.activeElement.value = {json.dumps(text)}; document.querySelector('#entry button').click()")
            if text.startswith("wrong"):
                page.wait_for("document.getElementById('entry-answer').textContent", what="that it was wrong")
        page.wait_for("document.getElementById('link').textContent === 'live'", what="the page behind the token")
        check(page.run("document.cookie") == "", "the token is in no cookie")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)


def main():
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    pleach = os.path.abspath(sys.argv[1])
    out = os.path.abspath(sys.argv[2] if len(sys.argv) > 2 else ".build/page")
    os.makedirs(out, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pleach-page-") as folder, Browser() as browser:
        plan, state, url = folder + "/plan.yaml", folder + "/state", f"http://127.0.0.1:{free_port()}"
        pathlib.Path(plan).write_text(PLAN)
        process = subprocess.Popen(
            [pleach, "run", plan, "--workers", "3", "--state", state, "--http", url.removeprefix("http://"), "--json"],
            stdout=subprocess.DEVNULL)
        try:
            wait_until_served(process, url)
            pages = during(browser, url, out)
            check(process.wait(1200) == 0, "the run ends well")
            after(pages, out, pleach, state, url)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(60)
        check_token(pleach, plan, folder, browser, out)
    print(f"screenshots are in {out}")
    if FAILURES:
        raise SystemExit(f"{len(FAILURES)} checks failed")


if __name__ == "__main__":
    main()
