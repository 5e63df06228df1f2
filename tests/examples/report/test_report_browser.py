"""The report in a browser: headless Chromium, driven by Selenium, with the rules of axe-core. Skipped where there is none."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.__main__ import main

webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium")
axe = pytest.importorskip("axe_core_python.selenium", reason="no axe-core-python")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (BROWSER and DRIVER),
        reason="no Chromium with its driver; Debian: apt-get install chromium chromium-driver",
    ),
]
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --window-size=1200,900"
)


def written(runs: list[Path], root: Path, path: Path) -> Path:
    """Write a report of the runs."""
    words = ["report", *map(str, runs), "--root", str(root), "--output", str(path), "--samples", "2"]
    assert main(words) == 0
    return path


@pytest.fixture(scope="module")
def report(spoken_runs: Path, spoken_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written([spoken_runs / "mask"], spoken_root, tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture(scope="module")
def of_several(spoken_runs: Path, spoken_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = [spoken_runs / row for row in ("mask", "plain", "concatenation")]
    return written(runs, spoken_root, tmp_path_factory.mktemp("reports") / "report.html")


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    started.set_script_timeout(240)  # a busy machine may take its time
    yield started
    started.quit()


@pytest.fixture
def browser(driver: Any, report: Path) -> Any:
    """The page at a desk, in the light, freshly loaded."""
    look(driver, "light", 1200)
    driver.get(report.as_uri())
    return driver


def look(driver: Any, scheme: str, width: int, media: str = "screen") -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def find(driver: Any, selector: str) -> list[Any]:
    return driver.find_elements("css selector", selector)


def seen(driver: Any, selector: str) -> list[Any]:
    return [element for element in find(driver, selector) if element.is_displayed()]


def test_no_error_and_no_request(driver: Any, report: Path):
    driver.get_log("performance")
    driver.get_log("browser")
    driver.get(report.as_uri())
    asked = driver.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in asked if not name.startswith("data:")] == []
    logged = [entry["message"] for entry in driver.get_log("performance")]
    sent = [message for message in logged if '"Network.requestWillBeSent"' in message]
    assert sent
    assert not [message for message in sent if '"url":"http' in message]
    assert driver.get_log("browser") == []


def test_every_image_and_player_works(browser: Any):
    widths = browser.execute_script("return [...document.images].map(image => image.naturalWidth)")
    assert len(widths) == 2 * 2 * 5
    assert min(widths) == 32
    for player in find(browser, "audio"):
        browser.execute_script("arguments[0].preload = 'metadata'; arguments[0].load()", player)
    wait = "const done = arguments[0]; Promise.all([...document.querySelectorAll('audio')].map(sound => new Promise(ready => {"
    wait += "if (sound.readyState) ready(); else { sound.onloadedmetadata = ready; sound.onerror = ready; } }))).then(() => "
    wait += "done([...document.querySelectorAll('audio')].map(sound => sound.duration)))"
    durations = browser.execute_async_script(wait)
    assert durations == pytest.approx([0.744] * 10, abs=0.01)


def test_the_switch_switches_by_mouse_and_by_keyboard(browser: Any):
    parts = [radio.get_attribute("value") for radio in find(browser, ".switch input")]
    assert parts == ["all", "complementary", "contradictory", "exchanged"]

    def shown() -> set[str]:
        return {part.get_attribute("data-part") for part in seen(browser, ".part")}

    assert shown() == {"all"}
    assert len(seen(browser, ".card .part")) == 4
    find(browser, ".switch input")[2].click()
    assert shown() == {"contradictory"}
    find(browser, ".switch input")[2].send_keys("\ue014")  # arrow to the right
    assert shown() == {"exchanged"}
    find(browser, ".switch input")[3].send_keys("\ue014")
    assert shown() == {"all"}


def test_the_map_is_drawn_coloured_and_read(browser: Any):
    draw_maps(browser)
    first, second = find(browser, ".map")
    places = [point.get_attribute("transform") for point in first.find_elements("css selector", ".mark")]
    assert len(places) == 40
    assert len(second.find_elements("css selector", ".mark")) in (0, 40)
    assert len(find(browser, ".keys button")) == 10
    title = first.find_element("css selector", ".mark title")
    assert "mnist" in title.get_property("textContent")
    choose(browser, "projection", "PCA")
    moved = [
        point.get_attribute("transform")
        for point in find(browser, ".map")[0].find_elements("css selector", ".mark")
    ]
    assert moved != places
    assert "of the variance" in find(browser, "[data-says]")[0].text
    choose(browser, "label", "speaker")
    names = [button.text for button in find(browser, ".keys button")]
    assert all(name.startswith("speaker ") for name in names)
    key = find(browser, ".keys button")[0]
    key.send_keys("\ue007")  # enter
    assert key.get_attribute("aria-pressed") == "true"
    assert find(browser, "[data-readout]")[0].text.endswith(names[0])


def draw_maps(browser: Any) -> None:
    """Scroll to the maps, which are drawn when they are nearly in sight."""
    drawn = "const [box, done] = [document.querySelector('.space'), arguments[0]]; box.scrollIntoView();"
    drawn += "const look = () => box.querySelector('.mark') ? done() : setTimeout(look, 20); look()"
    browser.execute_async_script(drawn)


def choose(browser: Any, choice: str, name: str) -> None:
    (select,) = find(browser, f'[data-choice="{choice}"]')
    select.send_keys(name)
    assert select.get_attribute("value") == name


def test_everything_can_be_reached_by_keyboard(browser: Any):
    reached = set()
    for _ in range(120):
        browser.switch_to.active_element.send_keys("\ue004")  # tab
        now = browser.switch_to.active_element
        reached.add((now.tag_name, now.get_attribute("type") or now.get_attribute("class") or ""))
        if now.tag_name == "body":
            break
    tags = {tag for tag, _ in reached}
    assert {"a", "input", "select", "button", "summary", "audio"} <= tags
    assert ("a", "skip") in reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360])
def test_rules_of_accessibility(browser: Any, scheme: str, width: int):
    look(browser, scheme, width)
    assert broken_rules(browser) == {}


def broken_rules(browser: Any) -> dict[str, list[str]]:
    """What axe-core finds with everything open and drawn."""
    browser.execute_script("document.querySelectorAll('details').forEach(part => { part.open = true })")
    draw_maps(browser)
    found = axe.Axe().run(browser)["violations"]
    return {rule["id"]: [node["html"][:160] for node in rule["nodes"]] for rule in found}


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 360)])
def test_several_runs_beside_each_other(driver: Any, of_several: Path, scheme: str, width: int):
    look(driver, scheme, width)
    driver.get(of_several.as_uri())
    assert broken_rules(driver) == {}
    assert overlapping_texts(driver) == []
    assert driver.execute_script("return document.documentElement.scrollWidth") == width


def test_dark_is_dark(browser: Any):
    def brightness() -> int:
        colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))

    light = brightness()
    look(browser, "dark", 1200)
    assert brightness() < 150
    assert light > 700


def test_a_phone_shows_all_of_it(browser: Any):
    look(browser, "light", 360)
    assert browser.execute_script("return document.documentElement.scrollWidth") == 360
    outside = (
        "return [...document.querySelectorAll('main *')].filter(part => !part.closest('.scroll, svg') && "
        "part.getBoundingClientRect().right > 360.5).map(part => part.outerHTML.slice(0, 120))"
    )
    assert browser.execute_script(outside) == []


def test_paper_shows_every_part(browser: Any):
    look(browser, "light", 800, media="print")
    shown = {part.get_attribute("data-part") for part in seen(browser, ".card .part")}
    assert shown == {"all", "complementary", "contradictory", "exchanged"}
    assert not seen(browser, "nav, audio, .switch")
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert browser.execute_script("return [...document.querySelectorAll('details')].every(part => part.open)")
    assert len(find(browser, ".mark")) >= 40


def test_text_of_figures_does_not_overlap(browser: Any):
    assert overlapping_texts(browser) == []


def overlapping_texts(browser: Any) -> list[str]:
    """Pairs of texts of a figure that lie on each other."""
    overlaps = (
        "return [...document.querySelectorAll('svg.chart')].flatMap(chart => { const boxes = [...chart.querySelectorAll('text')]"
        ".filter(text => text.textContent.trim()).map(text => [text.textContent, text.getBoundingClientRect()]);"
        "return boxes.flatMap(([a, p], i) => boxes.slice(i + 1).filter(([b, q]) => p.left + 1 < q.right && q.left + 1 < p.right && "
        "p.top + 2 < q.bottom && q.top + 2 < p.bottom).map(([b]) => `${a} | ${b}`)); })"
    )
    found: list[str] = browser.execute_script(overlaps)
    return found
