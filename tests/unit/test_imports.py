from __future__ import annotations

import subprocess
import sys

PURE = (
    "writing_rl",
    "writing_rl.chat.contest",
    "writing_rl.chat.contestants",
    "writing_rl.chat.keyboard",
    "writing_rl.chat.layout",
    "writing_rl.chat.session",
    "writing_rl.command",
    "writing_rl.compose",
    "writing_rl.curriculum.beginning",
    "writing_rl.curriculum.create",
    "writing_rl.curriculum.history",
    "writing_rl.curriculum.index_file",
    "writing_rl.curriculum.inspect_index",
    "writing_rl.curriculum.owner",
    "writing_rl.curriculum.rules",
    "writing_rl.curriculum.shared_file",
    "writing_rl.curriculum.state",
    "writing_rl.data.check",
    "writing_rl.data.confirmation",
    "writing_rl.data.generate",
    "writing_rl.data.grading",
    "writing_rl.data.policy",
    "writing_rl.data.prepare",
    "writing_rl.data.prompt_files",
    "writing_rl.data.samples",
    "writing_rl.data.select_run",
    "writing_rl.data.stage_file",
    "writing_rl.data.writers",
    "writing_rl.errors",
    "writing_rl.export",
    "writing_rl.judging.compare",
    "writing_rl.judging.grade",
    "writing_rl.judging.judge",
    "writing_rl.judging.offline",
    "writing_rl.judging.offline_judge",
    "writing_rl.judging.make",
    "writing_rl.judging.prompts",
    "writing_rl.judging.providers.dashscope_sdk",
    "writing_rl.judging.providers.openai_compatible",
    "writing_rl.judging.slots",
    "writing_rl.judging.text",
    "writing_rl.judging.transcript",
    "writing_rl.judging.usage",
    "writing_rl.judging.verdict",
    "writing_rl.launch.attention",
    "writing_rl.launch.counts",
    "writing_rl.launch.estimate",
    "writing_rl.launch.forecast",
    "writing_rl.launch.gpu_checks",
    "writing_rl.launch.gpu_trial",
    "writing_rl.launch.gpus",
    "writing_rl.launch.hub",
    "writing_rl.launch.judge_trial",
    "writing_rl.launch.memory_watch",
    "writing_rl.launch.model_shape",
    "writing_rl.launch.need",
    "writing_rl.launch.phase_log",
    "writing_rl.launch.placement",
    "writing_rl.launch.profiles",
    "writing_rl.launch.ray_start",
    "writing_rl.launch.rehearsal",
    "writing_rl.launch.resources",
    "writing_rl.launch.resumption",
    "writing_rl.launch.run_shape",
    "writing_rl.launch.smoke",
    "writing_rl.launch.trial_run",
    "writing_rl.launch.unread_settings",
    "writing_rl.launch.versions",
    "writing_rl.main",
    "writing_rl.model_folder",
    "writing_rl.preflight",
    "writing_rl.report.collect",
    "writing_rl.report.make",
    "writing_rl.report.synthetic",
    "writing_rl.serve",
    "writing_rl.settings",
    "writing_rl.summary",
    "writing_rl.trainer.forks",
    "writing_rl.trainer.groups",
    "writing_rl.trainer.sampler",
)


def test_pure_modules_import_neither_torch_nor_verl() -> None:
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    heavy = sorted({'torch', 'verl', 'ray', 'transformers', 'vllm'} & sys.modules.keys())\n"
        "    assert not heavy, f'{name} imports {heavy}'\n"
    )
    result = subprocess.run([sys.executable, "-c", code, *PURE], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
