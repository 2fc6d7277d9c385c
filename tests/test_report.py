"""The report: tables and figures come from the rows alone."""

import pytest

from benchmarks import loss_curves, report
from benchmarks.rows import load, ratio, where

# Two runs on one machine; the second timed no LSTM and no eager layer at
# H=256. p50: ours 10 then 8 ms, stock 30 then 20 ms, 10 with its backward made
# linear, LSTM 25 ms, and 4 with as many parameters as ours. A third
# timed ours alone, with gates kept and recomputed.
LAYERS = """\
date,commit,device,driver,torch,model,impl,directions,layers,features,hidden,\
batch,steps,dtype,mode,p20_ms,p50_ms,p80_ms,peak_mb,op,auto,scan_gflops,\
gemm_gflops,gemm_ratio,run,threads,command
d1,c1,CPU,,2.11,LiGRU,numba,2,1,512,512,8,100,fp32,train,9,10,11,,layer,yes,,,\
,r1,2,python x
d1,c1,CPU,,2.11,LiGRU,speechbrain,2,1,512,512,8,100,fp32,train,29,30,31,,layer\
,,,,,r1,2,python x
d1,c1,CPU,,2.11,LSTM,torch,2,1,512,512,8,100,fp32,train,24,25,26,,layer,,,,,r1\
,2,python x
d1,c1,CPU,,2.11,LiGRU,numba,2,1,512,512,8,100,fp32,infer,1,2,3,,scan,yes,100,\
160,0.625,r1,2,python x
d1,c1,CPU,,2.11,LSTM,torch,2,1,512,192,8,100,fp32,train,3,4,5,,layer,,,,,r1,2,\
python x
d2,c2,CPU,,2.11,LiGRU,numba,2,1,512,512,8,100,fp32,train,7,8,9,40,layer,yes,,,\
,r2,2,python y
d2,c2,CPU,,2.11,LiGRU,speechbrain,2,1,512,512,8,100,fp32,train,19,20,21,100,\
layer,,,,,r2,2,python y
d2,c2,CPU,,2.11,LiGRU,speechbrain-linear,2,1,512,512,8,100,fp32,train,9,10,11,\
100,layer,,,,,r2,2,python y
d3,c3,CPU,,2.11,LiGRU,numba,2,1,512,512,8,400,fp32,train,7,8,9,40,layer,yes,,,\
,r3,2,python z
d3,c3,CPU,,2.11,LiGRU,numba-recompute,2,1,512,512,8,400,fp32,train,9,10,11,30,\
layer,,,,,r3,2,python z
"""

RECIPES = """\
date,commit,device,corpus,split,recipe,rnn,impl,lm,seed,epochs,params,wer,cer,\
per,epoch_s,decode_rtf,peak_mb,command,settings
d1,c1,CPU,AN4,test,librispeech/an4,LiGRU,numba,none,2,60,1234567,5.5,5,,20,0.5\
,900,python train.py,other
d1,c1,CPU,AN4,test,librispeech/an4,LiGRU,numba,none,1,60,1234567,9.9,5,,20,0.5\
,900,python train.py old,
d2,c2,CPU,AN4,test,librispeech/an4,LiGRU,numba,none,1,60,1234567,8.7,4.2,,20,\
0.5,900,python train.py new,
d0,c0,CPU,AN4,test,librispeech/an4,LiGRU,numba,none,1,40,1234567,12.3,6,,20,0.5\
,900,python train.py shorter --lr 0.1,
d2,c2,CPU,AN4,dev,librispeech/an4,LiGRU,numba,none,1,60,1234567,7.7,4.2,,20,\
0.5,900,python train.py new,
d2,c2,CPU,NLTK,test,timit/small,LiGRU,numba,none,1,60,1234567,,,31.5,20,0.5,\
900,python train.py,
"""


