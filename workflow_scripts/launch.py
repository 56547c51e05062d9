"""Start a script in several processes as torchrun does, with its options; but end as the script does.

The processes get SIGTERM passed on and all the time they need, where torchrun would kill them after half a minute, too
soon to save the state of a large model. Ctrl-C counts as SIGTERM; a second one ends everything at once. Of a failure,
the sentence of the first process that failed is printed, and its status is that of this program.

    python workflow_scripts/launch.py --standalone --nproc-per-node 2 workflow_scripts/finetune.py --recipe '{...}' ...
"""

import sys

from headpatterns.processes.launch import launch

if __name__ == "__main__":
    sys.exit(launch(sys.argv[1:]))
