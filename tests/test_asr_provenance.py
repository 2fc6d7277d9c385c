"""What a result row says of its making."""

from speechbrain_ligru_fast.asr.provenance import describe_command


def test_command_without_machine_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = describe_command(
        ["train.py", f"--a={tmp_path}/x y", "--b", f"{tmp_path}/z", "--c=!n:p"]
    )
    assert command == "python train.py '--a=x y' --b z '--c=!n:p'"
