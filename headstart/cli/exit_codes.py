"""What a command tells a script by its exit code. docs/exit-codes.md has the table; a test holds both together."""

DONE = 0
FOUND = 1  # damage or drift
MISTAKE = 2  # that the user can mend
STOPPED = 3  # by a guard
INTERRUPTED = 130  # by Ctrl-C: 128 and the number of SIGINT, as shells count
TERMINATED = 143  # by SIGTERM
MEANINGS = {
    DONE: "Done.",
    FOUND: "Damage or drift was found: `headstart cache verify` found a damaged file.",
    MISTAKE: "A mistake that can be mended: in what was typed, in the data, in a file, on the disk.",
    STOPPED: "A guard stopped the run: going on would have given a misleading result.",
    INTERRUPTED: "Interrupted by Ctrl-C (SIGINT). What was kept, and the command that goes on, stand on stderr.",
    TERMINATED: "Ended by SIGTERM, in the same way.",
}
SUMMARY = "Exit codes: 0 done, 1 damage or drift found, 2 a mistake, 3 stopped by a guard, 130 and 143 interrupted."
