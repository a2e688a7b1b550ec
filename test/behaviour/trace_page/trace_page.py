#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The page of `kata-vfio trace --html` in a real browser.
Usage: trace_page.py KATA-VFIO FIXTURE.wire.log [--keep DIRECTORY]
--keep writes the pages and screenshots there. Exits with 77, saying why, where there is no browser.
"""
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from webdriver import Browser  # noqa: E402

COMMAND = FIXTURE = DIRECTORY = BROWSER = None
ADD_ID = "vfio-0000.00.02.0"


def page_of(log, name, *more):
    out = os.path.join(DIRECTORY, name)
    subprocess.run([COMMAND, "trace", log, "--html", out, *more], check=True,
                   stdout=subprocess.DEVNULL)
    return out


def write_log(name, messages):
    """(us, kind, message) of connection 1."""
    path = os.path.join(DIRECTORY, name)
    with open(path, "w", encoding="utf-8") as out:
        out.write('{"us":0,"wall_us":0,"kind":"log","version":1,"pid":1}\n')
        for us, kind, message in messages:
            out.write('{"us":%d,"wall_us":%d,"conn":1,"kind":"%s","message":%s}\n'
                      % (us, 1763996400000000 + us, kind, json.dumps(message)))
    return path


def scale():
    return float(BROWSER.run("return document.getElementById('plot').dataset.scale"))


def text_of(selector):
    return BROWSER.run("return document.querySelector(arguments[0]).innerText", selector)


def item(name, outcome=""):
    """The first thing drawn whose description has the name."""
    found = BROWSER.run(
        "return [...document.querySelectorAll('.item' + arguments[1])].find("
        "(node) => node.getAttribute('aria-label').includes(arguments[0]))", name,
        "." + outcome if outcome else "")
    assert found, "nothing drawn is about " + name
    return found


class TracePage(unittest.TestCase):
    def show(self, page):
        BROWSER.open(page)
        BROWSER.drawn()

    def tearDown(self):
        self.assertEqual(BROWSER.log(), [], "the browser's console")

    def test_lanes_bars_and_marks(self):
        self.show(page_of(FIXTURE, "fixture.html"))
        BROWSER.screenshot(os.path.join(DIRECTORY, "fixture.png"))
        lanes = BROWSER.run("return [...document.querySelectorAll('.label title')]"
                            ".map((node) => node.textContent)")
        self.assertEqual(lanes, ["monitor", "vfio-bbc4aafe-5807-11e8-a43e-03533cceae7d",
                                 "vfio-0000.00.1f.3", ADD_ID])
        count = lambda selector: BROWSER.run(
            "return document.querySelectorAll(arguments[0]).length", selector)
        self.assertEqual(count("#plot .exchange"), 12)
        self.assertEqual(count("#plot .exchange.refused .mark"), 2)
        self.assertEqual(count("#plot .exchange.slow .flag"), 1)
        self.assertEqual(count("#plot .exchange.unanswered .mark"), 1)
        self.assertEqual(count("#plot .item.event"), 2)
        self.assertEqual(count("#plot .remark.lost"), 1)
        self.assertEqual(count("#plot .phase.present"), 2)
        self.assertEqual(count("#plot .phase.unplug-pending"), 1)
        self.assertIn("12 commands (2 refused, 1 unanswered, 1 slow)", text_of("#summary"))
        self.assertIn("2025-11-24 15:00:00.000000 UTC", text_of("#summary"))

    def test_hover_and_focus_show_the_json(self):
        self.show(page_of(FIXTURE, "fixture.html"))
        BROWSER.hover(item("device_add", "refused"))
        self.assertIn("GenericError: vfio 0000:00:1f.3: group 4 is not viable", text_of("#facts"))
        self.assertIn('"sysfsdev": "/sys/bus/pci/devices/0000:00:1f.3"', text_of("#bodies"))
        self.assertIn("→ GenericError: vfio", text_of("#tip"))
        BROWSER.run("arguments[0].focus()", item("device_add", "slow"))
        self.assertIn("1.318 s (slow)", text_of("#facts"))
        self.assertIn('"return": {}', text_of("#bodies"))
        BROWSER.run("arguments[0].focus()", item("event DEVICE_DELETED"))
        self.assertIn('"event": "DEVICE_DELETED"', text_of("#bodies"))
        BROWSER.run("arguments[0].focus()", item("lost"))
        self.assertIn("QEMU closed the connection", text_of("#facts"))

    def test_zoom_and_pan(self):
        self.show(page_of(FIXTURE, "fixture.html"))
        whole = scale()
        BROWSER.click("#in")
        start = scale()
        self.assertAlmostEqual(start / whole, 1.6, places=3)
        BROWSER.click("#in")
        self.assertAlmostEqual(scale() / start, 1.6, places=3)
        BROWSER.click("#out")
        self.assertAlmostEqual(scale(), start, places=6)
        plot = BROWSER.element("#plot")
        BROWSER.wheel(plot, -100)
        self.assertAlmostEqual(scale() / start, 1.3, places=3)
        BROWSER.wheel(plot, 100)
        self.assertAlmostEqual(scale(), start, places=6)
        BROWSER.run("document.getElementById('plot').focus()")
        BROWSER.keys("+", "+")
        self.assertAlmostEqual(scale() / start, 2.56, places=3)
        at = "return Number(document.getElementById('plot').dataset.from)"
        before = BROWSER.run(at)
        BROWSER.keys("\ue014")  # arrow right
        self.assertGreater(BROWSER.run(at), before)
        before = BROWSER.run(at)
        BROWSER.actions({"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"},
                         "actions": [{"type": "pointerMove", "duration": 0, "x": 0, "y": -60,
                                      "origin": plot},
                                     {"type": "pointerDown", "button": 0},
                                     {"type": "pointerMove", "duration": 0, "x": 150, "y": -60,
                                      "origin": plot},
                                     {"type": "pointerUp", "button": 0}]})
        self.assertAlmostEqual(BROWSER.run(at), before - 150 / (scale() / 1000), delta=1)
        BROWSER.keys("0")
        self.assertAlmostEqual(scale(), whole, places=6)

    def test_filter(self):
        self.show(page_of(FIXTURE, "fixture.html"))
        BROWSER.keys("/")
        BROWSER.type("#search", "device_add viable")
        self.assertEqual(text_of("#matches"), "1 of 20")
        drawn = BROWSER.run("return [...document.querySelectorAll('#plot .item')]"
                            ".map((node) => node.getAttribute('aria-label'))")
        self.assertEqual(len(drawn), 1)
        self.assertIn("0000:00:1f.3", drawn[0])
        self.assertEqual(text_of("#count"), "1")
        BROWSER.type("#search", "\ue00c")  # escape
        self.assertEqual(BROWSER.run("return document.querySelectorAll('#plot .item').length"), 20)

    def test_a_finding_leads_to_its_place(self):
        self.show(page_of(FIXTURE, "fixture.html"))
        start = scale()
        BROWSER.click("#findings li:nth-child(1) button")
        self.assertGreater(scale(), 10 * start)
        self.assertIn("group 4 is not viable", text_of("#facts"))
        BROWSER.screenshot(os.path.join(DIRECTORY, "zoomed.png"))

    def test_light_and_dark(self):
        self.show(page_of(FIXTURE, "fixture.html"))
        colour = "return getComputedStyle(document.body).backgroundColor"
        first = BROWSER.run(colour)
        BROWSER.click("#theme")
        self.assertNotEqual(BROWSER.run(colour), first)
        BROWSER.screenshot(os.path.join(DIRECTORY, "other-theme.png"))

    def test_hostile_words_stay_words(self):
        evil = "</script><script>window.pwned=1</script><img src=x onerror=window.pwned=2>"
        messages = [
            (0, "received", {"QMP": {"version": {"qemu": {}, "package": evil}}}),
            (10, "sent", {"execute": evil, "arguments": {"id": evil, evil: evil}, "id": 1}),
            (20, "received", {"id": 1, "error": {"class": evil, "desc": evil}}),
            (30, "sent", {"execute": "device_add", "arguments": {"id": evil}, "id": 2}),
            (40, "received", {"event": evil, "data": {"device": "<b>&amp;{{NONCE}}{{DATA}}"}}),
            (50, "received", {"event": "<!--<script ", "data": {"device": evil, "path": "\u2028\u0000"}}),
        ]
        page = page_of(write_log("<b>hostile.log", messages), "hostile.html")
        self.show(page)
        for name in ("device_add", "event", "QEMU"):
            BROWSER.hover(item(name))
        BROWSER.run("arguments[0].focus()", item("</script>", "refused"))
        BROWSER.click("#findings li:nth-child(1) button")
        self.assertIsNone(BROWSER.run("return window.pwned ?? null"))
        self.assertEqual(BROWSER.run("return document.querySelectorAll('img, b').length"), 0)
        self.assertEqual(BROWSER.run("return document.scripts.length"), 2)
        self.assertIn("</script><script>window.pwned=1", text_of("#facts"))
        self.assertIn("<b>hostile.log", text_of("#title"))
        lanes = BROWSER.run("return [...document.querySelectorAll('.label title')]"
                            ".map((node) => node.textContent)")
        self.assertEqual(lanes, ["monitor", evil, "<b>&amp;{{NONCE}}{{DATA}}"])
        # The policy would stop what gets through all the same: a script and a request of ours.
        BROWSER.run("const s = document.createElement('script'); s.textContent = 'window.pwned=3';"
                    "document.body.append(s);"
                    "const i = new Image(); i.src = 'https://127.0.0.1:9/x';")
        self.assertIsNone(BROWSER.run("return window.pwned ?? null"))
        refused = BROWSER.log()
        self.assertEqual(len(refused), 2, refused)
        self.assertTrue(all("Content Security Policy" in line for line in refused), refused)

    def test_a_big_log_stays_usable(self):
        messages = []
        for i in range(50000):
            at = i * 1000
            messages.append((at, "sent", {"execute": "query-status", "id": i}))
            reply = {"return": {"status": "running", "pad": "x" * 300}, "id": i}
            if i == 33333:
                reply = {"id": i, "error": {"class": "GenericError", "desc": "needle"}}
            messages.append((at + 300, "received", reply))
        page = page_of(write_log("big.log", messages), "big.html")
        self.assertLess(os.path.getsize(page), 40 << 20)
        began = time.monotonic()
        self.show(page)
        loaded = time.monotonic() - began
        self.assertIn("are drawn without their text", text_of("#notes"))
        plot = lambda key: int(BROWSER.run(
            "return document.getElementById('plot').dataset[arguments[0]]", key))
        self.assertEqual(plot("binned"), 50000)
        self.assertIn("50000 in view are too many", text_of("#density"))
        self.assertLess(BROWSER.run("return document.querySelectorAll('#plot *').length"), 5000)
        self.assertEqual(
            BROWSER.run("return document.querySelectorAll('.many.refused .mark').length"), 1)
        BROWSER.screenshot(os.path.join(DIRECTORY, "big.png"))
        began = time.monotonic()
        BROWSER.click("#in")
        zoomed = time.monotonic() - began
        BROWSER.type("#search", "needle")
        self.assertEqual(text_of("#matches"), "1 of 50000")
        BROWSER.click("#findings li:nth-child(1) button")
        self.assertIn("GenericError: needle", text_of("#facts"))
        print(f"100000 records: {os.path.getsize(page) >> 10} KiB, opened in {loaded:.2f} s, "
              f"a zoom step {zoomed:.2f} s", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    COMMAND, FIXTURE = sys.argv[1:3]
    lacking = Browser.missing()
    if lacking:
        print("trace_page: skipped: not installed: " + ", ".join(lacking) + " (test/setup)")
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="trace-page.") as directory:
        DIRECTORY = directory
        rest = sys.argv[3:]
        if rest[:1] == ["--keep"]:
            DIRECTORY, rest = rest[1], rest[2:]
            os.makedirs(DIRECTORY, exist_ok=True)
        BROWSER = Browser()
        try:
            done = unittest.main(argv=sys.argv[:1] + rest, exit=False, verbosity=2)
        finally:
            BROWSER.close()
    sys.exit(not done.result.wasSuccessful())
