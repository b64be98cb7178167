"""The book as it is read: every chapter executed, every page built, nothing fetched from outside."""

import base64
import gzip
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
import zlib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jupytext
import nbformat
import numpy as np
import pandas as pd
import papermill
import PIL.Image
import pytest
from scipy import ndimage

from npcbook.book import run as book
from npcbook.book.branches import BRANCHES
from npcbook.book.chapter import READS
from npcbook.book.pages import expected_pages, toc_files
from npcbook.book.results import list_shown
from npcbook.cohort.reading import read_cohort
from npcbook.paper.printed import read_published
from npcbook.words import MASK_COLOURS, PRINT_LABEL, SYNTHETIC_LABEL

ROOT = Path(__file__).parents[2]
PAPER_WIDTH = 718  # CSS pixels between the margins of an A4 page
PAPER_HEIGHT = 979  # and of a page of the lower format, Letter
PHONE = {"width": 390, "height": 844}
FILES = """performance.getEntriesByType('navigation').concat(performance.getEntriesByType('resource'))
    .map(entry => new URL(entry.name).pathname)"""
SEEN = """() => ({
    alt: [...document.images].map(image => image.alt),
    links: [...document.querySelectorAll('a[href]')].map(link => link.getAttribute('href')),
    broken_images: [...document.images].filter(i => i.complete && !i.naturalWidth).length,
    landmarks: Object.fromEntries(['main', 'nav', 'h1'].map(n => [n, document.querySelectorAll(n).length])),
})"""
# What paper would cut: whatever is wider than the page, or longer than its own frame.
CUT = """[...document.querySelectorAll('main table, main pre, main img, main .text_html')].filter(e =>
    e.getBoundingClientRect().right > innerWidth + 1 || (getComputedStyle(e).overflowY != 'visible'
    && e.scrollHeight > e.clientHeight + 1)).map(e => e.outerHTML.slice(0, 120))"""
# Cells of tables in which a number, or a word, does not stand on one line.
BROKEN = """pattern => {
    const whole = new RegExp(pattern, 'gu'), broken = [];
    document.querySelectorAll('main details').forEach(fold => fold.open = true);
    for (const cell of document.querySelectorAll('main :is(td, th)')) {
        const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
        while (texts.nextNode()) for (const found of texts.currentNode.data.matchAll(whole)) {
            const range = document.createRange();
            range.setStart(texts.currentNode, found.index);
            range.setEnd(texts.currentNode, found.index + found[0].length);
            const tops = [...range.getClientRects()].map(line => Math.round(line.top));
            if (new Set(tops).size > 1) broken.push(found[0] + ' in ' + cell.textContent.slice(0, 80));
        }
    }
    return broken;
}"""
NUMBER = r"(?<![\p{L}\p{N}])[−-]?\d[\d.,]*(?:\s?(?:±|–|/|to)\s?[−-]?\d[\d.,]*)*(?:\s?%)?"
WORD = r"[\p{L}\p{N}_]{2,}"
# What a page has to say cannot be 'none', and every row has a name.
EMPTY_CELLS = """[...document.querySelectorAll('main td')].map(cell => cell.textContent.trim())
    .filter(text => /^(none|nan|nothing)\\.?$/i.test(text))"""
