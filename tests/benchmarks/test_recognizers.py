"""All that exported recognisers are compared by hear the same samples."""

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="the extra deploy is not installed")
pytest.importorskip("sherpa_onnx")

from speechbrain_ligru_fast.deploy.chunks import CHUNK  # noqa: E402

from benchmarks.recognizers import as_heard, as_recorded, as_told  # noqa: E402

SAMPLES = np.random.default_rng(0).integers(-900, 1000, 5000, dtype="int16")


def test_a_recording_is_scaled_once():
    wav = as_heard(SAMPLES, streams=False)
    # As sherpa-onnx does, in float32.
    again = (wav - wav.mean()) / np.sqrt(wav.var() + np.float32(1e-5))
    np.testing.assert_allclose(again, wav, rtol=1e-5, atol=1e-6)
    assert np.corrcoef(wav, SAMPLES)[0, 1] > 0.9999


@pytest.mark.parametrize("length", [1, CHUNK, CHUNK + 1, 5000])
def test_a_stream_is_followed_by_a_chunk_of_silence(length):
    samples = SAMPLES[:length]
    wav = as_heard(samples, streams=True)
    np.testing.assert_array_equal(wav[:length], as_recorded(samples))
    assert not wav[length:].any()
    assert len(wav) % CHUNK == 0 and CHUNK <= len(wav) - length < 2 * CHUNK


def test_a_stream_is_heard_sample_by_sample():
    samples = np.arange(-32767, 32768, dtype="int16")
    told = as_told(as_recorded(samples)).clip(-1, 1)
    assert told.dtype == np.float32
    np.testing.assert_array_equal(
        (told * np.float32(32767)).astype(int), samples
    )
