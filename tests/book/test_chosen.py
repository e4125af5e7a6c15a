"""What a reader can choose, hear and guess on the built pages: by keyboard, by address, without scripts, on a phone."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.book.browse import CHROMIUM, opened

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome is installed")

EXPLORER = "book/executed/recorded/30_explorer.html"
OWN = "book/executed/copy/30_explorer.html"
ANSWER = "book/executed/recorded/19_answer.html"
BLIND = "book/executed/copy/31_blind.html"
CLIP = "book/executed/copy/resnet18/06_explanations.html"


def chosen(page) -> dict[str, str]:
    page.wait_for_selector(".chosen select[name=network] option", state="attached")
    return page.eval_on_selector_all(".chosen select", "all => Object.fromEntries(all.map(s => [s.name, s.value]))")


def in_address(page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).fragment).items()}


def test_a_view_is_chosen_by_keyboard_said_and_kept_in_the_address(address, browser):
    page = opened(browser, address, EXPLORER)
    before, said = chosen(page), page.locator(".said").inner_text()
    page.get_by_role("combobox", name="network").focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_function("said => document.querySelector('.said').textContent !== said", arg=said)
    now = chosen(page)
    assert now["network"] != before["network"]
    assert page.locator(".said").inner_text().startswith(now["network"])
    assert page.locator("[aria-live=polite] > .said").count() == 1
    assert in_address(page) == now
    page.get_by_role("combobox", name="clip").select_option(index=60)  # of the other fold
    page.wait_for_function("clip => !location.hash.includes(clip)", arg=before["clip"])
    other = in_address(page)
    # the link that is sent shows the same
    fresh = opened(browser, address, f"{EXPLORER}#{urlsplit(page.url).fragment}")
    fresh.wait_for_function(f"document.querySelector('select[name=clip]').value === {json.dumps(other['clip'])}")
    fresh.wait_for_function(
        "text => document.querySelector('.said').textContent === text", arg=page.locator(".said").inner_text()
    )
    assert chosen(fresh) == other
    assert page.faults == fresh.faults == []
    fresh.close()
    page.close()


def test_what_is_not_recorded_together_goes_to_the_nearest_and_says_so(address, browser):
    page = opened(browser, address, f"{EXPLORER}#network=nobody&layer=layer3[-1]")
    page.wait_for_function("document.querySelector('.chosen .note').textContent !== ''")
    assert (
        page.locator(".chosen .note").inner_text().startswith("Not recorded together; nearest to it: network ResNet18")
    )
    assert chosen(page)["layer"] == "layer3[-1]"
    page.close()


def test_the_explorer_is_light_until_something_is_chosen(address, browser):
    page = browser.new_page()
    sizes = []
    page.on("response", lambda answer: sizes.append((answer.url, len(answer.body()))))
    page.goto(f"{address}/{EXPLORER}", wait_until="networkidle")
    own = [size for url, size in sizes if "/chosen/" in url or url.endswith((".html", "choose.js"))]
    assert sum("/chosen/" in url and url.endswith(".js") for url, _ in sizes) == 1
    assert sum(own) < 500_000
    page.close()


def test_a_choice_of_the_curve_is_flipped_with_its_sentence_and_number(address, browser):
    page = opened(browser, address, ANSWER)
    first = chosen(page)
    said, line = page.locator(".flip .said"), page.locator(".flip [data-slot=line]")
    before = said.inner_text(), line.inner_html()
    assert before[0].startswith("With every choice as this book reads the thesis, ")
    page.get_by_role("combobox", name="blocks").select_option("frame")
    page.wait_for_function("location.hash !== ''")
    assert said.inner_text().startswith("With blocks frame, the median score of ")
    assert line.inner_html() != before[1]
    assert in_address(page) == first | {"blocks": "frame"}
    # two networks of their own were not computed together
    page.get_by_role("combobox", name="padding").select_option("minimum")
    page.get_by_role("combobox", name="hop").select_option("512")
    page.wait_for_function("document.querySelector('.chosen .note').textContent.includes('padding zero')")
    assert said.inner_text().startswith("With hop 512, blocks frame, ")
    page.close()


@pytest.mark.parametrize("path", [EXPLORER, ANSWER, BLIND, CLIP])
def test_without_scripts_the_page_is_whole_and_fits_a_narrow_phone(address, browser, path):
    context = browser.new_context(java_script_enabled=False, viewport={"width": 320, "height": 800})
    page = context.new_page()
    page.goto(f"{address}/{path}")
    assert page.locator("main").bounding_box()["width"] <= 320
    assert page.locator("article select").count() == 0
    if path in (EXPLORER, ANSWER):
        assert len(page.locator(".chosen .said").inner_text()) > 50
        assert page.locator(".chosen svg").is_visible()
    if path == EXPLORER:
        assert page.locator(".explorer tbody tr").count() >= 5
        assert page.locator(".explorer img").count() == 2
        assert page.locator(".explorer a[href*='freesound.org']").count() == 1
    if path == BLIND:
        answer = page.locator(".round dl").first
        assert not answer.is_visible()
        page.locator(".round summary").first.click()
        assert sorted(answer.locator("dd").all_inner_texts()) == ["Grad-CAM", "loudness", "random"]
    if path == CLIP:
        assert page.locator(".follow audio").count() == 4
        assert not page.locator(".follow .line").is_visible()
    context.close()


@pytest.mark.parametrize("path", [EXPLORER, ANSWER, BLIND, CLIP])
def test_with_scripts_it_fits_a_narrow_phone(address, browser, path):
    page = opened(browser, address, path)
    page.set_viewport_size({"width": 320, "height": 800})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 321
    page.close()


def test_a_guess_is_made_by_keyboard_and_counted(address, browser):
    page = opened(browser, address, BLIND)
    round_ = page.locator(".round").first
    answers = round_.locator("dd").all_text_contents()
    assert sorted(round_.get_by_label("Version A is").locator("option").all_inner_texts()[1:]) == sorted(answers)
    for letter, name in zip("AB", answers, strict=False):
        round_.get_by_label(f"Version {letter} is").select_option(name)
    round_.locator("summary").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('.round output').textContent !== ''")
    said = round_.locator("output").inner_text()
    assert said == "2 of 3 right; so far 2 of 3, where guessing blindly gives 1 on average."
    assert round_.get_by_label("Version C is").is_disabled()
    page.locator(".round summary").nth(1).click()  # not guessed
    page.wait_for_function("document.querySelectorAll('.round output')[1].textContent.startsWith('You did not')")
    assert {player.get_attribute("preload") for player in page.query_selector_all("audio")} == {"none"}
    page.close()


def test_a_clip_of_the_explorer_is_heard_and_a_line_moves_over_all_its_strips(address, browser):
    context = browser.new_context(bypass_csp=True)  # the test runs text, as the policy forbids
    page = opened(context, address, OWN)
    chosen(page)
    players = page.locator(".explorer audio")
    names = ["The clip", "What Grad-CAM keeps", "What it drops", "What a guess keeps"]
    assert [players.nth(i).get_attribute("aria-label") for i in range(players.count())] == names
    assert {players.nth(i).get_attribute("preload") for i in range(4)} == {"none"}
    line, first = page.locator(".explorer .line"), players.first
    assert not line.is_visible()
    play = "async player => { player.muted = true; player.preload = 'auto'; await player.play(); }"
    first.evaluate(play)
    page.wait_for_function("document.querySelector('.explorer audio').currentTime > 0.2")
    assert line.is_visible()
    players.nth(1).evaluate(play)  # one at a time
    page.wait_for_function("document.querySelector('.explorer audio').paused")
    page.wait_for_function("document.querySelectorAll('.explorer audio')[1].currentTime > 0.5")
    now = players.nth(1).evaluate("player => { player.pause(); return player.currentTime }")
    page.wait_for_timeout(100)
    end = float(page.locator(".explorer [data-end]").get_attribute("data-end"))
    strips, own = page.locator(".strips").bounding_box(), line.bounding_box()
    assert own["height"] == pytest.approx(strips["height"], abs=1)
    assert (own["x"] + own["width"] / 2 - strips["x"]) / strips["width"] == pytest.approx(now / end, abs=0.02)
    other = page.locator("select[name=clip] option:not(:checked)").first.get_attribute("value")
    page.get_by_role("combobox", name="clip").select_option(other)
    page.wait_for_function("clip => location.hash.includes(clip)", arg=other)
    assert not line.is_visible()  # it belonged to another sound
    context.close()


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_a_line_moves_over_the_figure_while_its_sound_plays(address, browser, motion):
    context = browser.new_context(reduced_motion=motion, bypass_csp=True)  # the test runs text, as the policy forbids
    page = opened(context, address, CLIP)
    line, audio = page.locator(".follow .line"), page.locator(".follow audio").first
    audio.evaluate("async player => { player.muted = true; player.preload = 'auto'; await player.play(); }")
    page.wait_for_function("document.querySelector('.follow audio').currentTime > 0.3")
    assert line.is_visible() == (motion == "no-preference")
    audio.evaluate("player => player.pause()")
    line.wait_for(state="visible")  # a stopped sound has a place for every reader
    audio.evaluate("player => { player.currentTime = 2 }")
    page.wait_for_function("document.querySelector('.follow audio').seeking === false")
    page.wait_for_timeout(100)
    left, right, start, end, now, at, width = page.evaluate(
        """() => {
        const figure = document.querySelector('.follow');
        const [edge, own] = ['.moving', '.line'].map(one => figure.querySelector(one).getBoundingClientRect());
        const facts = ['left', 'right', 'start', 'end'].map(name => Number(figure.dataset[name]));
        const now = figure.querySelector('audio').currentTime;
        return [...facts, now, own.x + own.width / 2 - edge.x, edge.width];
    }"""
    )
    assert at / width == pytest.approx(left + (right - left) * (now - start) / (end - start), abs=0.01)
    context.close()
