"""The page in examples/web, in a headless Chromium: the text is Python's."""

import functools
import http.server
import pathlib
import re
import shutil
import threading

import numpy
import pytest
import soundfile
import torch
from exports import export, untrained

from speechbrain_ligru_fast.deploy.chunks import run_chunks
from speechbrain_ligru_fast.recognition.tokenizer import LabelTokenizer

ROOT = pathlib.Path(__file__).parents[2]
WEB = ROOT / "examples" / "web"
AN4 = ROOT.parent / "shared" / "data" / "an4-librispeech"
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
# Token 0 is the blank, token 1 no text either.
RATE, LABELS, SPECIAL = 16000, [*"ABCDEFGH"], 2
# What a person reads; the machine may be busy.
TIMEOUT = 60_000

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="no Chromium: see make web"),
    pytest.mark.skipif(
        not (WEB / "node_modules").is_dir(),
        reason="no onnxruntime-web: see make web",
    ),
]


def chirp(seconds=2.0, rate=RATE):
    """A tone that rises and falls, (N,) from -1 to 1."""
    t = numpy.arange(int(seconds * rate)) / rate
    return 0.5 * numpy.sin(2 * numpy.pi * (900 * t + 100 * numpy.sin(9 * t)))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The folder of an exported model, which was not trained."""
    recognizer = untrained(LABELS, SPECIAL)
    encoder, ctc_lin = recognizer.mods.encoder, recognizer.mods.ctc_lin
    sound = torch.from_numpy(chirp()).float().unsqueeze(0)
    with torch.no_grad():
        # No token but the blank, the first, is better than others on average.
        states = encoder(sound, torch.ones(1))
        ctc_lin.bias -= ctc_lin(states).mean((0, 1))
        ctc_lin.bias[0] -= 100
        assert {1} < set(ctc_lin(states)[0].argmax(1).tolist())
    out = tmp_path_factory.mktemp("site") / "model"
    export(out, recognizer, streaming=True)
    return out


def text_of(model, samples):
    """What Python says of samples of 16 bits."""
    session = onnxruntime.InferenceSession(model / "model.onnx")
    samples = numpy.asarray(samples, "int32")
    best = run_chunks(session, samples)[0].argmax(1)
    changes = numpy.append(True, best[1:] != best[:-1])
    return LabelTokenizer(LABELS, SPECIAL).decode_ids(best[changes])


@pytest.fixture(scope="module")
def site(model):
    """The address of the page, beside the model, on a server as in docs."""
    for path in WEB.iterdir():
        if path.name != "model":
            (model.parent / path.name).symlink_to(path)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=model.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Its microphone hears a chirp, again and again."""
    heard = tmp_path_factory.mktemp("microphone") / "heard.wav"
    soundfile.write(heard, chirp(rate=48000), 48000)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=BROWSER,
            args=[
                # Root, of a container say, has no other way.
                "--no-sandbox",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-audio-capture={heard}",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser, site):
    """The page, which keeps what its model and its reader were given."""
    with browser.new_context(permissions=["microphone"]) as context:
        page = context.new_page()
        page.set_default_timeout(TIMEOUT)
        asked, errors = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(error))
        yield page
        assert len(asked) > 2 and not errors
        assert all(url.startswith(site) for url in asked)


def start(page, site):
    """Opens the page; from here on it keeps what goes in and comes out."""
    page.goto(site)
    says(page, "Ready")
    page.evaluate("""async () => {
        const { Recognizer } = await import("./recognizer.mjs");
        window.given = [];
        window.shown = [];
        const step = Recognizer.prototype.step;
        Recognizer.prototype.step = function (numbers) {
            window.given.push(...numbers);
            return step.call(this, numbers);
        };
        const text = document.getElementById("text");
        new MutationObserver(() => window.shown.push(text.textContent))
            .observe(text, { childList: true });
    }""")


def says(page, words):
    page.locator("#status", has_text=words).wait_for(timeout=TIMEOUT)


def check_text(page, model):
    """The text is Python's and grew. Returns the samples that it is of."""
    given = page.evaluate("given")
    shown = page.evaluate("shown")
    want = text_of(model, given)
    assert page.locator("#text").inner_text() == want != ""
    assert all(b.startswith(a) for a, b in zip(shown, shown[1:]))
    assert len(set(shown)) > 2
    return given


