"""What ``auto`` takes on a GPU is what was measured there."""

import types

import pandas as pd
import pytest
import torch

from benchmarks.order import order, update
from speechbrain_ligru_fast import backends
from speechbrain_ligru_fast.backends.auto import COLUMNS, TABLE, gpu_order
from speechbrain_ligru_fast.backends.spec import BACKENDS, ScanSpec

DEFAULT = BACKENDS[1:]


@pytest.fixture
def table(tmp_path):
    """Made-up rows: Triton wins LiGRU in bfloat16, and nothing else."""
    path = tmp_path / "order.csv"
    path.write_text(
        ",".join(COLUMNS) + "\n"
        "GPU A,LiGRU,bf16,triton,1.0\n"
        "GPU A,LiGRU,bf16,cuda,1.4\n"
        "GPU A,LiGRU,fp32,torchscript,1.0\n"
        "GPU A,LiGRU,fp32,cuda,1.1\n"
        "GPU A,LiGRU,tf32,numba,1.0\n"
    )
    return path


def test_the_measured_order(table):
    assert gpu_order("GPU A", torch.bfloat16, False, table=table) == (
        "triton", "cuda", "numba", "torchscript", "reference",
    )  # fmt: skip
    assert gpu_order("GPU A", torch.float32, False, table=table)[:2] == (
        "torchscript", "cuda",
    )  # fmt: skip
    for unknown in (
        ("GPU B", torch.bfloat16, False),
        ("GPU A", torch.bfloat16, True),
        ("GPU A", torch.float16, False),
    ):
        assert gpu_order(*unknown, table=table) == DEFAULT


def test_the_committed_table_is_readable():
    rows = pd.read_csv(TABLE)
    assert tuple(rows.columns) == COLUMNS
    assert set(rows["backend"]) <= set(DEFAULT)
    assert (rows["relative"] >= 1).all()


@pytest.mark.parametrize(
    "dtype, tf32, name",
    [
        (torch.bfloat16, True, "triton"),
        (torch.float16, True, "cuda"),
        # SpeechBrain allows TF32; the switch may be moved at any time.
        (torch.float32, True, "numba"),
        (torch.float32, False, "torchscript"),
    ],
)
def test_auto_follows_it(dtype, tf32, name, table, monkeypatch):
    def load(name):
        return types.SimpleNamespace(name=name, unavailable=lambda *_: None)

    monkeypatch.setattr(backends.auto.gpu_order, "__defaults__", (False, table))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "GPU A")
    monkeypatch.setattr(backends.loading, "load", load)
    monkeypatch.setattr(backends, "tf32_allowed", lambda: tf32)
    backends._choose.cache_clear()
    assert backends.choose("auto", "cuda", dtype, ScanSpec()).name == name
    backends._choose.cache_clear()


def rows(**times):
    """Result rows of two cases; a time per backend and case."""
    return pd.DataFrame(
        [
            dict(
                device="GPU A",
                model="LiGRU",
                dtype="bf16",
                mode="train",
                driver="1",
                impl=impl,
                directions=2,
                features=512,
                hidden=hidden,
                batch=8,
                steps=100,
                p50_ms=ms,
            )  # fmt: skip
            for impl, both in times.items()
            for hidden, ms in zip((512, 1024), both)
        ]
    )


def test_the_order_of_rows():
    """A geometric mean: 2 x faster here and slower there is a tie."""
    found = order(rows(cuda=(1, 4), triton=(2, 3), torch=(0.1, 0.1)))
    assert list(found["backend"]) == ["cuda", "triton"]
    assert found["relative"].tolist() == [1, round(1.5**0.5, 3)]


def test_only_cases_of_all_and_the_newest_row():
    half = rows(cuda=(1, 1), triton=(2, 9))
    half = half[~((half["impl"] == "triton") & (half["hidden"] == 1024))]
    again = rows(triton=(0.5,))
    found = order(pd.concat([half, again]))
    assert found["backend"].tolist() == ["triton", "cuda"]
    assert found["relative"].tolist() == [1, 2]


def test_rows_of_a_cpu_are_left_out():
    cpu = rows(numba=(1, 1), torchscript=(2, 2))
    cpu["driver"] = None
    assert order(cpu).empty


def test_other_gpus_stay_in_the_table(table):
    """And nothing is lost to rows of a CPU."""
    cpu = rows(numba=(1, 1))
    cpu["driver"] = ""
    before = pd.read_csv(table)
    assert "0 new rows" in update(cpu, table)
    assert pd.read_csv(table).equals(before)
    update(rows(cuda=(1, 1)).assign(device="GPU B"), table)
    found = pd.read_csv(table)
    assert found.iloc[:-1].equals(before)
    assert found.iloc[-1].tolist() == ["GPU B", "LiGRU", "bf16", "cuda", 1.0]
    update(rows(cuda=(1, 1), triton=(3, 3)), table)
    found = pd.read_csv(table).set_index("device").loc["GPU A"]
    assert found["backend"].tolist() == ["cuda", "triton"]
