"""No prior: photos alone. The baseline that every prior must beat."""