NAMELESS_ROWS = (
    """document.querySelectorAll('main table:is(.dataframe, .table) tbody tr > td:first-child').length"""
)
# Figures of which a telephone shows a part only: wider than the page, or than the frame in which they scroll.
CUT_ON_PHONE = """[...document.querySelectorAll('main img')].filter(image => {
    const frame = image.closest('a, p, figure'), seen = image.getBoundingClientRect();
    return seen.left < 0 || seen.right > innerWidth || frame.scrollWidth > frame.clientWidth + 1;
}).map(image => image.alt)"""
# Figures that with their captions are higher than a page of paper.
TOO_TALL = """height => [...document.querySelectorAll('main img')].filter(image => {
    const captions = [...(image.closest('.cell_output')?.querySelectorAll('p.caption') ?? [])];
    const ends = [image, ...captions].map(part => part.getBoundingClientRect().bottom);
    return Math.max(...ends) - image.getBoundingClientRect().top > height;
}).map(image => image.alt)"""
# Contrast of an element's text against the first ground behind it that is not transparent (WCAG 2).
CONTRAST = """element => {
    const light = colour => {
        const [r, g, b] = colour.match(/[0-9.]+/g).slice(0, 3).map(v => v / 255)
            .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    let ground = element;
    const clear = e => /rgba\\(.*, 0\\)/.test(getComputedStyle(e).backgroundColor);
    while (clear(ground) && ground.parentElement) ground = ground.parentElement;
    const [high, low] = [getComputedStyle(element).color, getComputedStyle(ground).backgroundColor]
        .map(light).sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
}"""
# Sets the viewer's slider to the slice in which the most of a colour is drawn.
MOST_DRAWN = """(slider, wanted) => {
    const go = number => { slider.value = number; slider.dispatchEvent(new Event('input')); };
    const drawn = document.querySelectorAll('#mri-viewer canvas')[1];
    const sizes = Array.from({length: slider.max}, (_, slice) => {
        go(slice + 1);
        const width = Math.floor(0.66 * drawn.width);
        const pixels = drawn.getContext('2d').getImageData(0, 0, width, drawn.height).data;
        let size = 0;
        for (let i = 0; i < pixels.length; i += 4)
            size += pixels[i + 3] > 60 && wanted.every((value, k) => Math.abs(pixels[i + k] - value) < 12);
        return size;
    });
    go(1 + sizes.indexOf(Math.max(...sizes)));
}"""
pytestmark = pytest.mark.book


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        """Say nothing: the tests look at the browser's side."""


@pytest.fixture(scope="session")
def html(smoke_run):
    return smoke_run / "pages" / "_build" / "html"