with_an4 = pytest.mark.skipif(
    not AN4.is_dir(), reason="AN4 is not at ../shared/data"
)


@pytest.mark.parametrize(
    "recording",
    ["mono.wav", "stereo.flac", "cd.wav", pytest.param("an4", marks=with_an4)],
)
def test_a_recording(page, site, model, tmp_path, recording):
    path = tmp_path / recording
    rate = 44100 if recording == "cd.wav" else RATE
    if recording == "an4":
        path = next(AN4.glob("test-an4/**/*.flac"))
    else:
        both = numpy.stack([chirp(rate=rate), -chirp(rate=rate) / 2], 1)
        soundfile.write(
            path, both if recording == "stereo.flac" else both[:, 0], rate
        )
    start(page, site)
    page.set_input_files("#file", path)
    samples, _ = soundfile.read(path, always_2d=True)
    says(page, f"{path.name}: " + "2.0 s" * (recording != "an4"))
    given = numpy.array(check_text(page, model))
    if rate == RATE:
        # The browser makes 1.0 of the largest number of 16 bits, 32767.
        assert numpy.abs(given - samples.mean(1) * 32768).max() <= 1
    else:
        assert abs(len(given) - 2 * RATE) <= 1
        # At its ends the browser interpolates with silence.
        inner = slice(100, 2 * RATE - 100)
        assert numpy.abs(given[inner] / 32768 - chirp()[inner]).max() < 0.01


def test_the_microphone(page, site, model):
    start(page, site)
    page.click("#microphone")
    says(page, "Listening")
    many = re.compile(r"(\w ){9}")
    page.locator("#text", has_text=many).wait_for(timeout=TIMEOUT)
    page.click("#microphone")
    says(page, "Stopped")
    given = numpy.array(check_text(page, model))
    # It has begun to hear, and is a chirp then.
    assert numpy.abs(given).max() > 0.3 * 32768
    assert page.locator("#microphone").inner_text() == "Use the microphone"


def test_one_file_after_another(page, site, model, tmp_path):
    names = ["first.wav", "second.wav"]
    for name in names:
        soundfile.write(tmp_path / name, chirp(), RATE)
    # Pieces of words instead of phones: an E begins a word.
    tokens = "<blk> 0\n<s> 1\n" + "".join(
        f"{'▁' * (label == 'E')}{label} {i}\n"
        for i, label in enumerate(LABELS, SPECIAL)
    )
    page.route("**/tokens.txt", lambda route: route.fulfill(body=tokens))
    start(page, site)
    texts = []
    for name in names:
        page.set_input_files("#file", WEB / "page.mjs")
        says(page, "page.mjs: not a recording that this browser reads")
        page.set_input_files("#file", tmp_path / name)
        says(page, f"{name}: 2.0 s")
        texts.append(page.locator("#text").inner_text())
    given = page.evaluate("given")
    assert given[: len(given) // 2] == given[len(given) // 2 :]
    want = text_of(model, given[: len(given) // 2])
    want = want.replace(" ", "").replace("E", " E").strip()
    assert texts == [want, want] and " E" in want


@pytest.mark.parametrize(
    "script, words",
    [
        (
            "navigator.mediaDevices.getUserMedia = async () => {"
            "throw new DOMException('Device not found') }",
            "Device not found",
        ),
        ("Object.defineProperty(navigator, 'mediaDevices', {})", "HTTPS"),
    ],
)
def test_no_microphone(page, site, script, words):
    page.add_init_script(script)
    start(page, site)
    page.click("#microphone")
    says(page, "No microphone: ")
    says(page, words)
    assert page.locator("#microphone").is_enabled()


@pytest.mark.parametrize(
    "path, words",
    [
        ("model/model.onnx", "No model/model.onnx. Make it with"),
        ("model/tokens.txt", "No model/tokens.txt"),
        ("node_modules/**", "npm install"),
        # A model that does not stream.
        ("model/model.onnx", "needs whole recordings"),
    ],
)
def test_what_is_missing(page, site, model, path, words):
    given = {"status": 404}
    if "whole" in words:
        whole = onnx.load(model / "model.onnx")
        del whole.metadata_props[:]
        given = {"body": whole.SerializeToString()}
    page.route(f"{site}{path}", lambda route: route.fulfill(**given))
    page.goto(site)
    says(page, words)
    assert page.locator("#file").is_disabled()
