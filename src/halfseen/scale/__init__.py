"""Many units of work: the same on one machine and on a cluster."""