@pytest.fixture(scope="session")
def site(html):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=html))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def visits(browser, site):
    """Visit every page once, outside requests blocked and counted, and keep what was seen.

    One page goes from address to address: the scripts that all pages share are then read once.
    """
    seen = {name: {"outside": [], "console": [], "failed": []} for name in expected_pages()}
    here = []

    def note(kind, text):
        seen[here[-1]][kind].append(text)

    def block(route):
        note("outside", route.request.url)
        route.abort()

    page = browser.new_page()
    page.route(lambda url: not url.startswith((site, "data:", "blob:")), block)
    page.on("console", lambda message: note("console", message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: note("console", str(error)))
    page.on("requestfailed", lambda request: note("failed", request.url))
    for name, log in seen.items():
        here.append(name)
        page.set_viewport_size({"width": 1280, "height": 900})
        page.emulate_media(media="screen")
        page.goto(f"{site}/{name}", wait_until="load")
        page.wait_for_timeout(200)
        log["height"] = page.evaluate("document.documentElement.scrollHeight")
        log["broken"] = page.evaluate(BROKEN, f"{NUMBER}|{WORD}")
        log["empty_cells"], log["nameless_rows"] = page.evaluate(EMPTY_CELLS), page.evaluate(NAMELESS_ROWS)
        log["formulas"] = page.locator("mjx-container").count()
        log["raw"] = page.locator("span.math, div.math").count()
        log["text"] = page.inner_text("body")
        log |= page.evaluate(SEEN)
        log["files"] = page.evaluate(FILES)
        page.set_viewport_size(PHONE)
        log["phone_width"] = page.evaluate("document.documentElement.scrollWidth")
        log["broken on a telephone"] = page.evaluate(BROKEN, NUMBER)
        log["cut_on_phone"] = page.evaluate(CUT_ON_PHONE)
        page.set_viewport_size({"width": PAPER_WIDTH, "height": 1000})
        page.emulate_media(media="print")
        log["cut_in_print"] = page.evaluate(CUT)
        log["too_tall"] = page.evaluate(TOO_TALL, PAPER_HEIGHT)
        log["bars_in_print"] = page.locator(".bd-sidebar-primary:visible, .bd-header-article:visible").count()
    page.close()
    return seen


def test_every_chapter_ran_to_its_end(smoke_run):
    for plan in book.plan_chapters():
        notebook = nbformat.read(smoke_run / "notebooks" / f"{plan.name}.ipynb", as_version=4)
        code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
        assert all(cell.execution_count for cell in code), plan.name
        assert not [o for cell in code for o in cell.outputs if o.output_type == "error"], plan.name


def test_no_chapter_warned(smoke_run):
    for plan in book.plan_chapters():
        notebook = nbformat.read(smoke_run / "notebooks" / f"{plan.name}.ipynb", as_version=4)
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        heard = "".join(output.text for output in outputs if output.get("name") == "stderr")
        assert "Warning" not in heard, (plan.name, heard[:2000])


def test_chapters_read_what_their_scripts_say(smoke_run):
    for plan in book.plan_chapters():
        noted = smoke_run / plan.name / READS
        read = set(noted.read_text().split()) if noted.exists() else set()
        assert read <= set(plan.reads), plan.name


def test_every_page_is_there(html):
    assert [page for page in expected_pages() if not (html / page).exists()] == []


def test_no_page_asks_for_anything_outside(visits):
    assert {name: log["outside"] for name, log in visits.items() if log["outside"]} == {}


def test_no_page_has_an_error(visits):
    assert {name: log["console"] for name, log in visits.items() if log["console"]} == {}
    assert {name: log["failed"] for name, log in visits.items() if log["failed"]} == {}
    assert {name: log["broken_images"] for name, log in visits.items() if log["broken_images"]} == {}


def test_formulas_are_typeset_without_a_network(visits):
    assert sum(log["formulas"] for log in visits.values()) > 5
    for name, log in visits.items():
        assert log["formulas"] >= log["raw"], name
        # The script that draws them is a megabyte.
        assert any("mathjax" in file for file in log["files"]) == bool(log["raw"]), name


def test_internal_links_resolve(visits, html):
    broken = []
    for name, log in visits.items():
        for link in log["links"]:
            target = link.split("#")[0].split("?")[0]
            if (
                target
                and not re.match(r"[a-z]+:", target)
                and not (html / name).parent.joinpath(target).exists()
            ):
                broken.append((name, link))
    assert broken == []


def test_every_picture_is_put_into_words(visits):
    for name, log in visits.items():
        assert [alt for alt in log["alt"] if not re.fullmatch(r"[A-Z].*[a-z].* .*\.", alt)] == [], name
    figures = [alt for log in visits.values() for alt in log["alt"] if SYNTHETIC_LABEL in alt]
    assert len(figures) >= 30


def test_a_page_has_its_landmarks(visits):
    for name, log in visits.items():
        assert log["landmarks"]["main"] == 1, name
        assert log["landmarks"]["nav"] >= 1, name


def test_no_page_scrolls_sideways_on_a_telephone(visits):
    assert {name: log["phone_width"] for name, log in visits.items() if log["phone_width"] > 390} == {}


def test_no_page_is_too_long_to_be_read(visits):
    assert {name: log["height"] for name, log in visits.items() if log["height"] > 15_000} == {}


def test_no_number_and_no_word_of_a_table_is_broken(visits):
    assert {name: log["broken"] for name, log in visits.items() if log["broken"]} == {}
    small = "broken on a telephone"
    assert {name: log[small] for name, log in visits.items() if log[small]} == {}


def test_tables_name_their_rows_and_no_cell_says_none(visits):
    assert {name: log["nameless_rows"] for name, log in visits.items() if log["nameless_rows"]} == {}
    assert {name: log["empty_cells"] for name, log in visits.items() if log["empty_cells"]} == {}


def test_in_short_answers_first_in_bold_and_no_bullet_bears_more_than_three_numbers(smoke_run):
    number = r"(?<![\w.])[−<>≤≥]?\d[\d.,]*(?: \([^)]*\d[^)]*\))?"  # an estimate with its interval is one
    links, places = r" ?\(\[[^]]*\]\([^)]*\)[^)]*\)|\]\([^)]*\)", r"(?:[Cc]hapter|Table|Fig\.|Figure) \d+b?"
    many = []
    for path in smoke_run.glob("*/takeaways.csv"):
        said = pd.read_csv(path).sort_values("position")["text"]
        assert re.match(r"\*\*[^*]{20,}\*\*", said.iloc[0]), (path.parent.name, said.iloc[0])
        plain = said.replace(links, "", regex=True).replace(places, "", regex=True)
        many += [text for text in plain if len(re.findall(number, text)) > 3]
    assert many == []


def test_the_menu_runs_in_the_order_of_the_numbers():
    chapters = [name for name in toc_files() if re.match(r"notebooks/\d", name)]
    assert chapters == sorted(chapters)


def test_a_telephone_shows_figures_whole(visits):
    assert {name: log["cut_on_phone"] for name, log in visits.items() if log["cut_on_phone"]} == {}


def test_no_figure_with_its_caption_is_higher_than_a_page_of_paper(visits):
    assert {name: log["too_tall"] for name, log in visits.items() if log["too_tall"]} == {}


def test_paper_shows_everything_and_no_bars(visits):
    assert {name: log["cut_in_print"] for name, log in visits.items() if log["cut_in_print"]} == {}
    assert {name: log["bars_in_print"] for name, log in visits.items() if log["bars_in_print"]} == {}


def test_pages_are_light(visits, html):
    def travels(name):
        content = (html / name.lstrip("/")).read_bytes()
        # Text travels compressed, as servers send it.
        return len(gzip.compress(content) if name.endswith((".html", ".css", ".js", ".svg")) else content)

    weights = {name: sum(map(travels, set(log["files"]) - {"/favicon.ico"})) for name, log in visits.items()}
    # The viewer brings its own drawing library and the volumes.
    assert {n: w for n, w in weights.items() if w > 3e6 and n != "notebooks/13_viewer.html"} == {}
    assert weights["notebooks/13_viewer.html"] < 8e6


def test_every_figure_and_table_can_be_downloaded(visits, smoke_run):
    offered = {link for log in visits.values() for link in log["links"] if "results/" in link}
    for item in list_shown(smoke_run):
        for copy in item.copies():
            assert f"../results/{copy}" in offered, copy
            assert f"results/{copy}" in offered, copy


def test_a_printed_page_is_a_pdf_that_cuts_no_figure(browser, site):
    page = browser.new_page()
    page.goto(f"{site}/notebooks/06_km.html")
    figures = page.locator("main img").count()
    pdf = page.pdf(format="A4", margin=dict.fromkeys(("top", "right", "bottom", "left"), "10mm"))
    page.close()
    # A figure on two pages would be drawn on each of them.
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.S)
    pictures = set(re.findall(rb"(\d+) 0 obj\s*<<\s*/Type /XObject\s*/Subtype /Image", pdf))  # no icons
    drawn = []
    for stream in filter(lambda stream: stream[:1] == b"x", streams):
        named = re.findall(rb"/X(\d+) Do", zlib.decompressobj().decompress(stream))
        drawn += [name for name in named if name in pictures]
    assert len(drawn) == len(set(drawn)) == figures > 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_either_light(browser, site, scheme):
    page = browser.new_page(color_scheme=scheme)
    page.goto(f"{site}/notebooks/06_km.html")
    assert page.get_attribute("html", "data-theme") == scheme
    for selector in ("main p", "main td", "main th", "main a", "main h2"):
        assert page.eval_on_selector(selector, CONTRAST) >= 4.5, selector
    card = page.eval_on_selector(
        "main img", "i => getComputedStyle(i).backgroundColor + getComputedStyle(i).filter"
    )
    assert card == "rgb(255, 255, 255)none"
    page.close()


