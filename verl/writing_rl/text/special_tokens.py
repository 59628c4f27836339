"""Special tokens of chat templates, which a server that hosts a judge reads in any text."""

from __future__ import annotations

import re

#: Special tokens of chat templates, as a server that hosts a judge reads them in any text: with bars as in
#: `<|im_end|>`, those of Llama, Mistral, Gemma, InternLM, Baichuan, Kimi and MiniMax, and ends of sequences.
SPECIAL_TOKEN = re.compile(
    r"<[|｜][^\s<>]{1,60}>|<[^\s<>|｜]{1,60}[|｜]>|\[\|[^\s\[\]]{1,60}\]"
    r"|</?(?:s|bos|eos|pad|unk|mask|sep|cls|sop|eop|human|_user|_bot|_system|start_of_turn|end_of_turn|"
    r"start_of_image|end_of_image|image|video|audio|tool_call|tool_response)>"
    r"|<(?:unused|extra_id_|reserved_|ctrl)\d{1,6}>|<</?SYS>>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|MODEL_SETTINGS|THINK|IMG|"
    r"gMASK|sMASK|MASK|CLS|SEP|PAD|UNK|BOS|EOS|EOT|EOD|UNUSED_TOKEN_\d{1,4})\]"
    r"|\]~!?b[\]\[]|\[e~\[",
    re.IGNORECASE,
)