# The newest run, and one that is not to be seen.
CONVERGENCE = """\
date,commit,device,model,impl,dtype,step,stock_loss,loss,difference,steps,\
threads,run,command
d1,c1,CPU,LiGRU,numba,fp64,1,7,7,0,1,2,v1,python x
d2,c2,CPU,LiGRU,numba,fp64,1,8,8,0,2,2,v2,python y
d2,c2,CPU,LiGRU,numba,fp64,2,5,5.001,0.001,2,2,v2,python y
d2,c2,CPU,LiGRU,numba,fp32,1,9,9.5,0.5,2,2,v2,python y
d2,c2,CPU,LiGRU,numba,fp32,2,6,6.25,0.25,2,2,v2,python y
"""


@pytest.fixture
def project(tmp_path):
    """A repository with result files and a document of every table."""
    folder = tmp_path / "benchmarks" / "results"
    folder.mkdir(parents=True)
    for name in ("layers", "recompute"):
        (folder / f"{name}.csv").write_text(LAYERS)
    (folder / "recipes.csv").write_text(RECIPES)
    (folder / "convergence.csv").write_text(CONVERGENCE)
    (tmp_path / "README.md").write_text(
        "# Fast\n\n"
        + "".join(
            f"<!-- table:{name} -->\nold\n<!-- /table -->\n\ntext\n"
            for name in report.TABLES
        )
    )
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "plain.md").write_text("No tables here.\n")
    return tmp_path


def table(project, name):
    """The lines of one table of the document."""
    text = (project / "README.md").read_text()
    begin = text.index(f"<!-- table:{name} -->")
    return text[begin : text.index("<!-- /table -->", begin)].splitlines()


def test_report(project, capsys):
    assert report.main(["--root", str(project)]) == 0
    # The newest run timed no LSTM.
    assert (
        "| train step, LiGRU, H=512, T=100 | 8 | 2.50x | 1.25x |  |  |"
        in table(project, "headline")
    )
    # Nor is a run of ours alone a comparison.
    assert "T=400" not in "\n".join(table(project, "headline"))
    assert (
        "| LiGRU | numba | 512 | 8 | 400 | 2 | 1 | fp32 | 8 | 10 | 1.25x "
        "| 40 | 30 | 0.75x |" in table(project, "recompute")
    )
    # Newest rows; the LSTM's only run was the first: 25 / 10.
    assert (
        "| LiGRU | 512 | 100 | fp32 | train | numba | 8 | 2.50x |  | 1.25x | "
        "2.50x | 0.40x |  |" in table(project, "layers")
    )
    assert (
        "| LiGRU | speechbrain | 512 | 512 | 8 | 100 | fp32 | train | 19 | 20 "
        "| 21 | 100 |" in table(project, "layers-all")
    )
    scan = "| numba | 512 | 16 | infer | 2 | 100 | 160 | 62% |"
    assert scan in table(project, "scan")
    targets = "\n".join(table(project, "targets"))
    assert (
        "| train step, LiGRU against SpeechBrain's, H=512, T=100 | at least "
        "2.4 | 2.5 | yes |" in targets
    )
    assert "16 rows, H=512" in targets and "| 0.625 | NO |" in targets
    assert "H=1024, T=100 | at least 3 | not measured |  |" in targets
    recipes = "\n".join(table(project, "recipes"))
    assert "| 8.7 | 4.2 |  |" in recipes and "python train.py new" in recipes
    assert "python train.py old" not in recipes
    assert "| 12.3 | 6 |  |" in recipes  # of fewer epochs
    assert table(project, "results-librispeech")[1:] == [
        "| recipe | corpus | layer | by | LM | options of its own | epochs | "
        "seeds | WER % | s/epoch | parameters |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        "| librispeech/an4 | AN4 | LiGRU | numba | none |  | 60 | 1 | 8.70 | "
        "20 | 1234567 |",
        "| librispeech/an4 | AN4 | LiGRU | numba | none | `--lr=0.1` | 40 | 1 "
        "| 12.30 | 20 | 1234567 |",
    ]
    timit = table(project, "results-timit")
    assert "PER %" in timit[1] and "31.50" in timit[3] and len(timit) == 4
    figures = sorted(path.name for path in project.glob("docs/figures/*"))
    names = ("convergence", "gemm_ratio", "speedup", "time_vs_steps")
    assert figures == [f"{name}.png" for name in names]
    plain = (project / "docs" / "plain.md").read_text()
    assert plain == "No tables here.\n"