def test_the_keyboards_place_is_visible(browser, site):
    page = browser.new_page()
    page.goto(f"{site}/notebooks/06_km.html")
    for _ in range(30):
        page.keyboard.press("Tab")
        style = "e => getComputedStyle(e).outlineStyle + getComputedStyle(e).boxShadow"
        assert page.eval_on_selector(":focus", style) != "nonenone"
    page.close()


@pytest.mark.parametrize("how", ["server", "file"])
def test_search_finds_a_word(browser, site, html, how):
    page = browser.new_page()
    page.goto((site if how == "server" else html.as_uri()) + "/search.html?q=metastasis")
    page.wait_for_selector("#search-results li")
    assert page.locator("#search-results li").count() >= 5
    page.close()


def drawing(page):
    """Return what the viewer has drawn above the picture: pixels, rows from the top, and their opacity."""
    text = page.evaluate("document.querySelectorAll('#mri-viewer canvas')[1].toDataURL()")
    with PIL.Image.open(io.BytesIO(base64.b64decode(text.split(",")[1]))) as picture:
        pixels = np.asarray(picture.convert("RGBA"))
    return pixels, pixels[..., 3]


def opened_viewer(browser, html, **options):
    page = browser.new_page(**options)
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.goto((html / "notebooks" / "13_viewer.html").as_uri())
    page.wait_for_selector("#mri-viewer[data-state=ready]")
    return page


@pytest.fixture(scope="module")
def viewer(browser, html):
    """Return the viewer's page, opened from a folder, on a screen."""
    page = opened_viewer(browser, html)
    yield page
    assert page.faults == []
    page.close()


