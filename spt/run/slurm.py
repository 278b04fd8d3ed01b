"""Jobs of SLURM that are stopped before their time is over, queued again, and go on."""

import os
import subprocess


def is_requeued() -> bool:
    """Whether SLURM started this job before: the same command then goes on in the same folder."""
    return int(os.environ.get("SLURM_RESTART_COUNT") or 0) > 0


def requeue() -> str | None:
    """Queue this job again, from its first process.

    Returns:
        What was done, in a sentence; None where this is no job of SLURM.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return None
    if os.environ.get("SLURM_PROCID", "0") != "0":
        return "The first process queues the job again."
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip()
        return f"The job could not be queued again: {said}"
    return f"Job {job} is queued again."
