"""Labs in a classroom: student versions, grading, feedback. nbgrader does the work, out of sight."""
