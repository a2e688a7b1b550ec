# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium over WebDriver: HTTP and JSON on loopback, nothing but the standard library."""
import base64
import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile


class Browser:
    ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync",
                 "--disable-dev-shm-usage", "--window-size=1280,900"]

    @staticmethod
    def missing():
        """The packages that would be needed; [] when there are all."""
        wanted = {"chromium": "chromium", "chromedriver": "chromium-driver"}
        return [package for tool, package in wanted.items() if not shutil.which(tool)]

    def __init__(self, dark=False):
        self.profile = tempfile.mkdtemp(prefix="trace-page.")
        self.driver = subprocess.Popen([shutil.which("chromedriver"), "--port=0"], text=True,
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                       env={**os.environ, "TMPDIR": self.profile})
        port = None
        for line in self.driver.stdout:
            found = re.search(r"started successfully on port (\d+)", line)
            if found:
                port = int(found.group(1))
                break
        if port is None:
            raise RuntimeError("chromedriver did not say its port")
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        arguments = self.ARGUMENTS + ["--user-data-dir=" + self.profile + "/profile"]
        if dark:
            arguments.append("--force-dark-mode")
        answer = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"binary": shutil.which("chromium"), "args": arguments}}}})
        self.session = "/session/" + answer["sessionId"]

    def call(self, method, path, body=None):
        self.http.request(method, path, None if body is None else json.dumps(body),
                          {"Content-Type": "application/json"})
        value = json.loads(self.http.getresponse().read())["value"]
        if isinstance(value, dict) and "error" in value:
            raise RuntimeError(path + ": " + value["error"] + ": " + value.get("message", ""))
        return value

    def open(self, file):
        self.call("POST", self.session + "/url", {"url": "file://" + os.path.abspath(file)})

    def run(self, script, *arguments):
        return self.call("POST", self.session + "/execute/sync",
                         {"script": script, "args": list(arguments)})

    def drawn(self):
        """Waits for the frame in which what was asked for is on the page."""
        self.call("POST", self.session + "/execute/async", {"args": [], "script":
                  "const done = arguments[0];"
                  "requestAnimationFrame(() => requestAnimationFrame(() => done(null)));"})

    def element(self, selector):
        found = self.call("POST", self.session + "/element",
                          {"using": "css selector", "value": selector})
        return {"element-6066-11e4-a52e-4f735466cecf": next(iter(found.values()))}

    def click(self, selector):
        self.call("POST", f"{self.session}/element/{next(iter(self.element(selector).values()))}"
                  "/click", {})
        self.drawn()

    def type(self, selector, text):
        self.call("POST", f"{self.session}/element/{next(iter(self.element(selector).values()))}"
                  "/value", {"text": text})
        self.drawn()

    def actions(self, *sources):
        self.call("POST", self.session + "/actions", {"actions": list(sources)})
        self.drawn()

    def hover(self, element):
        self.actions({"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"},
                      "actions": [{"type": "pointerMove", "duration": 0, "x": 0, "y": 0,
                                   "origin": element}]})

    def wheel(self, element, delta):
        self.actions({"type": "wheel", "id": "wheel", "actions": [
            {"type": "scroll", "x": 0, "y": 0, "deltaX": 0, "deltaY": delta, "duration": 0,
             "origin": element}]})

    def keys(self, *keys):
        self.actions({"type": "key", "id": "keyboard", "actions":
                      [{"type": kind, "value": key} for key in keys
                       for kind in ("keyDown", "keyUp")]})

    def log(self):
        return [entry["message"] for entry in
                self.call("POST", self.session + "/se/log", {"type": "browser"})]

    def screenshot(self, file):
        with open(file, "wb") as out:
            out.write(base64.b64decode(self.call("GET", self.session + "/screenshot")))

    def close(self):
        try:
            if hasattr(self, "session"):
                self.call("DELETE", self.session)
        finally:
            self.driver.terminate()
            self.driver.wait(30)
            shutil.rmtree(self.profile, ignore_errors=True)