def choose(page, sequence, masks):
    page.get_by_label("sequence").select_option(sequence)
    page.get_by_label("masks").select_option(masks)
    page.wait_for_selector(f'#mri-viewer[data-shown$="{sequence}, {masks}"]')
    page.wait_for_timeout(200)


def set_slider(page, name, value):
    page.get_by_label(name).evaluate(
        "(one, value) => { one.value = value; one.dispatchEvent(new Event('input')); }", value
    )


def test_the_viewer_is_used_from_the_keyboard(viewer):
    choose(viewer, "T1W", "reader's")
    viewer.get_by_label("masks").focus()
    viewer.keyboard.press("Tab")
    assert viewer.evaluate("document.activeElement.tagName") == "CANVAS"
    before, places = viewer.locator("#mri-viewer canvas").first.screenshot(), []
    for key in ("ArrowLeft", "ArrowUp", "PageUp"):
        for _ in range(3):
            viewer.keyboard.press(key)
        places.append(viewer.inner_text("#mri-viewer output"))
    assert len(set(places)) == 3
    assert re.search(r"mm right, .* grey value \d+; reader: (background|tumour|lymph nodes)", places[0])
    assert viewer.locator("#mri-viewer canvas").first.screenshot() != before
    viewer.keyboard.press("Tab")
    assert viewer.evaluate("document.activeElement.type") == "range"


def test_the_viewer_shows_volumes_from_a_folder(viewer):
    picture = viewer.locator("#mri-viewer canvas").first
    choose(viewer, "T1W", "none")
    without = picture.screenshot()
    assert not drawing(viewer)[1].any()
    choose(viewer, "T2W", "both")
    assert picture.screenshot() != without
    assert drawing(viewer)[1].any()


def areas(page, colour, *, within):
    """Return where the viewer fills or outlines in a colour, in the large axial slice."""
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    pixels, opacity = drawing(page)
    found = (np.abs(pixels[..., :3].astype(int) - wanted).max(-1) <= within) & (opacity > 0)
    found[:, int(0.66 * found.shape[1]) :] = False
    return found


def go_where_it_is_drawn(page, colour):
    """Choose the slice in which the most of a colour is drawn."""
    page.get_by_label("slice").evaluate(MOST_DRAWN, [int(colour[i : i + 2], 16) for i in (1, 3, 5)])


def test_masks_in_the_viewer_are_as_in_the_figures_and_the_picture_shows_through(viewer):
    choose(viewer, "T1W", "reader's")
    for colour in MASK_COLOURS.values():
        go_where_it_is_drawn(viewer, colour)
        set_slider(viewer, "opacity", 30)
        opacity = drawing(viewer)[1][areas(viewer, colour, within=12)]
        assert (opacity == 255).sum() > 20  # the outline
        assert (np.abs(opacity.astype(int) - 0.3 * 255) < 3).sum() > 20  # what it surrounds
        set_slider(viewer, "opacity", 0)
        opacity = drawing(viewer)[1][areas(viewer, colour, within=12)]
        assert (opacity == 255).sum() > 20
        assert (np.abs(opacity.astype(int) - 0.3 * 255) < 3).mean() < 0.1
    # The network's outline is broken into dashes, the reader's is whole.
    go_where_it_is_drawn(viewer, MASK_COLOURS["tumour"])
    pieces = {}
    for masks in ("reader's", "network's", "both"):
        choose(viewer, "T1W", masks)
        pieces[masks] = ndimage.label(drawing(viewer)[1] > 60)[1]
    assert pieces["network's"] > 5 * pieces["reader's"]
    assert pieces["both"] > 2 * pieces["reader's"]
    viewer.get_by_text("reset", exact=True).click()
    assert viewer.get_by_label("opacity").input_value() == "30"


def test_masks_in_the_viewer_lie_where_the_picture_has_them(viewer):
    choose(viewer, "T1W", "reader's")
    canvas = viewer.locator("#mri-viewer canvas").first
    # Nodes lie on one side, so that an exchange of left and right would be seen.
    for name, colour in zip(("tumour", "lymph nodes"), MASK_COLOURS.values(), strict=True):
        go_where_it_is_drawn(viewer, colour)
        depth = ndimage.distance_transform_edt(areas(viewer, colour, within=12))
        y, x = np.unravel_index(depth.argmax(), depth.shape)
        scale = canvas.bounding_box()["width"] / depth.shape[1]
        canvas.click(position={"x": x * scale, "y": y * scale})
        assert f"reader: {name}" in viewer.inner_text("#mri-viewer output")


