"""Start a script in several processes as torchrun does, with its options; but end as the script does.

The processes get SIGTERM passed on and all the time they need, where torchrun would kill them after half a minute, too
soon to save the state of a large model. Of a failure, the sentence of the first process that failed is printed, and its
status is that of this program.

    python workflow_scripts/launch.py --standalone --nproc-per-node 2 workflow_scripts/finetune.py --devices 2 ...
"""

import json
import logging
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType


def main(words: list[str]) -> int:
    """Run the script that the words name; its exit status, 128 + the signal's number where a signal ended it."""
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    parser = run.get_args_parser()
    parser.allow_abbrev = False  # or it takes the script's --log for a short form of its own options
    logging.disable(logging.ERROR)  # torchrun's own account of a failure
    signal.signal(signal.SIGTERM, _pass_on)
    with tempfile.TemporaryDirectory() as folder:  # the sentences of the processes lie there
        arguments = parser.parse_args(["--log-dir", folder, "--signals-to-handle", "SIGINT,SIGHUP,SIGQUIT", *words])
        try:
            run.run(arguments)
        except ChildFailedError as failed:
            rank, failure = failed.get_first_failure()
            told = sorted(Path(folder).rglob("error.json"), key=lambda path: path.stat().st_mtime_ns)
            print(_sentence(told[0]) if told else f"process {rank}: {failure.message}", file=sys.stderr)
            return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    return 0


def _sentence(path: Path) -> str:
    """What a process left in the file that torchrun names to it (`command_line.run`)."""
    return json.loads(path.read_text(encoding="utf-8"))["message"]


def _pass_on(number: int, frame: FrameType | None) -> None:
    """Pass a signal on to the processes; those that stop for it end this program too."""
    import psutil

    for process in psutil.Process().children():
        process.send_signal(number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
