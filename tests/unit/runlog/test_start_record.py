from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from writing_rl.launch.main import place_logs
from writing_rl.runlog.start_record import read_starts, write_start
from writing_rl.runlog.train_log import read_train_logs

CONFIG = {
    "trainer": {"total_training_steps": 7, "logger": ["console"]},
    "writing_rl": {"judge": {"model": "a-judge", "api_key": "sk-secret-secret"}},
    "ray_kwargs": {"ray_init": {"runtime_env": {"env_vars": {"OPENAI_API_KEY": "sk-secret-secret"}}}},
}


def test_a_start_is_noted_with_settings_and_versions_and_without_secrets(tmp_path: Path) -> None:
    write_start(tmp_path, CONFIG, "20260101-000000")
    (record,) = read_starts(tmp_path)
    assert record["settings"]["writing_rl.judge.model"] == "a-judge"
    assert record["settings"]["trainer.logger"] == ["console"]
    assert {"writing_rl", "python", "verl", "ray"} <= record["versions"].keys()
    assert "secret-secret" not in (tmp_path / "starts" / "20260101-000000.json").read_text()


def test_starts_come_in_their_order_without_damaged_ones(tmp_path: Path) -> None:
    for started in ("20260102-000000", "20260101-000000"):
        write_start(tmp_path, CONFIG, started)
    (tmp_path / "starts" / "20260103-000000.json").write_text('{"settings": {}, ')
    (tmp_path / "starts" / "20260104-000000.json").write_text('["settings", "versions"]')
    assert [record["started"] for record in read_starts(tmp_path)] == ["20260101-000000", "20260102-000000"]
    assert read_starts(tmp_path / "nowhere") == []


def test_a_report_takes_settings_from_the_last_start(tmp_path: Path) -> None:
    write_start(tmp_path, CONFIG, "20260101-000000")
    write_start(tmp_path, {"trainer": {"total_training_steps": 9}}, "20260102-000000")
    facts = read_train_logs(tmp_path)
    assert (facts.total_steps, facts.starts) == (9, 2)
    assert facts.settings == {"trainer.total_training_steps": 9}
    assert "verl" in facts.versions


def test_the_figures_places_travel_in_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("VERL_FILE_LOGGER_PATH", "TENSORBOARD_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(name, "")  # so that what is set is taken back after the test
        monkeypatch.delenv(name)
    config = OmegaConf.create({"writing_rl": {"log_dir": str(tmp_path)}})
    place_logs(config)
    variables = config.ray_kwargs.ray_init.runtime_env.env_vars
    assert str(tmp_path / "tensorboard") == variables.TENSORBOARD_DIR
    assert Path(variables.VERL_FILE_LOGGER_PATH).parent == tmp_path / "metrics"
    (record,) = read_starts(tmp_path)
    assert record["settings"]["writing_rl.log_dir"] == str(tmp_path)