def test_the_viewers_axial_slice_is_large_and_goes_through_the_volume(viewer):
    choose(viewer, "T1W", "none")
    frame = viewer.locator(".viewer-frame").bounding_box()
    grey = np.asarray(PIL.Image.open(io.BytesIO(viewer.locator(".viewer-frame").screenshot())).convert("L"))
    assert (grey[:, : int(0.66 * frame["width"])] > 20).mean() > 0.35
    slices, shown = int(viewer.get_by_label("slice").get_attribute("max")), set()
    for number in range(1, slices + 1, 3):
        set_slider(viewer, "slice", number)
        assert f"slice {number} of {slices}" in viewer.inner_text(".viewer-sliders")
        viewer.wait_for_timeout(50)
        shown.add(viewer.locator("#mri-viewer canvas").first.screenshot())
    assert len(shown) == len(range(1, slices + 1, 3))


def test_brightness_and_contrast_in_the_viewer_follow_mouse_and_sliders(viewer):
    choose(viewer, "T1W", "none")

    def light():
        viewer.wait_for_timeout(50)
        picture = viewer.locator("#mri-viewer canvas").first.screenshot()
        return np.asarray(PIL.Image.open(io.BytesIO(picture)).convert("L"), float).mean()

    before = light()
    box = viewer.locator(".viewer-frame").bounding_box()
    viewer.mouse.move(box["x"] + 200, box["y"] + 200)
    viewer.mouse.down(button="right")
    viewer.mouse.move(box["x"] + 160, box["y"] + 140, steps=4)
    viewer.mouse.up(button="right")
    sliders = {name: float(viewer.get_by_label(name).input_value()) for name in ("brightness", "contrast")}
    assert sliders == {"brightness": 30, "contrast": -20}
    assert light() > before + 5
    viewer.get_by_text("reset", exact=True).click()
    assert light() == pytest.approx(before, abs=0.5)
    set_slider(viewer, "brightness", -50)
    assert light() < before - 5
    viewer.get_by_text("reset", exact=True).click()


def test_a_finger_changes_the_viewers_brightness_and_scrolls_its_page(browser, html):
    page = opened_viewer(browser, html, viewport=PHONE, has_touch=True, is_mobile=True)
    frame = page.locator(".viewer-frame")
    frame.scroll_into_view_if_needed()
    box, touch = frame.bounding_box(), page.context.new_cdp_session(page)
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]

    def swipe(across, down):
        place = {"x": box["x"] + 150, "y": box["y"] + 150}
        touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [place]})
        for step in range(1, 9):
            moved = {"x": place["x"] + across * step / 8, "y": place["y"] + down * step / 8}
            touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [moved]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        page.wait_for_timeout(300)
        return float(page.get_by_label("brightness").input_value()), page.evaluate("scrollY")

    start = page.evaluate("scrollY")
    assert swipe(80, 0) == (40, start)
    brightness, scrolled = swipe(0, -100)
    assert brightness == 40
    assert scrolled > start
    assert page.faults == []
    page.close()


