"""The status page as people see it: headless Chromium, a running outboxd, real servers.

--screenshots DIR keeps pictures of it, to be looked at."""

import argparse
import pathlib
import re
import signal
import sys
import unittest

from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from world import TOKEN, Stack, admin_port, eventually, insert_dead, lines, relay

EVIL = '<img src=x onerror="document.title=1"><script>document.title=2</script>'

# Ratios of contrast of text and what is behind it, for every element with text of its own.
CONTRAST = """
const shade = (rgb) => {
  const [r, g, b] = rgb.match(/[0-9.]+/g).map(Number).map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (e) => {
  for (; e; e = e.parentElement) {
    const color = getComputedStyle(e).backgroundColor;
    if (color !== 'rgba(0, 0, 0, 0)') return color;
  }
  return 'rgb(255, 255, 255)';
};
return [...document.querySelectorAll('body *')]
  .filter((e) => e.checkVisibility() && !e.disabled &&
                 [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()))
  .map((e) => {
    const [a, b] = [shade(getComputedStyle(e).color), shade(behind(e))].sort((x, y) => y - x);
    return [(a + 0.05) / (b + 0.05), e.textContent.trim().slice(0, 40)];
  })
  .filter(([ratio]) => ratio < 4.5);
"""


def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1100,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)


class PageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack(BUILD, aged=False)
        cls.addClassCleanup(cls.stack.close)
        cls.stack.queue("q")
        cls.relay = cls.enterClassContext(relay(cls.stack, OUTBOX_INSTANCE_ID="orders-7c9f", OUTBOX_ADMIN_TOKEN=TOKEN))
        cls.admin = f"http://127.0.0.1:{admin_port(cls.relay)}/"
        cls.read_only = f"http://127.0.0.1:{cls.relay.port}/"
        eventually("it leads", lambda: cls.relay.metric("outbox_leader") == 1)
        cls.browser = browser()
        cls.addClassCleanup(cls.browser.quit)

    def setUp(self):
        self.stack.empty_outbox()
        self.wide()
        self.scheme("light")

    # What the browser complains of, a refused load or script among it, is a failure.
    def tearDown(self):
        gone = self._testMethodName == "test_a_process_that_is_gone_is_said_and_comes_back"
        if gone:
            self.browser.get("about:blank")  # it would go on asking
        said = [entry["message"] for entry in self.browser.get_log("browser") if not re.search("status of 40[01]", entry["message"])]
        if not gone:
            self.assertEqual(said, [])

    # --- helpers ---

    def emulate(self, command, **values):
        self.browser.execute_cdp_cmd("Emulation." + command, values)

    def wide(self):
        self.emulate("clearDeviceMetricsOverride")

    def phone(self, width=360):
        self.emulate("setDeviceMetricsOverride", width=width, height=740, deviceScaleFactor=2, mobile=True)

    def scheme(self, name):
        self.emulate("setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def picture(self, name):
        if SCREENSHOTS is None:
            return
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        height = self.browser.execute_script("return document.documentElement.scrollHeight")
        width = self.browser.execute_script("return document.documentElement.clientWidth")
        self.emulate("setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500)
        self.browser.save_screenshot(str(SCREENSHOTS / (name + ".png")))

    def find(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def see(self, what, selector="body", limit=60):
        """Waits until the text is on the page."""

        def there():
            try:
                return what in self.find(selector).text
            except (NoSuchElementException, StaleElementReferenceException):
                return False  # drawn anew just now

        eventually(f"{what!r} in {selector}", there, limit)

    def press(self, label, within="body"):
        def pressed():
            try:
                [button] = [b for b in self.all(within + " button") if b.text == label and b.is_displayed()]
                button.click()
                return True
            except StaleElementReferenceException:
                return False  # drawn anew just now

        eventually(f"{label!r} is pressed", pressed)

    def answer(self, label):
        eventually("it asks whether one is sure", lambda: self.find("#sure").get_attribute("open"))
        self.press(label, "#sure")

    def open(self, locked=False):
        self.browser.get(self.admin)
        self.browser.execute_script("sessionStorage.clear()")
        self.browser.get(self.admin)
        self.see("OUTBOX_ADMIN_TOKEN", "#login")
        if not locked:
            self.unlock(TOKEN)
            self.see("leading", "#state")

    def unlock(self, token):
        self.find("#token").send_keys(token)
        self.press("Open", "#login")

    def some_traffic(self):
        self.stack.insert_backlog(40, 100)
        eventually("they are sent", lambda: self.count("status = 'sent'") == 40)

    def count(self, condition):
        return int(self.stack.sql(f"SELECT count(*) FROM outbox.messages WHERE {condition}"))

    # --- the tests ---

    def test_the_read_only_page_shows_what_status_shows_and_offers_no_action(self):
        self.some_traffic()
        insert_dead(self.stack, 2)
        self.browser.get(self.read_only)
        self.see("leading", "#state")
        for check in ("database", "schema", "lead", "broker", "blocked", "quarantine", "unconfirmed", "held", "paused", "draining"):
            self.see(check, "#checks")
        self.see("orders-7c9f", "h1")
        for name in ("pending", "oldest", "deferred", "dead", "unconfirmed", "held keys", "held destinations", "confirmed"):
            self.see(name, "#tiles")
        eventually("the dead are counted", lambda: self.find("#dead-count").text == "2")
        eventually("and why they died", lambda: self.find("#deaths").text.split() == ["too_large", "2"])
        self.see("OUTBOX_ADMIN_LISTEN", "#dead-elsewhere")
        shown = [b.text for b in self.all("button, input, select") if b.is_displayed()]
        self.assertEqual(shown, [])
        self.picture("read-only")

    def test_it_is_live_and_its_charts_are_drawn(self):
        self.browser.get(self.read_only)
        self.see("leading", "#state")
        self.stack.sql("INSERT INTO outbox.messages (routing_key, payload) SELECT 'nowhere', 'x' FROM generate_series(1, 3)")
        self.some_traffic_while_looking()
        for figure in ("rate", "latency", "backlog"):
            [drawing] = self.all(f"#{figure} svg")
            self.assertGreater(drawing.size["height"], 50)
            eventually(f"{figure} has a line", lambda: len(self.find(f"#{figure} .line.one").get_attribute("d")) > 40)
        eventually("a latency", lambda: "s" in self.find("#latency .legend").text.replace("highest", ""))
        self.see("returned", "#failures")
        self.see("key nowhere of the default exchange", "#holds")
        self.see("312 NO_ROUTE", "#holds")
        self.picture("charts")

    def some_traffic_while_looking(self):
        before = self.count("status = 'sent'")
        for _ in range(4):
            looks = self.browser.execute_script("return looks.length")
            self.stack.insert_backlog(20, 50)
            eventually("another look", lambda: self.browser.execute_script("return looks.length") > looks)
        eventually("they are sent", lambda: self.count("status = 'sent'") == before + 80)

    def test_the_admin_page_wants_the_token_and_forgets_a_wrong_one(self):
        self.open(locked=True)
        self.assertFalse(self.find("#content").is_displayed())
        self.unlock("a wrong one")
        self.see("the token is wrong", "#trouble")
        self.assertIsNone(self.browser.execute_script("return sessionStorage.getItem('outboxd-token')"))
        self.unlock(TOKEN)
        self.see("leading", "#state")
        self.assertFalse(self.find("#trouble").is_displayed())
        self.assertFalse(self.find("#login").is_displayed())
        self.browser.refresh()
        self.see("leading", "#state")

    def test_dead_letters_are_shown_with_their_reasons_filtered_and_paged(self):
        insert_dead(self.stack, 3, key="customer 17", kind="order.placed")
        insert_dead(self.stack, 60, reason="refused: 406 PRECONDITION_FAILED - unknown type", exchange="events")
        self.open()
        self.see("too_large: 20971520 bytes", "#rows")
        self.see("key customer 17", "#rows")
        self.assertEqual(len(self.all("#rows > li")), 50)
        self.press("More")
        eventually("all of them", lambda: len(self.all("#rows > li")) == 63)
        self.find("#filter [name=reason]").send_keys("too_large")
        self.press("Show", "#filter")
        eventually("three of them", lambda: len(self.all("#rows > li")) == 3)
        self.press("Show", "#rows > li:first-child")
        self.see('{"n": 1}', "#rows pre")
        self.picture("dead")

    def test_a_row_is_retried_and_one_discarded_once_one_is_sure(self):
        kept, retried, discarded = insert_dead(self.stack, 3)
        self.open()
        eventually("three of them", lambda: len(self.all("#rows > li")) == 3)
        self.press("Retry", "#rows > li:nth-child(2)")
        self.see(f"Send row {retried} again?", "#sure")
        self.answer("Cancel")
        self.assertEqual(self.count("status = 'dead'"), 3)
        self.press("Retry", "#rows > li:nth-child(2)")
        self.answer("Retry")
        self.see("retried 1 row", "#dead-note")
        eventually("it is sent", lambda: self.count(f"id = {retried} AND status = 'sent'") == 1)
        self.press("Discard", "#rows > li:nth-child(2)")
        self.answer("Discard")
        self.see("discarded 1 row", "#dead-note")
        self.assertEqual(self.stack.sql("SELECT id FROM outbox.messages WHERE status = 'dead'"), str(kept))
        self.assertEqual(self.count(f"id = {discarded}"), 0)

    def test_all_of_a_filter_are_decided_about_after_they_were_counted(self):
        insert_dead(self.stack, 3)
        insert_dead(self.stack, 70, reason="refused: 406", exchange="events")
        self.open()
        self.find("#filter [name=reason]").send_keys("refused")
        self.press("Show", "#filter")
        eventually("a page of them", lambda: len(self.all("#rows > li")) == 50)
        self.press("Discard all of these")
        self.see("Delete for good 70 rows: reason refused?", "#sure")
        self.picture("sure")
        self.answer("Discard")
        self.see("discarded 70 rows", "#dead-note")
        self.assertEqual(self.count("status = 'dead'"), 3)
        self.find("#filter [name=reason]").clear()
        self.press("Show", "#filter")
        eventually("the others", lambda: len(self.all("#rows > li")) == 3)
        self.press("Retry all of these")
        self.see("3 rows: every dead row?", "#sure")
        self.answer("Retry")
        eventually("they are sent", lambda: self.count("status = 'sent'") == 3)
        self.assertEqual([(w["action"], w["rows"]) for w in lines(self.relay, "admin.action") if not w["dry_run"]][-2:],
                         [("discard", 70), ("retry", 3)])

    def test_pauses_begin_and_end(self):
        self.open()
        self.find("#pauses-section summary").click()
        self.find("#pause-what [value=exchange]").click()
        self.find("#pause-name").send_keys("events")
        self.find("#pause-for").send_keys("15m")
        self.find("#pause-reason").send_keys("a new consumer")
        self.press("Pause", "#pause")
        self.see("exchange events", "#pauses")
        self.see("a new consumer", "#pauses")
        self.see("leading, 1 pause", "#state")
        self.picture("pauses")
        self.press("Resume", "#pauses")
        self.see("none", "#pauses")
        self.find("#pause-for").send_keys("soon")
        self.press("Pause", "#pause")
        self.see("for is not a duration", "#trouble")

    def test_foreign_text_is_never_markup(self):
        insert_dead(self.stack, 1, reason="refused: " + EVIL, routing_key=EVIL, exchange=EVIL, key=EVIL, kind=EVIL)
        self.open()
        self.see(EVIL, "#rows")
        self.assertEqual(self.all("#rows img, #rows script"), [])
        self.assertEqual(self.browser.title, "outboxd orders-7c9f")

    def test_it_fits_a_phone_and_can_be_read_by_day_and_night(self):
        self.some_traffic()
        insert_dead(self.stack, 2, key="a-very-long-ordering-key-" * 8, routing_key="orders.placed." * 15, exchange="x")
        self.open()
        self.see("too_large", "#rows")
        self.find("#pauses-section summary").click()
        for name, size in (("desktop", self.wide), ("phone", self.phone)):
            for scheme in ("light", "dark"):
                size()
                self.scheme(scheme)
                background = self.browser.execute_script("return getComputedStyle(document.body).backgroundColor")
                self.assertEqual(background == "rgb(255, 255, 255)", scheme == "light")
                wide, room = self.browser.execute_script(
                    "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
                self.assertLessEqual(wide, room, f"{name}, {scheme}")
                self.assertEqual(self.browser.execute_script(CONTRAST), [], f"{name}, {scheme}")
                small = [b.text for b in self.all("#content button") if b.is_displayed() and b.size["height"] < 36]
                self.assertEqual(small, [], "for a finger")
                self.picture(f"{name}-{scheme}")

    def test_nobody_asks_while_nobody_looks(self):
        self.browser.get(self.read_only)
        self.see("leading", "#state")
        self.browser.execute_script(
            "Object.defineProperty(document, 'hidden', {configurable: true, get: () => true});"
            "document.dispatchEvent(new Event('visibilitychange'))")
        eventually("no look is planned", lambda: self.browser.execute_script("return timer === null && !looking"))
        looks = self.browser.execute_script(
            "delete document.hidden; document.dispatchEvent(new Event('visibilitychange')); return looks.length")
        eventually("it goes on", lambda: self.browser.execute_script("return looks.length") > looks)

    def test_a_process_that_is_gone_is_said_and_comes_back(self):
        with relay(self.stack, OUTBOX_INSTANCE_ID="another") as other:
            port = other.port
            self.browser.get(f"http://127.0.0.1:{port}/")
            self.see("standby", "#state")
            self.assertEqual(self.find("#tiles").text.count("–"), 4, "it counts no rows")
            other.process.send_signal(signal.SIGTERM)
            other.process.wait(60)
        self.see("No answer from outboxd", "#trouble")
        with relay(self.stack, OUTBOX_INSTANCE_ID="another", OUTBOX_HTTP_LISTEN=f"127.0.0.1:{port}"):
            eventually("the page goes on by itself", lambda: not self.find("#trouble").is_displayed())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True, type=pathlib.Path)
    parser.add_argument("--screenshots", type=pathlib.Path)
    arguments, rest = parser.parse_known_args()
    BUILD, SCREENSHOTS = arguments.build, arguments.screenshots
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