def test_captions_name_the_runs_shown_and_no_other(project):
    report.main(["--root", str(project)])
    one, two, three = (
        f"- c{i}, d{i}: `python {name}`" for i, name in enumerate("xyz", 1)
    )
    # The LSTM's ratio is of the first run, all else of the others.
    shown = {
        "headline": [two],
        "layers": [one, two, three],
        "layers-all": [one, two, three],
        "scan": [one],
        "recompute": [three],
    }
    for name, runs in shown.items():
        lines = table(project, name)
        assert [line for line in lines if line[:3] == "- c"] == runs, name


def test_losses_of_two_trainings_are_drawn_by_step(project):
    rows = load(project / "benchmarks" / "results" / "convergence.csv")
    losses, apart = loss_curves.figure(rows).axes
    drawn = {
        line.get_label(): line.get_xydata().tolist()
        for line in losses.get_lines()
    }
    assert drawn == {
        "float32, speechbrain": [[1, 9], [2, 6]],
        "float32, numba": [[1, 9.5], [2, 6.25]],
        "float64, speechbrain": [[1, 8], [2, 5]],
        "float64, numba": [[1, 8], [2, 5.001]],
    }
    single, double = (x.get_xydata().tolist() for x in apart.get_lines())
    assert single == [[1, 0.5], [2, 0.25]]
    assert double == [[1, 0], [2, 0.001]]
    assert apart.get_yscale() == "symlog" and losses.get_yscale() == "linear"


def test_a_ratio_needs_one_run(project):
    rows = load(project / "benchmarks" / "results" / "layers.csv")
    ours = where(rows, model="LiGRU", impl="numba", op="layer", run="r2")
    lstm = where(rows, model="LSTM")
    assert ratio(ours, lstm, "p50_ms") is None


def test_check_catches_an_edited_number(project, capsys):
    report.main(["--root", str(project)])
    assert report.main(["--check", "--root", str(project)]) == 0
    readme = project / "README.md"
    readme.write_text(readme.read_text().replace("2.50x", "3.50x", 1))
    edited = readme.read_text()
    capsys.readouterr()
    assert report.main(["--check", "--root", str(project)]) == 1
    printed = capsys.readouterr().out
    removed = [line for line in printed.splitlines() if line[:2] == "-|"]
    assert len(removed) == 1 and "3.50x" in removed[0]
    assert readme.read_text() == edited


def test_without_rows_tables_say_so(project):
    for path in project.glob("benchmarks/results/*.csv"):
        path.unlink()
    assert report.main(["--root", str(project)]) == 0
    assert table(project, "layers")[1] == "No rows yet."
    assert not (project / "docs" / "figures").exists()


@pytest.mark.parametrize(
    "text, message",
    [
        ("<!-- table:nope -->\n<!-- /table -->\n", "no table 'nope'.*layers"),
        ("<!-- table:layers -->\n", "needs its"),
        ("<!-- /table -->\n", "needs its"),
        (
            "<!-- table:layers -->\n<!-- table:scan -->\n<!-- /table -->\n",
            "needs its",
        ),
    ],
)
def test_bad_markers(project, text, message):
    (project / "docs" / "bad.md").write_text(text)
    with pytest.raises(ValueError, match=f"(?s)bad.md.*{message}"):
        report.main(["--root", str(project)])
    assert (project / "docs" / "bad.md").read_text() == text


def test_committed_tables_match_the_result_files(capsys):
    assert report.main(["--check"]) == 0, capsys.readouterr().out
