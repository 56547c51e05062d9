"""GSM8K: grade school word problems with worked solutions that end in `#### N`; raw and hub rows have the same form."""

import re
from collections.abc import Mapping
from typing import Any

from headpatterns.data.adapters.adapter import Adapter, Option
from headpatterns.data.records import Instruction, Row, RowError, text, written

CALCULATOR_MARK = re.compile(r"<<.*?>>")
FINAL_ANSWER = re.compile(r"####\s*(\S.*?)\s*$")


def convert(row: Row, options: Mapping[str, Any]) -> Instruction:
    """The response is the worked solution with its last line `#### N`, the answer N without thousands separators."""
    solution = written(row, "answer")
    if not options["keep_calculator_marks"]:
        solution = CALCULATOR_MARK.sub("", solution)
    final = FINAL_ANSWER.search(solution)
    if not final:
        raise RowError("solution without a final answer (####)")
    return Instruction(prompt=text(row, "question"), response=solution, answer=final[1].replace(",", ""))


ADAPTER = Adapter(convert, options={"keep_calculator_marks": Option(False, bool)})
