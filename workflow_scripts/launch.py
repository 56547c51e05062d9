"""Start a script in several processes, with the options of torchrun; the exit status is that of the script.

SIGTERM is forwarded to the processes, which then have all the time they need. torchrun would kill them after half a
minute, too soon to save the state of a large model. Ctrl-C counts as SIGTERM; a second one ends everything at once.
After a failure, the message of the first failed process is printed, and its status is the status of this program.

    python workflow_scripts/launch.py --standalone --nproc-per-node 2 workflow_scripts/finetune.py --recipe '{...}' ...
"""

import sys

from headpatterns.processes.launch import launch

if __name__ == "__main__":
    sys.exit(launch(sys.argv[1:]))
