"""What can be measured about halfseen itself: how fast it is beside its slow twins, and what the papers' claims come to."""
