from __future__ import annotations

import subprocess
import sys


def test_prices_are_read_only_where_one_is_looked_up() -> None:
    code = (
        "import sys, writing_rl.judging.factory as make\n"
        "from writing_rl.judging.settings import JudgeSettings\n"
        "make.check_prices(JudgeSettings(models=('offline', 'verl')))\n"
        "assert not any(name.startswith('genai_prices') for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
