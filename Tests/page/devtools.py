"""A headless Chromium, driven through the DevTools protocol over a pipe: nothing but Python's own library is needed.

The protocol: https://chromedevtools.github.io/devtools-protocol/ ; over --remote-debugging-pipe messages are JSON, each
ended by a zero byte, written to descriptor 3 and read from descriptor 4 of the browser.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time


def find_chromium():
    """The path of a Chromium; PLEACH_CHROMIUM names another than Debian's."""
    named = os.environ.get("PLEACH_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
    if not found:
        raise SystemExit("no Chromium: apt-get install chromium, or name one in PLEACH_CHROMIUM")
    return found


class Browser:
    """One process with a profile of its own, ended with the `with` block."""

    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="pleach-chromium-")
        to_browser, self.output = os.pipe()
        self.input, from_browser = os.pipe()
        arguments = [
            find_chromium(), "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu",
            "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
            "--disable-default-apps", "--disable-sync", "--no-default-browser-check", "--hide-scrollbars",
            "--user-data-dir=" + self.profile,
        ]
        if os.geteuid() == 0:
            # Its sandbox cannot be made by root. What it shows here is our own page only.
            arguments.append("--no-sandbox")

        def take_pipes():
            # Away from 3 and 4 first: the pipes' own ends may be these.
            reading, writing = os.dup(to_browser), os.dup(from_browser)
            os.dup2(reading, 3)
            os.dup2(writing, 4)

        self.process = subprocess.Popen(
            arguments, preexec_fn=take_pipes, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.number = 0
        self.rest = b""
        self.events = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.call("Browser.close")
        except (OSError, TimeoutError, RuntimeError):
            pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.output)
        os.close(self.input)
        shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method, session=None, timeout=120, **parameters):
        """One command; returns its result. Events that come meanwhile are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.output, data):]
        deadline = time.monotonic() + timeout
        while True:
            answer = self.read(deadline)
            if answer is None:
                raise TimeoutError(f"Chromium did not answer {method}")
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def read(self, deadline):
        """The next message, or None at the deadline; events go into `events`."""
        while b"\0" not in self.rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.input], [], [], left)[0]:
                return None
            piece = os.read(self.input, 1 << 20)
            if not piece:
                raise RuntimeError("Chromium ended")
            self.rest += piece
        message, self.rest = self.rest.split(b"\0", 1)
        message = json.loads(message)
        if "method" in message:
            self.events.append(message)
        return message

    def page(self, width, height, dark=False):
        return Page(self, width, height, dark)


class Page:
    """One tab of a fixed size that notes console messages, errors and requests."""

    def __init__(self, browser, width, height, dark=False):
        self.browser = browser
        # A window of its own: a tab behind another one is hidden, draws nothing and has slow clocks.
        target = browser.call("Target.createTarget", url="about:blank", newWindow=True)["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Network", "Log"]:
            self.call(domain + ".enable")
        # Only one window has the focus; each page shall draw it as if it had.
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)
        self.resize(width, height)
        self.prefer(dark)

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def resize(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, dark):
        scheme = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, url):
        """Loads an address; returns when the document and its scripts are there."""
        self.call("Page.navigate", url=url)
        self.wait_for(f"location.href === {json.dumps(url)} && document.readyState === 'complete'", what=url)

    def run(self, script):
        """The value of an expression, awaited."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(json.dumps(found["exceptionDetails"])[:400])
        return found["result"].get("value")

    def wait_for(self, script, timeout=300, what=None):
        """Waits until an expression holds; returns its value. An element is none: it comes as an empty object."""
        deadline = time.monotonic() + timeout
        while True:
            value = self.run(script)
            if value:
                return value
            if time.monotonic() > deadline:
                raise TimeoutError(f"the page never showed {what or script}")
            self.pause(0.1)

    def pause(self, seconds):
        """Reads what Chromium tells meanwhile."""
        deadline = time.monotonic() + seconds
        while self.browser.read(deadline) is not None:
            pass

    # Without these numbers a browser does nothing of its own with a key, such as moving the focus.
    KEYS = {"Tab": 9, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowRight": 39}

    def press(self, key):
        for kind in ["rawKeyDown", "keyUp"]:
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=self.KEYS[key])

    def screenshot(self, path):
        self.call("Page.bringToFront")
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def full_screenshot(self, path, width):
        """The whole page, however long."""
        height = self.run("Math.ceil(document.documentElement.scrollHeight)")
        self.resize(width, height)
        self.pause(0.3)
        self.screenshot(path)

    def complaints(self):
        """Errors and warnings of the console, and exceptions."""
        found = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            facts = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append("exception: " + json.dumps(facts["exceptionDetails"])[:400])
            elif event["method"] == "Runtime.consoleAPICalled" and facts["type"] in ("error", "warning", "assert"):
                found.append("console: " + json.dumps(facts["args"])[:400])
            elif event["method"] == "Log.entryAdded" and facts["entry"]["level"] in ("error", "warning"):
                found.append("log: " + facts["entry"]["text"] + " " + facts["entry"].get("url", ""))
        return found

    def requests(self):
        """Every address that was asked for."""
        return [
            event["params"]["request"]["url"] for event in self.browser.events
            if event.get("sessionId") == self.session and event["method"] == "Network.requestWillBeSent"
        ]