def test_a_figure_is_seen_whole(browser, site):
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{site}/notebooks/06_km.html")
    figure = page.locator(".cell_output img").first
    frame = figure.locator("xpath=..")
    assert frame.evaluate("a => a.clientHeight") >= figure.evaluate("img => img.clientHeight") > 100
    figure.scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    with PIL.Image.open(io.BytesIO(figure.screenshot())) as picture:
        dark = np.asarray(picture.convert("L")) < 128
    # Ink from the first tenth of the figure to the last.
    assert dark[: len(dark) // 8].any()
    assert dark[-len(dark) // 8 :].any()
    page.close()


def test_the_chapters_and_the_contents_open_on_a_telephone(browser, site):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(f"{site}/notebooks/06_km.html")
    for button, link in (
        (".primary-toggle", "04 · Radiomics"),
        (".secondary-toggle", "Limits and deviations"),
    ):
        there = page.locator(f"dialog a:has-text('{link}')").first
        assert not there.is_visible()
        page.locator(f"{button}:visible").first.click()
        there.wait_for(state="visible")
        there.click()
        page.wait_for_timeout(300)
    assert page.url.endswith("#limits-and-deviations")
    page.close()


def test_a_tap_enlarges_a_figure_on_a_telephone(browser, site):
    page = browser.new_page(viewport=PHONE, has_touch=True, is_mobile=True)
    page.goto(f"{site}/notebooks/06_km.html")
    figure, dialog = page.locator("main a.enlarges").first, page.locator("dialog.enlarged")
    figure.scroll_into_view_if_needed()
    there = page.evaluate("scrollY")
    seen, letters = figure.locator("img").evaluate("i => [i.clientWidth, parseFloat(i.style.width)]")
    assert seen <= PHONE["width"] < letters
    figure.locator("img").tap()
    assert dialog.locator("img").evaluate("i => i.clientWidth") >= letters
    assert dialog.evaluate("d => d.scrollWidth > d.clientWidth && d.clientHeight >= innerHeight - 1")
    dialog.locator("img").tap()
    focused = (
        "document.activeElement.matches('main a.enlarges') && document.activeElement.querySelector('img').src"
    )
    for open_by, close_by in (("Enter", "Escape"), ("Enter", "Enter")):
        assert not dialog.is_visible()
        assert page.evaluate(focused) == figure.locator("img").evaluate("i => i.src")
        page.keyboard.press(open_by)
        assert dialog.is_visible()
        page.keyboard.press(close_by)
    assert not dialog.is_visible()
    assert page.evaluate("scrollY") == pytest.approx(there, abs=50)
    assert page.url.endswith("06_km.html")
    page.close()


def test_without_webgl_the_picture_stays(browser, html):
    page = browser.new_page()
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.goto((html / "notebooks" / "13_viewer.html").as_uri())
    page.wait_for_selector("#mri-viewer[data-state=no-webgl]")
    assert "WebGL" in page.inner_text("#mri-viewer")
    assert page.locator("main img").first.is_visible()
    page.close()


def test_the_ledger_is_filtered_without_a_server(browser, html):
    page = browser.new_page()
    page.goto((html / "notebooks" / "10_ledger.html").as_uri())
    rows = page.locator(".tag_filterable tbody tr:visible")
    everything = rows.count()
    assert everything == len(read_published())
    page.get_by_label("printed interval").select_option("outside")
    page.get_by_label("chapter").select_option("05")
    assert 0 < rows.count() < everything
    for chosen in ("printed interval", "chapter"):
        page.get_by_label(chosen).select_option("all")
    page.set_viewport_size(PHONE)
    found = []
    for words in ("DL C-index", "c\u2011index  dl"):
        page.get_by_label("words").fill(words)
        found.append(rows.all_inner_texts())
        assert page.inner_text(".filters output") == f"{len(found[-1])} of {everything} rows"
    assert found[0] == found[1]
    assert 0 < len(found[0]) < everything
    assert all("C-index" in text and re.search(r"\bDL\b", text) for text in found[0])
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.get_by_label("words").fill("no such number")
    assert rows.count() == 0
    page.emulate_media(media="print")
    assert rows.count() == everything
    page.close()
    plain = browser.new_page(java_script_enabled=False)
    plain.goto((html / "notebooks" / "10_ledger.html").as_uri())
    assert plain.locator(".tag_filterable tbody tr:visible").count() == everything
    plain.close()


def test_no_page_shows_a_path_of_the_machine_it_ran_on(visits):
    # Parameters are given from the project's root, so nothing has a reason to name what lies above it.
    above = str(ROOT.parent) + "/"
    assert [name for name, log in visits.items() if above in log["text"]] == []


def test_every_result_page_is_labelled_synthetic(visits):
    for plan in book.plan_chapters():
        if plan.reads_cohort:
            assert SYNTHETIC_LABEL in visits[f"notebooks/{plan.name}.html"]["text"], plan.name


def test_the_page_of_real_patients_is_labelled_as_such_and_nowhere_synthetic(visits, smoke_run):
    text = visits["notebooks/09d_real_patients.html"]["text"]
    assert SYNTHETIC_LABEL not in text
    assert "trial run" not in text
    for words in ("CC BY 4.0", "RADCURE", "evidence about the DL score"):
        assert words in text
    shown = pd.read_csv(smoke_run / "09d_real_patients/shown.csv")
    assert set(shown["label"]).isdisjoint({SYNTHETIC_LABEL})


def test_a_trial_run_says_so_below_every_title(html):
    print_only = {"notebooks/00_printed_numbers", "notebooks/00b_printed_sentences"}
    real = {"notebooks/09d_real_patients"}
    for page in {"README", *(f"notebooks/{plan.name}" for plan in book.plan_chapters())} - print_only - real:
        assert "This is a trial run, too small" in (html / f"{page}.html").read_text(), page
    for page in print_only:
        assert "no patient data" in (html / f"{page}.html").read_text()


def test_the_front_page_says_what_was_found_before_anything_else(browser, html):
    page = browser.new_page(viewport=PHONE)
    page.goto((html / "README.html").as_uri())
    text = page.inner_text("main")
    parts = [
        "never that the paper is right",
        "What was found",
        PRINT_LABEL.split("'")[0],
        SYNTHETIC_LABEL,
        "Chapters",
    ]
    assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts)
    assert page.locator("#what-was-found li").count() >= 3
    (width,) = page.locator("figure.front img").evaluate_all("all => all.map(i => i.clientWidth)")
    assert 300 < width < 390
    page.close()


def test_the_ledger_covers_every_printed_number(smoke_run):
    values = [path for path in smoke_run.glob("*/values.csv")]
    assert len(values) >= 7
    manifest = json.loads((smoke_run / "manifest.json").read_text())
    assert set(manifest["chapters"]) == {plan.name for plan in book.plan_chapters()}
    assert len(read_published()) >= 300


def test_an_unchanged_book_runs_and_builds_nothing(smoke_run, html):
    index = html / "index.html"
    built = index.stat().st_mtime_ns
    result = subprocess.run(
        [sys.executable, "-m", "npcbook", "book", "--profile", "smoke"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0
    assert "running ..." not in result.stdout
    assert index.stat().st_mtime_ns == built


def test_the_readmes_papermill_line_makes_a_branch_and_a_wrong_one_nothing(smoke_run, smoke_cohort, tmp_path):
    text = (ROOT / "README.md").read_text()
    (line,) = re.findall(r"^papermill .*?[^\\]$", text, re.M | re.S)
    line = line.replace("\\\n", " ").replace("data/runs/laptop-synthetic", str(smoke_run))
    line = line.replace("data/runs/km.ipynb", str(tmp_path / "km.ipynb"))
    command = [Path(sys.executable).parent / "papermill", *shlex.split(line)[1:]]
    command += ["-p", "cohort_folder", str(smoke_cohort), "--no-progress-bar"]
    stored = (smoke_run / "06_km" / "cutoffs.csv").read_bytes()
    options = {"cwd": ROOT, "capture_output": True, "text": True, "check": False}
    wrong = subprocess.run([*command, "-p", "min_fractoin", "0.2"], **options)
    said = "06_km has no parameter 'min_fractoin' (is min_fraction meant?); it has"
    assert (wrong.returncode, said in wrong.stderr) == (1, True)
    assert not list((smoke_run / BRANCHES).glob("06_km-*"))
    done = subprocess.run(command, **options)
    assert done.returncode == 0, done.stderr[-3000:]
    (branch,) = (smoke_run / BRANCHES).glob("06_km-*")
    assert (branch / "06_km" / "cutoffs.csv").read_bytes() != stored
    assert (smoke_run / "06_km" / "cutoffs.csv").read_bytes() == stored
    shown = (tmp_path / "km.ipynb").read_text()
    assert "`min_fraction` 0.1 \\u2192 0.2" in shown or "`min_fraction` 0.1 → 0.2" in shown
    assert "Changed against the stored run: " in shown
    shutil.rmtree(branch)


def test_the_template_chapter_runs(smoke_run, smoke_cohort, tmp_path):
    shutil.copytree(smoke_run / "01_cohorts", tmp_path / "run" / "01_cohorts")
    notebook = jupytext.read(ROOT / "notebooks" / "template" / "chapter.py")
    nbformat.write(notebook, tmp_path / "chapter.ipynb")
    parameters = {"run_folder": str(tmp_path / "run"), "cohort_folder": str(smoke_cohort), "endpoint": "os"}
    source, target = str(tmp_path / "chapter.ipynb"), str(tmp_path / "out.ipynb")
    papermill.execute_notebook(source, target, parameters, cwd=str(ROOT), progress_bar=False)
    assert (tmp_path / "run" / "template" / "figures" / "months.svg").exists()


def test_the_readme_checks_a_cohort(smoke_cohort):
    command = [sys.executable, "-m", "npcbook", "check", str(smoke_cohort)]
    assert subprocess.run(command, cwd=ROOT, check=False, capture_output=True).returncode == 0
    assert read_cohort(smoke_cohort).is_synthetic
